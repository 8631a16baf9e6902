"""Every line of output comes once and in order, and the outcome whole, wherever their streams are cut or silent."""

from __future__ import annotations

import re

import pytest

from airflow_provider_tasks.runtime.framing import CONTINUED, CONTROL, Framer
from airflow_provider_tasks.workers.kubernetes import follow
from tests.kubernetes.cluster import wait_until
from tests.kubernetes.proxy import FaultyProxy
from tests.kubernetes.tries import (  # noqa: F401
    LARGE,
    WAYS,
    Speech,
    Tries,
    Try,
    assert_same,
    folder_fixture,
    leftovers_fixture,
    tries_fixture,
)

pytestmark = pytest.mark.kubernetes

each_way = pytest.mark.parametrize("way", WAYS)

LINES = 9
LOG = Framer().feed("".join(f"{line}\n" for line in Speech().output("0" * 32, LINES)).encode())
"""What the log of a task with so many lines holds, but for the number of its run."""

IN_A_CHARACTER = LOG.index("🛰".encode())
IN_PIECES = LOG.index(CONTINUED + b"\n")

CUTS = {
    "before anything": (0, 0, 0),
    "the first control line": (1, LOG.index(CONTROL), LOG.index(CONTROL) + 1, LOG.index(CONTROL) + 2),
    "the first line": (LOG.index(b"run"), LOG.index(b"run") + 20, LOG.index(b"line 0 ") - 1, LOG.index(b"line 0 ")),
    "a character": tuple(IN_A_CHARACTER + count for count in (1, 2, 3, 4)),
    "a line in pieces": tuple(IN_PIECES + count for count in (-1, 0, 1, 2)),
    "the middle of a long line": (IN_PIECES // 2, IN_PIECES + 100, IN_PIECES + 5000),
    "the end": (len(LOG) - 1, len(LOG)),
}


@each_way
@pytest.mark.parametrize("where", CUTS)
def test_a_log_may_be_cut_anywhere(tries: Tries, proxy: FaultyProxy, way: str, where: str) -> None:
    cuts = [proxy.cut_after("GET", "/log", count) for count in CUTS[where]]
    one = tries.start(way, through=proxy, lines=LINES, waits=True)
    for cut in cuts:
        cut.wait()
    one.tell_to_end()
    one.assert_ran_once()


@each_way
@pytest.mark.parametrize("back", [(1, 2, 3), (5, 11, 13), (0, 14, 20)], ids=str)
def test_a_log_may_be_cut_in_what_says_that_there_is_an_outcome(
    tries: Tries, proxy: FaultyProxy, way: str, back: tuple[int, ...]
) -> None:
    lines = LOG.count(b"\n") - 1  # but for the control line at its beginning
    said = Framer().control(f"outcome 1 {lines}")
    for count in back:
        proxy.cut_after("GET", "/log", len(LOG) + len(said) - count)
    tries.start(way, through=proxy, lines=LINES, size=LARGE).assert_ran_once()


def see_nothing_until_it_has_ended(tries: Tries, proxy: FaultyProxy) -> None:
    """Keep back what is asked of the pods' states until the pod of the last try has ended."""
    proxy.let_pass("GET", r"/pods\?", on_match=lambda _: tries.last.until_ended())


@each_way
@pytest.mark.parametrize("counts", [(0, 0), (20, 300), (IN_PIECES, IN_PIECES + 100), (len(LOG) - 1, len(LOG) - 5)])
def test_the_log_of_a_pod_that_has_ended_may_be_cut(
    tries: Tries, proxy: FaultyProxy, way: str, counts: tuple[int, ...]
) -> None:
    see_nothing_until_it_has_ended(tries, proxy)
    cuts = [proxy.cut_after("GET", "follow=false", count) for count in counts]
    tries.start(way, through=proxy, lines=LINES).assert_ran_once()
    assert [cut.struck for cut in cuts] == [1, 1]


@each_way
def test_the_log_of_a_pod_that_has_ended_may_fall_silent(
    tries: Tries, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(follow, "QUIET", (2.0,))
    see_nothing_until_it_has_ended(tries, proxy)
    silent = proxy.silence_after("GET", "follow=false", 300)
    tries.start(way, through=proxy, lines=LINES).assert_ran_once()
    assert silent.struck == 1


@each_way
@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("count", [0, IN_A_CHARACTER + 1, len(LOG)])
def test_a_log_may_fall_silent(
    tries: Tries, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, way: str, size: int, count: int
) -> None:
    monkeypatch.setattr(follow, "QUIET", (1.0,))
    silent = proxy.silence_after("GET", "follow=true", count)
    one = tries.start(way, through=proxy, lines=LINES, size=size, waits=True)
    silent.wait()
    one.tell_to_end()
    one.assert_ran_once()


@each_way
@pytest.mark.parametrize("said", [b"", b"line 0" + CONTROL + b"\n"], ids=["at once", "after a line"])
def test_a_log_may_end_though_the_container_runs(
    tries: Tries, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, way: str, said: bytes
) -> None:
    monkeypatch.setattr(follow, "_SILENCE", 0.1)
    ended = proxy.answer("GET", "/log", 200, said, times=5)
    one = tries.start(way, through=proxy, waits=True)
    wait_until(lambda: ended.struck == 5, what="the log to be asked for")
    one.until_line(10)
    one.tell_to_end()
    one.assert_ran_once()


@each_way
@pytest.mark.parametrize("size", [10, LARGE])
def test_a_log_may_be_refused_for_a_while(tries: Tries, proxy: FaultyProxy, way: str, size: int) -> None:
    for status in (500, 502, 400, 404, 500):
        proxy.answer("GET", "/log", status)
    one = tries.start(way, through=proxy, size=size, waits=True)
    one.until_line(5)
    for status in (500, 404, 500):
        proxy.answer("GET", "/log", status)
    proxy.close_connections()
    one.tell_to_end()
    one.assert_ran_once()


def test_output_that_can_not_be_had_is_said_to_be_missing_and_the_result_is_there(
    tries: Tries, proxy: FaultyProxy
) -> None:
    tries.be_impatient()
    proxy.answer("GET", "/log", 500, times=None)
    one = tries.start("kubernetes", through=proxy)
    assert one.outcome().result["lines"] == 3
    assert one.lines == []
    assert any(re.match("5 lines of output are missing", note) for note in one.notes), one.notes
    one.assert_nothing_left()


# --- logs that the cluster rotates


ROTATED = 10 * 2**20
"""Bytes of a log after which the kubelet begins a new one."""

LONG = ("~" * 1000,)


@pytest.mark.parametrize("size", [10, LARGE])
def test_nothing_of_a_log_is_lost_that_is_followed_while_the_cluster_rotates_it(
    tries: Tries, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(follow, "QUIET", (5.0, 10.0, 20.0))
    one = tries.start("kubernetes", lines=25_000, size=size, texts=LONG, waits=True)
    until_rotated(tries, one)
    one.tell_to_end()
    one.assert_ran_once()


@each_way
@pytest.mark.parametrize("size", [10, LARGE])
def test_lines_that_the_cluster_threw_away_are_said_to_be_missing(
    tries: Tries, proxy: FaultyProxy, way: str, size: int
) -> None:
    # Each of them: the first may come before the container has started, and be refused.
    silent = proxy.silence_after("GET", "follow=true", 100_000, times=None)
    one = tries.start(way, through=proxy, lines=12_000, size=size, texts=LONG, waits=True)
    until_rotated(tries, one)
    before = len(one.lines)
    assert before < 200
    proxy.close_connections()
    assert silent.struck
    proxy.clear()
    wait_until(lambda: len(one.lines) > before + 20, what="the output to go on")
    one.tell_to_end()
    count = one.outcome().result["lines"]
    whole = one.speech.output(one.run, count)
    missing = len(whole) - len(one.lines)
    assert missing > 5000
    # One gap, wherever the log was when it was rotated.
    begin = next(number for number, line in enumerate(one.lines) if line != whole[number])
    assert begin <= before
    assert_same(one.lines, whole[:begin] + whole[begin + missing :])
    assert one.notes[-1].startswith(f"{missing:,} lines of output are missing")
    one.assert_nothing_left()


def until_rotated(tries: Tries, one: Try) -> None:
    """Return when the cluster has begun a new log, in which there is something."""
    one.until_running()
    name = one.name

    def is_rotated() -> bool:
        begins = tries.cluster.admin.log(name, limitBytes=7)
        return len(begins) == 7 and begins != b"line 0" + CONTROL

    wait_until(is_rotated, at_most=120, what="the log to be rotated")


# --- outcomes that are fetched


@each_way
@pytest.mark.parametrize("counts", [(0, 1, 2, 60), (70, 33_000, LARGE // 2), (LARGE - 1, LARGE, LARGE + 60)], ids=str)
def test_the_fetching_of_an_outcome_may_be_cut_anywhere(
    tries: Tries, proxy: FaultyProxy, way: str, counts: tuple[int, ...]
) -> None:
    cuts = [proxy.cut_after("GET", "/exec", count) for count in counts]
    tries.start(way, through=proxy, size=LARGE).assert_ran_once()
    assert [cut.struck for cut in cuts] == [1] * len(cuts)


@each_way
@pytest.mark.parametrize("status", [None, 400, 404, 500, 502])
def test_the_fetching_of_an_outcome_may_be_refused(
    tries: Tries, proxy: FaultyProxy, way: str, status: int | None
) -> None:
    rules = [proxy.refuse("GET", "/exec") if status is None else proxy.answer("GET", "/exec", status) for _ in range(2)]
    tries.start(way, through=proxy, size=LARGE).assert_ran_once()
    assert [rule.struck for rule in rules] == [1, 1]
