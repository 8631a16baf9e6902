"""``airflow-tasks replay``: what a worker was given, once more on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.cli.options import NOT_DONE, add_settings, command, config_of
from airflow_provider_tasks.cli.run import tell

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Add the command."""
    replay = command(
        commands,
        "replay",
        summary="run a failed task's request again, on this machine",
        example="replay hello-greet-1-e706088c93647d9c --backend kubernetes",
        description="It is the request of a worker that terminate_on_completion=False has kept, or of a pod that is "
        "still there: the same code, arguments, context, connections, variables, requirements and limits, in a new "
        "local worker. Its startup script and requirements run on this machine too.",
    )
    replay.add_argument("name", help="the worker, as the task's log and workers list call it")
    replay.add_argument("--python", metavar="PATH", help="the Python to run it with (as it was, or this one)")
    replay.add_argument("--keep", action="store_true", help="keep the new worker, and print its name")
    replay.add_argument("--quiet", action="store_true", help="do not show what the task prints")
    replay.add_argument("--json", action="store_true", help="print the outcome as JSON; what the task prints is hidden")
    add_settings(replay, is_new=False)
    replay.set_defaults(call=_replay)


def _replay(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.outcomes import short
    from airflow_provider_tasks.workers.replay import replay

    worker, success = replay(
        given.name,
        config_of(given),
        python=given.python,
        terminate_on_completion=not given.keep,
        capture_task_output=not (given.quiet or given.json),
        on_found=lambda found: print(f"The request of {given.name}: {found}", file=sys.stderr),
    )
    outcome = worker.outcome
    assert outcome is not None
    if success and not given.json:
        print(f"{outcome.status.capitalize()}: {short(outcome.result)}", file=sys.stderr)
    code = tell(worker, success=success, as_json=given.json, keep=given.keep)
    return NOT_DONE if outcome.category == "python_mismatch" else code
