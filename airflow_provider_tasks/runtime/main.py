"""How a worker is started: ``python ENTRY serve|run|execute|layer …``; see :func:`main`."""

from __future__ import annotations

import gc
import os
import sys


def main(entry: str, argv: list[str]) -> None:
    """Do what ``argv`` says; ``entry`` is what Python runs to come here again.

    ``serve CONTROL_FD FOLDER [keep]``: take requests from standard input. ``run REQUEST OUTCOME TASK_FOLDER FOLDER``:
    run one request. ``execute REQUEST FOLDER``: be the process of the user's code. ``layer FOLDER``: make a
    virtual environment. The last two are what the first two start.
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
    elif command == "run":
        from airflow_provider_tasks.runtime import supervisor

        supervisor.Supervisor(entry).run(*map(os.path.abspath, rest))
    else:
        sys.exit(f"unknown command {command!r}, expected serve, run, execute or layer")
