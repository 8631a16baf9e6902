from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kubernetes.cluster import TestCluster
from tests.kubernetes.fixtures import cluster, mark_kubernetes, use_of_the_cluster
from tests.live.airflow_installation import AirflowInstallation
from tests.live.airflow_on_kubernetes import AirflowOnKubernetes

__all__ = ["cluster", "use_of_the_cluster"]

HERE = Path(__file__).parent

collect_ignore = ["dags/worker_file_folder"]  # scripts, which run in workers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.live)
    mark_kubernetes(ours)


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowInstallation]:
    """A real Airflow with the example DAGs, the DAGs of ``tests/live/dags``, and what a test writes."""
    with started(AirflowInstallation(tmp_path_factory.mktemp("airflow"))) as installation:
        yield installation


@pytest.fixture(scope="session")
def airflow_on_kubernetes(
    cluster: TestCluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AirflowOnKubernetes]:
    """A real Airflow with the DAGs of ``tests/live/dags_kubernetes``, whose tasks run in the tests' cluster."""
    installation = AirflowOnKubernetes(tmp_path_factory.mktemp("airflow-on-kubernetes"), cluster)
    with started(installation):
        yield installation


@contextmanager
def started(installation: AirflowInstallation) -> Iterator[AirflowInstallation]:
    # pytest dies of SIGTERM (`timeout`, a CI job that is cancelled) without running teardown.
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        with installation:
            yield installation
    finally:
        signal.signal(signal.SIGTERM, previous)
