"""Tasks in pods to which something is done while they run: each notes every run of its code."""

import datetime
import os
import uuid

import seen
from airflow.sdk import dag, task

from airflow_provider_tasks import WorkerConfig
from airflow_provider_tasks.operators.orphans import remove_orphans

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
AT_ONCE = datetime.timedelta(0)

STAGES = {
    "before_create": {},
    "before_the_reply_to_create": {},
    "before_its_secret": {},
    "before_it_watches": {},
    "while_it_streams": {"waits": True},
    "before_it_fetches": {"size": 100_000},
    "while_it_fetches": {"size": 100_000},
    "before_it_deletes": {},
    "before_it_defers": {},
    "when_it_goes_on": {"size": 100_000},
}
"""When the Airflow worker of a task is killed, and what the task is to do."""

DEFERRED = ["before_it_defers", "when_it_goes_on"]


@task.worker(retries=1, retry_delay=AT_ONCE)
def is_killed(waits: bool = False, size: int = 0):
    seen.note()
    for number in range(100):
        print(f"line {number}", flush=True)
    if waits:
        seen.wait()
    return {"run": uuid.uuid4(), "much": os.urandom(size)}


@dag(schedule=None, start_date=START)
def kubernetes_killed():
    for stage, arguments in STAGES.items():
        config = WorkerConfig(kubernetes_conn_id=f"kubernetes_{stage}")
        is_killed.override(task_id=stage, worker_config=config, deferrable=stage in DEFERRED)(**arguments)


kubernetes_killed()


@task.worker(deferrable=True)
def waits(size: int) -> bytes:
    print("begun", flush=True)
    seen.note()
    seen.wait()
    print("ends", flush=True)
    return bytes(size)


@dag(schedule=None, start_date=START)
def kubernetes_waits():
    waits.override(task_id="short")(10)
    waits.override(task_id="long")(100_000)


kubernetes_waits()


@dag(schedule=None, start_date=START)
def kubernetes_ended():
    waits.override(task_id="sync", deferrable=False)(10)
    waits.override(task_id="deferred")(10)


kubernetes_ended()


@dag(schedule=None, start_date=START)
def kubernetes_timeout():
    for way, deferrable in {"sync": False, "deferred": True}.items():
        waits.override(task_id=way, deferrable=deferrable, execution_timeout=datetime.timedelta(seconds=15))(10)


kubernetes_timeout()


@task.worker
def is_left_behind() -> None:
    seen.note()
    seen.wait()


@dag(schedule=None, start_date=START)
def kubernetes_left_behind():
    is_left_behind()


kubernetes_left_behind()


@task
def cleans_up(params=None) -> list:
    from airflow_provider_tasks.workers.kubernetes import orphans

    orphans.YOUNG_SECONDS = 0.0  # a test has no two minutes
    return remove_orphans(dry_run=params["dry_run"])


@dag(schedule=None, start_date=START, params={"dry_run": True})
def kubernetes_clean_up():
    cleans_up()


kubernetes_clean_up()
