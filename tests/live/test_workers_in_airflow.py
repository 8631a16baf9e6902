"""Tasks in workers, run by a whole Airflow: REST, schedule, backfill, retries, kills, secrets."""

from __future__ import annotations

from datetime import UTC, date, datetime

import psutil
import pytest

from tests.live.airflow_installation import AirflowInstallation
from tests.runtime.notebooks import outputs_of

DAY = datetime(2026, 4, 5, tzinfo=UTC)


def family(marker: str) -> list[psutil.Process]:
    """Return the processes whose command line or environment tells of ``marker``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and marker in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def workers_of(airflow: AirflowInstallation) -> list[psutil.Process]:
    """Return all processes of local workers that this Airflow started."""
    return [process for process in family(str(airflow.home)) if " serve " in " ".join(process.cmdline())]


def run_to_success(airflow: AirflowInstallation, dag_id: str, **options: object) -> str:
    """Trigger a DAG and wait until it has succeeded; where it fails, show the logs of what failed."""
    run_id = airflow.trigger(dag_id, **options)  # type: ignore[arg-type]
    state = airflow.wait_for_run(dag_id, run_id, 240)
    logs = [
        airflow.log(dag_id, run_id, task["task_id"], task["try_number"], task["map_index"])
        for task in airflow.task_instances(dag_id, run_id)
        if task["state"] == "failed"
    ]
    assert state == "success", "\n\n".join(log[-3000:] for log in logs)
    return run_id


def test_no_dag_file_fails_to_import(airflow: AirflowInstallation) -> None:
    for dag_id in ("worker_code", "worker_values", "example_parameters", "example_requirements"):
        airflow.wait_for_dag(dag_id)
    assert airflow.import_errors() == []


def test_code_of_every_shape_runs(airflow: AirflowInstallation) -> None:
    run_id = run_to_success(airflow, "worker_code")
    results = {
        task["task_id"]: airflow.xcom("worker_code", run_id, task["task_id"])
        for task in airflow.task_instances("worker_code", run_id)
    }
    assert results == {
        "uses_a_helper": 8,
        "uses_a_module_beside": [40, "lazy and deeper"],
        "uses_a_function_beside": 50,
        "is_decorated_twice": [3, 3],
        "is_async": "awaited",
        "has_hashes_in_a_string": "\n# not a comment\n  # nor this\n",
        "calls_itself": 120,
        "is_a_lambda": 16,
        "closure_one": "closed over one",
        "closure_two": "closed over two",
        "Counter": 8,
        "async_task": "awaited in run",
        "nested": ["Inner", "Inner"],
        "picked": 10,
        "is_made_in_the_dag": 8,
    }


def test_two_dags_with_classes_of_the_same_name(airflow: AirflowInstallation) -> None:
    for word in ("a", "b"):
        run_id = run_to_success(airflow, f"worker_same_name_{word}")
        assert airflow.xcom(f"worker_same_name_{word}", run_id, "same") == word


def test_a_run_triggered_with_params(airflow: AirflowInstallation) -> None:
    run_id = run_to_success(airflow, "example_parameters", conf={"host": "example.test", "count": 2}, logical_date=DAY)
    assert airflow.xcom("example_parameters", run_id, "report") == "2026-04-05: 2 x example.test"
    assert airflow.xcom("example_parameters", run_id, "interval")["host"] == "example.test"


def test_a_scheduled_run(airflow: AirflowInstallation) -> None:
    airflow.wait_for_dag("worker_daily")
    airflow.unpause("worker_daily")
    runs = airflow.wait_until("a scheduled run", lambda: airflow.runs("worker_daily", "scheduled") or None, 60)
    assert airflow.wait_for_run("worker_daily", runs[0]["dag_run_id"]) == "success"
    assert airflow.xcom("worker_daily", runs[0]["dag_run_id"], "day")[2] == "default"


def test_a_backfill_of_five_days(airflow: AirflowInstallation) -> None:
    runs = airflow.backfill("worker_daily", date(2026, 3, 1), date(2026, 3, 5))
    assert [run["state"] for run in runs] == ["success"] * 5
    days = [airflow.xcom("worker_daily", run["dag_run_id"], "day") for run in runs]
    assert days == [[f"2026-03-0{n}", f"2026-03-0{n}T00:00:00+00:00", "default"] for n in range(1, 6)]


def test_a_backfill_of_three_days_of_scripts_and_a_notebook(airflow: AirflowInstallation) -> None:
    runs = airflow.backfill("worker_files", date(2026, 3, 1), date(2026, 3, 3))
    assert [run["state"] for run in runs] == ["success"] * 3
    for number, run in enumerate(runs, 1):
        day, run_id = f"2026-03-0{number}", run["dag_run_id"]
        results = [airflow.xcom("worker_files", run_id, task_id) for task_id in ("count", "clean", "report")]
        assert results == [number, {"day": day, "count": number}, {"day": day}]
        assert f"counting on {day}" in airflow.log("worker_files", run_id, "count")
        assert f"cleaning up to {day}" in airflow.log("worker_files", run_id, "clean")
        log = airflow.log("worker_files", run_id, "report")
        for line in (
            "cell 3 of 3: from airflow_provider_tasks import glue",
            f"report of {day}",
            "report.ipynb succeeded",
        ):
            assert line in log
        assert outputs_of(airflow.home / "reports" / day / "report_output.ipynb")[-1] == f"report of {day}\n"


@pytest.fixture(scope="module")
def failures(airflow: AirflowInstallation) -> tuple[AirflowInstallation, str]:
    run_id = airflow.trigger("worker_failures")
    assert airflow.wait_for_run("worker_failures", run_id, 240) == "failed"
    return airflow, run_id


def last_lines(failures: tuple[AirflowInstallation, str], task_id: str, try_number: int = 1) -> str:
    airflow, run_id = failures
    lines = airflow.log("worker_failures", run_id, task_id, try_number).rstrip().splitlines()
    return "\n".join(lines[-8:])


def test_a_retried_task_shows_its_remote_traceback(failures: tuple[AirflowInstallation, str]) -> None:
    airflow, run_id = failures
    assert airflow.xcom("worker_failures", run_id, "fails_first") == "try 2"
    log = airflow.log("worker_failures", run_id, "fails_first", 1)
    assert "this is try 1" in log
    assert "Traceback in the worker (most recent call last):" in log
    assert 'raise ValueError(f"try {attempt} fails with {nested}")' in log
    assert "executor.py" not in log
    assert "ValueError: try 1 fails with {'key': 3}" in last_lines(failures, "fails_first")
    assert "this is try 2" in airflow.log("worker_failures", run_id, "fails_first", 2)


def test_a_cleared_task_runs_again(failures: tuple[AirflowInstallation, str]) -> None:
    airflow, run_id = failures
    airflow.clear("worker_failures", run_id, ["fails_first"])
    airflow.wait_until(
        "the third try",
        lambda: airflow.task_instance("worker_failures", run_id, "fails_first")["try_number"] >= 3 or None,
        60,
    )
    airflow.wait_for_task_state("worker_failures", run_id, "fails_first", {"success"})
    assert airflow.xcom("worker_failures", run_id, "fails_first") == "try 3"


def test_fail_task_is_not_tried_again(failures: tuple[AirflowInstallation, str]) -> None:
    airflow, run_id = failures
    assert airflow.task_instance("worker_failures", run_id, "fails_for_good")["try_number"] == 1
    assert "FailTask: the table was dropped" in last_lines(failures, "fails_for_good")


@pytest.mark.parametrize(
    ("task_id", "category", "cause", "fix"),
    [
        ("returns_a_failure", "task", "the task returned a Failure: {'rows': 0}", "instead of raising"),
        ("needs_memory", "memory", "of memory, its limit is 1 GiB", "Give it a larger worker_size"),
        (
            "lacks_a_module",
            "environment",
            "the worker has no module 'a_package_that_nobody_has'",
            "that installs the package with 'a_package_that_nobody_has'",
        ),
        ("unprepared", "environment", "exit code 4: echo the disk is full >&2; exit 4", "Run the command by hand"),
    ],
)
def test_the_last_lines_of_the_log_name_cause_and_fix(
    failures: tuple[AirflowInstallation, str], task_id: str, category: str, cause: str, fix: str
) -> None:
    airflow, run_id = failures
    assert cause in last_lines(failures, task_id)
    assert fix in last_lines(failures, task_id)
    assert airflow.xcom("worker_failures", run_id, task_id, "outcome")["category"] == category


def test_the_output_of_a_failed_requirement_is_in_the_log(failures: tuple[AirflowInstallation, str]) -> None:
    airflow, run_id = failures
    log = airflow.log("worker_failures", run_id, "unprepared")
    assert "preparing" in log
    assert "the disk is full" in log


def test_a_task_that_is_marked_failed_or_times_out_leaves_no_process(airflow: AirflowInstallation) -> None:
    run_id = airflow.trigger("worker_sleeps")
    airflow.wait_until(
        "the task's child", lambda: (len(family("time.sleep(600)")) > 0 and workers_of(airflow)) or None, 90
    )
    airflow.set_task_state("worker_sleeps", run_id, "sleeps", "failed")
    airflow.wait_until(
        "the end of the task",
        lambda: airflow.task_instance("worker_sleeps", run_id, "sleeps")["state"] == "failed" or None,
        30,
    )
    # Airflow tells the task at its next heartbeat, and five seconds later kills what is left of it.
    airflow.wait_until("the end of its processes", lambda: not family("time.sleep(600)") or None, 15)
    airflow.wait_for_task_state("worker_sleeps", run_id, "times_out", {"failed"})
    airflow.wait_until("the end of all processes", lambda: not family("time.sleep(601)") or None, 15)
    airflow.wait_until("the end of all workers", lambda: not workers_of(airflow) or None, 15)


def test_an_airflow_worker_killed_in_the_middle_leaves_nothing_and_is_retried(airflow: AirflowInstallation) -> None:
    run_id = airflow.trigger("worker_killed")
    airflow.wait_for_task_state("worker_killed", run_id, "is_killed_once", "running")
    airflow.wait_until(
        "the first try",
        lambda: "waiting to be killed" in airflow.log("worker_killed", run_id, "is_killed_once") or None,
        60,
    )
    assert workers_of(airflow)
    airflow.kill_worker("worker_killed", run_id, "is_killed_once")
    airflow.wait_until("the end of its worker", lambda: not workers_of(airflow) or None, 15)
    assert airflow.wait_for_run("worker_killed", run_id, 180) == "success"
    assert airflow.xcom("worker_killed", run_id, "is_killed_once") >= 2


def test_secrets_are_in_no_log_xcom_or_rendered_field(airflow: AirflowInstallation) -> None:
    secret = "correct-horse-battery"
    airflow.request(
        "POST",
        "/connections",
        body={"connection_id": "worker_secret", "conn_type": "http", "host": "example.test", "password": secret},
    )
    airflow.request("POST", "/variables", body={"key": "worker_variable", "value": "variable value"})
    run_id = run_to_success(airflow, "worker_secrets")
    assert airflow.xcom("worker_secrets", run_id, "knows_secrets") is True
    log = airflow.log("worker_secrets", run_id, "knows_secrets")
    assert "printed: ***" in log
    assert "argument: ***" in log
    leaked = airflow.xcom("worker_secrets", run_id, "leaks")
    assert leaked == {"result_type": "Failure", "result": "no log-in with ***"}
    assert "ValueError: no log-in with ***" in airflow.log("worker_secrets", run_id, "leaks")
    for text in (
        log,
        airflow.log("worker_secrets", run_id, "leaks"),
        str(airflow.xcom("worker_secrets", run_id, "leaks", "outcome")),
        str(airflow.task_instance("worker_secrets", run_id, "leaks")),
        str(airflow.xcom("worker_secrets", run_id, "knows_secrets", "outcome")),
        str(airflow.task_instance("worker_secrets", run_id, "knows_secrets")),
    ):
        assert secret not in text


def test_values_keep_their_types_on_every_way(airflow: AirflowInstallation) -> None:
    run_id = run_to_success(airflow, "worker_values")
    assert airflow.xcom("worker_values", run_id, "compare_in_airflow") == []
    assert airflow.xcom("worker_values", run_id, "compare_in_a_worker") == []
    assert airflow.xcom("worker_values", run_id, "open_it") == "from the first"
    assert "opaque" in airflow.xcom("worker_values", run_id, "look_at")


@pytest.mark.parametrize(
    "dag_id",
    [
        "example_first_task",
        "example_dispatch",
        "example_dispatch_by_address",
        "example_results",
        "example_requirements",
        "example_mapping",
    ],
)
def test_each_example_runs(airflow: AirflowInstallation, dag_id: str) -> None:
    run_id = run_to_success(airflow, dag_id)
    outcomes = [
        airflow.xcom(dag_id, run_id, task["task_id"], "outcome", map_index=task["map_index"])
        for task in airflow.task_instances(dag_id, run_id)
        if task["operator_name"] in ("TaskOperator", "@task.worker") and task["state"] == "success"
    ]
    assert outcomes
    assert all(outcome["backend"] == "local" for outcome in outcomes)


def test_a_new_dag_version_appears_when_what_runs_changes(airflow: AirflowInstallation) -> None:
    source = """
from airflow.sdk import DAG
from airflow_provider_tasks import Task
from airflow_provider_tasks.operators import TaskOperator

class Word(Task):
    def run(self):
        return "first"  # a remark

with DAG("worker_versions", schedule=None):
    TaskOperator(task_id="word", task=Word())
"""
    airflow.write_dag("worker_versions.py", source)
    run_id = run_to_success(airflow, "worker_versions")
    versions = len(airflow.dag_versions("worker_versions"))
    airflow.write_dag("worker_versions.py", source.replace('"first"', '"second"'))
    airflow.wait_until(
        "a new version", lambda: len(airflow.dag_versions("worker_versions")) == versions + 1 or None, 60
    )
    run_id = run_to_success(airflow, "worker_versions")
    assert airflow.xcom("worker_versions", run_id, "word") == "second"
