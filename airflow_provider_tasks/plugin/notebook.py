"""Where the executed notebook of a task is, and what is in it."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

from airflow.models.renderedtifields import RenderedTaskInstanceFields
from sqlalchemy import select

from airflow_provider_tasks.plugin.rendering import MOST_BYTES
from airflow_provider_tasks.plugin.tasks import xcoms

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from airflow_provider_tasks.plugin.tasks import Key


class CannotShowError(Exception):
    """The notebook can't be shown; ``status`` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def path_of(session: Session, key: Key, task: Any) -> str:
    """Return where a task said that its notebook is.

    What it said is an XCom, which may be edited by people who can't edit the DAG. So it has to lie where the DAG says
    that the notebook goes: below what ``output_path`` begins with.

    Args:
        session: Airflow's database.
        key: the task.
        task: the operator in the DAG as Airflow keeps it.

    Raises:
        CannotShowError: there is none, or it may not be read.

    """
    path = xcoms(session, key, ["notebook"]).get("notebook")
    if not isinstance(path, str) or not path:
        raise CannotShowError(404, "This task has kept no executed notebook.")
    if not path.endswith(".ipynb") or ".." in path.split("/"):
        raise CannotShowError(403, "What the task said is no path of a notebook.")
    declared = _declared(task)
    start = _fixed_start(declared)
    if not start or start == _absolute(declared):  # nothing of it is filled in at the run, or all of it
        start = start or _rendered(session, key)
        is_there = start != "" and (path == start or path.startswith(f"{start.rstrip('/')}/"))
    else:
        is_there = path.startswith(start)
    if not is_there:
        raise CannotShowError(
            403, "The notebook is not where the output_path of the task leads to, so this page does not read it."
        )
    return path


def read(path: str) -> bytes:
    """Return the content of a notebook.

    Raises:
        CannotShowError: it can't be read from here, or it is too large.

    """
    from airflow.sdk import ObjectStoragePath

    is_local = "://" not in path
    target = ObjectStoragePath(f"file://{path}" if is_local else path)
    try:
        size = target.stat().st_size
        if size > MOST_BYTES:
            raise CannotShowError(413, f"It has {size / 2**20:.0f} MiB; at most {MOST_BYTES // 2**20} MiB are shown.")
        with target.open("rb") as file:  # type: ignore[no-untyped-call]
            content: bytes = file.read(MOST_BYTES + 1)
    except CannotShowError:
        raise
    except FileNotFoundError:
        where = f" of the API server's machine, {platform.node()}" if is_local else ""
        hint = " An output_path in an object storage is seen by all machines." if is_local else ""
        raise CannotShowError(404, f"There is no such file{where}.{hint}") from None
    except Exception as error:
        raise CannotShowError(502, f"It can't be read from here: {type(error).__name__}.") from error
    return content


def _declared(task: Any) -> str:
    found = getattr(task, "output_path", None)
    if found is None:
        found = (getattr(task, "partial_kwargs", None) or {}).get("output_path")
    return found if isinstance(found, str) else ""


def _fixed_start(path: str) -> str:
    """Return what a path begins with before its first template, as a path that can be compared.

    >>> _fixed_start("s3://reports@bucket/{{ ds }}/"), _fixed_start("{{ params.where }}")
    ('s3://reports@bucket/', '')
    """
    return _absolute(path.partition("{{")[0].partition("{%")[0])


def _rendered(session: Session, key: Key) -> str:
    fields = session.scalar(
        select(RenderedTaskInstanceFields.rendered_fields).where(
            RenderedTaskInstanceFields.dag_id == key.dag_id,
            RenderedTaskInstanceFields.run_id == key.run_id,
            RenderedTaskInstanceFields.task_id == key.task_id,
            RenderedTaskInstanceFields.map_index == key.map_index,
        )
    )
    found = fields.get("output_path") if isinstance(fields, dict) else None
    return _absolute(found) if isinstance(found, str) else ""


def _absolute(path: str) -> str:
    path = os.path.expanduser(path)
    # A relative path starts where the task ran, which nobody knows here.
    return path if "://" in path or os.path.isabs(path) else ""
