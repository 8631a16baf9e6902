"""What Airflow's database says of tasks: their states, and the XComs in which they told of their workers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import and_, select

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session

ACTIVE = ("running", "deferred", "restarting")
"""The states in which a task has a worker."""

MOST_ROWS = 1000


class Key(NamedTuple):
    """A task of a run."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1


class Told(NamedTuple):
    """A task whose worker is known from its XCom ``worker``."""

    key: Key
    state: str
    try_number: int
    started: datetime | None
    worker: dict[str, Any]


def xcoms(session: Session, key: Key, names: Iterable[str]) -> dict[str, Any]:
    """Return XComs of a task by their names, as plain JSON; nothing is made of what they hold."""
    found = session.execute(
        select(XComModel.key, XComModel.value).where(
            XComModel.dag_id == key.dag_id,
            XComModel.run_id == key.run_id,
            XComModel.task_id == key.task_id,
            XComModel.map_index == key.map_index,
            XComModel.key.in_(list(names)),
        )
    )
    return {name: _plain(value) for name, value in found}


def xcoms_of_run(session: Session, dag_id: str, run_id: str, name: str) -> dict[tuple[str, int], Any]:
    """Return an XCom of all tasks of a run, by task and map index."""
    found = session.execute(
        select(XComModel.task_id, XComModel.map_index, XComModel.value)
        .where(XComModel.dag_id == dag_id, XComModel.run_id == run_id, XComModel.key == name)
        .limit(MOST_ROWS)
    )
    return {(task_id, map_index): _plain(value) for task_id, map_index, value in found}


def state_of(session: Session, key: Key) -> tuple[str, int, datetime | None] | None:
    """Return the state, the try and the start of a task; None where Airflow knows no such task."""
    found = session.execute(
        select(TaskInstance.state, TaskInstance.try_number, TaskInstance.start_date).where(
            TaskInstance.dag_id == key.dag_id,
            TaskInstance.run_id == key.run_id,
            TaskInstance.task_id == key.task_id,
            TaskInstance.map_index == key.map_index,
        )
    ).first()
    return None if found is None else (str(found[0] or "none"), found[1], found[2])


def states_of_run(session: Session, dag_id: str, run_id: str) -> dict[tuple[str, int], tuple[str, float | None]]:
    """Return the states of the tasks of a run, and the seconds that they took."""
    found = session.execute(
        select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state, TaskInstance.duration)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        .limit(MOST_ROWS)
    )
    return {(task_id, map_index): (str(state or "none"), duration) for task_id, map_index, state, duration in found}


def active_workers(session: Session) -> list[Told]:
    """Return the workers of all tasks that run, or are deferred, the latest first."""
    found = session.execute(
        select(
            XComModel.dag_id,
            XComModel.run_id,
            XComModel.task_id,
            XComModel.map_index,
            TaskInstance.state,
            TaskInstance.try_number,
            TaskInstance.start_date,
            XComModel.value,
        )
        .join(
            TaskInstance,
            and_(
                TaskInstance.dag_id == XComModel.dag_id,
                TaskInstance.run_id == XComModel.run_id,
                TaskInstance.task_id == XComModel.task_id,
                TaskInstance.map_index == XComModel.map_index,
            ),
        )
        .where(XComModel.key == "worker", TaskInstance.state.in_(ACTIVE))
        .order_by(TaskInstance.start_date.desc())
        .limit(MOST_ROWS)
    )
    told = []
    for dag_id, run_id, task_id, map_index, state, try_number, started, value in found:
        worker = _plain(value)
        if isinstance(worker, dict) and isinstance(worker.get("name"), str):  # not a task of somebody else
            told.append(Told(Key(dag_id, run_id, task_id, map_index), str(state), try_number, started, worker))
    return told


def _plain(value: Any) -> Any:
    """Return what is stored: a database gives JSON as text, or as what it holds."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
