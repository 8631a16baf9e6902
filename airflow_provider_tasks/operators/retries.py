"""Retries by what went wrong: a retry policy that knows the failures of workers."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryDecision, RetryPolicy

from airflow_provider_tasks.workers.failures import ConfigurationError, MemoryExceededError, WorkerError
from airflow_provider_tasks.workers.quantities import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_provider_tasks.workers.sizes import WorkerSize

SOON = timedelta(seconds=10)
"""The delay after what has passed by the time that it is known."""

FIRST = timedelta(seconds=30)
"""The delay after the first try that found no cluster or no room in it; it doubles with each."""

LONGEST = timedelta(minutes=10)
"""What that delay grows to."""

_SOON = {"evicted", "node_lost", "killed"}
_LATER = {"cluster", "unschedulable", "image"}
_UNIT = 2**20


@dataclass(frozen=True, kw_only=True)
class WorkerRetryPolicy(RetryPolicy):
    """Tries again what may pass, and not what can't; gives a task that ran out of memory more of it.

    A failure that trying again can't help (``error.retry`` is False: a missing image, a wrong setting, ``FailTask``, …)
    fails the task at once. After a lost or evicted worker the next try comes soon, after trouble with the cluster
    later and later; everything else has the delay of the task. ``retries`` says how often, as without a policy.

    Args:
        memory_factor: how much more memory the next try gets when one ran out of it; 1 gives no more.
        max_memory: what no try gets more of than, as ``"16Gi"`` or in bytes; the largest ``worker_size`` unless given.
        retry_task_failures: False fails the task at once where its own code failed.

    Raises:
        ConfigurationError: ``memory_factor`` is below 1, or ``max_memory`` is no quantity.

    >>> policy = WorkerRetryPolicy(max_memory="5Gi")
    >>> [policy.next_memory(gib * 2**30, {}) for gib in (2, 4, 5)]
    [4294967296, 5368709120, None]

    """

    memory_factor: float = 2
    max_memory: str | int | None = None
    retry_task_failures: bool = True

    def __post_init__(self) -> None:
        factor = self.memory_factor
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 1 <= factor < float("inf"):
            raise ConfigurationError(
                f"WorkerRetryPolicy(memory_factor={factor!r}): expected a number from 1",
                "2 gives the next try twice the memory, 1 as much as before.",
            )
        try:
            self._most({})
        except ValueError as error:
            raise ConfigurationError(f"WorkerRetryPolicy(max_memory={self.max_memory!r}): {error}") from error

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide by the category of a failure; what is none of a worker is Airflow's own to decide."""
        if not isinstance(exception, WorkerError):
            return RetryDecision.default()
        category = exception.category
        if not exception.retry:
            return RetryDecision.fail(f"{category}: trying again does not help")
        if category == "task" and not self.retry_task_failures:
            return RetryDecision.fail("task: retry_task_failures is False")
        if isinstance(exception, MemoryExceededError) and exception.next_memory:
            return RetryDecision.retry(timedelta(0), "memory: the next try has more of it")
        if category in _SOON:
            return RetryDecision.retry(SOON, f"{category}: trying again may help")
        if category in _LATER:
            # Not all at once: what failed together need not come back together.
            delay = min(LONGEST, FIRST * 2 ** min(try_number - 1, 16)) * random.uniform(0.75, 1)  # noqa: S311
            return RetryDecision.retry(delay, f"{category}: trying again may help")
        return RetryDecision.default()

    def next_memory(self, limit: int, sizes: Mapping[str, WorkerSize], peak: int | None = None) -> int | None:
        """Return the bytes that the next try gets after one ran out of ``limit`` bytes; None where it gets no more.

        ``sizes`` is the table of sizes; ``peak`` is what the task held, where that is known.
        """
        if self.memory_factor == 1:
            return None
        wanted = -(-max(int(limit * self.memory_factor), peak or 0) // _UNIT) * _UNIT
        most = self._most(sizes)
        found = wanted if most is None else min(wanted, most)
        return found if found > limit else None

    def _most(self, sizes: Mapping[str, WorkerSize]) -> int | None:
        if self.max_memory is not None:
            return int(parse_quantity(self.max_memory))
        return max((size.memory for size in sizes.values() if size.memory), default=None)

    def serialize(self) -> dict[str, Any]:
        """Return the policy as plain data."""
        return asdict(self)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> WorkerRetryPolicy:
        """Return the policy that :meth:`serialize` wrote.

        >>> WorkerRetryPolicy.deserialize(WorkerRetryPolicy(memory_factor=3).serialize())
        WorkerRetryPolicy(memory_factor=3, max_memory=None, retry_task_failures=True)
        """
        return cls(**data)
