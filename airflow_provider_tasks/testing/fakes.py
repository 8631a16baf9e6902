"""Outcomes that a test makes up, and the worker that gives them: the one fake of the package, and only for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from returns.result import Result  # noqa: TID253 - tests only: no DAG file imports this module

from airflow_provider_tasks.model.results import is_successful, result_to_json
from airflow_provider_tasks.model.suggest import did_you_mean
from airflow_provider_tasks.runtime import protocol, values
from airflow_provider_tasks.runtime.executor import outcome_of_exception
from airflow_provider_tasks.runtime.outcome import Outcome, parse_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_tasks.runtime.messages import Environment, Request

Fake = str | Result[Any, Any] | BaseException | Outcome
"""What came of a task: a category of failure, a ``Success`` or ``Failure``, what ``run()`` raised, or an outcome."""

_TYPICAL: Mapping[str, Mapping[str, Any]] = {
    "task": {"message": "the task's process ended with exit code 3 before run() returned", "exit_code": 3},
    "environment": {
        "message": "the requirement failed with exit code 1: pip install nosuchpackage",
        "detail": {
            "command": "pip install nosuchpackage",
            "output": "ERROR: No matching distribution found for nosuchpackage",
        },
    },
    "memory": {
        "message": "the task held 1,288,490,188 bytes of memory, its limit is 1,073,741,824",
        "detail": {"memory_limit": str(2**30)},
        "peak_memory": 1_288_490_188,
    },
    "image": {"message": "the image python:3.x of pod fake can't be pulled: the registry does not have it"},
    "unschedulable": {
        "message": "the pod did not start within 600 s (startup_timeout): no node can take pod fake: "
        "1 of 1 with too little memory free (16Gi asked for)"
    },
    "evicted": {"message": "pod fake on node worker-1 was evicted: The node was low on resource: memory."},
    "node_lost": {"message": "node worker-1, which ran pod fake, stopped answering"},
    "timeout": {"message": "the task ran into its time limit"},
    "killed": {"message": "the task's process was ended by SIGKILL", "signal": 9},
    "python_mismatch": {
        "message": "the worker runs Python 3.9, the task was packed by another one: "
        "code can't be moved between minor versions of Python"
    },
    "value": {"message": "result is of type object, which can't travel to Airflow."},
    "payload": {"message": "the worker's outcome can't be read: the outcome is not JSON"},
    "configuration": {"message": "there is no such program on this machine"},
    "cluster": {"message": "the cluster gave no answer for 120 s, asked to create pods"},
}
"""For each category what a worker typically says."""


def fake_outcome(fake: Fake) -> Outcome:
    """Return the outcome that a worker would report.

    Values and exceptions go through the worker protocol: what could not travel from a worker is refused here too.

    Args:
        fake: what came of the task.

    Raises:
        ValueError: there is no such category.
        TypeError: it is nothing of what an outcome can be made of.
        ValueEncodeError: the value of a result can't travel.

    >>> fake_outcome("memory").peak_memory
    1288490188
    >>> fake_outcome(ValueError("no route")).message
    'ValueError: no route'
    >>> fake_outcome("memroy")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: there is no category 'memroy'; did you mean 'memory'? Known: ...
    """
    if isinstance(fake, Outcome):
        return fake
    if isinstance(fake, str):
        if fake not in _TYPICAL:
            raise ValueError(f"there is no category {fake!r}; {did_you_mean(fake, _TYPICAL)}")
        return Outcome("failure", fake, **_TYPICAL[fake])
    if isinstance(fake, Result):
        value = result_to_json(fake)["result"]
        if _is_of_a_pipeline(value):
            return _travelled({"status": "success"}, _of_pipeline(value, success=is_successful(fake)))
        if is_successful(fake):
            return _travelled({"status": "success"}, value)
        return _travelled({"status": "failure", "category": "task", "message": "the task returned a Failure"}, value)
    if isinstance(fake, BaseException):
        head = {"status": "failure", **outcome_of_exception(fake)}
        return _travelled(head, str(fake)) if head["status"] == "failure" else _travelled(head)
    raise TypeError(
        f"no outcome can be made of {fake!r}: expected a category as 'memory', a Success or Failure, an exception, "
        "or an Outcome"
    )


_NOTHING = object()


def _travelled(head: Mapping[str, Any], result: object = _NOTHING) -> Outcome:
    """Return an outcome as it is after its way from the worker."""
    encoded = None if result is _NOTHING else memoryview(values.encode_json(result))
    return parse_outcome(b"".join(protocol.dump_outcome(head, encoded)))


def _is_of_a_pipeline(value: object) -> bool:
    """Whether it is ``{task name: [Result, …]}``, as ``run_pipeline`` returns; no other task returns such objects."""
    lists = list(value.values()) if isinstance(value, dict) else []
    return bool(lists) and all(
        isinstance(found, list) and found and all(isinstance(one, Result) for one in found) for found in lists
    )


def _of_pipeline(value: dict[str, list[Result[Any, Any]]], *, success: bool) -> dict[str, Any]:
    results = {name: [{**result_to_json(one), "seconds": 0.0} for one in found] for name, found in value.items()}
    return {"results": results, "success": success, "stuck": {}, "retry": True}


def _of_notebook(value: Any) -> dict[str, Any]:
    results = value if isinstance(value, dict) else {} if value is None else {"result": value}
    return {"error": None, "results": results, "notebook": None}


class FakeWorker:
    """A worker that runs nothing and gives the outcome that it was told; a ``WorkerBackend``."""

    def __init__(self, outcome: Outcome) -> None:
        self.name = "fake"
        self._outcome = outcome

    @property
    def place(self) -> str:
        """Nowhere."""
        return "(no worker: the outcome is a test's)"

    @property
    def environment(self) -> Environment:
        """What a request for it must say: nothing."""
        return {}

    def run(self, request: Request, on_output: Callable[[str], None]) -> Outcome:
        """Return the outcome."""
        if request.get("call") == "notebook" and self._outcome.is_success:
            return replace(self._outcome, result=_of_notebook(self._outcome.result))
        return self._outcome

    def kill(self) -> None:
        """Do nothing: nothing runs."""

    def close(self) -> None:
        """Do nothing: nothing is there."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Fakes:
    """Which outcome a task has at which try; None is none, so that the task runs."""

    def __init__(self, fakes: Mapping[str, Fake | Sequence[Fake | None] | None]) -> None:
        self._outcomes = {name: [_made(fake) for fake in _as_list(fakes)] for name, fakes in fakes.items()}

    @property
    def names(self) -> list[str]:
        """The names of the tasks, without the number of a mapped one."""
        return [name.partition("[")[0] for name in self._outcomes]

    def of(self, task_id: str, map_index: int, try_number: int) -> Outcome | None:
        """Return the outcome; a mapped task's own is stronger than that of all of them."""
        for name in (f"{task_id}[{map_index}]", task_id):
            if name in self._outcomes:
                tries = self._outcomes[name]
                return tries[min(try_number, len(tries)) - 1]
        return None


def _as_list(fakes: Fake | Sequence[Fake | None] | None) -> Sequence[Fake | None]:
    if isinstance(fakes, Sequence) and not isinstance(fakes, str):
        if not fakes:
            raise ValueError("a list of outcomes is empty: expected one for each try")
        return fakes
    return [fakes]


def _made(fake: Fake | None) -> Outcome | None:
    return None if fake is None else fake_outcome(fake)
