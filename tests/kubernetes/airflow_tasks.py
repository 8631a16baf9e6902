"""Real Airflow tasks whose workers are pods, run by `dag.test()` in this process.

`tests/live` has the whole installation; here a task takes as long as its pod does.
"""

from __future__ import annotations

import json
import re
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.airflow.conftest import Run, dags_folder, metadata_database, parse, run
from tests.kubernetes.cluster import TestCluster

__all__ = ["Ended", "TaskInAPod", "airflow_tasks", "beside", "dags_folder", "metadata_database", "parse", "run"]

CONNECTION = "kubernetes_default"

_LOGGED = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[")
"""What a line of Airflow's log begins with; what does not goes on with the line before."""

_RAISED = re.compile(r"(?:[a-z_]\w*\.)+([A-Z]\w*): ")


@dataclass
class Ended:
    """A DAG run that has ended, and what Airflow's log says of it."""

    run: Run
    log: str

    @property
    def state(self) -> str:
        """The state of the one task."""
        (state,) = self.run.states.values()
        return state

    @property
    def raised(self) -> str:
        """The class of the exception that the task ended with."""
        match = _RAISED.match(self.last_lines)
        assert match, self.log
        return match[1]

    @property
    def last_lines(self) -> str:
        """The last lines of the task's log: the exception without its traceback."""
        lines = self.log.splitlines()
        begin = max(number for number, line in enumerate(lines) if _RAISED.match(line))
        end = next((number for number in range(begin, len(lines)) if _LOGGED.match(lines[number])), len(lines))
        return "\n".join(lines[begin:end])

    @staticmethod
    def rows(*tables: str) -> list[str]:
        """Give all that is in these tables of Airflow's database, as text."""
        from airflow.utils.session import create_session
        from sqlalchemy import text

        with create_session() as session:
            return [str(tuple(row)) for table in tables for row in session.execute(text(f"SELECT * FROM {table}"))]

    def order(self, *texts: str) -> None:
        """Assert that the log has these texts, in this order."""
        at = 0
        for text in texts:
            found = self.log.find(text, at)
            assert found >= 0, f"{text!r} is not in the log, or not after what came before:\n{self.log}"
            at = found + len(text)


class TaskInAPod:
    """Runs the one task of a DAG file's text in pods of the tests' cluster."""

    def __init__(
        self,
        cluster: TestCluster,
        run: Callable[..., Run],
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.cluster = cluster
        self.name = "task"
        self._run = run
        self._capfd = capfd
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("AIRFLOW__WORKER_TASKS__BACKEND", "kubernetes")
        monkeypatch.setenv("AIRFLOW__WORKER_TASKS__KUBERNETES_CONN_ID", CONNECTION)
        self.connect(cluster.kubeconfig)

    def connect(self, kubeconfig: str, **config: Any) -> None:
        """Let the connection lead through this kubeconfig; `config` is its ``worker_config``."""
        worker = {"worker_image": self.cluster.image, "image_pull_policy": "IfNotPresent", **config}
        extra = {"kube_config_path": kubeconfig, "namespace": self.cluster.namespace, "worker_config": worker}
        value = json.dumps({"conn_type": "kubernetes", "extra": extra})
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", value)

    def __call__(self, definition: str, call: str = "task_in_a_pod()", **options: Any) -> Ended:
        """Run `call`, of what `definition` defines, to its end."""
        text = f"""
import os, sys, time
{textwrap.dedent(definition)}
with DAG({self.name!r}, schedule=None):
    {call}
"""
        self._capfd.readouterr()
        ended = self._run(text, **options)
        return Ended(ended, self._capfd.readouterr().out)


@pytest.fixture
def airflow_tasks(
    cluster: TestCluster,
    run: Callable[..., Run],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> TaskInAPod:
    made = TaskInAPod(cluster, run, capfd, monkeypatch)
    made.name = re.sub(r"\W+", "_", request.node.name)[:60].rstrip("_")
    return made


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread, and raise what it raises."""
    errors: list[BaseException] = []

    def do() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=do)
    thread.start()
    yield
    thread.join()
    if errors:
        raise errors[0]
