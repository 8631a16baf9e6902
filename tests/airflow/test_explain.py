"""`airflow-tasks explain`: what a DAG file comes to, and why."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tasks.cli.command import main

DAG_FILE = """
from airflow.sdk import DAG, task
from airflow_provider_tasks import *
from airflow_provider_tasks.operators import PipelineOperator, ScriptOperator, TaskOperator

class Ping(Task):
    requirements = ["pip install ping"]
    def __init__(self, address="::1"): self.address = address
    def run(self): raise AssertionError("it ran")

class PingFrom(TaskDispatcher):
    def __init__(self, address="::1"): self.address = address
    def dispatch(self, node): return Ping(self.address)

EDGE = Node("edge", {"worker_config": {"backend": "kubernetes", "kubernetes_conn_id": "site", "worker_size": "Small"}})
PIPELINE = Pipeline([PingFrom(), Ping()])

@task
def found(): return [{"name": "a"}]

@task.worker(worker_config={"env_variables": {"PASSWORD": "hush"}}, requirements=["true"])
def count(x, ds=None): return x

print("noise of the DAG file")

with DAG("measure", default_args={"worker_config": {"worker_size": "Medium", "worker_image": "python:3.11-slim"}}):
    TaskOperator(task_id="ping", task=PingFrom(), node=EDGE, worker_config={"worker_size": "Large"})
    TaskOperator(task_id="late", task=PingFrom, task_kwargs={"address": "{{ ds }}"}, node=EDGE)
    TaskOperator(task_id="size", task=Ping(), worker_config={"worker_size": "{{ params.size }}"})
    TaskOperator.partial(task_id="listed", task=PingFrom()).expand(node=[EDGE, Node("hub")])
    TaskOperator.partial(task_id="found_nodes", task=PingFrom()).expand(node=found())
    TaskOperator.partial(task_id="found_all", task=Ping).expand_kwargs(found())
    PipelineOperator(task_id="pipe", pipeline=PIPELINE, node=EDGE)
    ScriptOperator(task_id="script", file_name="{{ ds }}.sh", requirements=["make"])
    count.expand(x=[1, 2])
    count.override(task_id="count_found").expand_kwargs(found())
    pipeline_group(PIPELINE, node=EDGE, group_id="group")

with DAG("without"):
    found()
"""


@pytest.fixture
def explain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    extra = {"kube_config_path": "/none", "namespace": "site", "worker_config": {"worker_size": "X-Small"}}
    monkeypatch.setenv("AIRFLOW_CONN_SITE", json.dumps({"conn_type": "kubernetes", "extra": extra}))
    (tmp_path / "dag_file.py").write_text(DAG_FILE)

    def explain(*options: str) -> dict[str, Any]:
        assert main(["explain", str(tmp_path / "dag_file.py"), "--json", *options]) == 0
        out = capsys.readouterr().out
        assert out.startswith("{"), out[:600]
        told = json.loads(out)
        tasks = [task for dag in told["dags"] for task in dag["tasks"]]
        return {f"{task['task_id']}[{task['map_index']}]".replace("[None]", ""): task for task in tasks}

    return explain


def test_each_task_says_what_it_runs_and_why(explain: Callable[..., dict[str, Any]]) -> None:
    tasks = explain()
    ping = tasks["ping"]
    assert ping["node"]["name"] == "edge"
    assert ping["implementations"] == [{"name": None, "implementation": "Ping", "dispatcher": "PingFrom"}]
    assert ping["requirements"] == ["pip install ping"]
    assert ping["backend"] == {"value": "kubernetes", "source": "the node edge"}
    assert ping["image"] == {"value": "python:3.11-slim", "source": "default_args"}
    assert ping["size"] == "Large (4 CPU, 16 GiB)"
    assert ping["settings"]["worker_size"]["source"] == "the task's worker_config"
    assert ping["settings"]["namespace"] == {"value": "site", "source": "the connection site"}
    assert tasks["listed[0]"]["settings"]["worker_size"]["source"] == "the node edge"
    assert tasks["listed[1]"]["settings"]["worker_size"]["source"] == "default_args"
    assert tasks["listed[1]"]["image"] is None
    names = [(pick["name"], pick["implementation"], pick["dispatcher"]) for pick in tasks["pipe"]["implementations"]]
    assert names == [("Ping", "Ping", "PingFrom"), ("Ping_2", "Ping", None)]
    assert tasks["pipe"]["requirements"] == ["pip install ping", "pip install ping"]
    assert tasks["group.Ping"]["implementations"][0]["dispatcher"] == "PingFrom"
    assert tasks["group.Ping_2"]["implementations"][0]["dispatcher"] is None
    assert tasks["count[1]"]["requirements"] == ["true"]
    assert tasks["count[1]"]["settings"]["env_variables PASSWORD"]["value"] is None


def test_what_is_put_off_is_said_to_be(explain: Callable[..., dict[str, Any]]) -> None:
    tasks = explain()
    later = "known when it runs"
    assert tasks["late"]["implementations"][0] == {"name": None, "implementation": later, "dispatcher": "PingFrom"}
    assert tasks["late"]["requirements"] == later
    assert tasks["size"]["size"] == later
    assert tasks["found_nodes"]["node"] == later
    assert tasks["found_nodes"]["mapped_over"] == "node"
    assert tasks["found_nodes"]["implementations"][0]["dispatcher"] == "PingFrom"
    assert tasks["found_all"]["implementations"][0]["implementation"] == "Ping"
    assert tasks["found_all"]["settings"]["worker_size"]["value"] == "Medium"
    assert tasks["script"]["implementations"][0]["implementation"] == later
    assert tasks["script"]["requirements"] == ["make"]
    assert tasks["count_found"]["implementations"][0]["implementation"] == "count"


def test_a_connection_that_is_not_here_is_a_note(
    explain: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SITE")
    (note,) = explain("--task", "ping")["ping"]["notes"]
    assert note.startswith("the connection site can't be read here")


def test_people_read_it_too(
    explain: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(tmp_path / "dag_file.py")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("DAG measure\n")
    assert "implementation  Ping, picked by PingFrom" in told
    assert "DAG without: none of its tasks runs in a worker" in told
    assert "hush" not in told
    assert "noise" not in told


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (None, [], "there is no file"),
        ("import nothing_of_this_name", [], "No module named 'nothing_of_this_name'"),
        ("x = 1", [], "there is no DAG in"),
        (DAG_FILE.replace("return Ping(self.address)", "return 1"), [], "PingFrom"),
        (DAG_FILE, ["--dag", "mesure"], "did you mean 'measure'"),
        (DAG_FILE, ["--task", "pong"], "did you mean 'ping'"),
        (DAG_FILE, ["--task", "found"], "no task 'found' of"),
    ],
)
def test_what_can_not_be_explained_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, options: list[str], says: str
) -> None:
    file = tmp_path / "wrong.py"
    if text is not None:
        file.write_text(text)
    assert main(["explain", str(file), *options]) == 2
    assert says in capsys.readouterr().err


def test_a_file_imports_from_the_root_of_its_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "team").mkdir()
    (tmp_path / "shared_by_teams.py").write_text("DAG_ID = 'of_a_team'")
    text = "from airflow.sdk import DAG\nfrom shared_by_teams import DAG_ID\ndag = DAG(DAG_ID)\n"
    (tmp_path / "team" / "dag_file.py").write_text(text)
    assert main(["explain", os.fspath(tmp_path / "team" / "dag_file.py")]) == 2
    assert main(["explain", os.fspath(tmp_path / "team" / "dag_file.py"), "--root", os.fspath(tmp_path)]) == 0
    assert "of_a_team" in capsys.readouterr().out
