"""``airflow-tasks run``: a file in a worker."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.cli.options import TASK_FAILED, add_settings, command, config_of
from airflow_provider_tasks.runtime.command import parameter

if TYPE_CHECKING:
    import argparse

    from airflow_provider_tasks.workers.by_hand import Worker


def add(commands: Any) -> None:
    """Add the command."""
    run = command(
        commands,
        "run",
        summary="run a .py, .sh or .ipynb file in a worker",
        example="run task.sh -p day=2026-01-31 --keep -- --an-option of-the-script",
    )
    run.add_argument("file", metavar="FILE", help="the file; its folder goes along")
    run.add_argument(
        "words", nargs="*", default=[], metavar="ARG", help="arguments of a script; behind -- if one has a dash"
    )
    run.add_argument(
        "-p",
        "--parameter",
        action="append",
        type=parameter,
        default=[],
        metavar="KEY=VALUE",
        help="a parameter; the value is read as JSON where it is",
    )
    run.add_argument("--files", metavar="FOLDER", help="the folder that goes along (the file's own)")
    run.add_argument("--max-files", type=int, metavar="N", help="how many files may go along (250)")
    run.add_argument("--on-worker", action="store_true", help="the file is in the worker already")
    run.add_argument("--venv", metavar="NAME", help="run with ~/.venv/NAME of the worker")
    run.add_argument("--keep", action="store_true", help="keep the worker, and print its name")
    run.add_argument("--quiet", action="store_true", help="do not show what the file prints")
    run.add_argument("--json", action="store_true", help="print the outcome as JSON; what the file prints is not shown")
    add_settings(run)
    run.set_defaults(call=_run)


def _run(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.by_hand import run_task
    from airflow_provider_tasks.workers.upload import MAX_FILES

    worker, success = run_task(
        given.file,
        given.files,
        upload_files=not given.on_worker,
        worker_config=config_of(given),
        terminate_on_completion=not given.keep,
        capture_task_output=not (given.quiet or given.json),
        python_venv_name=given.venv,
        max_files_to_upload=MAX_FILES if given.max_files is None else given.max_files,
        args=given.words,
        parameters=dict(given.parameter),
    )
    return tell(worker, success=success, as_json=given.json, keep=given.keep)


def tell(worker: Worker, *, success: bool, as_json: bool, keep: bool) -> int:
    """Print what came of a task, and return the exit code."""
    if as_json:
        outcome = worker.outcome
        assert outcome is not None
        told: dict[str, Any] = {"worker": worker.name, "status": outcome.status, "category": outcome.category}
        told |= {"message": outcome.message, "result": outcome.result, "timeline": dict(outcome.timeline)}
        print(json.dumps(told, default=str))
    elif keep:
        print(f"The worker is kept: {worker.name}", file=sys.stderr)
    return 0 if success else TASK_FAILED
