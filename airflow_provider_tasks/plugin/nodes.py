"""Which node of a DAG got which implementation, and what came of it."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from airflow.sdk.log import redact  # type: ignore[attr-defined]

from airflow_provider_tasks.links.task_instance import WorkerLink
from airflow_provider_tasks.operators.documentation import without_passwords
from airflow_provider_tasks.plugin.tasks import states_of_run, xcoms_of_run
from airflow_provider_tasks.workers.settings import NODE_CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.orm import Session


def is_ours(task: Any) -> bool:
    """Whether a task of a DAG, as Airflow keeps it, runs in a worker."""
    return any(link.xcom_key == WorkerLink.xcom_key for link in task.operator_extra_links)


def nodes_of(dag: Any) -> list[dict[str, Any]]:
    """Return the nodes that a DAG holds, with what is known of them, each once and in order."""
    found: dict[str, dict[str, Any]] = {}
    for task in dag.tasks:
        for node in _declared_nodes(task) if is_ours(task) else ():
            found.setdefault(str(node["name"]), {**node, "properties": shown(node.get("properties") or {})})
    return list(found.values())


def shown(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a page tells of a node's properties: no settings of workers, and nothing that Airflow would mask.

    >>> shown({"city": "Oslo", "login": {"password": "hunter22"}, "mirror": "https://bob:hunter22@example.org"})
    {'city': 'Oslo', 'login': {'password': '***'}, 'mirror': 'https://***@example.org'}
    """
    masked: Any = redact({key: value for key, value in properties.items() if key != NODE_CONFIG})
    return {key: _without_passwords(value) for key, value in masked.items()}


def _without_passwords(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_passwords(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_passwords(item) for item in value]
    return without_passwords(value) if isinstance(value, str) else value


def rows(session: Session, dag: Any, run_id: str | None, *, with_xcoms: bool) -> list[dict[str, Any]]:
    """Return a row for each task that runs in a worker: node, implementation, and what came of it in a run.

    Args:
        session: Airflow's database.
        dag: the DAG, as Airflow keeps it.
        run_id: the run; without it there is only what the DAG says.
        with_xcoms: tell what the tasks told; without it, only their states.

    """
    states = states_of_run(session, dag.dag_id, run_id) if run_id else {}
    outcomes, workers = (
        xcoms_of_run(session, dag.dag_id, run_id, name) if run_id and with_xcoms else {}
        for name in ("outcome", "worker")
    )
    told = []
    for task in dag.tasks:
        if not is_ours(task):
            continue
        nodes = [str(node.get("name")) for node in _declared_nodes(task)]
        implementation = _implementation(task)
        ran = sorted(key for key in states if key[0] == task.task_id) or [(task.task_id, -1)]
        for key in ran:
            outcome = outcomes.get(key)
            outcome = outcome if isinstance(outcome, dict) else {}
            worker = workers.get(key)  # told before there is an outcome
            state, seconds = states.get(key, (None, None))
            told.append(
                {
                    "task_id": task.task_id,
                    "map_index": key[1],
                    "node": outcome.get("node") or ", ".join(nodes) or None,
                    "implementation": outcome.get("implementation") or implementation,
                    "state": state,
                    "seconds": seconds,
                    "category": outcome.get("category"),
                    "worker": worker.get("name") if isinstance(worker, dict) else outcome.get("worker"),
                    "memory": outcome.get("peak_memory"),
                }
            )
    return told


def _implementation(task: Any) -> str | None:
    arguments = getattr(task, "partial_kwargs", None) or {}
    for found in (getattr(task, "implementation", None), *map(arguments.get, ("implementation", "task", "pipeline"))):
        if isinstance(found, str) and found:
            return found.rpartition(" ")[0] or found  # without the digest
    return None


def _declared_nodes(task: Any) -> Iterator[dict[str, Any]]:
    arguments = getattr(task, "partial_kwargs", None) or {}
    for declared in (getattr(task, "node", None), arguments.get("node"), *_mapped(task)):
        if isinstance(declared, dict) and "name" in declared:
            yield declared
        elif isinstance(declared, str) and declared.startswith("Node("):
            yield _of_repr(declared)


def _mapped(task: Any) -> list[Any]:
    """Return the nodes that a task is mapped over, where they are known."""
    expanded = getattr(task, "_get_specified_expand_input", lambda: None)()
    value = getattr(expanded, "value", None)
    if isinstance(value, dict):
        nodes = value.get("node")
        return nodes if isinstance(nodes, list) else []
    return [item.get("node") for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _of_repr(text: str) -> dict[str, Any]:
    """Return what Airflow wrote of a node in the arguments of a mapped task.

    >>> _of_repr("Node('edge', linux/amd64, {'city': 'Oslo'})")
    {'name': 'edge', 'architecture': 'linux/amd64', 'properties': {'city': 'Oslo'}}
    """
    found = _REPR.match(text)
    try:
        if found is not None:
            properties = ast.literal_eval(found["properties"] or "{}")
            name = ast.literal_eval(found["name"])
            return {"name": name, "architecture": found["architecture"] or "unknown", "properties": properties}
    except (SyntaxError, ValueError, RecursionError):
        pass  # a value that is no literal
    return {"name": text, "architecture": "unknown", "properties": {}}


_REPR = re.compile(
    r"""Node\((?P<name>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"(?:, (?P<architecture>[a-z]+/[a-z0-9]+))?(?:, (?P<properties>\{.*\}))?\)",
    re.DOTALL,
)
