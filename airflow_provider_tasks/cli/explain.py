"""``airflow-tasks explain``: what the tasks of a DAG file come to, and why."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.cli.logs import log_apart
from airflow_provider_tasks.cli.options import NOT_DONE, command

if TYPE_CHECKING:
    import argparse

    from airflow_provider_tasks.cli.explanation import Explained
    from airflow_provider_tasks.workers.origins import Origin

_SAID_ALREADY = ("backend", "worker_image", "worker_size")


def add(commands: Any) -> None:
    """Add the command."""
    explain = command(
        commands,
        "explain",
        summary="say which implementation, image, size and requirements each task of a DAG file gets, and why",
        example="explain dags/measure.py --json",
        description="The file is loaded as Airflow loads it; nothing runs, and no cluster is asked.",
        codes="Exit codes: 0 all is well, 2 the file is not there, has no DAG, or can't be imported.",
    )
    explain.add_argument("file", metavar="DAG_FILE", help="the DAG file")
    explain.add_argument("--dag", metavar="DAG_ID", help="only this DAG of the file")
    explain.add_argument("--task", metavar="TASK_ID", help="only this task")
    explain.add_argument("--root", metavar="FOLDER", help="the folder of the DAG bundle, from which the file imports")
    explain.add_argument("--json", action="store_true", help="print JSON")
    explain.set_defaults(call=_explain)


def _explain(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.cli.explanation import explain
    from airflow_provider_tasks.model.suggest import did_you_mean
    from airflow_provider_tasks.workers.failures import ConfigurationError

    dags, errors = _load(given.file, given.root)
    if errors:
        for error in errors:
            print(error, file=sys.stderr)
        return NOT_DONE
    if not dags:
        raise ConfigurationError(f"there is no DAG in {given.file}")
    if given.dag is not None and given.dag not in dags:
        raise ConfigurationError(f"there is no DAG {given.dag!r} in {given.file}; {did_you_mean(given.dag, dags)}")
    found = {dag_id: list(explain(dag)) for dag_id, dag in dags.items() if given.dag in (None, dag_id)}
    if given.task is not None:
        ids = {task.task_id for tasks in found.values() for task in tasks}
        if given.task not in ids:
            raise ConfigurationError(
                f"no task {given.task!r} of {given.file} runs in a worker; {did_you_mean(given.task, sorted(ids))}"
            )
        found = {dag_id: [task for task in tasks if task.task_id == given.task] for dag_id, tasks in found.items()}
    if given.json:
        told = [{"dag_id": dag_id, "tasks": [task.to_json() for task in tasks]} for dag_id, tasks in found.items()]
        print(json.dumps({"file": os.path.abspath(given.file), "dags": told}, default=str))
        return 0
    for dag_id, tasks in found.items():
        print(f"DAG {dag_id}" if tasks else f"DAG {dag_id}: none of its tasks runs in a worker")
        for task in tasks:
            print()
            _show(task)
        print()
    return 0


def _load(file: str, given_root: str | None) -> tuple[dict[str, Any], list[str]]:
    """Load a DAG file as Airflow's DAG processor does; what its code prints is not part of the answer."""
    from airflow.dag_processing.dagbag import DagBag

    from airflow_provider_tasks.workers.failures import ConfigurationError

    path = os.path.abspath(file)
    if not os.path.isfile(path):
        raise ConfigurationError(f"there is no file {path}")
    root = os.path.abspath(given_root) if given_root is not None else _root_of(path)
    if root not in sys.path:
        sys.path.append(root)
    bag = DagBag(root, collect_dags=False)
    with contextlib.redirect_stdout(sys.stderr), log_apart(logging.CRITICAL):  # errors are shown by who calls
        bag.process_file(path, only_if_updated=False, safe_mode=False)  # type: ignore[no-untyped-call]
    return dict(sorted(bag.dags.items())), list(bag.import_errors.values())


def _root_of(path: str) -> str:
    """Return the folder from which a DAG file imports: the DAGs folder where the file is in it."""
    from airflow.sdk.configuration import conf

    folder = os.path.abspath(os.path.expanduser(str(conf.get("core", "dags_folder"))))
    return folder if path.startswith(folder + os.sep) else os.path.dirname(path)


def _show(task: Explained) -> None:
    from airflow_provider_tasks.cli.explanation import LATER
    from airflow_provider_tasks.model.node import Architecture

    print(f"  {task.label}  ({task.operator})")
    node = task.node
    if node is None:
        _row("node", "none")
    elif isinstance(node, str):
        _row("node", node)
    else:
        known = node.architecture is not Architecture.UNKNOWN
        _row("node", f"{node.name} ({node.architecture.value})" if known else node.name)
    for pick in task.picks:
        chosen = f", picked by {pick.dispatcher}" if pick.dispatcher else ""
        text = f"{pick.implementation or LATER}{chosen}"
        _row("implementation", f"{pick.name}: {text}" if pick.name else text)
    _row("backend", _with_source(task.backend))
    if task.image is not None:
        _row("image", _with_source(task.image))
    size = task.settings.get("worker_size")
    _row("size", f"{task.size}{_source(size)}")
    if task.requirements is None:
        _row("requirements", LATER)
    for command_line in task.requirements or ():
        _row("requirement", command_line)
    for name, origin in task.settings.items():
        if name not in _SAID_ALREADY:
            _row("setting", f"{name}{'' if origin.value is None else f' = {origin.value}'}{_source(origin)}")
    for note in task.notes:
        _row("note", note)


def _row(name: str, text: str) -> None:
    first, *rest = text.splitlines() or [""]
    print(f"    {name:<15} {first}")
    for line in rest:
        print(f"    {'':<15} {line}")


def _with_source(origin: Origin) -> str:
    return f"{_later(origin.value)}{_source(origin)}"


def _later(value: Any) -> str:
    from airflow_provider_tasks.cli.explanation import LATER
    from airflow_provider_tasks.operators.base import is_put_off

    return f"{value}, {LATER}" if is_put_off(value) else str(value)


def _source(origin: Origin | None) -> str:
    return f"    <- {origin.source}" if origin is not None else ""
