"""Which line of a DAG file makes an operator: an import error shows two frames only, which are not the file's."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.operator import BaseOperatorMeta

if TYPE_CHECKING:
    from types import FrameType

_OF_OTHERS = ("airflow", "airflow_provider_tasks")
_MAPPED = "airflow.sdk.definitions.mappedoperator"


class NamesItsPlace(BaseOperatorMeta):
    """Makes operators; what goes wrong in that gets a note with the task and the line that makes it."""

    if not TYPE_CHECKING:  # type checkers would check the arguments against it, and not against the operator's own

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """Make an operator."""
            try:
                return super().__call__(*args, **kwargs)
            except Exception as error:
                place = made_at()
                if place and not hasattr(error, "__notes__"):
                    task = f"The task {kwargs['task_id']!r}" if "task_id" in kwargs else "The task"
                    error.add_note(f"{task} is made in {place}.")
                raise


def made_at() -> str:
    """Return the file and line that has called into Airflow or this provider.

    It is empty where Airflow makes an instance of a mapped task, which no line of a DAG file does.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module == _MAPPED:
            return ""
        if module.partition(".")[0] not in _OF_OTHERS:
            return f"{frame.f_code.co_filename}, line {frame.f_lineno}"
        frame = frame.f_back
    return ""
