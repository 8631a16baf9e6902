"""A hundred mapped tasks at once, all waiting in the triggerer."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.live.airflow_on_kubernetes import AirflowOnKubernetes

DAG = "kubernetes_many"
MANY = 100


@pytest.fixture
def airflow(airflow_on_kubernetes: AirflowOnKubernetes) -> AirflowOnKubernetes:
    return airflow_on_kubernetes


def test_a_hundred_tasks_wait_on_one_watch_and_all_have_their_results(airflow: AirflowOnKubernetes) -> None:
    airflow.have_the_runtime()
    mark = airflow.cluster.audit_mark()
    run_id = airflow.trigger(DAG)
    airflow.wait_until(
        "all to wait",
        lambda: (
            len(airflow.pods(DAG)) == MANY
            and Counter(task["state"] for task in airflow.task_instances(DAG, run_id))["deferred"] == MANY
        ),
        300,
    )
    airflow.let_end(DAG, run_id)
    assert airflow.wait_for_run(DAG, run_id, 300) == "success"
    assert airflow.xcom(DAG, run_id, "add") == sum(number * number for number in range(MANY))
    for number in range(MANY):
        assert airflow.noted(DAG, run_id, "one_of_many", number) == ["1"]
    for number in (0, 1, MANY - 1):
        assert airflow.xcom(DAG, run_id, "one_of_many", map_index=number) == number * number
        assert f"number {number}" in airflow.log(DAG, run_id, "one_of_many", map_index=number)
    airflow.assert_no_pod_is_left(DAG)
    asked = Counter(airflow.cluster.requests(mark))
    assert asked["watch pods"] == 1
    assert asked["create pods"] == asked["create secrets"] == MANY
