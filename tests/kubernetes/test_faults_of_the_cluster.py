"""Tasks run once and end well while the cluster's own parts are killed, stopped and frozen around them.

Each fault meets two tasks: one whose Airflow worker waits for it, and one that the triggerer waits for.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.kubernetes.cluster import TestCluster
from tests.kubernetes.faults import Faults
from tests.kubernetes.tries import LARGE, WAYS, HeldBack, Tries, Try, folder_fixture, leftovers_fixture, tries_fixture  # noqa: F401

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]


def start(tries: Tries, **options: Any) -> list[Try]:
    """Start a task that is waited for in each way."""
    return [tries.start(way, **options) for way in WAYS]


def ran_once(ones: list[Try], *, told: bool = False) -> None:
    """Assert that each has run once, its output and result whole; tell those that wait for it to end."""
    for one in ones if told else ():
        one.tell_to_end()
    for one in ones:
        one.assert_ran_once()


def have_begun(ones: list[Try]) -> None:
    """Wait until each prints."""
    for one in ones:
        one.until_line(10)


def test_the_api_server_is_dead_when_a_task_is_submitted(tries: Tries, breaks_the_cluster: Faults) -> None:
    breaks_the_cluster.kill("kube-apiserver")
    ones = start(tries)
    time.sleep(1)
    breaks_the_cluster.start()
    ran_once(ones)


def test_the_api_server_dies_while_a_pod_waits_to_start(
    tries: Tries, cluster: TestCluster, breaks_the_cluster: Faults
) -> None:
    let_start = HeldBack(cluster)
    ones = start(tries, worker=let_start.worker)
    for one in ones:
        one.until(lambda pod: pod["spec"].get("nodeName"), "to have a node")
    breaks_the_cluster.restart("kube-apiserver")
    let_start()
    ran_once(ones)


def test_the_api_server_dies_while_a_task_runs(tries: Tries, breaks_the_cluster: Faults) -> None:
    ones = start(tries, waits=True)
    have_begun(ones)
    breaks_the_cluster.restart("kube-apiserver")
    for one in ones:
        one.until_line(len(one.lines) + 10)
    ran_once(ones, told=True)


@pytest.mark.parametrize("size", [10, LARGE])
def test_the_api_server_is_dead_when_a_task_ends(tries: Tries, breaks_the_cluster: Faults, size: int) -> None:
    ones = start(tries, size=size, lines=20_000, texts=["~" * 100])
    have_begun(ones)
    breaks_the_cluster.kill("kube-apiserver")
    time.sleep(5)
    assert not any(one.has_ended for one in ones)
    breaks_the_cluster.start()
    ran_once(ones)


@pytest.mark.parametrize("part", ["kube-apiserver", "etcd"])
def test_nobody_answers_for_a_while(tries: Tries, breaks_the_cluster: Faults, part: str) -> None:
    ones = start(tries, waits=True)
    have_begun(ones)
    breaks_the_cluster.freeze(part)
    time.sleep(10)
    breaks_the_cluster.thaw(part)
    ran_once(ones, told=True)


@pytest.mark.parametrize("how", ["stop", "freeze"])
def test_the_kubelet_is_away_for_ten_seconds_while_a_task_runs(
    tries: Tries, breaks_the_cluster: Faults, how: str
) -> None:
    ones = start(tries, waits=True)
    have_begun(ones)
    getattr(breaks_the_cluster, how)("kubelet")
    time.sleep(10)
    breaks_the_cluster.thaw("kubelet") if how == "freeze" else breaks_the_cluster.start()
    ran_once(ones, told=True)


def test_the_kubelet_is_away_when_a_task_ends(tries: Tries, breaks_the_cluster: Faults) -> None:
    ones = start(tries, lines=20_000, texts=["~" * 100])
    have_begun(ones)
    breaks_the_cluster.kill("kubelet")
    time.sleep(10)
    breaks_the_cluster.start()
    ran_once(ones)


def test_containerd_is_restarted_while_a_task_runs(tries: Tries, breaks_the_cluster: Faults) -> None:
    ones = start(tries, waits=True)
    have_begun(ones)
    breaks_the_cluster.restart("containerd")
    ran_once(ones, told=True)


@pytest.mark.parametrize("part", ["kube-scheduler", "kube-controller-manager", "containerd", "kubelet"])
def test_a_part_is_dead_when_a_task_is_submitted(tries: Tries, breaks_the_cluster: Faults, part: str) -> None:
    breaks_the_cluster.kill(part)
    ones = start(tries)
    for one in ones:
        one.until_made()
    time.sleep(2)
    breaks_the_cluster.start()
    ran_once(ones)
