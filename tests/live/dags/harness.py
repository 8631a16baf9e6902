"""Plain DAGs, with nothing of this provider in them: they prove the harness of the live tests."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag, task


@dag(schedule=None, params={"count": 1, "name": "nobody"})
def harness_params():
    @task
    def greet(params=None) -> list[str]:
        print("greeting", params["name"])
        return [f"{params['name']} {number}" for number in range(params["count"])]

    @task
    def measure(text: str) -> int:
        return len(text)

    greetings = greet()
    measure.expand(text=greetings)
    greetings >> BashOperator(task_id="in_a_shell", bash_command="echo {{ params.name }}")


@dag(schedule=timedelta(days=1), start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)
def harness_daily():
    @task
    def day(ds=None, data_interval_start=None) -> str:
        return f"{ds} {data_interval_start.isoformat()}"

    day()


@dag(schedule=None)
def harness_fails_first():
    @task(retries=1, retry_delay=timedelta(seconds=1))
    def fails_first(ti=None) -> int:
        if ti.try_number == 1:
            raise ValueError("the first try fails")
        return ti.try_number

    fails_first()


@dag(schedule=None)
def harness_sleeps():
    @task(retries=0)
    def sleeps() -> int:
        print("sleeping in", os.getpid())
        time.sleep(600)
        return 1

    sleeps()


harness_params()
harness_daily()
harness_fails_first()
harness_sleeps()
