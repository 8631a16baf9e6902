"""``collect=True`` of a group: a task with the results of all its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_tasks.operators.results import results_of
from airflow_provider_tasks.operators.states import states_of
from airflow_provider_tasks.operators.xcom import to_xcom
from airflow_provider_tasks.workers.failures import TaskRaisedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class CollectOperator(BaseOperator):
    """Gathers the results of a group.

    Args:
        ids: the Airflow ids of its tasks: by node, by stage.
        by_node: whether the XCom has a level for the nodes; without it there is one.

    """

    ui_color = "#e8f4f1"

    def __init__(self, *, ids: Sequence[Sequence[Sequence[str]]], by_node: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ids = [[list(stage) for stage in stages] for stages in ids]
        self.by_node = by_node

    def execute(self, context: Context) -> Any:
        """Return the results as nested lists."""
        ti = context["ti"]
        every = [task_id for stages in self.ids for stage in stages for task_id in stage]
        states = states_of(ti, every)
        if set(states.values()) <= {"skipped"}:
            raise AirflowSkipException("all tasks of the group were skipped")
        found = results_of(ti, states, every)
        nested = [[[found[task_id] for task_id in stage] for stage in stages] for stages in self.ids]
        collected = to_xcom(nested if self.by_node else nested[0])
        for state, what in (("failed", "failed"), ("upstream_failed", "never ran, as what comes before them failed")):
            those = [task_id for task_id in every if states.get(task_id) == state]
            if those:
                ti.xcom_push("return_value", collected)
                raise TaskRaisedError(
                    f"{len(those)} of {len(every)} tasks {what}: {', '.join(those[:10])}",
                    "Their logs say why; what all of them gave is the XCom return_value of this task.",
                )
        return collected
