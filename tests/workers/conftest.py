"""The contract of a worker, whatever it runs on: `worker` is one of each backend, in turn."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from airflow_provider_tasks.runtime import values
from airflow_provider_tasks.runtime.outcome import Outcome
from airflow_provider_tasks.workers.base import WorkerBackend
from airflow_provider_tasks.workers.local import LocalWorker, setup_environment
from airflow_provider_tasks.workers.payload import pack

AT_MOST = 60
"""Seconds after which a task that should have ended is taken for one that hangs."""

BACKENDS: dict[str, Callable[..., WorkerBackend]] = {"local": LocalWorker}
"""What makes a worker of each backend, of `cache_folder`, `python` and `keep`."""

OpenWorker = Callable[..., WorkerBackend]


class Ran(NamedTuple):
    outcome: Outcome
    lines: list[str]


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first of all processes of this test run to ask for it makes, and all share."""
    if "PYTEST_XDIST_TESTRUNUID" not in os.environ:
        folder = factory.mktemp(name)
        make(folder)
        return folder
    folder = factory.getbasetemp().parent / name
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            folder.mkdir()
            make(folder)
    return folder


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "cache", lambda _: None)


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python of this version that has nothing installed."""
    argv = [sys.executable, "-m", "venv", "--without-pip"]
    folder = made_once(tmp_path_factory, "bare", lambda folder: subprocess.run([*argv, folder], check=True))
    return str(folder / "bin" / "python")


@pytest.fixture(params=BACKENDS)
def open_worker(request: pytest.FixtureRequest, cache_folder: Path) -> Iterator[OpenWorker]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            BACKENDS[request.param](**{"cache_folder": cache_folder, **options})
        )


@pytest.fixture
def worker(open_worker: OpenWorker) -> WorkerBackend:
    return open_worker()


@pytest.fixture
def run(worker: WorkerBackend) -> Callable[..., Ran]:
    return lambda call, *args, **parts: run_in(worker, call, *args, **parts)


def run_in(worker: WorkerBackend, call: Any, *args: Any, kwargs: Any = (), **parts: Any) -> Ran:
    """Run `call(*args, **kwargs)` in `worker`; `parts` are further parts of the request."""
    return send(worker, pack(call, args, dict(kwargs)), **parts)


def send(worker: WorkerBackend, request: Any, **parts: Any) -> Ran:
    request.setdefault("environment", {"variables": {}, "requirements": []})
    request["limits"] = {"memory": None, "time": AT_MOST, **parts.pop("limits", {})}
    request["context"] = values.encode(parts.pop("context", {}))
    if "environment" in parts:
        parts["environment"] = {"setup_variables": setup_environment(os.environ), **parts["environment"]}
    lines: list[str] = []
    outcome = worker.run({**request, **parts}, lines.append)
    return Ran(outcome, lines)
