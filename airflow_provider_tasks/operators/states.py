"""What Airflow says of the state of a task; only for code that runs in an Airflow task or in the triggerer."""

from __future__ import annotations

from typing import NamedTuple


class TaskKey(NamedTuple):
    """An Airflow task of a run; ``map_index`` is -1 for one that is not mapped."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1


ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""The states in which Airflow does nothing more for a task, unless somebody clears it."""


def state_of(key: TaskKey) -> str | None:
    """Return the state of a task: ``running``, ``deferred`` and so on, and ``none`` for one that has yet to begin.

    Returns:
        None where this Airflow has no such task.

    Raises:
        Exception: Airflow does not answer, or this is no process that may ask it.

    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    found = RuntimeTaskInstance.get_task_states(
        dag_id=key.dag_id,
        # Without it Airflow gives all instances of a mapped task, and it has no word for one that is not mapped.
        map_index=None if key.map_index < 0 else key.map_index,
        task_ids=[key.task_id],
        run_ids=[key.run_id],
    )
    states = found.get(key.run_id, {})
    name = key.task_id if key.map_index < 0 else f"{key.task_id}_{key.map_index}"
    return str(states[name] or "none") if name in states else None
