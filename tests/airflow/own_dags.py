"""An auth manager for tests: Airflow's simple one, but a user who is no admin has only the DAGs of the own name."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class OwnDagsAuthManager(SimpleAuthManager):
    def is_authorized_dag(self, *, user: Any, details: Any = None, **kwargs: Any) -> bool:
        if not super().is_authorized_dag(user=user, details=details, **kwargs):
            return False
        return self._is_admin(user) or (details is not None and (details.id or "").startswith(user.username))
