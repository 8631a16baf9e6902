"""``airflow-tasks workers`` and ``cleanup``: workers that are kept, and what was left behind."""

from __future__ import annotations

import json
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.cli.options import add_settings, command, config_of

_LOOK = 60.0
"""Seconds between two looks whether the pod of a notebook is still there."""

if TYPE_CHECKING:
    import argparse

    from airflow_provider_tasks.workers.by_hand import Worker


def add(commands: Any) -> None:
    """Add the command ``workers``, with an action for each thing to do."""
    workers = command(
        commands, "workers", summary="list, look into and end the workers that are kept", example="workers list"
    )
    actions = workers.add_subparsers(dest="what", required=True, metavar="ACTION")

    listed = command(actions, "list", summary="show which workers are kept", example="workers list --json")
    listed.add_argument("--json", action="store_true", help="print them as JSON")
    listed.set_defaults(call=_list)

    logs = command(actions, "logs", summary="show what a worker's tasks have printed", example="workers logs NAME")
    logs.set_defaults(call=_logs)

    execute = command(
        actions,
        "exec",
        summary="run a command in a worker, where its tasks run",
        example="workers exec NAME -- ls -l",
        codes="It ends with the exit code of the command.",
    )
    execute.set_defaults(call=_exec)

    notebook = command(
        actions,
        "notebook",
        summary="open a notebook on a worker, in the browser",
        example="workers notebook NAME --url-only",
        description="Its address is printed; whoever has it has the worker. Where the worker is a pod, the way to it "
        "goes through this command, which stays until Ctrl-C.",
    )
    notebook.add_argument("--url-only", action="store_true", help="do not open the browser")
    notebook.set_defaults(call=_notebook)

    terminate = command(actions, "terminate", summary="end workers", example="workers terminate NAME NAME")
    terminate.add_argument("name", nargs="+", help="what workers list shows")
    terminate.set_defaults(call=_terminate)

    for action in (logs, execute, notebook):
        action.add_argument("name", help="what workers list shows")
    execute.add_argument("words", nargs="*", metavar="COMMAND", help="behind -- if it has options")
    for action in (listed, logs, execute, notebook, terminate):
        add_settings(action)


def add_cleanup(commands: Any) -> None:
    """Add the command ``cleanup``."""
    clean = command(
        commands,
        "cleanup",
        summary="find pods that nobody waits for, and kept workers past their time",
        example="cleanup --backend kubernetes --remove",
    )
    clean.add_argument("--remove", action="store_true", help="remove the pods too; without it they are only shown")
    add_settings(clean)
    clean.set_defaults(call=_cleanup)


def _list(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.by_hand import Worker

    workers = Worker.list(config_of(given))
    if given.json:
        print(json.dumps([_told(worker) for worker in workers]))
    for worker in () if given.json else workers:
        told = _told(worker)
        print("  ".join(str(value) for value in told.values() if value))
    if not workers and not given.json:
        print("No worker is kept.", file=sys.stderr)
    return 0


def _told(worker: Worker) -> dict[str, Any]:
    return {
        "name": worker.name,
        "backend": worker.config.backend or "local",
        "node": worker.node.name if worker.node else None,
        "status": worker.status,
        "place": worker.place,
    }


def _logs(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.by_hand import Worker

    print(Worker.get(given.name, config_of(given)).logs())
    return 0


def _exec(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.by_hand import Worker

    words = given.words
    done = Worker.get(given.name, config_of(given)).exec(words[0] if len(words) == 1 else shlex.join(words))
    sys.stdout.write(done.output)
    return done.exit_code


def _notebook(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.by_hand import Worker

    worker = Worker.get(given.name, config_of(given))
    print(worker.open_notebook(get_url_only=given.url_only), flush=True)
    if worker.config.backend == "kubernetes":
        print("The way to the pod is open until Ctrl-C.", file=sys.stderr)
        while True:
            time.sleep(_LOOK)
            worker.open_notebook(get_url_only=True)  # which says so when the pod is gone
    return 0


def _terminate(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.by_hand import Worker

    for worker in [Worker.get(name, config_of(given)) for name in given.name]:
        worker.terminate()
    return 0


def _cleanup(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.connections import connected_cluster
    from airflow_provider_tasks.workers.kept import Record
    from airflow_provider_tasks.workers.opening import direct_settings

    settings = direct_settings(None, config_of(given))
    kept = Record.all(settings)
    print(f"{len(kept)} local workers are kept and within their time; others are gone.", file=sys.stderr)
    if settings.backend != "kubernetes":
        return 0
    from airflow_provider_tasks.workers.kubernetes.orphans import clean_up

    cluster = connected_cluster(settings.config.kubernetes_conn_id)
    found = clean_up(cluster, settings.config.namespace, settings.installation, remove=given.remove)
    for orphan in found:
        print(f"{'Removed' if given.remove else 'Would remove'} {orphan}")
    if not found:
        print("Nothing was left behind in the cluster.", file=sys.stderr)
    return 0
