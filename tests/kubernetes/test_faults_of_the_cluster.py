"""A task runs once and ends well while the cluster's own parts are killed, stopped and frozen around it."""

from __future__ import annotations

import time

import pytest

from tests.kubernetes.cluster import TestCluster
from tests.kubernetes.faults import Faults
from tests.kubernetes.tries import LARGE, WAYS, HeldBack, Tries, folder_fixture, leftovers_fixture, tries_fixture  # noqa: F401

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

each_way = pytest.mark.parametrize("way", WAYS)


@each_way
def test_the_api_server_is_dead_when_a_task_is_submitted(tries: Tries, breaks_the_cluster: Faults, way: str) -> None:
    breaks_the_cluster.kill("kube-apiserver")
    one = tries.start(way)
    time.sleep(1)
    breaks_the_cluster.start()
    one.assert_ran_once()


@each_way
def test_the_api_server_dies_while_a_pod_waits_to_start(
    tries: Tries, cluster: TestCluster, breaks_the_cluster: Faults, way: str
) -> None:
    start = HeldBack(cluster)
    one = tries.start(way, worker=start.worker)
    one.until(lambda pod: pod["spec"].get("nodeName"), "to have a node")
    breaks_the_cluster.restart("kube-apiserver")
    start()
    one.assert_ran_once()


@each_way
def test_the_api_server_dies_while_a_task_runs(tries: Tries, breaks_the_cluster: Faults, way: str) -> None:
    one = tries.start(way, waits=True)
    one.until_line(10)
    breaks_the_cluster.restart("kube-apiserver")
    one.until_line(len(one.lines) + 10)
    one.tell_to_end()
    one.assert_ran_once()


@each_way
@pytest.mark.parametrize("size", [10, LARGE])
def test_the_api_server_is_dead_when_a_task_ends(tries: Tries, breaks_the_cluster: Faults, way: str, size: int) -> None:
    one = tries.start(way, size=size, lines=20_000, texts=["~" * 100])
    one.until_line(10)
    breaks_the_cluster.kill("kube-apiserver")
    time.sleep(5)
    assert not one.has_ended
    breaks_the_cluster.start()
    one.assert_ran_once()


@each_way
@pytest.mark.parametrize("part", ["kube-apiserver", "etcd"])
def test_nobody_answers_for_a_while(tries: Tries, breaks_the_cluster: Faults, way: str, part: str) -> None:
    one = tries.start(way, waits=True)
    one.until_line(10)
    breaks_the_cluster.freeze(part)
    time.sleep(10)
    breaks_the_cluster.thaw(part)
    one.tell_to_end()
    one.assert_ran_once()


@each_way
@pytest.mark.parametrize("how", ["stop", "freeze"])
def test_the_kubelet_is_away_for_ten_seconds_while_a_task_runs(
    tries: Tries, breaks_the_cluster: Faults, way: str, how: str
) -> None:
    one = tries.start(way, waits=True)
    one.until_line(10)
    getattr(breaks_the_cluster, how)("kubelet")
    time.sleep(10)
    breaks_the_cluster.thaw("kubelet") if how == "freeze" else breaks_the_cluster.start()
    one.tell_to_end()
    one.assert_ran_once()


@each_way
def test_the_kubelet_is_away_when_a_task_ends(tries: Tries, breaks_the_cluster: Faults, way: str) -> None:
    one = tries.start(way, lines=20_000, texts=["~" * 100])
    one.until_line(10)
    breaks_the_cluster.kill("kubelet")
    time.sleep(10)
    breaks_the_cluster.start()
    one.assert_ran_once()


@each_way
def test_containerd_is_restarted_while_a_task_runs(tries: Tries, breaks_the_cluster: Faults, way: str) -> None:
    one = tries.start(way, waits=True)
    one.until_line(10)
    breaks_the_cluster.restart("containerd")
    one.tell_to_end()
    one.assert_ran_once()


@each_way
@pytest.mark.parametrize("part", ["kube-scheduler", "kube-controller-manager", "containerd", "kubelet"])
def test_a_part_is_dead_when_a_task_is_submitted(tries: Tries, breaks_the_cluster: Faults, way: str, part: str) -> None:
    breaks_the_cluster.kill(part)
    one = tries.start(way)
    one.until_made()
    time.sleep(2)
    breaks_the_cluster.start()
    one.assert_ran_once()
