"""The links of a task instance: to its worker, to the executed notebook, to what a failure means.

Airflow asks for them in the process of the task when that has ended, and keeps each as an XCom; the first is kept
as soon as there is a worker. An empty link is not shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from airflow_provider_tasks.links.addresses import in_the_ui

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class WorkerLink(BaseOperatorLink):
    """To the worker: the folder it is in, or the lines that kubectl takes."""

    name = "Worker"
    xcom_key = "_link_worker"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address."""
        return in_the_ui("worker", _query(ti_key))


class NotebookLink(BaseOperatorLink):
    """To the executed notebook, where it was kept."""

    name = "Executed notebook"
    xcom_key = "_link_notebook"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address, or nothing."""
        return in_the_ui("notebook", _query(ti_key)) if getattr(operator, "kept_notebook", None) else ""


class FailureLink(BaseOperatorLink):
    """To what the category of a failure means, and what to do about it."""

    name = "About this failure"
    xcom_key = "_link_failure"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address, or nothing."""
        category = getattr(operator, "failure_category", None)
        return in_the_ui("failures", fragment=category) if category else ""


def _query(ti: Any) -> dict[str, object]:
    map_index = -1 if ti.map_index is None else ti.map_index
    return {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": map_index}
