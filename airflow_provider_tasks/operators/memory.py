"""More memory for the next try of a task that ran out of it.

What it gets is in Airflow's task state store, which the tries of a task share and which goes when it has succeeded
(``[state_store] clear_on_success``) or with its DAG run. The number of a try alone would not do: the tries before it
may have failed of something else.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.operators.retries import WorkerRetryPolicy
from airflow_provider_tasks.workers.failures import MemoryExceededError
from airflow_provider_tasks.workers.quantities import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Context

    from airflow_provider_tasks.operators.base import WorkerOperator
    from airflow_provider_tasks.workers.settings import Settings

KEY = "worker_memory"
"""The key in the task state store: the bytes that the next try gets."""


def with_memory_of_tries(operator: WorkerOperator, context: Context, settings: Settings) -> Settings:
    """Return ``settings`` with as much memory as the tries before have shown that the task needs."""
    limit = limit_of(settings)
    if limit is None or context["ti"].try_number == 1 or not isinstance(operator.retry_policy, WorkerRetryPolicy):
        return settings
    found = context["task_state_store"].get(KEY)
    if not isinstance(found, int) or found <= limit:
        return settings
    operator.log.info("An earlier try ran out of memory: this one gets %s", format_bytes(found))
    return replace(settings, size=settings.size._replace(memory=found))


def limit_of(settings: Settings) -> int | None:
    """Return the bytes that a worker's size allows; None where that is no limit, or is not what counts."""
    return None if _is_overridden(settings.config.pod_override) else settings.size.memory


@contextmanager
def planned(operator: WorkerOperator, context: Context, limit: int | None) -> Iterator[None]:
    """Give the next try more memory where this one runs out of it and the retry policy says so.

    Args:
        operator: whose try it is.
        context: of the try.
        limit: the bytes that the worker has; None where it has no limit, or one of ``pod_override``.

    """
    try:
        yield
    except MemoryExceededError as error:
        _plan(operator, context, error, limit)
        raise


def _plan(operator: WorkerOperator, context: Context, error: MemoryExceededError, limit: int | None) -> None:
    """Note what the next try gets: in the task state store, in ``error``, and in the log."""
    policy = operator.retry_policy
    if limit is None or not error.retry or not isinstance(policy, WorkerRetryPolicy):
        return
    if policy.memory_factor == 1:
        return
    from airflow_provider_tasks.workers.settings import read_sizes

    peak = error.outcome.peak_memory if error.outcome else None
    # The kernel counts more than the worker sees, and ends it at its limit.
    held = f"peak {format_bytes(max(peak or 0, limit))} of {format_bytes(limit)}"
    found = policy.next_memory(limit, read_sizes(), peak)
    if found is None:
        error.retry = False
        operator.log.warning("memory: %s; the retry policy allows no more, so there is no next try", held)
        return
    try:
        context["task_state_store"].set(KEY, found)
    except Exception as trouble:
        # What the task failed of matters more.
        operator.log.warning("memory: %s; that the next try needs more could not be noted: %s", held, trouble)
        return
    error.next_memory = found
    ti: Any = context["ti"]
    when = "next try" if ti.try_number <= ti.max_tries else "no try is left; cleared, it gets"
    operator.log.warning("memory: %s; %s %s", held, when, format_bytes(found))


def _is_overridden(pod: Any) -> bool:
    """Whether a ``pod_override`` says itself how much memory the worker has."""
    spec = pod.get("spec") if isinstance(pod, dict) else None
    containers = spec.get("containers") if isinstance(spec, dict) else None
    for container in containers or ():
        if container.get("name") in ("worker", "base"):
            resources = container.get("resources") or {}
            return any("memory" in (resources.get(part) or {}) for part in ("limits", "requests"))
    return False
