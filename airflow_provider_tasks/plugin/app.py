"""The pages' application: what the API server answers below ``/worker-tasks``."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from html import escape
from importlib.resources import files
from itertools import pairwise
from typing import Annotated, Any, Literal
from urllib.parse import quote

from airflow.api_fastapi.common.dagbag import get_dag_for_run_or_latest_version
from airflow.exceptions import TaskNotFound
from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.utils.session import create_session
from fastapi import Body, Depends, FastAPI, HTTPException, Query, Request, Response, status
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from starlette.exceptions import HTTPException as AnyHTTPException

from airflow_provider_tasks.links.addresses import PREFIX, in_the_ui, root
from airflow_provider_tasks.plugin import node_file, nodes, notebook, rendering, workers
from airflow_provider_tasks.plugin.access import MAY_OPEN, AccessDep, from_our_page
from airflow_provider_tasks.plugin.tasks import Key, state_of, xcoms
from airflow_provider_tasks.workers.failures import WorkerError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"}
_KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_STATIC = ("page.css", "page.js", "icon.svg", "icon-dark.svg")
_LOADING = '<p class="dim">Loading…</p>'
_REFUSALS = {
    401: "You are not logged in.",
    403: "You may not see this page. It takes the permission to see plugins, and what belongs to a DAG takes that to "
    "see the DAG. An administrator of Airflow gives them.",
    404: "There is no such page.",
}
_dags = DBDagBag()


def _task(
    dag_id: Annotated[str, Query()],
    run_id: Annotated[str, Query()],
    task_id: Annotated[str, Query()],
    access: AccessDep,
    map_index: Annotated[int, Query()] = -1,
) -> Key:
    """Return the task that is asked about, if the user may see it."""
    access.require(access.may_see(dag_id))
    return Key(dag_id, run_id, task_id, map_index)


KeyDep = Annotated[Key, Depends(_task)]


@lru_cache(maxsize=1)
def app() -> FastAPI:
    """Return the application."""
    made = FastAPI(title="Worker tasks", docs_url=None, redoc_url=None, openapi_url=None)
    made.exception_handler(AnyHTTPException)(refusal)
    for path in ("/", "/nodes", "/worker", "/notebook", "/failures"):
        made.get(path, dependencies=[MAY_OPEN], response_class=HTMLResponse)(page)
    made.get("/static/{name}")(static)
    made.get("/notebook/content", dependencies=[MAY_OPEN], response_class=HTMLResponse)(notebook_content)
    made.get("/api/failures", dependencies=[MAY_OPEN])(failures)
    made.get("/api/workers", dependencies=[MAY_OPEN])(list_workers)
    made.get("/api/worker", dependencies=[MAY_OPEN])(one_worker)
    made.get("/api/nodes", dependencies=[MAY_OPEN])(nodes_of_dag)
    made.get("/api/node-file", dependencies=[MAY_OPEN])(nodes_of_file)
    made.post("/api/workers/terminate", dependencies=[MAY_OPEN, Depends(from_our_page)])(terminate)
    return made


def page() -> HTMLResponse:
    """Return the page, which is the same for all; its script asks for what it shows."""
    return HTMLResponse(_file("page.html"), headers={**_HEADERS, "Content-Security-Policy": POLICY})


async def refusal(request: Request, error: Exception) -> Response:
    """Answer what was refused: a page that says why to who opens a page, else JSON, which the pages' script reads."""
    assert isinstance(error, AnyHTTPException)
    path = request.url.path.rpartition(f"{PREFIX}/")[2]
    if path.startswith(("api/", "static/")) or request.method != "GET":
        return await http_exception_handler(request, error)
    told, link = _REFUSALS.get(error.status_code, str(error.detail)), ""
    if error.status_code == status.HTTP_401_UNAUTHORIZED:
        back = quote(in_the_ui(path.removesuffix("/content"), dict(request.query_params)))
        link = f' <a href="{root()}/api/v2/auth/login?next={back}" target="_top">Log in</a>'
    headers = {**_HEADERS, **(error.headers or {})}
    if path == "notebook/content":
        dark = request.query_params.get("theme") == "dark"
        headers["Content-Security-Policy"] = rendering.POLICY
        return HTMLResponse(rendering.message_page(escape(told), dark=dark), error.status_code, headers)
    note = f'<p class="note bad" role="alert">{escape(told)}{link}</p>'
    text = _file("page.html").replace("<body>", "<body data-refused>").replace(_LOADING, note)
    headers["Content-Security-Policy"] = POLICY
    return HTMLResponse(text, error.status_code, headers)


def static(name: str) -> Response:
    """Return the style sheet, the script or an icon: they hold nothing that is not in the package."""
    if name not in _STATIC:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "Not found")
    kind = _KINDS[name.rpartition(".")[2]]
    return Response(_file(name), media_type=kind, headers={**_HEADERS, "Cache-Control": "max-age=300"})


def list_workers(access: AccessDep) -> dict[str, Any]:
    """Return the workers that the user may see."""
    with create_session() as session:
        found = workers.list_workers(session, access)
    rows = [row.to_json() for row in found.rows]
    return {"workers": rows, "notes": found.notes, "host": found.host, "folder": found.folder}


def terminate(
    name: Annotated[str, Body()],
    backend: Annotated[Literal["local", "kubernetes"], Body()],
    access: AccessDep,
    uid: Annotated[str, Body()] = "",
) -> dict[str, str]:
    """End a worker that is kept or was left behind, if the user may; which one that is, is looked up here again."""
    with create_session() as session:
        listed = workers.list_workers(session, access).rows
        row = next((row for row in listed if (row.name, row.backend, row.uid) == (name, backend, uid)), None)
        if row is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such worker, or you may not see it.")
        access.require(access.may_end(row.dag_id))
        if row.action != "terminate":
            raise HTTPException(status.HTTP_409_CONFLICT, "A task runs in it: mark that as failed, which ends it.")
        of = {} if row.dag_id is None or row.key is None else row.key._asdict()
        extra = json.dumps({"worker": name, "backend": backend})
        session.add(Log("worker_tasks.terminate", owner=access.name, extra=extra, **of))
    try:
        workers.terminate(row)
    except WorkerError as error:
        raise HTTPException(status.HTTP_502_BAD_GATEWAY, error.summary) from error
    return {"terminated": name}


def one_worker(key: KeyDep) -> dict[str, Any]:
    """Return what is known of the worker of a task."""
    with create_session() as session:
        state = state_of(session, key)
        if state is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such task.")
        told = xcoms(session, key, ["worker", "outcome", "notebook"])
    worker = told["worker"] if isinstance(told.get("worker"), dict) else None
    outcome = told["outcome"] if isinstance(told.get("outcome"), dict) else None
    lines = {}
    if worker is not None and worker.get("backend") == "kubernetes":
        namespace, name = str(worker.get("namespace")), str(worker.get("name"))
        lines = workers.shell_lines(namespace, name) if _are_plain(namespace, name) else {}
    return {
        "state": state[0],
        "try_number": state[1],
        "started": state[2],
        "worker": worker,
        "outcome": outcome,
        "lines": lines,
        "has_notebook": "notebook" in told,
    }


def nodes_of_dag(
    dag_id: Annotated[str, Query()], access: AccessDep, run_id: Annotated[str | None, Query()] = None
) -> dict[str, Any]:
    """Return the nodes of a DAG, and which of its tasks runs what on which; of its latest run unless one is named."""
    access.require(access.may_see_tasks(dag_id))
    with create_session() as session:
        with_xcoms = access.may_see(dag_id)
        asked = select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc()).limit(1)
        if run_id is not None:
            asked = asked.where(DagRun.run_id == run_id)
        run = session.scalar(asked) if with_xcoms else None
        if run is None and run_id is not None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such run, or you may not see it.")
        dag = get_dag_for_run_or_latest_version(_dags, run, dag_id, session)
        run_id = None if run is None else run.run_id
        rows = nodes.rows(session, dag, run_id, with_xcoms=with_xcoms)
    return {"dag_id": dag_id, "run_id": run_id, "nodes": nodes.nodes_of(dag), "tasks": rows}


def nodes_of_file(access: AccessDep) -> dict[str, Any]:
    """Return the nodes of the configured file, which belong to no DAG: to who may see the tasks of all DAGs."""
    access.require(access.may_see_tasks(None))
    return node_file.listing()


def notebook_content(key: KeyDep, theme: Literal["light", "dark"] = "light") -> HTMLResponse:
    """Return the executed notebook of a task as HTML that can do nothing."""
    headers = {**_HEADERS, "Content-Security-Policy": rendering.POLICY}
    try:
        with create_session() as session:
            run = session.scalar(select(DagRun).where(DagRun.dag_id == key.dag_id, DagRun.run_id == key.run_id))
            if run is None:
                raise notebook.CannotShowError(404, "There is no such run.")
            dag = get_dag_for_run_or_latest_version(_dags, run, key.dag_id, session)
            path = notebook.path_of(session, key, dag.get_task(key.task_id))
        html = rendering.render_notebook(notebook.read(path), path, dark=theme == "dark")
        return HTMLResponse(html, headers=headers)
    except TaskNotFound:
        code, message = 404, "There is no such task."
    except notebook.CannotShowError as error:
        code, message = error.status, str(error)
    except rendering.NotANotebookError as error:
        code, message = 422, str(error)
    return HTMLResponse(rendering.message_page(escape(message), dark=theme == "dark"), code, headers)


def failures() -> dict[str, str]:
    """Return the page of the documentation that tells of failures, as HTML."""
    return {"html": _failures()}


@lru_cache(maxsize=1)
def _failures() -> str:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("js-default", {"html": False, "linkify": False})
    tokens = parser.parse(_file("failures.md"))
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            before.attrSet("id", token.content.lower().replace(" ", "-"))
    html = str(parser.renderer.render(tokens, parser.options, {}))
    return re.sub(r'<a href="(?!#)[^"]*">(.*?)</a>', r"\1", html)  # the other pages of the documentation are not here


@lru_cache(maxsize=8)
def _file(name: str) -> str:
    return files(__package__).joinpath("static", name).read_text(encoding="utf-8")


def _are_plain(*names: str) -> bool:
    """Whether names are such that a line with them can be copied into a shell."""
    return all(name and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.") for name in names)
