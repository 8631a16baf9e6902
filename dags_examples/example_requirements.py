"""Requirements: shell commands that must have run before a task does.

Those of the class are for all of its tasks, ``add_requirement`` is for one. What ``pip`` installs goes into an
environment of the worker's own, which the local worker keeps for the next time.
"""

from airflow.sdk import dag

from airflow_provider_tasks import Task
from airflow_provider_tasks.operators import TaskOperator


class Table(Task):
    """Draw a table with a package that Airflow does not need to have."""

    requirements = ["pip install tabulate==0.9.0"]

    def __init__(self, rows: list[list]) -> None:
        self.rows = rows

    def run(self) -> str:
        from tabulate import tabulate

        table = tabulate(self.rows)
        print(table)
        return table


class CountFiles(Task):
    """Count what the requirements have put into a folder."""

    requirements = ["mkdir -p data", "touch data/one"]

    def run(self) -> int:
        import os

        return len(os.listdir("data"))


@dag(schedule=None, tags=["example", "worker"])
def example_requirements():
    TaskOperator(task_id="table", task=Table([["ping", 3], ["trace", 5]]))
    TaskOperator(task_id="one_file", task=CountFiles())
    TaskOperator(task_id="two_files", task=CountFiles().add_requirement("touch data/two"))


example_requirements()
