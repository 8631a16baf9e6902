"""The contract of a worker, whatever it runs on: `worker` and `run` are those of each backend, in turn.

A test is held against the local worker and against a pod. Where it may make a difference that a trigger waits for the
pod, it is marked with `deferrable_too`; what is about this machine alone takes `local_worker`. A pod runs one
request, as those of operators do: every call of `run` makes one. What is only about what goes on inside of a worker
goes to a pod that takes many requests and is the same for all such tests (`in_a_shared_pod`): that saves a second or
two each.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from airflow_provider_tasks.runtime import values
from airflow_provider_tasks.runtime.outcome import Outcome
from airflow_provider_tasks.workers.base import WorkerBackend
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.local import LocalWorker
from airflow_provider_tasks.workers.payload import pack
from tests.kubernetes.fixtures import cluster, mark_kubernetes, use_of_the_cluster

if TYPE_CHECKING:
    from .backends import Pods

__all__ = ["cluster", "use_of_the_cluster"]

AT_MOST = 60
"""Seconds after which a task that should have ended is taken for one that hangs."""

TASK_FOLDER = "/airflow/scratch/task"
"""Where a task runs in a pod."""

LOCAL = "local"
KUBERNETES = pytest.param("kubernetes", marks=pytest.mark.kubernetes)
DEFERRABLE = pytest.param("deferrable", marks=pytest.mark.kubernetes)
DAG_TEST = pytest.param("dag.test", marks=pytest.mark.kubernetes)

deferrable_too = pytest.mark.parametrize("backend", [LOCAL, KUBERNETES, DEFERRABLE], indirect=True)
however_deferred = pytest.mark.parametrize("backend", [LOCAL, KUBERNETES, DEFERRABLE, DAG_TEST], indirect=True)
in_pods = pytest.mark.parametrize("backend", [KUBERNETES, DEFERRABLE], indirect=True)
in_a_pod = pytest.mark.parametrize("backend", [KUBERNETES], indirect=True)
on_this_machine = pytest.mark.parametrize("backend", [LOCAL], indirect=True)
in_a_shared_pod = pytest.mark.parametrize("options", [pytest.param({"shared": True}, id="shared")])

OpenWorker = Callable[..., WorkerBackend]


class Ran(NamedTuple):
    outcome: Outcome
    lines: list[str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_kubernetes(items)


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


@pytest.fixture(params=[LOCAL, KUBERNETES])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def options() -> dict[str, Any]:
    """How `worker` and `run` open a worker: ``bare`` (nothing is installed), ``shared``; a module may say otherwise."""
    return {}


@pytest.fixture(scope="session")
def pods(cluster: Any, cache_folder: Path) -> Iterator[Pods]:
    """The maker of pods; in the end nothing of them is left."""
    from .backends import Pods  # where it is wanted, as it imports Airflow

    with pytest.MonkeyPatch.context() as patch:
        pods = Pods(cluster, cache_folder)
        patch.setenv(*pods.connection)
        yield pods
    # At the end of a run nobody keeps those away that break the cluster.
    cluster.assert_nothing_left(pods.labels, at_most=300)


@pytest.fixture(scope="session")
def shared_pod(pods: Pods) -> Iterator[Callable[[], WorkerBackend]]:
    from .backends import kept_pod

    with kept_pod(pods) as kept:
        yield kept


@pytest.fixture
def open_worker(backend: str, request: pytest.FixtureRequest, cache_folder: Path) -> Iterator[OpenWorker]:
    """Open a worker of the backend; `many` takes many requests, `bare` has nothing installed."""
    with ExitStack() as stack:

        def local(*, many: bool = True, bare: bool = False, shared: bool = False, **options: Any) -> WorkerBackend:
            python = {"python": request.getfixturevalue("bare_python")} if bare else {}
            return stack.enter_context(LocalWorker(**{"cache_folder": cache_folder, **python, **options}))

        def pod(*, bare: bool = False, shared: bool = False, **options: Any) -> WorkerBackend:
            if shared and backend == "kubernetes":
                kept: Callable[[], WorkerBackend] = request.getfixturevalue("shared_pod")
                return kept()
            pods: Pods = request.getfixturevalue("pods")
            return stack.enter_context(pods.open(backend, **options))

        yield local if backend == "local" else pod


@pytest.fixture
def worker(open_worker: OpenWorker, options: dict[str, Any]) -> WorkerBackend:
    return open_worker(**options)


@pytest.fixture
def many_worker(open_worker: OpenWorker, options: dict[str, Any]) -> WorkerBackend:
    """A worker that takes one request after another."""
    return open_worker(many=True, **options)


@pytest.fixture(params=[LOCAL, KUBERNETES])
def config(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> WorkerConfig:
    """The settings of a worker that no operator asks for, of each backend in turn."""
    if request.param == "local":
        return WorkerConfig()
    pods: Pods = request.getfixturevalue("pods")
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__INSTALLATION", "contract")
    return pods.settings().config


NOTEBOOK_ROLE = Path(__file__).parents[2] / "docs" / "kubernetes" / "notebook-role.yaml"
DATA = "/usr/local/lib/python3.11/dist-packages/share/jupyter"
"""Where the test image has what belongs into `share/jupyter`: its packages are installed into one folder."""


@pytest.fixture(params=[LOCAL, KUBERNETES])
def notebook_config(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The settings of a worker that has papermill and Jupyter, of each backend in turn."""
    if request.param == "local":
        yield {"env_variables": {"COLOUR": "blue"}}
        return
    pods: Pods = request.getfixturevalue("pods")
    image = pods.tests.image_notebook
    if image is None:
        pytest.skip("TEST_KUBERNETES_IMAGE_NOTEBOOK is not set")
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__INSTALLATION", "contract")
    variables = {"COLOUR": "blue", "JUPYTERLAB_DIR": f"{DATA}/lab", "JUPYTER_PATH": DATA}
    with allowed_to_forward_ports(pods.tests):
        yield pods.settings(image=image, env_variables=variables).config.to_dict()


@contextmanager
def allowed_to_forward_ports(cluster: Any) -> Iterator[None]:
    """Let code under test forward ports, for as long as the block runs."""
    import yaml

    role = next(yaml.safe_load_all(NOTEBOOK_ROLE.read_text()))
    role["metadata"]["namespace"] = cluster.namespace
    name, version = role["metadata"]["name"], role["apiVersion"]
    binding = {
        "apiVersion": version,
        "kind": "RoleBinding",
        "metadata": role["metadata"],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "User", "name": cluster.user}],
    }
    for manifest in (role, binding):
        cluster.admin.create(manifest)
    try:
        yield
    finally:
        for kind in ("Role", "RoleBinding"):
            cluster.admin.delete(kind, name, api_version=version)


@pytest.fixture
def local_worker(cache_folder: Path) -> Iterator[LocalWorker]:
    with LocalWorker(cache_folder=cache_folder) as worker:
        yield worker


@pytest.fixture
def run(backend: str, open_worker: OpenWorker, options: dict[str, Any]) -> Callable[..., Ran]:
    """Run `call(*args, **kwargs)`: in pods each in one of its own."""
    opened = [open_worker(**options)] if backend == "local" else []
    return lambda call, *args, **parts: run_in(*opened or [open_worker(**options)], call, *args, **parts)


@pytest.fixture
def shell(backend: str, request: pytest.FixtureRequest) -> Callable[[Any, str], None]:
    """Run a command where a worker is: its process ids and its folders are those of the worker."""
    if backend == "local":
        return lambda worker, command: subprocess.run(command, shell=True, check=True, cwd=worker.folder / "task")
    pods: Pods = request.getfixturevalue("pods")
    return lambda worker, command: pods.execute(worker.name, "sh", "-c", f"cd {TASK_FOLDER} && {command}")


def run_in(worker: WorkerBackend, call: Any, *args: Any, kwargs: Any = (), **parts: Any) -> Ran:
    """Run `call(*args, **kwargs)` in `worker`; `parts` are further parts of the request."""
    return send(worker, pack(call, args, dict(kwargs)), **parts)


def send(worker: WorkerBackend, request: Any, **parts: Any) -> Ran:
    request.setdefault("environment", {"variables": {}, "requirements": []})
    request["limits"] = {"memory": None, "time": AT_MOST, **parts.pop("limits", {})}
    request["context"] = values.encode(parts.pop("context", {}))
    if "environment" in parts:
        of_worker = {name: value for name, value in worker.environment.items() if name != "cache"}
        parts["environment"] = {**of_worker, **parts["environment"]}
    lines: list[str] = []
    outcome = worker.run({**request, **parts}, lines.append)
    return Ran(outcome, lines)
