"""From a worker's outcome to what Airflow keeps of it: an XCom, an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_tasks.workers.failures import TaskRaisedError, WorkerError
from airflow_provider_tasks.workers.outcomes import error_of, short

if TYPE_CHECKING:
    from airflow_provider_tasks.runtime.outcome import Outcome


class TaskFailedForGoodError(TaskRaisedError, AirflowFailException):
    """The task raised ``FailTask``: Airflow does not try it again."""


def to_error(outcome: Outcome) -> WorkerError:
    """Return the exception that a failed ``outcome`` is for Airflow."""
    error = error_of(outcome)
    if type(error) is TaskRaisedError and not error.retry:
        return TaskFailedForGoodError(error.summary, error.advice, retry=False, outcome=outcome)
    return error


def outcome_xcom(outcome: Outcome, **about: Any) -> dict[str, Any]:
    """Return what the XCom ``outcome`` holds: plain JSON."""
    return {
        **about,
        "status": outcome.status,
        "category": outcome.category,
        "message": short(outcome.message, 2000),
        "timeline": {phase: round(seconds, 3) for phase, seconds in outcome.timeline.items()},
        "peak_memory": outcome.peak_memory,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "python": outcome.python,
    }
