"""The parts of the cluster can be broken, and are well again afterwards; who breaks them has the cluster to itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.kubernetes.cluster import TestCluster, wait_until
from tests.kubernetes.faults import ClusterLock, Faults

HOLDER = """
import sys
from tests.kubernetes.faults import ClusterLock
with getattr(ClusterLock("any", folder=sys.argv[1]), sys.argv[2])():
    print("in", flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process that wants the lock, and keeps it until `leave`."""

    def __init__(self, lock: Path, mode: str) -> None:
        argv = [sys.executable, "-c", HOLDER, str(lock), mode]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def enter(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"in\n"

    def leave(self) -> None:
        self.process.communicate()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[[str], Holder]]:
    """Start a holder in a mode, "shared" or "exclusive"."""
    started: list[Holder] = []

    def start(mode: str) -> Holder:
        started.append(Holder(tmp_path, mode))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.leave()


def test_many_share_the_cluster_and_one_breaks_it_alone(tmp_path: Path, holder: Callable[[str], Holder]) -> None:
    sharing = [holder("shared"), holder("shared")]
    for one in sharing:
        one.enter()
    with pytest.raises(AssertionError, match="others have used the cluster"), lock(tmp_path).exclusive():
        pass
    for one in sharing:
        one.leave()
    with lock(tmp_path).exclusive():
        pass


def test_who_waits_to_break_the_cluster_goes_before_those_that_come_later(
    tmp_path: Path, holder: Callable[[str], Holder]
) -> None:
    sharing = holder("shared")
    sharing.enter()
    breaking = holder("exclusive")
    wait_until(lambda: not may_share(tmp_path), what="the turnstile to be taken")
    sharing.leave()
    breaking.enter()
    assert not may_share(tmp_path)
    breaking.leave()
    assert may_share(tmp_path)


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, holder: Callable[[str], Holder]) -> None:
    breaking = holder("exclusive")
    breaking.enter()
    breaking.process.kill()
    breaking.process.wait()
    assert may_share(tmp_path)


def test_a_process_that_holds_the_lock_may_ask_again(tmp_path: Path) -> None:
    own = lock(tmp_path)
    with own.exclusive(), own.shared():
        assert not may_share(tmp_path)
    with own.shared(), own.shared():
        assert may_share(tmp_path)


def lock(path: Path) -> ClusterLock:
    return ClusterLock("any", at_most=0, folder=str(path))


def may_share(path: Path) -> bool:
    try:
        with lock(path).shared():
            return True
    except AssertionError:
        return False


def test_a_killed_api_server_answers_again(cluster: TestCluster, breaks_the_cluster: Faults) -> None:
    with cluster.client() as client:
        path = f"/api/v1/namespaces/{cluster.namespace}/pods"
        with breaks_the_cluster.killed("kube-apiserver"):
            with pytest.raises(httpx2.ConnectError):
                client.get(path)
            assert not breaks_the_cluster.is_running("kube-apiserver")
        assert client.get(path).status_code == 200


def test_a_frozen_api_server_says_nothing(cluster: TestCluster, breaks_the_cluster: Faults) -> None:
    with cluster.client() as client:
        path = f"/api/v1/namespaces/{cluster.namespace}/pods"
        with breaks_the_cluster.frozen("kube-apiserver"), pytest.raises(httpx2.TimeoutException):
            client.get(path, timeout=0.5)
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("part", ["kubelet", "containerd"])
def test_a_node_takes_pods_again(part: str, breaks_the_cluster: Faults) -> None:
    with breaks_the_cluster.stopped(part):
        assert not breaks_the_cluster.is_running(part)
    assert breaks_the_cluster.is_running(part)


def test_a_part_can_be_killed_and_started_while_a_test_goes_on(breaks_the_cluster: Faults) -> None:
    breaks_the_cluster.kill("kube-scheduler")
    breaks_the_cluster.start()
    assert breaks_the_cluster.is_running("kube-scheduler")
    with pytest.raises(AssertionError, match="'kube-proxy' is no part of the cluster; these are: etcd, "):
        breaks_the_cluster.kill("kube-proxy")
