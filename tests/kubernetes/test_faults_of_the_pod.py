"""What Airflow makes of a pod, or of a Secret of its, that somebody else deletes."""

from __future__ import annotations

import re

import pytest

from airflow_provider_tasks.workers.failures import KilledError
from airflow_provider_tasks.workers.kubernetes.delivery import runtime_name
from tests.kubernetes.cluster import TestCluster
from tests.kubernetes.proxy import FaultyProxy
from tests.kubernetes.tries import (  # noqa: F401
    LARGE,
    WAYS,
    HeldBack,
    Tries,
    Try,
    assert_same,
    folder_fixture,
    leftovers_fixture,
    tries_fixture,
)

pytestmark = pytest.mark.kubernetes

each_way = pytest.mark.parametrize("way", WAYS)
each_grace = pytest.mark.parametrize("grace", [0, None])


def end_of(one: Try) -> tuple[str | None, bool]:
    """The category of its failure, and whether trying again can help; the worker may have told it, or the cluster."""
    try:
        outcome = one.outcome()
    except KilledError as error:
        return error.category, error.retry
    return outcome.category, outcome.retry


def assert_killed(one: Try, *, starts: tuple[int, ...]) -> None:
    """Assert that it failed as it was killed, and has run no more than that."""
    category, retry = end_of(one)
    assert (category, retry) == ("killed", True)
    if one.lines:
        *whole, last = one.lines
        *others, interrupted = one.speech.output(one.run, len(one.lines) - 1)[:-1]
        assert_same(whole, others)
        assert interrupted.startswith(last), "what came of a line that it was killed in"
    one.assert_nothing_left()
    assert one.counts() in [(1, number) for number in starts]


@each_way
@each_grace
def test_a_pod_that_is_deleted_before_it_has_its_secret(
    tries: Tries, proxy: FaultyProxy, way: str, grace: int | None
) -> None:
    proxy.let_pass("POST", "/secrets$", on_match=lambda _: tries.last.delete_pod(grace=grace))
    # A node that is about to start the pod when it is deleted may do so before it hears of that.
    assert_killed(tries.start(way, through=proxy), starts=(0, 1) if grace is None else (0,))


@each_way
@each_grace
def test_a_pod_that_is_deleted_before_it_starts(
    tries: Tries, cluster: TestCluster, way: str, grace: int | None
) -> None:
    one = tries.start(way, worker=HeldBack(cluster).worker)
    one.until(lambda pod: pod["spec"].get("nodeName"), "to have a node")
    one.delete_pod(grace=grace)
    assert_killed(one, starts=(0,))


@each_way
@each_grace
@pytest.mark.parametrize("number", [0, 20])
def test_a_pod_that_is_deleted_while_it_runs(tries: Tries, way: str, grace: int | None, number: int) -> None:
    one = tries.start(way, waits=True)
    one.until_line(number)
    one.delete_pod(grace=grace)
    assert_killed(one, starts=(1,))


@each_way
@pytest.mark.parametrize("count", [0, 1000])
def test_a_pod_that_is_deleted_while_its_outcome_is_fetched(
    tries: Tries, proxy: FaultyProxy, way: str, count: int
) -> None:
    proxy.cut_after("GET", "/exec", count, on_match=lambda _: tries.last.delete_pod())
    one = tries.start(way, through=proxy, size=LARGE)
    error = one.error()
    assert isinstance(error, KilledError), repr(error)
    assert "was deleted" in str(error)
    one.assert_nothing_left()
    one.assert_counts(pods=1, starts=1)


def test_a_pod_that_is_deleted_when_it_has_ended(tries: Tries, proxy: FaultyProxy) -> None:
    def delete(_: object) -> None:
        tries.last.until_ended()
        tries.last.delete_pod()

    proxy.let_pass("GET", "watch=1", on_match=delete)
    one = tries.start("kubernetes", through=proxy)
    assert one.outcome().result["lines"] == 3
    assert re.match("5 lines of output are missing", one.notes[-1])
    one.assert_nothing_left()
    one.assert_counts(pods=1, starts=1)


@each_way
def test_a_pod_that_has_ended_may_be_deleted_before_airflow_does(tries: Tries, proxy: FaultyProxy, way: str) -> None:
    proxy.let_pass("DELETE", "/pods/", on_match=lambda _: tries.last.delete_pod())
    tries.start(way, through=proxy).assert_ran_once()


@each_way
def test_a_runtime_that_is_gone_though_it_was_noted_is_made_again(tries: Tries, cluster: TestCluster, way: str) -> None:
    tries.start(way).assert_ran_once()
    cluster.admin.delete("Secret", runtime_name())
    mark = cluster.audit_mark()
    tries.start(way).assert_ran_once()
    tries.start(way).assert_ran_once()
    made = [name for name in cluster.requests(mark) if name == "create secrets"]
    assert len(made) == 3, "one for each request, and the runtime"
