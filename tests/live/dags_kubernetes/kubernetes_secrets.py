"""Tasks in pods that are given secrets."""

import datetime
import os

import seen
from airflow.sdk import dag, task

from airflow_provider_tasks import WorkerConfig, get_context

CONFIG = WorkerConfig(
    connections=["kubernetes_vault"],
    variables=["kubernetes_vault_token"],
    env_variables={"TOKEN": "{{ var.value.kubernetes_vault_token }}"},
)


@task.worker(worker_config=CONFIG)
def knows(password: str, leaks: bool) -> list:
    context = get_context()
    found = [
        password,
        context["connections"]["kubernetes_vault"]["password"],
        os.environ["TOKEN"],
        context["variables"]["kubernetes_vault_token"],
    ]
    seen.note()
    seen.wait()
    if leaks:
        print("printed:", found)
        raise ValueError(f"no log-in with {found}")
    return [len(word) for word in found]


@dag(schedule=None, start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
def kubernetes_secrets():
    for way, deferrable in {"sync": False, "deferred": True}.items():
        for leaks in (False, True):
            task_id = f"{'leaks' if leaks else 'keeps'}_{way}"
            knows.override(task_id=task_id, deferrable=deferrable)("{{ conn.kubernetes_vault.password }}", leaks)


kubernetes_secrets()
