"""The fixtures of the real cluster; without TEST_KUBECONFIG every test that uses it is skipped."""

from __future__ import annotations

import pytest

from tests.kubernetes.airflow_tasks import airflow_tasks, dags_folder, metadata_database, parse, run
from tests.kubernetes.fixtures import breaks_the_cluster, cluster, mark_kubernetes, proxy, use_of_the_cluster

__all__ = [
    "airflow_tasks",
    "breaks_the_cluster",
    "cluster",
    "dags_folder",
    "metadata_database",
    "parse",
    "proxy",
    "run",
    "use_of_the_cluster",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_kubernetes(items)
