"""Execute an Airflow task without the rest of Airflow.

What is timed is ``operator.execute(context)``, called as Airflow's task runner calls it, in a process forked from one
that has loaded Airflow and the DAG file. What stands in for the rest:

- The context is a dictionary with the values that Airflow computes for a scheduled run; its ``ti`` is `TaskInstance`
  below, which takes XComs and drops them. So no request goes to an API server, for us or for a peer.
- The log is set up by Airflow's own function for task processes: one JSON object a record, unbuffered; into a file,
  where Airflow has a socket and a supervisor that reads it.
- ``Supervisor`` answers the one question that a process started by a virtualenv operator asks where it finds Airflow:
  for a new log.
"""

from __future__ import annotations

import contextlib
import contextvars
import gc
import os
import socket
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benchmarks import installation
from benchmarks.measuring import Measured, forget_peak_memory, in_a_fork, memory

if TYPE_CHECKING:
    from collections.abc import Iterator

DAG_FILE = "tasks_to_execute.py"


class TaskInstance:
    """What an operator needs of one."""

    try_number = 1
    map_index = -1
    run_id = "scheduled__2026-01-01T00:00:00+00:00"

    def __init__(self, dag_id: str, task_id: str) -> None:
        self.dag_id = dag_id
        self.task_id = task_id

    def xcom_push(self, key: str, value: Any) -> None:
        """Drop it."""


def execute_in_a_fork(task_id: str, file: str = DAG_FILE, *, again: bool = True) -> Measured:
    """Execute a task of a DAG file in a fork, the first time with what it imports for it.

    Args:
        task_id: the task.
        file: the DAG file.
        again: whether to execute it a second time.

    Returns:
        ``first`` and ``again`` in seconds, ``peak`` in bytes: the most that the second execution added to what
        this process held.

    """

    installation.bare_python()  # the DAG file names it
    operator = installation.load(file.removesuffix(".py"), file).dag.get_task(task_id)

    def measure() -> Measured:
        with _log_of_a_task() as log, Supervisor(log):
            measured = {"first": _execute(operator)[0]}
            if again:
                measured["again"], measured["peak"] = _execute(operator)
        return measured

    return in_a_fork(measure)


def _execute(operator: Any) -> tuple[float, float]:
    from airflow.sdk.bases.operator import ExecutorSafeguard

    context = _context(operator)
    runner = contextvars.copy_context()
    runner.run(ExecutorSafeguard.tracker.set, operator)
    gc.collect()
    forget_peak_memory()
    held = memory("VmRSS")
    begun = time.perf_counter()
    result = runner.run(operator.execute, context)
    seconds = time.perf_counter() - begun
    peak = max(0.0, memory("VmHWM") - held)
    del result
    return seconds, peak


def _context(operator: Any) -> dict[str, Any]:
    import pendulum

    day = pendulum.datetime(2026, 1, 1)
    ti = TaskInstance(operator.dag_id, operator.task_id)
    return {
        "ti": ti, "task_instance": ti, "task": operator, "dag": operator.dag, "params": {}, "run_id": ti.run_id,
        "dag_run": SimpleNamespace(run_id=ti.run_id, logical_date=day), "logical_date": day,
        "data_interval_start": day, "data_interval_end": day.add(days=1), "ds": "2026-01-01", "ds_nodash": "20260101",
        "ts": day.isoformat(), "ts_nodash": "20260101T000000", "ts_nodash_with_tz": "20260101T000000+0000",
        "task_instance_key_str": f"{ti.dag_id}__{ti.task_id}__20260101", "inlets": [], "outlets": [],
        "partition_key": None, "partition_date": None, "test_mode": False, "expanded_ti_count": None,
        "templates_dict": None, "task_reschedule_count": 0,
    }  # fmt: skip


@contextlib.contextmanager
def _log_of_a_task() -> Iterator[int]:
    """Log as a task's process does, into a file; what is printed goes there too."""
    from airflow.sdk.log import configure_logging, reset_logging

    path = installation.home() / f"log-{os.getpid()}"
    stderr = os.dup(2)
    with path.open("wb", buffering=0) as log:
        reset_logging()
        configure_logging(json_output=True, output=log, sending_to_supervisor=True)
        for number in (1, 2):
            os.dup2(log.fileno(), number)
        try:
            yield log.fileno()
        except BaseException:
            os.dup2(stderr, 2)
            sys.stderr.write(path.read_text(errors="replace")[-5000:])
            raise
        finally:
            path.unlink()


class Supervisor:
    """The part of Airflow's supervisor that hands out logs, in a thread."""

    def __init__(self, log: int) -> None:
        self._log = log

    def __enter__(self) -> Supervisor:
        self._socket, tasks = socket.socketpair()
        self._tasks = tasks
        tasks.set_inheritable(True)
        os.environ["__AIRFLOW_SUPERVISOR_FD"] = str(tasks.fileno())
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tasks.close()
        self._socket.close()

    def _serve(self) -> None:
        import msgspec
        from airflow.sdk.execution_time.comms import SentFDs, _RequestFrame, _ResponseFrame

        decoder = msgspec.msgpack.Decoder(_RequestFrame)
        with contextlib.suppress(OSError):
            while size := self._socket.recv(4, socket.MSG_WAITALL):
                request = decoder.decode(self._socket.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
                if (request.body or {}).get("type") != "ResendLoggingFD":
                    raise RuntimeError(f"a task asked for {request.body}, which nobody here can answer")
                answer = _ResponseFrame(id=request.id, body=SentFDs(fds=[self._log]).model_dump())
                socket.send_fds(self._socket, [answer.as_bytes()], [self._log])
