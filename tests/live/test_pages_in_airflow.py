"""The pages and the links in a real Airflow."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.live.airflow_installation import VIEWER, AirflowInstallation


@pytest.fixture
def ran(airflow: AirflowInstallation, tmp_path: Path) -> str:
    run_id = airflow.trigger("worker_pages", conf={"reports": str(tmp_path)})
    assert airflow.wait_for_run("worker_pages", run_id) == "failed"  # as one of its tasks does
    return run_id


def links(airflow: AirflowInstallation, run_id: str, task_id: str, map_index: int = -1) -> dict[str, str | None]:
    path = f"/dags/worker_pages/dagRuns/{run_id.replace('+', '%2B')}/taskInstances/{task_id}/links"

    def all_of_them() -> dict[str, str | None] | None:
        # Airflow keeps them after it has told the task's state.
        found: dict[str, str | None] = airflow.request("GET", path, params={"map_index": map_index})["extra_links"]
        return found if found["Worker"] and (task_id != "fails" or found["About this failure"]) else None

    return airflow.wait_until(f"links of {task_id}", all_of_them, 20)


def page_of(link: str | None) -> str:
    """Give the address of a page by itself, of one that leads to it inside of Airflow's UI."""
    assert link is not None
    assert urlsplit(link).path.startswith("/plugin/worker-tasks/worker-tasks/")
    return link.removeprefix("/plugin/worker-tasks")


def token(airflow: AirflowInstallation, user: str) -> dict[str, str]:
    answer = httpx.post(
        f"{airflow.url}/auth/token", json={"username": user, "password": airflow.password}, trust_env=False
    )
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_links_lead_to_pages_for_who_may_see_them(airflow: AirflowInstallation, ran: str) -> None:
    with httpx.Client(base_url=airflow.url, trust_env=False, timeout=60) as http:
        admin, viewer = token(airflow, "admin"), token(airflow, VIEWER)
        report = page_of(links(airflow, ran, "report")["Executed notebook"])
        failure = page_of(links(airflow, ran, "fails")["About this failure"])
        mapped = page_of(links(airflow, ran, "probe", 1)["Worker"])
        content = report.replace("/notebook?", "/notebook/content?")
        for page in (report, failure, mapped, content):
            assert http.get(page, headers=admin).status_code == 200
            assert http.get(page).status_code == 401
        shown = http.get(content, headers=viewer)
        assert "edge-1" in shown.text
        assert "<script" not in shown.text
        assert shown.headers["content-security-policy"].startswith("sandbox;")

        rows = http.get("/worker-tasks/api/workers", headers=viewer).json()["workers"]
        [kept] = [row for row in rows if row["key"] and row["key"]["run_id"] == ran]
        assert (kept["status"], kept["node"], kept["action"]) == ("kept", "edge-1", None)
        body = {"name": kept["name"], "backend": "local"}
        ours = {"X-Worker-Tasks": "page"}
        terminate = "/worker-tasks/api/workers/terminate"
        assert http.post(terminate, json=body, headers={**viewer, **ours}).status_code == 403
        assert http.post(terminate, json=body, headers=ours).status_code == 401
        assert http.post(terminate, json=body, headers={**admin, **ours}).status_code == 200
        assert kept["name"] not in http.get("/worker-tasks/api/workers", headers=admin).text
