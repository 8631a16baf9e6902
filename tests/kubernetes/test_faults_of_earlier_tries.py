"""A try that finds the pod of an earlier one takes it over where that saves a run, and removes it where it does not."""

from __future__ import annotations

import pytest

from airflow_provider_tasks.workers.failures import ClusterError, ConfigurationError
from tests.kubernetes.cluster import TestCluster
from tests.kubernetes.proxy import FaultyProxy, SeenRequest
from tests.kubernetes.tries import LARGE, WAYS, HeldBack, Tries, Try, folder_fixture, leftovers_fixture, tries_fixture  # noqa: F401

pytestmark = pytest.mark.kubernetes

each_way = pytest.mark.parametrize("way", WAYS)


# --- the Airflow worker of the earlier try was lost


@each_way
@pytest.mark.parametrize("try_number", [1, 2, 3])
def test_a_pod_that_runs_is_taken_over(tries: Tries, way: str, try_number: int) -> None:
    left = tries.leave(waits=True)
    left.until_running()
    one = tries.start(way, of=left.identity, try_number=try_number, waits=True)
    one.until_line(10)
    one.tell_to_end()
    one.assert_ran_once()


@each_way
def test_a_pod_that_waits_to_start_is_taken_over(tries: Tries, cluster: TestCluster, way: str) -> None:
    start = HeldBack(cluster)
    left = tries.leave(worker=start.worker)
    one = tries.start(way, of=left.identity, try_number=2)
    start()
    one.assert_ran_once()


@each_way
@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("try_number", [1, 2])
def test_the_result_of_a_pod_that_succeeded_is_taken(tries: Tries, way: str, size: int, try_number: int) -> None:
    left = tries.leave(size=size)
    left.until_ended() if size == 10 else left.until_running()
    tries.start(way, of=left.identity, try_number=try_number, size=size).assert_ran_once()


def test_a_pod_that_failed_is_replaced(tries: Tries) -> None:
    left = tries.leave(raises=True)
    left.until_ended()
    one = tries.start("kubernetes", of=left.identity, try_number=2)
    one.assert_output(one.outcome())
    one.assert_nothing_left()
    one.assert_counts(pods=2, starts=2)


@pytest.mark.parametrize("made", range(4))
def test_a_pod_that_lacks_some_of_its_secrets_is_replaced(tries: Tries, proxy: FaultyProxy, made: int) -> None:
    for _ in range(made):
        proxy.let_pass("POST", "/secrets$")
    proxy.refuse("POST", "/secrets$", times=None, on_match=lambda _: tries.be_impatient())
    left = tries.leave(through=proxy, carries=3_500_000)
    assert left.pod is not None
    tries.be_patient()
    tries.start("kubernetes", of=left.identity, try_number=2).assert_ran_once(pods=2)


def test_a_pod_that_runs_something_else_is_replaced(tries: Tries) -> None:
    left = tries.leave(waits=True, implementation="another version")
    left.until_running()
    one = tries.start("kubernetes", of=left.identity, try_number=2)
    one.assert_output(one.outcome())
    one.assert_nothing_left()
    one.assert_counts(pods=2, starts=2)


def test_a_pod_that_is_kept_stays_and_is_not_taken_over(tries: Tries, cluster: TestCluster) -> None:
    left = tries.leave(worker={"terminate_on_completion": False})
    kept = left.name
    left.until_running()
    one = tries.start("kubernetes", of=left.identity, try_number=2)
    one.assert_output(one.outcome())
    pod = cluster.admin.pod(kept)
    assert pod is not None
    assert "deletionTimestamp" not in pod["metadata"]
    cluster.admin.delete("Pod", kept, grace=0)
    one.assert_nothing_left()
    one.assert_counts(pods=2, starts=2)


def test_a_pod_that_is_being_deleted_is_replaced(tries: Tries) -> None:
    left = tries.leave(waits=True)
    left.until_running()
    left.delete_pod(grace=None)
    one = tries.start("kubernetes", of=left.identity, try_number=2)
    one.assert_output(one.outcome())
    one.assert_nothing_left()
    one.assert_counts(pods=2, starts=2)


def test_a_pod_of_the_same_try_that_is_being_deleted_is_waited_for(tries: Tries) -> None:
    left = tries.leave(waits=True)
    left.until_running()
    left.delete_pod(grace=None)
    one = tries.start("kubernetes", of=left.identity)
    one.assert_output(one.outcome())
    one.assert_nothing_left()
    one.assert_counts(pods=2, starts=2)


# --- the API server was away for longer than the earlier try had patience


class Away:
    """What takes the API server away from who goes through a proxy."""

    def __init__(self, tries: Tries, proxy: FaultyProxy) -> None:
        self._tries = tries
        self._proxy = proxy

    def __call__(self, _: SeenRequest | None = None) -> None:
        self._tries.be_impatient()
        self._proxy.refuse("*", "", times=None)

    def now(self) -> None:
        """Cut what is open too."""
        self()
        self._proxy.close_connections()


def taken_over(tries: Tries, lost: Try, way: str, *, pods: int = 1) -> None:
    """Assert that a try failed for want of the API server, and that the next one has what came of it."""
    error = lost.error()
    assert isinstance(error, ClusterError), repr(error)
    assert error.retry
    if pods:
        pod = lost.pod
        assert pod is not None
        assert "deletionTimestamp" not in pod["metadata"]
    else:
        assert lost.pod is None
    tries.be_patient()
    one = tries.start(way, of=lost.identity, try_number=2, size=lost.speech.size, waits=lost.speech.waits)
    if lost.speech.waits:
        one.until_running()
        one.tell_to_end()
    one.assert_ran_once(pods=pods or 1)


def test_a_server_that_is_away_before_the_pod_is_made(tries: Tries, proxy: FaultyProxy) -> None:
    proxy.refuse("POST", "/pods$", on_match=Away(tries, proxy))
    taken_over(tries, tries.start("kubernetes", through=proxy), "kubernetes", pods=0)


def test_a_server_that_is_away_when_it_has_made_the_pod(tries: Tries, proxy: FaultyProxy) -> None:
    proxy.lose_reply("POST", "/pods$", on_match=Away(tries, proxy))
    taken_over(tries, tries.start("kubernetes", through=proxy), "kubernetes", pods=2)


@pytest.mark.parametrize("lose", ["refuse", "lose_reply"])
def test_a_server_that_is_away_at_the_secret(tries: Tries, proxy: FaultyProxy, lose: str) -> None:
    getattr(proxy, lose)("POST", "/secrets$", on_match=Away(tries, proxy))
    pods = 2 if lose == "refuse" else 1
    taken_over(tries, tries.start("kubernetes", through=proxy), "kubernetes", pods=pods)


@each_way
def test_a_server_that_is_away_while_the_pod_waits_to_start(
    tries: Tries, cluster: TestCluster, proxy: FaultyProxy, way: str
) -> None:
    start = HeldBack(cluster)
    watched = proxy.let_pass("GET", "watch=1")
    one = tries.start(way, through=proxy, worker=start.worker)
    watched.wait()
    Away(tries, proxy).now()
    one.error()
    start()
    taken_over(tries, one, way)


@each_way
@pytest.mark.parametrize("number", [0, 20])
def test_a_server_that_is_away_while_the_task_runs(tries: Tries, proxy: FaultyProxy, way: str, number: int) -> None:
    one = tries.start(way, through=proxy, waits=True)
    one.until_line(number)
    Away(tries, proxy).now()
    taken_over(tries, one, way)


@each_way
@pytest.mark.parametrize("count", [0, 1000, LARGE])
def test_a_server_that_is_away_while_the_outcome_is_fetched(
    tries: Tries, proxy: FaultyProxy, way: str, count: int
) -> None:
    proxy.cut_after("GET", "/exec", count, on_match=Away(tries, proxy))
    taken_over(tries, tries.start(way, through=proxy, size=LARGE), way)


# --- what is not left to a later try


@each_way
@pytest.mark.parametrize("override", [{"schedulerName": "nobody"}, {"nodeName": "nowhere"}], ids=str)
def test_a_pod_that_did_not_start_in_time_is_removed(tries: Tries, way: str, override: dict[str, str]) -> None:
    one = tries.start(way, worker={"startup_timeout": 3, "pod_override": {"spec": override}})
    assert "did not start within 3 s" in str(one.error())
    one.assert_nothing_left()
    one.assert_counts(pods=1, starts=0)


@pytest.mark.parametrize("status", [403, 422])
def test_a_pod_whose_secrets_are_refused_is_removed(tries: Tries, proxy: FaultyProxy, status: int) -> None:
    said = {"kind": "Status", "status": "Failure", "code": status, "message": "no Secrets here"}
    proxy.answer("POST", "/secrets$", status, said, times=None)
    one = tries.start("kubernetes", through=proxy)
    error = one.error()
    assert isinstance(error, ConfigurationError)
    assert "no Secrets here" in str(error)
    one.assert_nothing_left()
    one.assert_counts(pods=1, starts=0)
