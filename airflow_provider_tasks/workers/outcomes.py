"""What an outcome is to people and to code: its traceback, where the time went, an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.workers.diagnosis import diagnose
from airflow_provider_tasks.workers.failures import BY_CATEGORY, TaskRaisedError, WorkerError
from airflow_provider_tasks.workers.settings import read_sizes

if TYPE_CHECKING:
    from airflow_provider_tasks.runtime.outcome import ExceptionInfo, Outcome

_RELATIONS = {
    "cause": "The above exception was the direct cause of the following exception:",
    "context": "During handling of the above exception, another exception occurred:",
}


def traceback_lines(exceptions: tuple[ExceptionInfo, ...]) -> list[str]:
    """Return the remote traceback as Python prints one."""
    lines: list[str] = []
    for error in exceptions:
        if error.frames:
            lines.append("Traceback in the worker (most recent call last):")
        for frame in error.frames:
            lines.append(f'  File "{frame.file}", line {frame.line}, in {frame.function}')
            if frame.source:
                lines.append(f"    {frame.source}")
        lines.append(f"{error.type}: {error.message}" if error.message else error.type)
        lines.extend(error.notes)
        if error.relation in _RELATIONS:
            lines.extend(["", _RELATIONS[error.relation], ""])
    return lines


def error_of(outcome: Outcome) -> WorkerError:
    """Return the exception that says what a failed ``outcome`` means."""
    diagnosis = diagnose(outcome, sizes=read_sizes())
    cls = BY_CATEGORY[diagnosis.category]
    summary, advice = diagnosis.summary, diagnosis.advice
    if cls is TaskRaisedError and diagnosis.retry and outcome.has_result and not outcome.exceptions:
        summary, advice = f"{summary}: {short(outcome.result)}", "It returned Failure(…) instead of raising."
    return cls(summary, advice, retry=diagnosis.retry, outcome=outcome)


def outcome_of(error: WorkerError) -> Outcome:
    """Return the outcome of a task whose worker could report none."""
    from airflow_provider_tasks.runtime.outcome import Outcome

    return error.outcome or Outcome("failure", error.category, error.summary, error.retry)


def timeline_line(outcome: Outcome) -> str:
    """Return where the time went, for the log.

    >>> from airflow_provider_tasks.runtime.outcome import Outcome
    >>> timeline_line(Outcome("success", timeline={"started": 0.06, "run": 2.14}))
    'started 0.1 s, run 2.1 s'
    """
    return ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in outcome.timeline.items())


def short(value: Any, length: int = 500) -> str:
    """Return ``value`` as text, cut where it is long."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= length else text[:length] + "…"
