"""What came of the Airflow tasks of a group, for those that come after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESULT = "result"
"""The XCom in which a failed task of a group leaves its ``Failure``."""


def results_of(ti: Any, states: Mapping[str, str], task_ids: Sequence[str]) -> dict[str, dict[str, Any] | None]:
    """Return what came of Airflow tasks of this run as JSON of a ``Result``; None for those that did not run."""
    found: dict[str, dict[str, Any] | None] = {}
    for task_id in task_ids:
        state = states.get(task_id)
        if state == "success":
            found[task_id] = {"result_type": "Success", "result": xcom_of(ti, task_id, "return_value")}
        elif state == "failed":
            found[task_id] = xcom_of(ti, task_id, RESULT) or {
                "result_type": "Failure",
                "result": (xcom_of(ti, task_id, "outcome") or {}).get("message") or "it failed; its log says why",
            }
        else:
            found[task_id] = None
    return found


def xcom_of(ti: Any, task_id: str, key: str) -> Any:
    """Return an XCom of a task beside ``ti``: in a mapped group that of the same map index."""
    return ti.xcom_pull(task_ids=task_id, key=key, map_indexes=-1 if ti.map_index is None else ti.map_index)
