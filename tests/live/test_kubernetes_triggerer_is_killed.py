"""A triggerer that dies while tasks wait in it: another one, or itself when it is back, goes on and loses nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.live.airflow_on_kubernetes import AirflowOnKubernetes

DAG = "kubernetes_waits"
TASKS = ["short", "long"]
"""One whose result the triggerer gets, and one whose result an Airflow worker has to fetch."""


@pytest.fixture
def airflow(airflow_on_kubernetes: AirflowOnKubernetes) -> AirflowOnKubernetes:
    return airflow_on_kubernetes


def waiting(airflow: AirflowOnKubernetes) -> str:
    """Start a run, and return when its tasks wait in the triggerer."""
    run_id = airflow.trigger(DAG)
    for task_id in TASKS:
        airflow.wait_until_noted(DAG, run_id, task_id)
        airflow.wait_for_task_state(DAG, run_id, task_id, "deferred")
    wait_for_logs(airflow, run_id, lambda log: "begun" in log)
    return run_id


def assert_that_nothing_was_lost(airflow: AirflowOnKubernetes, run_id: str) -> None:
    assert airflow.wait_for_run(DAG, run_id, 120) == "success"
    for task_id in TASKS:
        assert airflow.noted(DAG, run_id, task_id) == ["1"]
        assert airflow.task_instance(DAG, run_id, task_id)["try_number"] == 1
        assert airflow.xcom(DAG, run_id, task_id, "outcome")["status"] == "success"
        assert "ends" in airflow.log(DAG, run_id, task_id)
    airflow.assert_no_pod_is_left(DAG)


def test_tasks_that_end_while_there_is_no_triggerer_have_their_results(airflow: AirflowOnKubernetes) -> None:
    run_id = waiting(airflow)
    airflow.kill_component("triggerer")
    try:
        airflow.let_end(DAG, run_id)
        airflow.cluster.admin.wait_until(
            lambda: [pod["status"]["phase"] for pod in airflow.pods(DAG, task_id="short")] == ["Succeeded"],
            what="the pod to end",
        )
    finally:
        airflow.start_component("triggerer")
    assert_that_nothing_was_lost(airflow, run_id)


def test_triggerers_take_over_from_each_other_and_leave_each_others_pods_alone(airflow: AirflowOnKubernetes) -> None:
    run_id = waiting(airflow)
    first = triggerers(airflow, run_id)
    assert len(first) == 1
    second = airflow.start_second_triggerer()
    try:
        # The first one hangs for so long that it is taken for dead, and comes back.
        with airflow.frozen("triggerer"):
            wait_for_logs(airflow, run_id, lambda log: log.count("begun") == 2)
        wait_for_logs(airflow, run_id, lambda log: "trigger completed" in log)
        assert len(airflow.pods(DAG)) == 2
        assert not triggerers(airflow, run_id) & first
    finally:
        airflow.kill(second)
    airflow.wait_until("the first one to take over", lambda: triggerers(airflow, run_id) == first, 180)
    airflow.let_end(DAG, run_id)
    assert_that_nothing_was_lost(airflow, run_id)


def triggerers(airflow: AirflowOnKubernetes, run_id: str) -> set[int]:
    """The triggerers in which the tasks wait."""
    return {airflow.task_instance(DAG, run_id, task_id)["triggerer_job"]["id"] for task_id in TASKS}


def wait_for_logs(airflow: AirflowOnKubernetes, run_id: str, say: Callable[[str], bool]) -> None:
    for task_id in TASKS:
        airflow.wait_until("the task's log to say it", lambda: say(airflow.log(DAG, run_id, task_id)), 180)
