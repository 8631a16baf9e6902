"""A task runs once and ends well, whatever becomes of the requests that it takes: lost, refused, cut, silent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_tasks.workers.kubernetes.watch import SharedWatch, follow_pods
from tests.kubernetes.cluster import wait_until
from tests.kubernetes.proxy import FaultyProxy, Rule
from tests.kubernetes.tries import LARGE, WAYS, Tries, folder_fixture, leftovers_fixture, tries_fixture  # noqa: F401

pytestmark = pytest.mark.kubernetes

each_way = pytest.mark.parametrize("way", WAYS)

REQUESTS = {
    "ask for the runtime": ("GET", "/secrets/airflow-worker-runtime-"),
    "create the pod": ("POST", "/pods$"),
    "create the Secret": ("POST", "/secrets$"),
    "watch": ("GET", "watch=1"),
    "follow the log": ("GET", "/log"),
    "fetch the outcome": ("GET", "/exec"),
    "delete the pod": ("DELETE", "/pods/"),
}
"""Each request of a task whose outcome is large."""

GONE = {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old"}


def fail(proxy: FaultyProxy, how: str, method: str, path: str, times: int) -> Rule:
    match how:
        case "refused":
            return proxy.refuse(method, path, times=times)
        case "lost":
            return proxy.lose_reply(method, path, times=times)
        case "429":
            return proxy.answer(method, path, 429, headers={"Retry-After": "1"}, times=times)
        case _:
            return proxy.answer(method, path, int(how), times=times)


@each_way
@pytest.mark.parametrize(("how", "times"), [("refused", 3), ("lost", 3), ("429", 1), ("500", 2), ("503", 3)])
def test_each_request_may_fail_before_it_succeeds(
    tries: Tries, proxy: FaultyProxy, tmp_path: Path, way: str, how: str, times: int
) -> None:
    rules = {name: fail(proxy, how, *request, times) for name, request in REQUESTS.items()}
    if way == "deferrable":
        rules["list pods"] = fail(proxy, how, "GET", r"/pods\?labelSelector=", times)
    tries.start(way, through=proxy, size=LARGE, folder=tmp_path).assert_ran_once()
    assert {name: rule.struck for name, rule in rules.items()} == dict.fromkeys(rules, times)


@pytest.mark.parametrize("lost", [(1,), (2, 3), (1, 2, 3, 4)])
def test_a_request_of_several_secrets_arrives_whole_whatever_reply_is_lost(
    tries: Tries, proxy: FaultyProxy, lost: tuple[int, ...]
) -> None:
    for number in range(1, 5):
        (proxy.lose_reply if number in lost else proxy.let_pass)("POST", "/secrets$")
    one = tries.start("kubernetes", through=proxy, carries=3_500_000)
    assert one.assert_ran_once().result["carried"] == 3_500_000


# --- the watch


def impatient_with_silence(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Take a watch for dead that gives nothing for so long."""
    monkeypatch.setitem(follow_pods.__kwdefaults__, "idle", seconds)
    monkeypatch.setitem(SharedWatch.subscribe.__wrapped__.__kwdefaults__, "idle", seconds)  # type: ignore[attr-defined]


@each_way
@pytest.mark.parametrize("counts", [(0, 1, 700, 2500), (1500, 3000, 4500), (0,) * 6], ids=str)
def test_a_watch_may_be_cut_anywhere(tries: Tries, proxy: FaultyProxy, way: str, counts: tuple[int, ...]) -> None:
    for count in counts:
        proxy.cut_after("GET", "watch=1", count)
    tries.start(way, through=proxy).assert_ran_once()


@each_way
@pytest.mark.parametrize("times", [1, 6, None])
def test_watches_may_end_at_once_again_and_again(tries: Tries, proxy: FaultyProxy, way: str, times: int | None) -> None:
    ended = proxy.answer("GET", "watch=1", 200, b"", times=times)
    tries.start(way, through=proxy).assert_ran_once()
    assert ended.struck == times or ended.struck > 1


@each_way
@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("how", ["as an answer", "as an event"])
def test_a_watch_may_have_expired(tries: Tries, proxy: FaultyProxy, way: str, how: str, times: int) -> None:
    event = json.dumps({"type": "ERROR", "object": GONE}).encode() + b"\n"
    answer = (410, GONE) if how == "as an answer" else (200, event)
    expired = proxy.answer("GET", "watch=1", *answer, times=times)
    one = tries.start(way, through=proxy, waits=True)
    one.until_line(10)
    wait_until(lambda: expired.struck == times, what="all watches to have expired")
    one.tell_to_end()
    one.assert_ran_once()


@each_way
@pytest.mark.parametrize(("count", "times"), [(0, 1), (0, 3), (2000, 3)])
def test_a_watch_may_fall_silent(
    tries: Tries, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, way: str, count: int, times: int
) -> None:
    impatient_with_silence(monkeypatch, 2)
    proxy.silence_after("GET", "watch=1", count, times=times)
    tries.start(way, through=proxy).assert_ran_once()


# --- all connections at once


@each_way
@pytest.mark.parametrize("size", [10, LARGE])
def test_all_connections_may_be_cut_at_any_moment(tries: Tries, proxy: FaultyProxy, way: str, size: int) -> None:
    one = tries.start(way, through=proxy, size=size, waits=True)
    one.until_made()
    proxy.close_connections()
    one.until_running()
    proxy.close_connections()
    for number in (0, 5, 20, 30):
        one.until_line(number)
        proxy.close_connections()
    fetched = proxy.let_pass("GET", "/exec")
    one.tell_to_end()
    proxy.close_connections()
    one.until_ended() if size == 10 else fetched.wait()
    proxy.close_connections()
    one.assert_ran_once()


# --- the removal


@each_way
@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("how", ["refused", "lost", "500"])
def test_a_removal_may_be_refused_a_few_times(tries: Tries, proxy: FaultyProxy, way: str, size: int, how: str) -> None:
    refused = fail(proxy, how, "DELETE", "/pods/", 4)
    tries.start(way, through=proxy, size=size).assert_ran_once()
    assert refused.struck == 4


def test_a_result_is_there_though_its_pod_can_not_be_removed(tries: Tries, proxy: FaultyProxy) -> None:
    proxy.refuse("DELETE", "", times=None, on_match=lambda _: tries.be_impatient())
    one = tries.start("kubernetes", through=proxy)
    one.assert_output(one.outcome())
    assert "will be when orphans are" in one.notes[-1]
    one.delete_pod()
    one.assert_ran_once()
