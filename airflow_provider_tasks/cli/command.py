"""The command ``airflow-tasks``: it reads what is asked for, and hands it to the module of the subject.

Exit codes: 0 all is well; 1 the task has failed; 2 what was asked for can't be done; 3 the worker has failed.
"""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from airflow_provider_tasks.cli import doctor, explain, nodes, replay, run, workers
from airflow_provider_tasks.cli.logs import log_apart
from airflow_provider_tasks.cli.options import EXIT_CODES, NOT_DONE, WORKER_FAILED
from airflow_provider_tasks.runtime.command import NAME, add_notebook

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say, and return the exit code."""
    given = _parse(sys.argv[1:] if arguments is None else list(arguments))

    from airflow.sdk.exceptions import AirflowException

    from airflow_provider_tasks.workers.failures import ConfigurationError, PayloadError, WorkerError

    log = logging.getLogger("airflow_provider_tasks")
    log.handlers, log.propagate = [logging.StreamHandler()], False  # standard output is for what is asked for
    try:
        with log_apart():
            code: int = given.call(given)
    except (ConfigurationError, PayloadError) as error:
        print(error, file=sys.stderr)
        return NOT_DONE
    except WorkerError as error:
        print(error, file=sys.stderr)
        return WORKER_FAILED
    except AirflowException as error:  # a connection that is not there, say
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return NOT_DONE
    except KeyboardInterrupt:
        return 130
    return code


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Read the arguments: those behind the first ``--``, and what stands between options, are the script's."""
    parser = _parser()
    end = arguments.index("--") if "--" in arguments else len(arguments)
    given, more = parser.parse_known_args(arguments[:end])
    words = [*more, *arguments[end + 1 :]]
    if any(word.startswith("-") for word in more) or (words and not hasattr(given, "words")):
        parser.error(f"unrecognized arguments: {' '.join(words)}")
    if words:
        given.words = [*given.words, *words]
    return given


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Tasks in isolated workers: run them, look at them, find out why they do what they do.",
        epilog=f"{EXIT_CODES} Each command has a --help of its own, with an example.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run.add(commands)
    explain.add(commands)
    replay.add(commands)
    workers.add(commands)
    doctor.add(commands)
    nodes.add(commands)
    add_notebook(commands)
    workers.add_cleanup(commands)
    return parser
