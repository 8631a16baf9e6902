"""``airflow-tasks`` as far as it is there inside a worker: ``airflow-tasks notebook run``."""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

NAME = "airflow-tasks"

_EPILOG = f"""Example:
  {NAME} notebook run report -p days=3 -o reports/

Exit codes: 0 all is well, 1 a cell has failed, 2 it can't be run."""


def parameter(text: str) -> tuple[str, Any]:
    """Read ``key=value``: the value as JSON, or as the text that it is.

    >>> parameter("days=3"), parameter("day=2026-01-31")
    (('days', 3), ('day', '2026-01-31'))
    """
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is no key=value, as day=2026-01-31")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def add_notebook(commands: Any) -> None:
    """Add the command ``notebook`` to a parser's commands."""
    about = {"formatter_class": argparse.RawDescriptionHelpFormatter, "epilog": _EPILOG}
    notebook = commands.add_parser(
        "notebook",
        help="execute a notebook here, in no worker",
        description="Execute a notebook here, in no worker.",
        **about,
    )
    run = notebook.add_subparsers(dest="what", required=True, metavar="ACTION").add_parser(
        "run",
        help="execute a notebook here",
        description="Execute a notebook with papermill, in this Python.",
        **about,
    )
    run.add_argument("file", help="the notebook; .ipynb may be left out")
    run.add_argument("-p", "--parameter", action="append", type=parameter, default=[], metavar="KEY=VALUE")
    run.add_argument("-o", "--output", metavar="PATH", help="the executed notebook (NAME_output.ipynb beside it)")
    run.add_argument("-k", "--kernel", metavar="NAME", help="the kernel (the one that it names)")
    run.set_defaults(call=run_notebook)


def run_notebook(given: argparse.Namespace) -> int:
    """Execute a notebook; 0 where it succeeded, 1 where a cell failed, 2 where it can't be run."""
    from airflow_provider_tasks.runtime.notebook import execute_notebook
    from airflow_provider_tasks.runtime.notebook_results import NotebookError

    try:
        result = execute_notebook(given.file, dict(given.parameter), None, given.kernel, given.output)
    except (NotebookError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{result.output_path}", file=sys.stderr)
    if result.results:
        print(json.dumps(result.results, default=str))
    return 0 if result.failed_cell is None else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say, and return the exit code."""
    parser = argparse.ArgumentParser(prog=NAME, description="Tasks in isolated workers; inside of one.")
    add_notebook(parser.add_subparsers(dest="command", required=True))
    given = parser.parse_args(arguments)
    code: int = given.call(given)
    return code


def put_on_path(folder: str) -> str:
    """Write the command into a folder, and return the folder for ``PATH``."""
    path = os.path.join(folder, NAME)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {sys.executable} -m {__name__} "$@"\n')
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return folder


if __name__ == "__main__":
    sys.exit(main())
