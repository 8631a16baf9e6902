"""Tasks that somebody ends, and those that take too long: their pods go at once, however they are waited for."""

from __future__ import annotations

import pytest

from tests.kubernetes.cluster import wait_until
from tests.live.airflow_on_kubernetes import AirflowOnKubernetes

WAYS = ["sync", "deferred"]


@pytest.fixture
def airflow(airflow_on_kubernetes: AirflowOnKubernetes) -> AirflowOnKubernetes:
    return airflow_on_kubernetes


def test_a_task_that_is_marked_failed_takes_its_pod_along(airflow: AirflowOnKubernetes) -> None:
    run_id = airflow.trigger("kubernetes_ended")
    for way in WAYS:
        airflow.wait_until_noted("kubernetes_ended", run_id, way)
    airflow.wait_for_task_state("kubernetes_ended", run_id, "deferred", "deferred")
    for way in WAYS:
        airflow.set_task_state("kubernetes_ended", run_id, way, "failed")
    wait_until(lambda: not airflow.pods("kubernetes_ended"), at_most=30, what="the pods to go")
    assert airflow.wait_for_run("kubernetes_ended", run_id) == "failed"
    airflow.assert_no_pod_is_left("kubernetes_ended")
    assert [airflow.noted("kubernetes_ended", run_id, way) for way in WAYS] == [["1"], ["1"]]


def test_a_task_that_is_cleared_runs_anew_and_only_once(airflow: AirflowOnKubernetes) -> None:
    run_id = airflow.trigger("kubernetes_ended")
    for way in WAYS:
        airflow.wait_until_noted("kubernetes_ended", run_id, way)
    airflow.wait_for_task_state("kubernetes_ended", run_id, "deferred", "deferred")
    first = {pod["metadata"]["uid"] for pod in airflow.pods("kubernetes_ended")}
    airflow.clear("kubernetes_ended", run_id, WAYS)
    for way in WAYS:
        airflow.wait_until_noted("kubernetes_ended", run_id, way, 2)
    wait_until(
        lambda: (
            len(airflow.pods("kubernetes_ended")) == 2
            and not {pod["metadata"]["uid"] for pod in airflow.pods("kubernetes_ended")} & first
        ),
        at_most=30,
        what="the first pods to go",
    )
    airflow.let_end("kubernetes_ended", run_id)
    assert airflow.wait_for_run("kubernetes_ended", run_id) == "success"
    assert [airflow.noted("kubernetes_ended", run_id, way) for way in WAYS] == [["1", "2"], ["1", "2"]]
    airflow.assert_no_pod_is_left("kubernetes_ended")


def test_a_task_that_takes_longer_than_its_execution_timeout_is_ended(airflow: AirflowOnKubernetes) -> None:
    run_id = airflow.trigger("kubernetes_timeout")
    assert airflow.wait_for_run("kubernetes_timeout", run_id) == "failed"
    wait_until(lambda: not airflow.pods("kubernetes_timeout"), at_most=30, what="the pods to go")
    logs = [airflow.log("kubernetes_timeout", run_id, way) for way in WAYS]
    assert all("AirflowTaskTimeout: " in log for log in logs)
    assert "ran into the task's execution_timeout, and was removed" in logs[1]
    airflow.assert_no_pod_is_left("kubernetes_timeout")
