"""The tasks whose execution is measured; each function is there once for us and once for each peer."""

import os
import sys

from airflow.sdk import DAG, task

from airflow_provider_tasks import Pipeline, Task
from airflow_provider_tasks.operators import PipelineOperator

SIZE = 64 * 2**20
LINES = 100_000
BARE = os.environ["BENCHMARK_HOME"] + "/bare/bin/python"
CACHE = os.environ["BENCHMARK_HOME"] + "/virtualenvs"
PACKAGE = "tabulate==0.9.0"

external = {"python": BARE, "expect_airflow": False, "show_return_value_in_logs": False}


class NoOperation(Task):
    def run(self):
        return None


def nothing():
    return None


def some_bytes(size):
    return b"\xff" * size


def some_text(size):
    return "x" * size


def print_lines(lines):
    for number in range(lines):
        print("line", number, "of a task that tells what it does")


with DAG("tasks_to_execute") as dag:
    task.worker(task_id="worker")(nothing)()
    task.worker(task_id="worker_bare", worker_config={"python": BARE})(nothing)()
    task.worker(task_id="worker_class")(NoOperation)()
    task.worker(task_id="worker_requirement", requirements=[f"pip install {PACKAGE}"])(nothing)()
    PipelineOperator(task_id="pipeline", pipeline=Pipeline([NoOperation() for _ in range(50)]))
    task.external_python(task_id="external", **external)(nothing)()
    task.external_python(task_id="external_airflow", python=sys.executable, expect_airflow=False)(nothing)()
    task.virtualenv(
        task_id="virtualenv",
        requirements=[PACKAGE],
        venv_cache_path=CACHE,
        expect_airflow=False,
        system_site_packages=False,
    )(nothing)()
    for name, function, argument in (
        ("bytes", some_bytes, SIZE),
        ("text", some_text, SIZE),
        ("lines", print_lines, LINES),
    ):
        task.worker(task_id=f"worker_{name}")(function)(argument)
        task.external_python(task_id=f"external_{name}", **external)(function)(argument)
