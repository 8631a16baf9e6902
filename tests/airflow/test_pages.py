"""The pages in Airflow's UI, in its own API server application: who gets what, and what it is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_tasks.links.addresses import in_the_ui
from airflow_provider_tasks.workers.by_hand import Worker
from airflow_provider_tasks.workers.kept import Record
from airflow_provider_tasks.workers.local import LocalWorker
from airflow_provider_tasks.workers.opening import direct_settings
from tests.airflow.conftest import PREAMBLE, Run

HOSTILE = "<script>alert(1)</script>"
PAGES = ("/", "/nodes", "/worker", "/notebook", "/failures")

ASKED_FOR = ("workers", "worker", "nodes", "node-file", "failures")

NODE_FILE = f"""
nodes:
  - name: hub
    architecture: linux/amd64
    properties:
      city: "{HOSTILE}"
      login: {{user: root, password: hunter22}}
      mirror: https://bob:hunter22@example.org
      worker_config: {{worker_size: Small, env_variables: {{TOKEN: hunter22}}}}
  - nodes: [{{name: edge, properties: {{worker_config: {{backend: kubernetes, kubernetes_conn_id: north}}}}}}]
  - type: uncountable
    templates: [{{name: cloud, properties: {{worker_config: {{worker_sise: Small}}}}}}]
    soft_limit: 50
"""

REPORT = {
    "cells": [
        {
            "cell_type": "code",
            "id": "a",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": f"from IPython.display import HTML\nHTML({HOSTILE!r})",
        }
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}

DAG_FILE = """
EDGE = Node("edge", {"city": "Oslo"}, Architecture.LINUX_AMD64)

class Probe(Task):
    def run(self):
        return 1

@task.worker(node=EDGE, worker_config={"terminate_on_completion": False})
def keeps():
    return 1

@task.worker
def fails():
    raise ValueError("no route")

with DAG("alice_pages"):
    TaskOperator.partial(task_id="mapped", task=Probe()).expand(node=[EDGE, Node("core")])
    NotebookOperator(task_id="report", notebook="report.ipynb", output_path="REPORTS/{{ run_id }}/")
    keeps()
    fails()
"""


class Asked:
    """Asks the API server as a user does."""

    def __init__(self, client: Any, token: str | None) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **query: Any) -> Any:
        return self._client.get(f"/worker-tasks{path}", params=query, headers=self._headers)

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self._client.post(f"/worker-tasks{path}", json=body, headers={**self._headers, **headers})


@pytest.fixture(scope="module")
def ask(metadata_database: None) -> Iterator[Callable[..., Asked]]:
    """Give a function that makes one who asks, of a name and a role; None is nobody."""
    from airflow.api_fastapi.app import create_app, get_auth_manager, purge_cached_app
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "tests.airflow.own_dags.OwnDagsAuthManager")
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a secret of a test" * 4)
        patch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
        purge_cached_app()
        client = TestClient(create_app(apps="core"), raise_server_exceptions=False)

        def asked(name: str | None, role: str | None = "admin") -> Asked:
            user = SimpleAuthManagerUser(username=name or "", role=role)
            return Asked(client, get_auth_manager().generate_jwt(user) if name else None)

        yield asked
        purge_cached_app()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def ran(metadata_database: None, reports: Path) -> Iterator[dict[str, Any]]:
    """Give the ids of a run of the DAG; what it keeps is terminated afterwards."""
    from airflow.dag_processing.dagbag import DagBag

    path = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], "pages.py")
    path.write_text(PREAMBLE + DAG_FILE.replace("REPORTS", str(reports)))
    notebook = path.with_name("report.ipynb")
    notebook.write_text(json.dumps(REPORT))
    bag = DagBag(str(path))
    assert not bag.import_errors
    done = Run(bag.dags["alice_pages"].test())
    assert done.states == {
        "mapped[0]": "success",
        "mapped[1]": "success",
        "report": "success",
        "keeps": "success",
        "fails": "failed",
    }
    yield {"dag_id": "alice_pages", "run_id": done.run_id}
    path.unlink()
    notebook.unlink()
    for worker in Worker.list():
        worker.terminate()


@pytest.fixture
def another_kept_worker(ran: dict[str, Any]) -> Iterator[Worker]:
    """A worker that another task of the same run has kept."""
    settings = direct_settings(None, {"terminate_on_completion": False})
    with LocalWorker(cache_folder=settings.cache_folder, keep=True, ends_with_parent=False) as made:
        owner = {**ran, "task_id": "fails", "map_index": -1, "try_number": 1}
        Record.of(settings, None, made.name, made.folder, owner).write(settings)
    worker = Worker.get(made.name)
    yield worker
    worker.terminate()


@pytest.fixture
def set_xcom(ran: dict[str, Any]) -> Iterator[Callable[..., None]]:
    """Give a function that edits an XCom, as Airflow's users may; it is put back afterwards."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    before: dict[tuple[str, str], Any] = {}

    def write(task_id: str, key: str, value: Any) -> None:
        with create_session() as session:
            found = session.query(XComModel).filter_by(**ran, task_id=task_id, key=key).one()
            before.setdefault((task_id, key), XComModel.deserialize_value(found))
            XComModel.set(key=key, value=value, task_id=task_id, session=session, **ran)

    yield write
    for (task_id, key), value in before.items():
        write(task_id, key, value)


def test_nobody_gets_anything_without_a_log_in(ask: Callable[..., Asked]) -> None:
    paths = (*PAGES, "/notebook/content", *(f"/api/{name}" for name in ASKED_FOR))
    assert {ask(None).get(path).status_code for path in paths} == {401}
    told = ask(None).post("/api/workers/terminate", {"name": "a", "backend": "local"}, **{"X-Worker-Tasks": "page"})
    assert told.status_code == 401


def test_a_user_without_permission_gets_no_page(ask: Callable[..., Asked]) -> None:
    paths = (*PAGES, "/notebook/content", *(f"/api/{name}" for name in ASKED_FOR))
    assert {ask("alice", None).get(path).status_code for path in paths} == {403}


def test_who_opens_a_page_is_told_why_there_is_none(ask: Callable[..., Asked]) -> None:
    nobody = ask(None).get("/worker", task_id=HOSTILE)
    assert nobody.headers["content-type"].startswith("text/html")
    assert "You are not logged in." in nobody.text
    back = in_the_ui("worker", {"task_id": HOSTILE})
    assert f'<a href="/api/v2/auth/login?next={quote(back)}" target="_top">Log in</a>' in nobody.text
    refused = ask("alice", None).get("/")
    assert "You may not see this page." in refused.text
    assert "Loading…" not in refused.text  # nor does its script ask for anything
    assert "data-refused" in refused.text
    for told in (nobody, refused):
        assert "script-src 'self';" in told.headers["content-security-policy"]
    content = ask("alice", None).get("/notebook/content")
    assert "You may not see this page." in content.text
    assert content.headers["content-security-policy"].startswith("sandbox;")
    assert "There is no such page." in ask("alice", "viewer").get("/elsewhere").text
    assert ask("alice", None).get("/api/workers").json() == {"detail": "Forbidden"}


def test_the_page_runs_no_script_but_its_own(ask: Callable[..., Asked]) -> None:
    for path in PAGES:
        page = ask("alice", "viewer").get(path)
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "frame-ancestors 'self'" in policy
    assert ask("alice", "viewer").get("/static/page.js").headers["content-type"].startswith("text/javascript")
    assert ask("alice", "viewer").get("/static/../app.py").status_code == 404


def test_the_page_of_failures_has_a_place_for_each_category(ask: Callable[..., Asked]) -> None:
    from airflow_provider_tasks.workers.failures import BY_CATEGORY

    html = ask("alice", "viewer").get("/api/failures").json()["html"]
    assert [category for category in BY_CATEGORY if f'id="{category}"' not in html] == []


def test_who_may_not_see_a_dag_sees_none_of_its_workers(ask: Callable[..., Asked], ran: dict[str, Any]) -> None:
    def kept(asked: Asked) -> list[tuple[str, str | None]]:
        return [(row["key"]["task_id"], row["action"]) for row in asked.get("/api/workers").json()["workers"]]

    assert kept(ask("root")) == [("keeps", "terminate")]
    assert kept(ask("alice", "user")) == [("keeps", "terminate")]
    assert kept(ask("alice", "viewer")) == [("keeps", None)]
    assert kept(ask("bob", "user")) == []
    for path in ("/api/worker", "/notebook/content"):
        assert ask("bob", "user").get(path, task_id="report", **ran).status_code == 403
    assert ask("bob", "user").get("/api/nodes", dag_id="alice_pages").status_code == 403


def test_a_kept_worker_is_terminated_by_who_may_edit_the_dag_alone(
    ask: Callable[..., Asked], another_kept_worker: Worker
) -> None:
    def status(asked: Asked, **headers: str) -> int:
        body = {"name": another_kept_worker.name, "backend": "local"}
        return int(asked.post("/api/workers/terminate", body, **headers).status_code)

    ours = {"X-Worker-Tasks": "page"}
    folder = Path(another_kept_worker.place)
    assert status(ask("alice", "viewer"), **ours) == 403
    assert status(ask("bob", "user"), **ours) == 404  # not even that it is there
    assert status(ask("alice", "user")) == 403  # as from another site
    assert folder.is_dir()
    assert status(ask("alice", "user"), **ours) == 200
    assert not folder.exists()
    assert status(ask("alice", "user"), **ours) == 404
    assert _audited() == [("alice", "alice_pages", {"worker": another_kept_worker.name, "backend": "local"})]


def test_a_worker_made_by_hand_belongs_to_who_may_edit_all_dags(ask: Callable[..., Asked]) -> None:
    with Worker() as worker:
        worker.start()
        assert worker.name in [row["name"] for row in ask("root").get("/api/workers").json()["workers"]]
        assert worker.name not in ask("alice", "user").get("/api/workers").text


def test_the_worker_of_a_task_is_told(ask: Callable[..., Asked], ran: dict[str, Any]) -> None:
    told = ask("alice", "viewer").get("/api/worker", task_id="keeps", **ran).json()
    assert told["state"] == "success"
    assert told["worker"]["backend"] == "local"
    assert Path(told["worker"]["folder"]).is_dir()
    failed = ask("alice", "viewer").get("/api/worker", task_id="fails", **ran).json()
    assert (failed["outcome"]["category"], failed["lines"]) == ("task", {})
    assert ask("alice", "viewer").get("/api/worker", task_id="nothing", **ran).status_code == 404


def test_a_pod_is_told_with_lines_to_copy_unless_its_name_could_do_harm(
    ask: Callable[..., Asked], ran: dict[str, Any], set_xcom: Callable[..., None]
) -> None:
    pod = {"backend": "kubernetes", "namespace": "jobs", "name": "sales-1"}
    set_xcom("keeps", "worker", pod)
    lines = ask("alice", "viewer").get("/api/worker", task_id="keeps", **ran).json()["lines"]
    assert "kubectl exec -it --namespace jobs sales-1 --container worker -- sh" in lines.values()
    set_xcom("keeps", "worker", {**pod, "name": "x; rm -rf ~"})
    assert ask("alice", "viewer").get("/api/worker", task_id="keeps", **ran).json()["lines"] == {}


def test_nodes_of_a_dag_and_what_each_got(ask: Callable[..., Asked], ran: dict[str, Any]) -> None:
    told = ask("alice", "viewer").get("/api/nodes", dag_id="alice_pages").json()
    assert told["run_id"] == ran["run_id"]
    got = {(row["task_id"], row["node"], row["implementation"], row["state"]) for row in told["tasks"]}
    assert got == {
        ("mapped", "edge", "Probe", "success"),
        ("mapped", "core", "Probe", "success"),
        ("report", None, "report.ipynb", "success"),
        ("keeps", "edge", "keeps", "success"),
        ("fails", None, "fails", "failed"),
    }
    assert {node["name"]: node["properties"] for node in told["nodes"]} == {"edge": {"city": "Oslo"}, "core": {}}


def test_the_node_file_is_shown_to_who_may_see_all_dags_and_its_secrets_to_nobody(
    ask: Callable[..., Asked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text(NODE_FILE)
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__NODE_FILE", str(path))
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__NAMESPACE", "jobs")
    assert ask("alice", "viewer").get("/api/node-file").status_code == 403
    told = ask("root").get("/api/node-file")
    assert "hunter22" not in told.text
    assert (told.json()["path"], told.json()["notes"]) == (str(path), [])
    hub, edge, cloud = told.json()["nodes"]
    assert hub["properties"] == {
        "city": HOSTILE,
        "login": {"user": "root", "password": "***"},
        "mirror": "https://***@example.org",
    }
    assert (hub["name"], hub["architecture"], hub["backend"]) == ("hub", "linux/amd64", "local")
    assert hub["worker"] == "worker_size=Small, env_variables=(TOKEN)"
    assert (edge["backend"], edge["kubernetes_conn_id"], edge["namespace"]) == ("kubernetes", "north", "jobs")
    assert (cloud["name"], cloud["up_to"]) == ("cloud", 50)
    assert "did you mean 'worker_size'?" in cloud["fault"]


@pytest.mark.parametrize(
    ("written", "option", "note"),
    [
        ("", "", None),
        ("nodes: []", "{path}", None),
        ("nodes: [{name: 3}]", "{path}", "line 1: nodes[0].name"),
        ("nodes: [", "{path}", "not YAML"),
        ("", "{path}.json", "No such file or directory"),
        ("", "nodes.yaml", "expected an absolute path"),
    ],
)
def test_a_node_file_that_cannot_be_shown_is_told_why(
    ask: Callable[..., Asked],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    written: str,
    option: str,
    note: str | None,
) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text(written)
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__NODE_FILE", option.format(path=path))
    told = ask("root").get("/api/node-file").json()
    assert told["nodes"] == []
    assert [note in one for one in told["notes"]] == ([] if note is None else [True])


def test_an_executed_notebook_is_shown_without_its_scripts(ask: Callable[..., Asked], ran: dict[str, Any]) -> None:
    page = ask("alice", "viewer").get("/notebook/content", task_id="report", **ran)
    assert page.status_code == 200
    assert "<script" not in page.text.lower()
    assert "&lt;script&gt;" in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert "allow-" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"


def test_an_edited_xcom_leads_nowhere_else(
    ask: Callable[..., Asked], ran: dict[str, Any], set_xcom: Callable[..., None], reports: Path, tmp_path: Path
) -> None:
    def status(path: Any) -> int:
        set_xcom("report", "notebook", path)
        told = ask("alice", "viewer").get("/notebook/content", task_id="report", **ran)
        assert "secret" not in told.text
        return int(told.status_code)

    elsewhere = tmp_path / "other.ipynb"
    elsewhere.write_text(json.dumps({"cells": [], "nbformat": 4, "metadata": {"secret": 1}}))
    (reports / "broken.ipynb").write_text("secret, and no JSON")
    assert status(str(elsewhere)) == 403
    assert status(f"{reports}/../{tmp_path.name}/other.ipynb") == 403
    assert status("/etc/passwd") == 403
    assert status("s3://bucket/other.ipynb") == 403
    assert status(["/etc/passwd"]) == 404
    assert status(f"{reports}/gone.ipynb") == 404
    assert status(f"{reports}/broken.ipynb") == 422


def test_a_mapped_task_and_a_task_that_failed_have_their_links(ran: dict[str, Any]) -> None:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        found = {
            (row.task_id, row.map_index, row.key): XComModel.deserialize_value(row)
            for row in session.query(XComModel).filter_by(**ran).filter(XComModel.key.startswith("_link_"))
        }
    assert found["mapped", 1, "_link_worker"].startswith("/plugin/worker-tasks/worker-tasks/worker?dag_id=alice_pages&")
    assert found["mapped", 1, "_link_worker"].endswith("&task_id=mapped&map_index=1")
    assert found["fails", -1, "_link_failure"] == "/plugin/worker-tasks/worker-tasks/failures#task"
    assert found["keeps", -1, "_link_failure"] == ""
    assert "/worker-tasks/notebook?" in found["report", -1, "_link_notebook"]


def _audited() -> list[tuple[Any, ...]]:
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(Log).filter_by(event="worker_tasks.terminate").all()
        return [(entry.owner, entry.dag_id, json.loads(entry.extra)) for entry in found]
