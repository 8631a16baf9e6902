"""The pages in Airflow's UI show pods, which the API server asks the cluster for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.live.airflow_on_kubernetes import AirflowOnKubernetes

DAG_ID = "kubernetes_talks"
KEEPS = "kubernetes_keeps"


@contextmanager
def as_admin(airflow: AirflowOnKubernetes) -> Iterator[httpx.Client]:
    user = {"username": airflow.username, "password": airflow.password}
    with httpx.Client(base_url=airflow.url, trust_env=False, timeout=60) as http:
        http.headers["Authorization"] = f"Bearer {http.post('/auth/token', json=user).json()['access_token']}"
        yield http


def test_the_pods_of_running_tasks_are_listed_with_what_kubectl_takes(
    airflow_on_kubernetes: AirflowOnKubernetes,
) -> None:
    airflow = airflow_on_kubernetes
    run_id = airflow.trigger(DAG_ID)
    for way in ("sync", "deferred"):
        airflow.wait_until_noted(DAG_ID, run_id, way)
    airflow.wait_for_task_state(DAG_ID, run_id, "deferred", "deferred")
    with as_admin(airflow) as http:
        listed: dict[str, Any] = http.get("/worker-tasks/api/workers").json()
        assert listed["notes"] == []
        rows = {
            row["key"]["task_id"]: row for row in listed["workers"] if row["key"] and row["key"]["run_id"] == run_id
        }
        assert {pod["metadata"]["name"] for pod in airflow.pods(DAG_ID)} == {row["name"] for row in rows.values()}
        for way in ("sync", "deferred"):
            row = rows[way]
            assert (row["backend"], row["status"], row["action"]) == ("kubernetes", "running", "fail")
            assert (row["namespace"], row["limit"]) == (airflow.cluster.namespace, "128Mi")
            query = {"dag_id": DAG_ID, "run_id": run_id, "task_id": way}
            lines = http.get("/worker-tasks/api/worker", params=query).json()["lines"].values()
            shell = f"kubectl exec -it --namespace {row['namespace']} {row['name']} --container worker -- sh"
            assert shell in lines
    airflow.let_end(DAG_ID, run_id)
    assert airflow.wait_for_run(DAG_ID, run_id) == "success"
    assert_worker_links_lead_to_what_came_of_it(airflow, run_id, {way: row["name"] for way, row in rows.items()})


def assert_worker_links_lead_to_what_came_of_it(
    airflow: AirflowOnKubernetes, run_id: str, workers: dict[str, str]
) -> None:
    """Also of the task that ended in the triggerer, where Airflow makes no links: it has the one from before."""
    assert airflow.log(DAG_ID, run_id, "deferred").count("Filling up the DagBag") == 1  # no Airflow worker went on
    for task_id, worker in workers.items():
        path = f"/dags/{DAG_ID}/dagRuns/{run_id.replace('+', '%2B')}/taskInstances/{task_id}/links"
        link = airflow.request("GET", path)["extra_links"]["Worker"]
        page = urlsplit(link.removeprefix("/plugin/worker-tasks"))
        with as_admin(airflow) as http:
            told = http.get(page.path.replace("/worker-tasks/", "/worker-tasks/api/"), params=page.query).json()
        assert (told["state"], told["outcome"]["status"]) == ("success", "success")
        assert told["worker"]["name"] == told["outcome"]["worker"] == worker


def test_a_kept_pod_is_terminated_from_the_page(airflow_on_kubernetes: AirflowOnKubernetes) -> None:
    airflow = airflow_on_kubernetes
    run_id = airflow.trigger(KEEPS)
    assert airflow.wait_for_run(KEEPS, run_id) == "success"
    (pod,) = airflow.pods(KEEPS)
    with as_admin(airflow) as http:
        listed = http.get("/worker-tasks/api/workers").json()["workers"]
        (row,) = [row for row in listed if row["name"] == pod["metadata"]["name"]]
        assert (row["status"], row["action"]) == ("kept", "terminate")
        body = {"name": row["name"], "backend": "kubernetes", "uid": row["uid"]}
        other = http.post("/worker-tasks/api/workers/terminate", json=body)
        assert (other.status_code, len(airflow.pods(KEEPS))) == (403, 1)  # not from the page
        ours = {"X-Worker-Tasks": "page"}
        assert http.post("/worker-tasks/api/workers/terminate", json=body, headers=ours).status_code == 200
    assert airflow.pods(KEEPS) == []
