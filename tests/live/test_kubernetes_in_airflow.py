"""Tasks in pods, run by a whole Airflow: what users declare, waited for by an Airflow worker and by the triggerer."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.live.airflow_on_kubernetes import AirflowOnKubernetes

DAY = datetime(2026, 4, 5, tzinfo=UTC)
WAYS = ["sync", "deferred"]


@pytest.fixture
def airflow(airflow_on_kubernetes: AirflowOnKubernetes) -> AirflowOnKubernetes:
    return airflow_on_kubernetes


def ended(airflow: AirflowOnKubernetes, dag_id: str, run_id: str, state: str = "success") -> dict[str, dict[str, Any]]:
    """Wait for a run to end so; the task instances that are not mapped, by task."""
    found = airflow.wait_for_run(dag_id, run_id, 180)
    tasks = airflow.task_instances(dag_id, run_id)
    logs = [
        airflow.log(dag_id, run_id, task["task_id"], task["try_number"], task["map_index"])[-3000:]
        for task in tasks
        if task["state"] == "failed"
    ]
    assert found == state, "\n\n".join(logs)
    return {task["task_id"]: task for task in tasks if task["map_index"] < 0}


def test_a_run_that_is_triggered_with_params_a_schedule_and_a_backfill(airflow: AirflowOnKubernetes) -> None:
    run_id = airflow.trigger("kubernetes_daily", conf={"word": "given"}, logical_date=DAY)
    runs = airflow.backfill("kubernetes_daily", date(2026, 3, 1), date(2026, 3, 2))
    scheduled = airflow.wait_until("a scheduled run", lambda: airflow.runs("kubernetes_daily", "scheduled") or None, 60)
    said = {}
    for run in (run_id, *[run["dag_run_id"] for run in [*runs, scheduled[0]]]):
        ended(airflow, "kubernetes_daily", run)
        said[run] = [airflow.xcom("kubernetes_daily", run, way) for way in WAYS]
        assert said[run][0] == said[run][1]
        assert airflow.xcom("kubernetes_daily", run, "deferred", "outcome")["backend"] == "kubernetes"
    assert said[run_id][0] == ["2026-04-05", "2026-04-05T00:00:00+00:00", "given", "kubernetes_daily"]
    days = [said[run["dag_run_id"]][0] for run in runs]
    assert days == [[f"2026-03-0{n}", f"2026-03-0{n}T00:00:00+00:00", "default", "kubernetes_daily"] for n in (1, 2)]
    assert said[scheduled[0]["dag_run_id"]][0][2] == "default"
    airflow.assert_no_pod_is_left("kubernetes_daily")


def test_output_is_in_the_log_while_a_task_runs_and_a_deferred_task_takes_no_slot(
    airflow: AirflowOnKubernetes,
) -> None:
    run_id = airflow.trigger("kubernetes_talks")
    for way, state in (("sync", "running"), ("deferred", "deferred")):
        airflow.wait_for_task_state("kubernetes_talks", run_id, way, state, timeout=90)
        airflow.wait_until(
            f"the output of {way}", lambda: "I have begun" in airflow.log("kubernetes_talks", run_id, way) or None, 90
        )
        assert airflow.task_instance("kubernetes_talks", run_id, way)["state"] == state
        assert "I am about to end" not in airflow.log("kubernetes_talks", run_id, way)
    assert airflow.task_processes("kubernetes_talks", run_id, "deferred") == []
    pool = airflow.request("GET", "/pools/default_pool")
    assert (pool["running_slots"], pool["deferred_slots"]) == (1, 1)
    airflow.let_end("kubernetes_talks", run_id)
    ended(airflow, "kubernetes_talks", run_id)
    for way in WAYS:
        assert airflow.xcom("kubernetes_talks", run_id, way) == "said"
        log = airflow.log("kubernetes_talks", run_id, way)
        assert [log.count(line) for line in ("I have begun", "I am about to end")] == [1, 1]
        assert airflow.noted("kubernetes_talks", run_id, way) == ["1"]
    airflow.assert_no_pod_is_left("kubernetes_talks")


def test_the_settings_of_a_node_place_its_pod(airflow: AirflowOnKubernetes) -> None:
    run_id = airflow.trigger("kubernetes_nodes")
    for task_id in ("elsewhere", "pooled"):
        airflow.wait_until_noted("kubernetes_nodes", run_id, task_id)
    (elsewhere,) = airflow.cluster.admin.request(
        "GET", airflow.cluster.admin.path("Pod", namespace=airflow.other_namespace)
    ).json()["items"]
    (pooled,) = airflow.pods("kubernetes_nodes", task_id="pooled")
    airflow.let_end("kubernetes_nodes", run_id)
    assert elsewhere["metadata"]["labels"]["task_id"] == "elsewhere"
    selector = {"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"}
    assert elsewhere["spec"]["nodeSelector"] == selector
    assert pooled["spec"]["nodeSelector"] == {**selector, "pool": "default"}
    assert pooled["metadata"]["labels"]["team"] == "edge"
    tasks = ended(airflow, "kubernetes_nodes", run_id, "failed")
    for task_id in ("elsewhere", "pooled"):
        assert airflow.xcom("kubernetes_nodes", run_id, task_id) == f"picked for {task_id}"
        outcome = airflow.xcom("kubernetes_nodes", run_id, task_id, "outcome")
        assert (outcome["node"], outcome["implementation"]) == (task_id, "Where")
    # The image of this node has another Python, or is not there.
    assert tasks["other_image"]["state"] == "failed"
    outcome = airflow.xcom("kubernetes_nodes", run_id, "other_image", "outcome")
    assert outcome["category"] == ("python_mismatch" if airflow.cluster.image_313 else "image")
    airflow.assert_no_pod_is_left("kubernetes_nodes")


def test_values_keep_their_types_also_where_the_triggerer_took_them(airflow: AirflowOnKubernetes) -> None:
    run_id = airflow.trigger("kubernetes_values")
    ended(airflow, "kubernetes_values", run_id)
    assert airflow.xcom("kubernetes_values", run_id, "compare") == [[], [], True]
    assert airflow.xcom("kubernetes_values", run_id, "summary") == [[], []]
    # The short one ended in the triggerer.
    assert "Task failed" not in airflow.log("kubernetes_values", run_id, "deferred")
    assert airflow.log("kubernetes_values", run_id, "deferred").count("Filling up the DagBag") == 1
    airflow.assert_no_pod_is_left("kubernetes_values")


def test_every_end_of_a_task_is_airflows_own(airflow: AirflowOnKubernetes) -> None:
    run_id = airflow.trigger("kubernetes_ends")
    tasks = ended(airflow, "kubernetes_ends", run_id, "failed")
    for way in WAYS:
        assert tasks[f"skips_{way}"]["state"] == "skipped"
        assert "not today" in airflow.log("kubernetes_ends", run_id, f"skips_{way}")
        failed = tasks[f"fails_for_good_{way}"]
        assert (failed["state"], failed["try_number"]) == ("failed", 1)
        assert tasks[f"goes_on_{way}"]["state"] == "success"
        result = airflow.xcom("kubernetes_ends", run_id, f"goes_on_{way}")
        assert result == {"result_type": "Failure", "result": "too few"}
        outcome = airflow.xcom("kubernetes_ends", run_id, f"goes_on_{way}", "outcome")
        assert (outcome["status"], outcome["category"]) == ("failure", "task")
    assert airflow.xcom("kubernetes_ends", run_id, "parts", "right") == [2, 3]
    assert airflow.xcom("kubernetes_ends", run_id, "put_together") == [1, [2, 3], 2, [1, 2, 3]]
    events = airflow.request("GET", "/assets/events", params={"source_dag_id": "kubernetes_ends"})["asset_events"]
    assert [(event["source_task_id"], event["source_run_id"]) for event in events] == [("count", run_id)]
    airflow.assert_no_pod_is_left("kubernetes_ends")
