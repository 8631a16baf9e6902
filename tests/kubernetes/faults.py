"""Faults of the real cluster: its own parts killed, stopped and frozen, and everything well again afterwards.

A test that breaks the cluster asks for `breaks_the_cluster`, a :class:`Faults`, and gets the cluster to itself::

    def test_a_task_outlives_its_kubelet(cluster, breaks_the_cluster):
        with breaks_the_cluster.killed("kubelet"):
            ...

Tests run in several processes (``pytest -n``), and several runs may share the machine's one cluster, so processes lock
it through files: every test with the marker `kubernetes` holds a shared lock while it runs, a test that breaks the
cluster an exclusive one. That is :class:`ClusterLock`; the fixtures of `tests.kubernetes.fixtures` take it, a test
never does. ``make test`` runs the breaking ones in one process, so that not all processes of a run wait for each other.

`_run_a_pod` at the end of every fault costs a second or two, and keeps a fault from being another test's failure.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.kubernetes.cluster import Admin, AdminError, wait_until

UP = Path(__file__).parents[3] / "shared" / "kube" / "up"
"""What starts every part of the cluster that is not running."""

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "containerd", "kubelet")

NAME_OF_THE_NODE = "localhost"


@contextlib.contextmanager
def locked(path: str | Path, mode: int, at_most: float) -> Iterator[None]:
    """Hold a lock of a file; after `at_most` seconds of waiting for it, an ``AssertionError``."""
    with open(path, "a") as file:
        deadline = time.monotonic() + at_most
        while True:
            try:
                fcntl.flock(file, mode | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise AssertionError(
                        f"others have used the cluster for {at_most:g} s: `fuser {path}` names them"
                    ) from None
            time.sleep(0.02)
        try:
            yield
        finally:
            # Closing the file does not end the lock where a process that the test forked has it too.
            fcntl.flock(file, fcntl.LOCK_UN)


class ClusterLock:
    """A lock of one cluster for all processes of this machine: shared by many, or exclusive.

    A process holds it once: asking again while it is held, for a fixture within a test, changes nothing. Who wants it
    exclusively keeps the turnstile while waiting, through which all others pass first: those that hold the lock finish,
    nobody new comes in, and a stream of sharing tests can't starve it.
    """

    def __init__(self, cluster: str, at_most: float = 600, folder: str | None = None) -> None:
        digest = hashlib.sha256(os.path.realpath(cluster).encode()).hexdigest()[:12]
        # The temporary folder of the machine, not of a test run: other runs use the same cluster.
        self._path = os.path.join(folder or tempfile.gettempdir(), f"airflow-provider-tasks-{os.getuid()}-{digest}")
        self._at_most = at_most
        self._is_held = False

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Use the cluster beside others that use it."""
        if self._is_held:
            yield
            return
        with contextlib.ExitStack() as stack:
            with self._turnstile():
                stack.enter_context(self._room(fcntl.LOCK_SH))
            yield

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Use the cluster when nobody else does."""
        assert not self._is_held, "the lock is held already: a shared one can't become exclusive"
        with self._turnstile(), self._room(fcntl.LOCK_EX):
            yield

    def _turnstile(self) -> contextlib.AbstractContextManager[None]:
        return locked(f"{self._path}.turnstile.lock", fcntl.LOCK_EX, self._at_most)

    @contextlib.contextmanager
    def _room(self, mode: int) -> Iterator[None]:
        with locked(f"{self._path}.room.lock", mode, self._at_most):
            self._is_held = True
            try:
                yield
            finally:
                self._is_held = False


def _states_of_threads(pid: int) -> list[str]:
    """The state of each thread of a process, as `ps` names them."""
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return [stat.read_text().rpartition(")")[2].split()[0] for stat in stats]


class Faults:
    """The parts of a cluster of `shared/kube`; the names are those of `PARTS`.

    Every context manager leaves the cluster healthy: all parts run, the node is ready, and a pod has run on it.
    """

    def __init__(self, state: Path, admin: Admin) -> None:
        self._state = state
        self._admin = admin
        self._is_broken = False
        self._ups = contextlib.ExitStack()
        self._keeps_ups_out = False

    @contextlib.contextmanager
    def killed(self, *parts: str) -> Iterator[None]:
        """Without these parts: SIGKILL now, started again at the end."""
        with self._broken(signal.SIGKILL, parts):
            yield

    @contextlib.contextmanager
    def stopped(self, *parts: str) -> Iterator[None]:
        """Without these parts: SIGTERM now, as in a shutdown; started again at the end."""
        with self._broken(signal.SIGTERM, parts):
            yield

    @contextlib.contextmanager
    def frozen(self, *parts: str) -> Iterator[None]:
        """With parts that are there and do nothing: SIGSTOP now, SIGCONT at the end."""
        try:
            for part in parts:
                self.freeze(part)
            yield
        finally:
            self.mend()

    def kill(self, part: str) -> None:
        """End a part with SIGKILL, and return when it is gone; it stays away until `start` or `mend`."""
        self._end(part, signal.SIGKILL)

    def stop(self, part: str) -> None:
        """End a part with SIGTERM, and return when it is gone; it stays away until `start` or `mend`."""
        self._end(part, signal.SIGTERM)

    def freeze(self, part: str) -> None:
        """Let a part do nothing (SIGSTOP) until `thaw` or `mend`; its connections stay open."""
        process = self._process(part)
        self._break()
        process.suspend()
        # Its threads stop one by one, and one of them may still answer.
        wait_until(lambda: set(_states_of_threads(process.pid)) == {"T"}, at_most=20, what=f"{part} to freeze")

    def thaw(self, part: str) -> None:
        """Let a frozen part go on (SIGCONT)."""
        self._process(part).resume()

    def start(self) -> None:
        """Start the parts that are not running, and return when the API server answers and the node is ready."""
        self._ups.close()
        self._keeps_ups_out = False
        ran = subprocess.run([UP, self._state], capture_output=True, text=True, check=False, timeout=180)
        assert ran.returncode == 0, f"{UP} failed: {ran.stderr}"

    def restart(self, part: str) -> None:
        """Kill a part and start it again, all within the call."""
        self.kill(part)
        self.start()

    def mend(self) -> None:
        """Make the cluster healthy, whatever was done to it, and return when it is."""
        if not self._is_broken:
            return
        for part in PARTS:
            if self.is_running(part):
                self.thaw(part)
        self.start()
        wait_until(self._node_takes_pods, at_most=120, what="the node to take pods")
        self._run_a_pod()
        self._is_broken = False

    def is_running(self, part: str) -> bool:
        """Say whether the process of a part is there, frozen or not."""
        try:
            self._process(part)
        except AssertionError:
            return False
        return True

    @contextlib.contextmanager
    def _broken(self, how: signal.Signals, parts: tuple[str, ...]) -> Iterator[None]:
        try:
            for part in parts:
                self._end(part, how)
            yield
        finally:
            self.mend()

    def _break(self) -> None:
        """Note that the cluster is broken, and keep everybody's `up` from mending it, which takes this lock too."""
        self._is_broken = True
        if not self._keeps_ups_out:
            self._ups.enter_context(locked(self._state / "lock", fcntl.LOCK_EX, at_most=180))
            self._keeps_ups_out = True

    def _process(self, part: str) -> psutil.Process:
        assert part in PARTS, f"{part!r} is no part of the cluster; these are: {', '.join(PARTS)}"
        try:
            process = psutil.Process(int((self._state / "run" / f"{part}.pid").read_text()))
            # A pid file may name a process of the past, whose pid is another's now.
            is_it = process.status() != psutil.STATUS_ZOMBIE and str(self._state) in " ".join(process.cmdline())
        except (psutil.NoSuchProcess, FileNotFoundError):
            is_it = False
        assert is_it, f"{part} is not running"
        return process

    def _end(self, part: str, how: signal.Signals) -> None:
        process = self._process(part)
        self._break()
        process.resume()
        process.send_signal(how)
        # Nobody may be there to reap it.
        wait_until(lambda: not self._is_alive(process), at_most=90, what=f"{part} to end")

    @staticmethod
    def _is_alive(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def _node_takes_pods(self) -> bool:
        node = self._admin.get("Node", NAME_OF_THE_NODE)
        if node is None or node["spec"].get("taints"):
            return False
        return any(found["type"] == "Ready" and found["status"] == "True" for found in node["status"]["conditions"])

    def _run_a_pod(self) -> None:
        """Have scheduler, kubelet and containerd prove that they work, out of the sight of tests that count pods."""
        container = {"name": "probe", "image": "docker.io/local/pause:1", "imagePullPolicy": "IfNotPresent"}
        pod: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "probe-", "namespace": "default"},
            "spec": {"containers": [container], "automountServiceAccountToken": False},
        }
        path = self._admin.path("Pod", self._admin.create(pod)["metadata"]["name"], namespace="default")

        def phase() -> str:
            return str(self._admin.request("GET", path).json()["status"]["phase"])

        try:
            wait_until(lambda: phase() == "Running", at_most=120, what="a pod to run on the mended cluster")
        finally:
            with contextlib.suppress(AdminError):
                self._admin.request("DELETE", path, gracePeriodSeconds=0)
