"""``python -m benchmarks.pods_task``: the process of one Airflow task.

Airflow's own task runner loads the DAG file, renders the templates, executes the task and pushes its XComs. What stands
in for the rest is `Supervisor`, which answers at once what Airflow's supervisor asks the API server for.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks.measuring import memory

BUNDLE = "dags-folder"


class Supervisor:
    """Takes what a task reports, and keeps the last of it."""

    def __init__(self) -> None:
        self.last: Any = None

    def send(self, msg: Any) -> Any:
        """Answer a message of the task's process."""
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse, GetTaskStateStore, OKResponse

        self.last = msg
        if isinstance(msg, GetTaskStateStore):
            return ErrorResponse(error=ErrorType.TASK_STORE_NOT_FOUND)
        if type(msg).__name__.startswith("Get"):
            raise RuntimeError(f"a task asked for {msg!r}, which nobody here can answer")
        return OKResponse(ok=True)


def main() -> None:
    told = json.loads(sys.argv[1])
    log_as_a_task(Path(told["log"]))
    from airflow.dag_processing.dagbag import BundleDagBag  # what every task's process loads
    from airflow.sdk.execution_time import supervisor, task_runner

    del BundleDagBag, supervisor
    task_runner.SUPERVISOR_COMMS = Supervisor()
    times = {}
    execute = task_runner._run_execute_callable

    def timed(*args: Any, **kwargs: Any) -> Any:
        times["begun"] = time.monotonic()
        try:
            return execute(*args, **kwargs)
        finally:
            times["ended"] = time.monotonic()

    task_runner._run_execute_callable = timed
    before, cpu = time.monotonic(), time.process_time()
    ti, context, logger = task_runner.startup(_details(told))
    loaded = time.monotonic()
    state, message, error = task_runner.run(ti, context, logger)
    if error is not None or state.value not in ("success", "deferred"):
        raise SystemExit(f"{told['task']}: {state} {error!r}")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    measured = {
        "begun": times["begun"],
        "execute": times["ended"] - times["begun"],
        "load": loaded - before,
        "cpu": usage.ru_utime + usage.ru_stime,
        "own_cpu": time.process_time() - cpu,
        # Not ru_maxrss, in which is what the process had before it became this program: its parent's.
        "peak": memory("VmHWM"),
    }
    deferred = message.model_dump(mode="json") if state.value == "deferred" else None
    print(json.dumps({"measured": measured, "deferred": deferred}), file=sys.__stdout__, flush=True)
    os._exit(0)  # as Airflow ends the process of a task


def log_as_a_task(path: Path) -> None:
    """Log as Airflow's processes of tasks and triggers do, into a file."""
    from airflow.sdk.log import configure_logging, reset_logging

    reset_logging()
    configure_logging(json_output=True, output=path.open("ab", buffering=0), sending_to_supervisor=True)


def _details(told: dict[str, Any]) -> Any:
    """Return what Airflow's supervisor tells a task's process when it starts."""
    from airflow.sdk.api.datamodels._generated import (
        BundleInfo,
        DagRun,
        DagRunState,
        DagRunType,
        TaskInstance,
        TIRunContext,
    )
    from airflow.sdk.execution_time.comms import StartupDetails
    from airflow.sdk.timezone import datetime

    day = datetime(2026, 1, 1)
    run = DagRun(
        dag_id=told["dag"], run_id=told["run"], logical_date=day, data_interval_start=day, data_interval_end=day,
        run_after=day, start_date=day, end_date=None, run_type=DagRunType.SCHEDULED, state=DagRunState.RUNNING,
        consumed_asset_events=[], partition_key=None,
    )  # fmt: skip
    ti_context = TIRunContext(
        dag_run=run, max_tries=0, next_method=told.get("next_method"), next_kwargs=told.get("next_kwargs")
    )
    return StartupDetails(
        ti=TaskInstance(**names_of(told)), dag_rel_path=f"{told['dag']}.py", bundle_info=BundleInfo(name=BUNDLE),
        start_date=day, ti_context=ti_context, sentry_integration="",
    )  # fmt: skip


def names_of(told: dict[str, Any]) -> dict[str, Any]:
    """Return what tells a task instance from others."""
    names = {"dag_id": told["dag"], "task_id": told["task"], "run_id": told["run"]}
    return {"id": uuid.uuid4(), "dag_version_id": uuid.uuid4(), "try_number": 1, **names}


if __name__ == "__main__":
    main()
