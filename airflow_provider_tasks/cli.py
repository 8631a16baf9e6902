"""``airflow-tasks``: files in workers, workers that are kept, and what was left behind, from a shell.

Exit codes: 0 all is well; 1 the task has failed; 2 what was asked for can't be done; 3 the worker has failed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime.command import NAME, add_notebook, parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_tasks.workers.by_hand import Worker

TASK_FAILED, NOT_DONE, WORKER_FAILED = 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say, and return the exit code."""
    from airflow.sdk.exceptions import AirflowException

    from airflow_provider_tasks.workers.failures import ConfigurationError, PayloadError, WorkerError

    given = _parse(sys.argv[1:] if arguments is None else list(arguments))
    log = logging.getLogger("airflow_provider_tasks")
    log.handlers, log.propagate = [logging.StreamHandler()], False  # standard output is for what is asked for
    try:
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
        description="Tasks in isolated workers.",
        epilog="Exit codes: 0 all is well, 1 the task has failed, 2 it can't be done, 3 the worker has failed.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a .py, .sh or .ipynb file in a worker")
    run.add_argument("file")
    run.add_argument("words", nargs="*", metavar="ARG", help="arguments of a script; behind -- if one has a dash")
    run.add_argument("-p", "--parameter", action="append", type=parameter, default=[], metavar="KEY=VALUE")
    run.add_argument("--files", metavar="FOLDER", help="the folder that goes along (the file's own)")
    run.add_argument("--max-files", type=int, metavar="N", help="how many files may go along (250)")
    run.add_argument("--on-worker", action="store_true", help="the file is in the worker already")
    run.add_argument("--venv", metavar="NAME", help="run with ~/.venv/NAME of the worker")
    run.add_argument("--keep", action="store_true", help="keep the worker, and print its name")
    run.add_argument("--quiet", action="store_true", help="do not show what the file prints")
    run.add_argument("--json", action="store_true", help="print the outcome as JSON; what the file prints is not shown")
    _add_settings(run)
    run.set_defaults(call=_run)

    workers = commands.add_parser("workers", help="the workers that are kept")
    actions = workers.add_subparsers(dest="what", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="which there are")
    listed.add_argument("--json", action="store_true")
    listed.set_defaults(call=_list)
    logs = actions.add_parser("logs", help="what the tasks of one have printed")
    logs.set_defaults(call=_logs)
    execute = actions.add_parser("exec", help="run a command in one, where its tasks run")
    execute.set_defaults(call=_exec)
    terminate = actions.add_parser("terminate", help="end some")
    terminate.add_argument("name", nargs="+")
    terminate.set_defaults(call=_terminate)
    for action in (logs, execute):
        action.add_argument("name")
    execute.add_argument("words", nargs="*", metavar="COMMAND", help="behind -- if it has options")
    for action in (listed, logs, execute, terminate):
        _add_settings(action)

    add_notebook(commands)

    nodes = commands.add_parser("nodes", help="show a node file")
    nodes.add_argument("file")
    nodes.add_argument("--json", action="store_true")
    nodes.set_defaults(call=_nodes)

    clean = commands.add_parser("cleanup", help="find pods that nobody waits for, and kept workers past their time")
    clean.add_argument("--remove", action="store_true", help="remove the pods too; without it they are only shown")
    _add_settings(clean)
    clean.set_defaults(call=_cleanup)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the worker")
    group.add_argument("--config", metavar="FILE", help="settings of the worker, JSON or YAML")
    group.add_argument("--backend", choices=["local", "kubernetes"])
    group.add_argument("--conn-id", metavar="ID", help="the Airflow connection of the cluster")
    group.add_argument("--namespace", metavar="NAME")
    group.add_argument("--image", metavar="IMAGE")
    group.add_argument("--worker-size", metavar="SIZE")


def _config(given: argparse.Namespace) -> Any:
    from airflow_provider_tasks.workers.config import WorkerConfig

    said = WorkerConfig(
        backend=given.backend,
        kubernetes_conn_id=given.conn_id,
        namespace=given.namespace,
        worker_image=given.image,
        worker_size=given.worker_size,
    )
    return said.over(WorkerConfig.of(given.config))


def _run(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.by_hand import run_task
    from airflow_provider_tasks.workers.upload import MAX_FILES

    worker, success = run_task(
        given.file,
        given.files,
        upload_files=not given.on_worker,
        worker_config=_config(given),
        terminate_on_completion=not given.keep,
        capture_task_output=not (given.quiet or given.json),
        python_venv_name=given.venv,
        max_files_to_upload=MAX_FILES if given.max_files is None else given.max_files,
        args=given.words,
        parameters=dict(given.parameter),
    )
    if given.json:
        outcome = worker.outcome
        assert outcome is not None
        told: dict[str, Any] = {"worker": worker.name, "status": outcome.status, "category": outcome.category}
        told |= {"message": outcome.message, "result": outcome.result, "timeline": dict(outcome.timeline)}
        print(json.dumps(told, default=str))
    elif given.keep:
        print(f"The worker is kept: {worker.name}", file=sys.stderr)
    return 0 if success else TASK_FAILED


def _list(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.by_hand import Worker

    workers = Worker.list(_config(given))
    if given.json:
        print(json.dumps([_told(worker) for worker in workers]))
    for worker in () if given.json else workers:
        told = _told(worker)
        print("  ".join(str(value) for value in told.values() if value))
    if not workers and not given.json:
        print("No worker is kept.", file=sys.stderr)
    return 0


def _told(worker: Worker) -> dict[str, Any]:
    return {
        "name": worker.name,
        "backend": worker.config.backend or "local",
        "node": worker.node.name if worker.node else None,
        "status": worker.status,
        "place": worker.place,
    }


def _logs(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.by_hand import Worker

    print(Worker.get(given.name, _config(given)).logs())
    return 0


def _exec(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.by_hand import Worker

    words = given.words
    done = Worker.get(given.name, _config(given)).exec(words[0] if len(words) == 1 else shlex.join(words))
    sys.stdout.write(done.output)
    return done.exit_code


def _terminate(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.by_hand import Worker

    for worker in [Worker.get(name, _config(given)) for name in given.name]:
        worker.terminate()
    return 0


def _nodes(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.model.errors import NodeFormatError
    from airflow_provider_tasks.model.pool import Nodes

    try:
        nodes = Nodes.from_file(os.path.abspath(given.file))
    except (NodeFormatError, OSError) as error:
        print(error, file=sys.stderr)
        return NOT_DONE
    print(json.dumps(nodes.to_json(), indent=None if given.json else 2))
    return 0


def _cleanup(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.connections import connected_cluster
    from airflow_provider_tasks.workers.kept import Record
    from airflow_provider_tasks.workers.opening import direct_settings

    settings = direct_settings(None, _config(given))
    kept = Record.all(settings)
    print(f"{len(kept)} local workers are kept and within their time; others are gone.", file=sys.stderr)
    if settings.backend != "kubernetes":
        return 0
    from airflow_provider_tasks.workers.kubernetes.orphans import clean_up

    cluster = connected_cluster(settings.config.kubernetes_conn_id)
    found = clean_up(cluster, settings.config.namespace, settings.installation, remove=given.remove)
    for orphan in found:
        print(f"{'Removed' if given.remove else 'Would remove'} {orphan}")
    if not found:
        print("Nothing was left behind in the cluster.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
