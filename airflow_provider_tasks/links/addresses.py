"""Where the provider's pages are in Airflow's UI."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "/worker-tasks"
"""Where the API server serves the pages."""

ROUTE = "worker-tasks"
"""What the UI calls the page in its own addresses."""


def root() -> str:
    """Return the path that Airflow itself is served under; empty for most."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="")
    return urlsplit(str(base or "")).path.rstrip("/")


def in_the_ui(page: str, query: Mapping[str, object] | None = None, fragment: str = "") -> str:
    """Return the address of a page inside Airflow's UI: without a host, as browsers may know Airflow by another one.

    >>> in_the_ui("worker", {"dag_id": "sales", "map_index": -1})
    '/plugin/worker-tasks/worker-tasks/worker?dag_id=sales&map_index=-1'
    """
    start = root()
    # Behind its own address of the page, the UI takes the whole path of what is to be in it.
    path = f"{start}/plugin/{ROUTE}{start}{PREFIX}/{quote(page)}"
    asked = f"?{urlencode(query)}" if query else ""
    return f"{path}{asked}{'#' + quote(fragment) if fragment else ''}"
