"""Who may see and do what: Airflow's own log-in and permissions, asked through its auth manager."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from airflow.models.dag import DagModel
from fastapi import Depends, Header, HTTPException, status

MAY_OPEN = Depends(requires_access_view(AccessView.PLUGINS))
"""For everything but the style sheet and the script: a log-in, and the permission to see plugins."""

SEE = (("GET", DagAccessEntity.TASK_INSTANCE), ("GET", DagAccessEntity.XCOM))
"""What it takes to see the worker of a task, or its notebook."""

END = (("PUT", DagAccessEntity.TASK_INSTANCE),)
"""What it takes to end a worker: as much as to mark a task as failed."""


class Access:
    """What a user may do, asked once for each DAG."""

    def __init__(self, user: GetUserDep) -> None:
        self.user = user
        self._may = lru_cache(maxsize=None)(self._ask)

    @cached_property
    def name(self) -> str:
        """The user's name, for the audit log."""
        return str(self.user.get_name())

    def may_see(self, dag_id: str | None) -> bool:
        """Whether the user may see workers of a DAG; None stands for all DAGs."""
        return self._may(SEE, dag_id)

    def may_end(self, dag_id: str | None) -> bool:
        """Whether the user may end workers of a DAG; None stands for all DAGs."""
        return self.may_see(dag_id) and self._may(END, dag_id)

    def may_see_tasks(self, dag_id: str | None) -> bool:
        """Whether the user may see the tasks of a DAG; None stands for all DAGs."""
        return self._may((("GET", DagAccessEntity.TASK),), dag_id)

    def require(self, allowed: bool) -> None:
        """Answer that the user may not."""
        if not allowed:
            raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")

    def _ask(self, what: tuple[tuple[Any, DagAccessEntity], ...], dag_id: str | None) -> bool:
        details = None
        if dag_id is not None:
            details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
        return all(
            get_auth_manager().is_authorized_dag(method=method, access_entity=entity, details=details, user=self.user)
            for method, entity in what
        )


def from_our_page(x_worker_tasks: Annotated[str | None, Header()] = None) -> None:
    """Refuse what another site makes a browser send: it can't set a header without being asked first."""
    if x_worker_tasks != "page":
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Send the header X-Worker-Tasks: page")


AccessDep = Annotated[Access, Depends(Access)]
