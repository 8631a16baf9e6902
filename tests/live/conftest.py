from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.airflow_installation import AirflowInstallation

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowInstallation]:
    """A real Airflow with the example DAGs, the DAGs of ``tests/live/dags``, and what a test writes."""
    # pytest dies of SIGTERM (`timeout`, a CI job that is cancelled) without running teardown.
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        with AirflowInstallation(tmp_path_factory.mktemp("airflow")) as installation:
            yield installation
    finally:
        signal.signal(signal.SIGTERM, previous)
