"""Where a task runs, and for whom."""

from __future__ import annotations

import getpass
from types import SimpleNamespace

import pytest

from airflow_provider_tasks import get_default_region
from airflow_provider_tasks.operators.context import on_behalf_of

REPORT = """
    class Where(Task):
        def run(self):
            region = get_default_region()
            assert get_context()["region"] == region._asdict()
            return region._asdict()

    with DAG("regions", default_args={"owner": "measuring@example.org"}):
        TaskOperator(task_id="where", task=Where())
"""


def test_a_task_knows_where_it_runs_and_for_whom(run):
    expected = {"name": "local", "backend": "local", "namespace": None, "email": "dag_test"}
    assert run(REPORT).xcom("where") == expected


@pytest.mark.parametrize(("user", "expected"), [("a@example.org", "a@example.org"), (None, "measuring@example.org")])
def test_a_run_that_nobody_triggered_is_its_owners(parse, user, expected):
    task = parse(REPORT).dag.get_task("where")
    assert on_behalf_of({"dag_run": SimpleNamespace(triggering_user_name=user), "task": task}) == expected


def test_outside_of_a_worker_the_settings_say_so(monkeypatch):
    assert get_default_region() == ("local", "local", None, getpass.getuser())
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__BACKEND", "kubernetes")
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__NAMESPACE", "measuring")
    assert get_default_region()[:3] == ("in-cluster", "kubernetes", "measuring")
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__KUBERNETES_CONN_ID", "edge")
    monkeypatch.setenv("AIRFLOW_CONN_EDGE", '{"conn_type": "kubernetes"}')
    assert get_default_region().name == "edge"
