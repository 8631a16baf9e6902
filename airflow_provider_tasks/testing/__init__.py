"""A test kit for tasks and DAGs: a plugin for pytest, which a project asks for in its ``conftest.py``.

``pytest_plugins = ["airflow_provider_tasks.testing"]`` gives the fixtures ``run_in_worker`` and ``run_dag``. It is no
plugin that pytest finds by itself: a project that has this package installed and does not test DAGs pays nothing.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from airflow_provider_tasks.testing.dags import Run, RunDag
from airflow_provider_tasks.testing.fakes import Fake, fake_outcome
from airflow_provider_tasks.testing.plugin import airflow_database, pytest_configure, run_dag, run_in_worker
from airflow_provider_tasks.testing.tasks import Ran, RunInWorker, dispatch

__all__ = [
    "Fake",
    "Ran",
    "Run",
    "RunDag",
    "RunInWorker",
    "airflow_database",
    "dispatch",
    "fake_outcome",
    "pytest_configure",
    "run_dag",
    "run_in_worker",
]
