"""What a task in a worker knows of the run it belongs to."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_context: dict[str, Any] | None = None


def get_context() -> dict[str, Any]:
    """Return the context of the running task, inside a worker.

    The keys are Airflow's own (``ds``, ``ts``, ``run_id``, ``params``, ``logical_date``,
    ``data_interval_start``, …) as far as their values can travel, and: ``dag_id``, ``task_id``,
    ``try_number``, ``map_index`` (-1 where the task is not mapped), ``node`` (the node's JSON or None),
    ``connections`` and ``variables`` (those that ``WorkerConfig`` hands over, by id and by key).

    Returns:
        A new dictionary on every call, with the values of the one context that there is.

    Raises:
        RuntimeError: outside a worker.

    >>> get_context()
    Traceback (most recent call last):
    ...
    RuntimeError: get_context() was called outside a worker: only a task that runs in one has a context

    """
    if _context is None:
        raise RuntimeError("get_context() was called outside a worker: only a task that runs in one has a context")
    return dict(_context)


def set_context(context: Mapping[str, Any]) -> None:
    """Make ``context`` what :func:`get_context` returns in this process."""
    global _context  # noqa: PLW0603 - one process runs one task
    _context = dict(context)
