"""Each example DAG does what its text says, run by Airflow itself."""

from __future__ import annotations

import datetime

import pytest

from tests.airflow import pipeline_examples
from tests.airflow.conftest import EXAMPLES


def test_first_task(run_dag):
    run = run_dag(EXAMPLES / "example_first_task.py")
    assert set(run.states.values()) == {"success"}
    assert run.xcom("primes")[:4] == [2, 3, 5, 7]
    assert run.xcom("Total") == sum(run.xcom("primes"))
    assert run.xcom("greeting").startswith("hello from Python 3.")
    assert run.xcom("Total", key="outcome")["implementation"] == "Total"


def test_dispatch(run_dag):
    run = run_dag(EXAMPLES / "example_dispatch.py")
    assert set(run.states.values()) == {"success"}
    implementations = {
        name: run.xcom(f"disk_{name}", key="outcome")["implementation"] for name in ("rack-1", "rack-2", "office-1")
    }
    assert implementations == {"rack-1": "DiskOnLinux", "rack-2": "DiskOnLinux", "office-1": "DiskOnWindows"}
    assert 0 < run.xcom("fullest") <= 100


def test_dispatch_by_address(run_dag):
    run = run_dag(EXAMPLES / "example_dispatch_by_address.py")
    assert run.xcom("measure_campus") == "10.20.0.7 directly"
    assert run.xcom("measure_lab") == "192.168.4.2 directly"
    assert run.xcom("measure_exchange") == "198.51.100.9 through gateway-1"


def test_results(run_dag):
    run = run_dag(EXAMPLES / "example_results.py")
    assert run.states["nothing_to_do"] == "skipped"
    assert run.xcom("a_success") == 6
    assert run.xcom("summary") == ["Failure: 6 rows are too few", "Failure: integer division or modulo by zero"]


def test_requirements(run_dag):
    run = run_dag(EXAMPLES / "example_requirements.py")
    assert run.xcom("table").splitlines()[1] == "ping   3"
    assert (run.xcom("one_file"), run.xcom("two_files")) == (1, 2)


def test_mapping(run_dag):
    run = run_dag(EXAMPLES / "example_mapping.py")
    assert run.xcom("total") == ["1 words", "2 words", "3 words"]
    assert run.xcom("Shout", map_index=1) == "TWO WORDS"
    assert [run.xcom("names", map_index=index) for index in (0, 1)] == ["oslo", "lima"]


def test_parameters(run_dag):
    day = datetime.datetime(2026, 3, 4, tzinfo=datetime.UTC)
    run = run_dag(EXAMPLES / "example_parameters.py", logical_date=day, conf={"host": "example.test", "count": 2})
    assert run.xcom("report") == "2026-03-04: 2 x example.test"
    assert run.xcom("interval")["ds"] == "2026-03-04"
    assert run.xcom("interval")["start"] is not None


def test_scripts(run_dag):
    run = run_dag(EXAMPLES / "example_scripts.py", conf={"words": 3})
    assert set(run.states.values()) == {"success"}
    assert run.xcom("write") == "worker worker worker "
    assert run.xcom("count") == {"worker": 3}
    assert run.xcom("report") == {"total": 3}


@pytest.mark.parametrize("name", pipeline_examples.EXAMPLES)
def test_pipelines(run_dag, name):
    pipeline_examples.EXAMPLES[name](run_dag(EXAMPLES / f"{name}.py"))
