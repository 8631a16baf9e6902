"""What is secret is where the task needs it, and nowhere else; `tests/live` also looks into Airflow's database."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.kubernetes.airflow_tasks import Ended, TaskInAPod, beside
from tests.kubernetes.cluster import wait_until

GO = "/airflow/scratch/go"

ARGUMENT = "correct-horse-battery"
"""The password of a connection, given as a templated argument and handed over."""
VARIABLE = "staple/of=the horse"
"""The value of a variable whose name tells that it is secret, given as an environment variable and handed over."""
REFERENCE = "only-the-cluster-knows"
"""What is in a Secret of the cluster, of which Airflow knows only the name."""

CONNECTION = json.dumps({"conn_type": "http", "host": "example.test", "login": "me", "password": ARGUMENT})

DEFINITION = """
@task.worker(
    deferrable={deferrable},
    retries=0,
    worker_config=WorkerConfig(
        connections=["vault"],
        variables=["vault_token"],
        env_variables={{"TOKEN": "{{{{ var.value.vault_token }}}}"}},
        secrets={{"DB_PASSWORD": "kept-secret/password"}},
    ),
)
def task_in_a_pod(password):
    print("it runs", flush=True)
    while not os.path.exists({go!r}):
        time.sleep(0.05)
    context = get_context()
    found = [
        password,
        context["connections"]["vault"]["password"],
        os.environ["TOKEN"],
        context["variables"]["vault_token"],
        os.environ["DB_PASSWORD"],
    ]
    {body}
"""
RETURNS = "return [len(word) for word in found]"


@pytest.fixture(autouse=True)
def secrets(airflow_tasks: TaskInAPod, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AIRFLOW_CONN_VAULT", CONNECTION)
    monkeypatch.setenv("AIRFLOW_VAR_VAULT_TOKEN", VARIABLE)
    admin = airflow_tasks.cluster.admin
    admin.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "kept-secret"},
            "stringData": {"password": REFERENCE},
        }
    )
    yield
    admin.delete("Secret", "kept-secret")


class Seen:
    """What is to be seen of a task: in the cluster while it runs, in Airflow when it has ended."""

    def __init__(self) -> None:
        self.pod = ""
        self.log = ""
        self.cluster = ""
        self.airflow = ""


def run(tasks: TaskInAPod, body: str, *, deferrable: bool) -> tuple[Ended, Seen]:
    seen = Seen()
    admin = tasks.cluster.admin
    mark = tasks.cluster.audit_mark()

    def look() -> None:
        def running() -> str:
            names = [pod["metadata"]["name"] for pod in admin.pods({"dag_id": tasks.name})]
            return names[0] if names and admin.pod(names[0])["status"]["phase"] == "Running" else ""  # type: ignore[index]

        name = wait_until(running)
        wait_until(lambda: b"it runs" in admin.log(name))
        secrets = admin.secrets({"dag_id": tasks.name})
        # Where the request itself is, as it has to be somewhere.
        about_secrets = [{key: value for key, value in secret.items() if key != "data"} for secret in secrets]
        assert about_secrets
        seen.pod = json.dumps(admin.pod(name))
        seen.cluster = json.dumps([about_secrets, admin.events(name)])
        seen.log = admin.log(name).decode()
        tasks.cluster.kubectl("exec", name, "--", "touch", GO)

    with beside(look):
        ended = tasks(
            DEFINITION.format(deferrable=deferrable, go=GO, body=body),
            call='task_in_a_pod("{{ conn.vault.password }}")',
        )
    seen.cluster += json.dumps(tasks.cluster.audit(mark))
    seen.airflow = "\n".join([ended.log, *ended.rows("xcom", "rendered_task_instance_fields", "task_instance")])
    return ended, seen


def forms(secret: str) -> set[str]:
    """How a secret may be written down."""
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode(), json.dumps(secret)[1:-1]}


def found_in(text: str, *secrets: str) -> list[str]:
    return [secret for secret in secrets if any(form in text for form in forms(secret))]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_secret_that_is_not_printed_is_nowhere(airflow_tasks: TaskInAPod, deferrable: bool) -> None:
    ended, seen = run(airflow_tasks, RETURNS, deferrable=deferrable)
    assert ended.run.xcom("task_in_a_pod") == [
        len(word) for word in (ARGUMENT, ARGUMENT, VARIABLE, VARIABLE, REFERENCE)
    ]
    for text in (seen.pod, seen.log, seen.cluster, seen.airflow):
        assert text
        assert found_in(text, ARGUMENT, VARIABLE, REFERENCE) == []
    assert "secretKeyRef" in seen.pod
    assert "***" in seen.airflow


def test_a_secret_is_in_no_dag_that_airflow_keeps(airflow_tasks: TaskInAPod) -> None:
    ended, _ = run(airflow_tasks, RETURNS, deferrable=False)
    kept: list[Any] = ended.rows("serialized_dag", "dag_code", "log")
    assert kept
    assert found_in("\n".join(kept), ARGUMENT, VARIABLE, REFERENCE) == []
