"""A task of Airflow's own that finds the pods which Airflow left behind, and removes them."""

from __future__ import annotations

import pytest

from tests.live.airflow_on_kubernetes import AirflowOnKubernetes

LEFT = "kubernetes_left_behind"


@pytest.fixture
def airflow(airflow_on_kubernetes: AirflowOnKubernetes) -> AirflowOnKubernetes:
    return airflow_on_kubernetes


def clean_up(airflow: AirflowOnKubernetes, *, dry_run: bool) -> list[str]:
    """Run the DAG that cleans up; what its task says."""
    run_id = airflow.trigger("kubernetes_clean_up", conf={"dry_run": dry_run})
    assert airflow.wait_for_run("kubernetes_clean_up", run_id) == "success"
    told: list[str] = airflow.xcom("kubernetes_clean_up", run_id, "cleans_up")
    return told


def test_what_a_killed_airflow_left_behind_is_shown_and_removed_and_nothing_else(airflow: AirflowOnKubernetes) -> None:
    lost = airflow.trigger(LEFT)
    wanted = airflow.trigger(LEFT)
    for run_id in (lost, wanted):
        airflow.wait_until_noted(LEFT, run_id, "is_left_behind")
    airflow.kill_worker(LEFT, lost, "is_left_behind")
    assert airflow.wait_for_run(LEFT, lost) == "failed"
    by_run = {pod["metadata"]["annotations"]["airflow-worker/run_id"]: pod for pod in airflow.pods(LEFT)}
    assert set(by_run) == {lost, wanted}
    name = by_run[lost]["metadata"]["name"]
    for dry_run in (True, False):
        (line,) = clean_up(airflow, dry_run=dry_run)
        assert f"pod {name} of {LEFT}.is_left_behind, run {lost}, try 1: its Airflow task does not run any more" in line
        left = {pod["metadata"]["annotations"]["airflow-worker/run_id"] for pod in airflow.pods(LEFT)}
        assert left == ({lost, wanted} if dry_run else {wanted})
    airflow.let_end(LEFT, wanted)
    assert airflow.wait_for_run(LEFT, wanted) == "success"
    assert airflow.noted(LEFT, wanted, "is_left_behind") == ["1"]
    assert clean_up(airflow, dry_run=True) == []
    airflow.assert_no_pod_is_left(LEFT)
