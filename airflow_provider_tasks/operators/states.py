"""What Airflow says of the state of a task; only for code that runs in an Airflow task or in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    return _states(key.dag_id, key.run_id, [key.task_id], key.map_index).get(key.task_id)


def states_of(ti: Any, task_ids: Sequence[str]) -> dict[str, str]:
    """Return the states of other tasks of the run, and of the map index, that the task instance ``ti`` belongs to."""
    if not task_ids:
        return {}
    map_index = -1 if ti.map_index is None else ti.map_index
    return _states(ti.dag_id, ti.run_id, list(task_ids), map_index)


def _states(dag_id: str, run_id: str, task_ids: list[str], map_index: int) -> dict[str, str]:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    found = RuntimeTaskInstance.get_task_states(
        dag_id=dag_id,
        # Without it Airflow gives all instances of a mapped task, and it has no word for one that is not mapped.
        map_index=None if map_index < 0 else map_index,
        task_ids=task_ids,
        run_ids=[run_id],
    ).get(run_id, {})
    names = {task_id: task_id if map_index < 0 else f"{task_id}_{map_index}" for task_id in task_ids}
    return {task_id: str(found[name] or "none") for task_id, name in names.items() if name in found}
