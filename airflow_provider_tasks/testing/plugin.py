"""The plugin for pytest: an Airflow that is nobody's, and the fixtures."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile

import pytest

from airflow_provider_tasks.testing import tasks
from airflow_provider_tasks.testing.dags import RunDag

_HOME = pytest.StashKey[str]()

_ELSEWHERE = (
    "AIRFLOW_CONFIG",
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET",
)
"""What would lead tests to the settings, DAGs and database of a real installation."""


def pytest_configure(config: pytest.Config) -> None:
    """Give Airflow a home for these tests, with a database of its own, before anything imports it."""
    if "airflow" in sys.modules:
        return  # The fixture that needs it says so.
    home = tempfile.mkdtemp(prefix="airflow-provider-tasks-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    dags = os.path.join(home, "dags")
    os.makedirs(dags)
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    for name in _ELSEWHERE:
        patch.delenv(name, raising=False)
    patch.setenv("AIRFLOW_HOME", home)
    patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", dags)
    patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    config.stash[_HOME] = home


@pytest.fixture(scope="session")
def airflow_database(pytestconfig: pytest.Config) -> None:
    """Make the metadata database of these tests, which takes some seconds."""
    if _HOME not in pytestconfig.stash:
        raise pytest.UsageError(
            "something imported Airflow before airflow_provider_tasks.testing could give it a home and a database of "
            "its own. Load the plugin first: addopts = ['-p', 'airflow_provider_tasks.testing'] in pytest's settings"
        )
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def run_in_worker() -> tasks.RunInWorker:
    """Give the function that runs a task in a worker of this machine, without Airflow running."""
    return tasks.run_in_worker


@pytest.fixture
def run_dag(airflow_database: None, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> RunDag:
    """Give what runs a DAG to its end in this process."""
    return RunDag(pytestconfig.rootpath, monkeypatch)
