"""The Airflow that the live tests use does what a test will ask of it."""

from __future__ import annotations

from datetime import date

import pytest

from tests.live.airflow_installation import AirflowInstallation
from tests.live.processes import wait_until_gone
from tests.live.rest_api import ApiError

SLEEPS = ("harness_sleeps", "sleeps")


def test_no_dag_file_fails_to_import(airflow: AirflowInstallation) -> None:
    airflow.wait_for_dag("harness_sleeps")
    assert airflow.import_errors() == []


def test_a_run_triggered_over_rest_gets_its_params(airflow: AirflowInstallation) -> None:
    run_id = airflow.trigger("harness_params", conf={"name": "Ada", "count": 3})
    assert airflow.wait_for_run("harness_params", run_id) == "success"
    assert airflow.xcom("harness_params", run_id, "greet") == ["Ada 0", "Ada 1", "Ada 2"]
    assert airflow.xcom("harness_params", run_id, "measure", map_index=2) == 5
    assert "greeting Ada" in airflow.log("harness_params", run_id, "greet")
    assert "Ada" in airflow.log("harness_params", run_id, "in_a_shell").split()


def test_params_that_the_dag_refuses_are_an_api_error(airflow: AirflowInstallation) -> None:
    airflow.wait_for_dag("harness_params")
    with pytest.raises(ApiError, match="harness_nowhere") as caught:
        airflow.request("POST", "/dags/harness_nowhere/dagRuns", body={"logical_date": None})
    assert caught.value.status == 404


def test_a_scheduled_run_starts_when_the_dag_is_unpaused(airflow: AirflowInstallation) -> None:
    airflow.wait_for_dag("harness_daily")
    airflow.unpause("harness_daily")
    runs = airflow.wait_until("a scheduled run", lambda: airflow.runs("harness_daily", "scheduled") or None, 60)
    assert airflow.wait_for_run("harness_daily", runs[0]["dag_run_id"]) == "success"


def test_a_backfill_runs_each_of_five_days(airflow: AirflowInstallation) -> None:
    runs = airflow.backfill("harness_daily", date(2026, 3, 1), date(2026, 3, 5))
    assert [run["state"] for run in runs] == ["success"] * 5
    days = [airflow.xcom("harness_daily", run["dag_run_id"], "day") for run in runs]
    assert days == [f"2026-03-0{n} 2026-03-0{n}T00:00:00+00:00" for n in range(1, 6)]


def test_a_failed_task_is_retried_and_each_try_has_its_log(airflow: AirflowInstallation) -> None:
    run_id = airflow.trigger("harness_fails_first")
    assert airflow.wait_for_run("harness_fails_first", run_id) == "success"
    assert airflow.xcom("harness_fails_first", run_id, "fails_first") == 2
    assert "ValueError: the first try fails" in airflow.log("harness_fails_first", run_id, "fails_first", 1)
    assert "the first try fails" not in airflow.log("harness_fails_first", run_id, "fails_first", 2)


def test_a_cleared_task_runs_again(airflow: AirflowInstallation) -> None:
    run_id = airflow.trigger("harness_params", conf={"name": "Bo"})
    assert airflow.wait_for_run("harness_params", run_id) == "success"
    cleared = airflow.clear("harness_params", run_id, ["greet"])
    assert [ti["task_id"] for ti in cleared] == ["greet"]
    assert airflow.wait_for_run("harness_params", run_id) == "success"
    assert airflow.task_instance("harness_params", run_id, "greet")["try_number"] == 2


def test_a_running_task_marked_failed_is_ended(airflow: AirflowInstallation) -> None:
    run_id = airflow.trigger("harness_sleeps")
    airflow.wait_for_task_state(SLEEPS[0], run_id, SLEEPS[1], "running")
    runner = airflow.task_processes(SLEEPS[0], run_id, SLEEPS[1])[-1]
    airflow.set_task_state(SLEEPS[0], run_id, SLEEPS[1], "failed")
    # At SIGTERM Airflow only calls `on_kill`, which this task doesn't have; SIGKILL comes 5 s later.
    assert wait_until_gone([runner], 15) == []
    assert airflow.wait_for_run("harness_sleeps", run_id) == "failed"
    assert "Task killed" in airflow.log(SLEEPS[0], run_id, SLEEPS[1])


def test_a_killed_worker_is_found_by_its_heartbeat(airflow: AirflowInstallation) -> None:
    run_id = airflow.trigger("harness_sleeps")
    airflow.wait_for_task_state(SLEEPS[0], run_id, SLEEPS[1], "running")
    airflow.kill_worker(SLEEPS[0], run_id, SLEEPS[1])
    assert airflow.task_processes(SLEEPS[0], run_id, SLEEPS[1]) == []
    assert airflow.wait_for_run("harness_sleeps", run_id) == "failed"


def test_a_killed_triggerer_and_a_killed_scheduler_come_back(airflow: AirflowInstallation) -> None:
    airflow.kill_component("triggerer")
    airflow.start_component("triggerer")
    airflow.kill_component("scheduler")
    airflow.start_component("scheduler")
    run_id = airflow.trigger("harness_params")
    assert airflow.wait_for_run("harness_params", run_id) == "success"


def test_a_written_dag_file_is_seen_and_its_change_is_a_new_version(airflow: AirflowInstallation) -> None:
    source = (
        "from airflow.sdk import dag, task\n"
        "@dag(schedule=None)\n"
        "def harness_written():\n"
        "    task(lambda: 1, task_id='first')()\n"
        "harness_written()\n"
    )
    airflow.write_dag("harness_written.py", source.replace("lambda", "lambda x=2"))
    run_id = airflow.trigger("harness_written")
    assert airflow.wait_for_run("harness_written", run_id) == "success"
    airflow.write_dag("harness_written.py", source.replace("first", "second"))
    airflow.wait_until("a second version", lambda: len(airflow.dag_versions("harness_written")) == 2, 60)


def test_a_broken_dag_file_is_an_import_error(airflow: AirflowInstallation) -> None:
    path = airflow.write_dag("harness_broken.py", "from airflow.sdk import dag\nraise ValueError('so broken')\n")
    assert "so broken" in airflow.wait_for_import_error("harness_broken.py")
    path.unlink()
    airflow.wait_until("the import error is gone", lambda: not airflow.import_errors(), 60)
