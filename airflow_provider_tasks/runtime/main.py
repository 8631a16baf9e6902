"""How a worker is started: ``python ENTRY serve|pod|run|execute|layer …``; see :func:`main`."""

from __future__ import annotations

import gc
import os
import sys


def main(entry: str, argv: list[str]) -> None:
    """Do what ``argv`` says; ``entry`` is what Python runs to come here again.

    ``serve CONTROL_FD FOLDER [keep]``: take requests from standard input. ``run REQUEST OUTCOME TASK_FOLDER FOLDER``:
    run one request. ``pod KEEP_SECONDS``: be the first process of a pod; ``outcome NUMBER``, ``request NUMBER SIZE``,
    ``send-files PATH`` and ``take-files PATH SIZE`` run beside it, see :mod:`airflow_provider_tasks.runtime.pod`.
    ``notebook-server FOLDER TASK_FOLDER``: start a Jupyter server, or find it.
    ``execute REQUEST FOLDER``: be the process of the user's code. ``layer FOLDER``: make a virtual environment. The
    last two are what the others start.
    """
    command, *rest = argv
    if command == "execute":
        gc.disable()  # what is loaded until the task runs stays: looking for garbage would be a tenth of the time
        from airflow_provider_tasks.runtime import executor

        executor.main(*rest)
    elif command == "layer":
        from airflow_provider_tasks.runtime import layer

        layer.create(*rest)
    elif command == "serve":
        from airflow_provider_tasks.runtime import guardian

        guardian.guard(rest[1], keep="keep" in rest[2:])  # early: what is in memory when a process forks costs time
        from airflow_provider_tasks.runtime import supervisor

        supervisor.serve(entry, int(rest[0]), rest[1])
    elif command == "pod":
        from airflow_provider_tasks.runtime import pod

        pod.serve(entry, *rest)
    elif command in ("outcome", "request", "send-files", "take-files"):
        from airflow_provider_tasks.runtime import pod

        pod.COMMANDS[command](*rest)
    elif command == "notebook-server":
        from airflow_provider_tasks.runtime import notebook_server

        notebook_server.serve(*rest)
    elif command == "run":
        from airflow_provider_tasks.runtime import supervisor

        supervisor.Supervisor(entry).run(*map(os.path.abspath, rest))
    else:
        sys.exit(f"unknown command {command!r}, expected serve, pod, run, execute or layer")
