"""What Airflow learns of the pages when it starts.

Every process of Airflow imports this; only the API server ever asks for an app, and it gets one that is made when
somebody opens a page. So a fault in the pages stays with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.plugins_manager import AirflowPlugin

from airflow_provider_tasks.links.addresses import PREFIX, ROUTE, root

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]


class Pages:
    """The pages' application, which is made when it is first asked for anything."""

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer a request, as ASGI applications do."""
        from airflow_provider_tasks.plugin.app import app

        await app()(scope, receive, send)


class WorkerTasksPlugin(AirflowPlugin):
    """The pages: one in the navigation, those that links lead to behind it."""

    name = "worker_tasks"

    def __init__(self) -> None:
        start = f"{root()}{PREFIX}"
        self.fastapi_apps = [{"app": Pages(), "url_prefix": PREFIX, "name": "Worker tasks"}]
        self.external_views = [
            {
                "name": "Worker tasks",
                "href": f"{start}/",
                "destination": "nav",
                "category": "browse",
                "url_route": ROUTE,
                "icon": f"{start}/static/icon.svg",
                "icon_dark_mode": f"{start}/static/icon-dark.svg",
            }
        ]
