"""Secrets are nowhere in Airflow's database, its logs or the cluster, while tasks wait and when they have ended."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import sqlalchemy

from tests.live.airflow_on_kubernetes import AirflowOnKubernetes

DAG = "kubernetes_secrets"
WAYS = ["sync", "deferred"]
PASSWORD = "correct-horse-battery"
TOKEN = "staple-of-the-horse"


@pytest.fixture
def airflow(airflow_on_kubernetes: AirflowOnKubernetes) -> AirflowOnKubernetes:
    return airflow_on_kubernetes


def leaks(text: str) -> list[str]:
    return [
        secret
        for secret in (PASSWORD, TOKEN)
        if secret in text or base64.b64encode(secret.encode()).decode().rstrip("=") in text
    ]


def database(airflow: AirflowOnKubernetes) -> dict[str, str]:
    """All rows of Airflow's database, by table."""
    engine = sqlalchemy.create_engine(airflow.sql_alchemy_conn)
    try:
        with engine.connect() as connection:
            names = sqlalchemy.inspect(engine).get_table_names()
            rows = {name: connection.execute(sqlalchemy.text(f'SELECT * FROM "{name}"')) for name in names}
            return {name: "\n".join(as_text(value) for row in found for value in row) for name, found in rows.items()}
    finally:
        engine.dispose()


def as_text(value: Any) -> str:
    return bytes(value).decode(errors="replace") if isinstance(value, (bytes, memoryview)) else str(value)


def test_secrets_are_in_no_table_log_or_object_of_the_cluster(airflow: AirflowOnKubernetes) -> None:
    body = {"connection_id": "kubernetes_vault", "conn_type": "http", "host": "example.test", "password": PASSWORD}
    airflow.request("POST", "/connections", body=body)
    airflow.request("POST", "/variables", body={"key": "kubernetes_vault_token", "value": TOKEN})
    mark = airflow.cluster.audit_mark()
    run_id = airflow.trigger(DAG)
    tasks = [f"{what}_{way}" for what in ("keeps", "leaks") for way in WAYS]
    for task_id in tasks:
        airflow.wait_until_noted(DAG, run_id, task_id)
    for task_id in ("keeps_deferred", "leaks_deferred"):
        airflow.wait_for_task_state(DAG, run_id, task_id, "deferred")
    waiting = database(airflow)
    pods = json.dumps([airflow.pods(DAG), airflow.cluster.admin.events()])
    assert waiting["trigger"].count('"pod"') == 2
    airflow.let_end(DAG, run_id)
    assert airflow.wait_for_run(DAG, run_id, 180) == "failed"
    for way in WAYS:
        assert airflow.xcom(DAG, run_id, f"keeps_{way}") == [len(word) for word in (PASSWORD, PASSWORD, TOKEN, TOKEN)]
        log = airflow.log(DAG, run_id, f"leaks_{way}")
        masked = ["***"] * 4
        assert f"printed: {masked}" in log
        assert f"ValueError: no log-in with {masked}" in log
    ended = database(airflow)
    for table, text in [*waiting.items(), *ended.items()]:
        assert leaks(text) == [], table
    logs = "\n".join(path.read_text(errors="replace") for path in airflow.home.glob("logs/**/*.log"))
    # What a task prints itself, Airflow 3.3's LocalExecutor copies unmasked to the scheduler's own standard output.
    printed = [path for path in airflow.home.glob("processes/*.log") if not path.name.startswith("scheduler")]
    processes = "\n".join(path.read_text(errors="replace") for path in printed)
    audit = json.dumps(airflow.cluster.audit(mark))
    for place, text in {"pods": pods, "logs": logs, "processes": processes, "audit log": audit}.items():
        assert text
        assert [line for line in text.splitlines() if leaks(line)] == [], place
    airflow.assert_no_pod_is_left(DAG)
