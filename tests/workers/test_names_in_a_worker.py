"""`import airflow_provider_tasks` in a worker gives the names that make sense there, with no Airflow installed."""

from __future__ import annotations

import pytest


@pytest.fixture
def options():
    return {"bare": True, "shared": True}


def test_there_is_no_airflow(run):
    def finds():
        from importlib.util import find_spec

        return [name for name in ("airflow", "returns", "cloudpickle", "yaml") if find_spec(name)]

    assert run(finds).outcome.result == ["returns", "cloudpickle"]


def test_results_tasks_and_nodes_are_there(run):
    def uses():
        from airflow_provider_tasks import Failure, Node, Success, Task, is_successful

        class Answer(Task):
            def run(self):
                return 42

        return is_successful(Success(1)), is_successful(Failure(1)), Node("edge", {"a": 1})["a"], Answer()()

    assert run(uses).outcome.result == (True, False, 1, 42)


@pytest.mark.parametrize("name", ["worker", "WorkerConfig"])
def test_what_belongs_to_airflow_says_that_it_is_not_there(run, name):
    def takes():
        import airflow_provider_tasks

        return getattr(airflow_provider_tasks, name)

    outcome = run(takes).outcome
    assert outcome.category == "task"
    assert outcome.message == (
        f"AttributeError: airflow_provider_tasks.{name} is for DAG files and for the machine that starts workers; "
        "a worker has no Airflow and does not carry it"
    )


def test_the_context_is_there(run):
    def reads():
        from airflow_provider_tasks import get_context

        get_context()["ds"] = "changed"
        return get_context()

    context = {"ds": "2026-01-02", "params": {"n": 3}, "map_index": -1}
    assert run(reads, context=context).outcome.result == context
