"""Parameters from the UI, and the run's own dates: trigger it with a form, or backfill it over days."""

import datetime

from airflow.sdk import Param, dag, task

from airflow_provider_tasks import Task
from airflow_provider_tasks.operators import TaskOperator


class Report(Task):
    """A class takes its arguments as templates; it is made when they are known."""

    def __init__(self, day: str, host: str, count: int) -> None:
        datetime.date.fromisoformat(day)  # bad arguments are refused where the instance is made
        self.line = f"{day}: {count} x {host}"

    def run(self) -> str:
        return self.line


@task.worker
def interval(data_interval_start=None, params=None, ds=None) -> dict:
    """A function takes what it needs of Airflow's context by name."""
    return {"ds": ds, "start": data_interval_start, "host": params["host"]}


@dag(
    schedule="@daily",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    catchup=False,
    params={
        "host": Param("localhost", type="string", description="what to measure"),
        "count": Param(3, type="integer", minimum=1),
    },
    render_template_as_native_obj=True,
    tags=["example", "worker"],
)
def example_parameters():
    interval()
    TaskOperator(
        task_id="report",
        task=Report,
        task_kwargs={"day": "{{ ds }}", "host": "{{ params.host }}", "count": "{{ params.count }}"},
    )


example_parameters()
