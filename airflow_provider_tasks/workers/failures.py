"""Why a task failed, as an exception class for each category: a stable contract.

Catch the class, or look at ``error.category``::

    except MemoryExceededError as error:
        print(error.outcome.peak_memory)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from airflow_provider_tasks.runtime.outcome import Outcome


class WorkerError(Exception):
    """A task failed in its worker, or the worker failed.

    Attributes:
        category: what kind of failure it is, a stable word.
        summary: what happened, in a sentence.
        advice: what to do about it.
        retry: whether trying again can help.
        outcome: what the worker reported; None where it could not.

    """

    category: ClassVar[str] = "task"
    may_pass: ClassVar[bool] = True
    """Whether trying again can help, where nothing more is known."""

    def __init__(
        self, summary: str, advice: str = "", *, retry: bool | None = None, outcome: Outcome | None = None
    ) -> None:
        super().__init__(f"{summary}\n{advice}" if advice else summary)
        self.summary = summary
        self.advice = advice
        self.retry = self.may_pass if retry is None else retry
        self.outcome = outcome

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.summary, self.advice), vars(self)


class TaskRaisedError(WorkerError):
    """The user's code raised, returned a ``Failure`` or ended its process."""

    category = "task"


class EnvironmentFailedError(WorkerError):
    """The startup script or a requirement failed, or the worker lacks a module."""

    category = "environment"


class MemoryExceededError(WorkerError):
    """The task needed more memory than its worker has.

    Attributes:
        next_memory: the bytes that the next try gets, where a retry policy gives it more; else None.

    """

    category = "memory"
    next_memory: int | None = None


class ImageError(WorkerError):
    """The worker's image can't be had."""

    category = "image"
    may_pass = False


class UnschedulableError(WorkerError):
    """No node of the cluster can take the worker."""

    category = "unschedulable"


class EvictedError(WorkerError):
    """The cluster evicted the worker."""

    category = "evicted"


class NodeLostError(WorkerError):
    """The node that ran the worker is gone."""

    category = "node_lost"


class TimeLimitError(WorkerError):
    """The task ran into its time limit."""

    category = "timeout"


class KilledError(WorkerError):
    """The worker or its process was ended from outside."""

    category = "killed"


class PythonMismatchError(WorkerError):
    """The worker's Python is of another minor version than Airflow's."""

    category = "python_mismatch"
    may_pass = False


class ValueNotSupportedError(WorkerError):
    """The result can't travel to Airflow."""

    category = "value"
    may_pass = False


class PayloadError(WorkerError):
    """The request could not be packed or loaded, or the outcome could not be read."""

    category = "payload"
    may_pass = False


class ConfigurationError(WorkerError):
    """A setting is wrong."""

    category = "configuration"
    may_pass = False


class ClusterError(WorkerError):
    """The cluster's API did not answer."""

    category = "cluster"


BY_CATEGORY: dict[str, type[WorkerError]] = {
    cls.category: cls
    for cls in (
        TaskRaisedError,
        EnvironmentFailedError,
        MemoryExceededError,
        ImageError,
        UnschedulableError,
        EvictedError,
        NodeLostError,
        TimeLimitError,
        KilledError,
        PythonMismatchError,
        ValueNotSupportedError,
        PayloadError,
        ConfigurationError,
        ClusterError,
    )
}
"""The exception class of each category."""
