"""A pod's output survives its way through a log: any bytes, in any pieces, with the log cut and read again."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.runtime import framing
from airflow_provider_tasks.runtime.framing import CONTROL, INTERVAL, LONGEST, Framer
from airflow_provider_tasks.workers import lines
from airflow_provider_tasks.workers.kubernetes import output
from airflow_provider_tasks.workers.kubernetes.output import OutputReader
from airflow_provider_tasks.workers.lines import LineSplitter

ATOMS = [b"a", b"\n", b"\r", b"\0", b"\x1d", b"\x1e", b"\x1f", b"\xff", "🛰".encode(), "ü".encode(), b"x" * 20]
ATOMS += [b"line 5\x1d\n", b"outcome 1 3\x1d\n", b"line 0\x1d\x1f\n", b"\x1e\n", b"\x1f\n", b"\x1d\n", b"\n\n"]
STREAMS = st.lists(st.sampled_from(ATOMS), max_size=60).map(b"".join)
PLACES = st.lists(st.integers(0, 400), max_size=20)


@pytest.fixture(autouse=True, scope="module")
def short_lines():
    """Let a few bytes be many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "LONGEST", 16)
        patch.setattr(framing, "INTERVAL", 64)
        patch.setattr(lines, "LONGEST", 32)
        yield


def in_pieces(data, places):
    places = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def framed(data, places=()):
    """The log of a worker that printed `data` in these pieces, and how many lines count in it."""
    framer = Framer()
    log = b"".join(map(framer.feed, in_pieces(data, places))) + framer.end()
    return log, framer.lines


def split(data):
    """What the local worker makes of the same output."""
    splitter = LineSplitter()
    return [*splitter.feed(data), *splitter.end()]


def read(log, count, places=()):
    seen: list[str] = []
    reader = OutputReader(seen.append)
    for piece in in_pieces(log, places):
        reader.feed(piece)
    reader.end(count)
    assert (reader.lines, reader.lost) == (count, 0)
    return seen


@given(STREAMS, PLACES, PLACES)
def test_any_bytes_in_any_pieces_come_out_as_they_went_in(data, written, received):
    log, count = framed(data, written)
    assert read(log, count, received) == split(data)


@given(STREAMS, PLACES)
def test_every_line_of_the_log_is_short_and_complete(data, written):
    log, _ = framed(data, written)
    assert log == b"" or log.endswith(b"\n")
    assert all(len(line) <= 16 + 1 for line in log.split(b"\n") if not line.endswith(CONTROL))


@given(STREAMS, PLACES)
def test_what_is_printed_never_says_anything(data, written):
    log, _ = framed(data, written)
    said = [line for line in log.split(b"\n") if line.endswith(CONTROL)]
    assert all(line.startswith(b"line ") for line in said)
    reader = OutputReader(lambda _: None)
    reader.feed(log)
    assert reader.outcomes == 0


@given(STREAMS, PLACES, st.lists(st.tuples(st.integers(0, 600), PLACES), max_size=6))
def test_a_log_that_is_cut_and_read_again_from_its_start_gives_each_line_once(data, written, cuts):
    log, count = framed(data, written)
    seen: list[str] = []
    reader = OutputReader(seen.append)
    for cut, received in cuts:
        for piece in in_pieces(log[:cut], received):
            reader.feed(piece)
        reader.start_again()
    reader.feed(log)
    reader.end(count)
    assert seen == split(data)
    assert (reader.lines, reader.lost) == (count, 0)


def numbered(count):
    return b"".join(b"line number %d\n" % number for number in range(count))


@given(
    st.integers(1, 60),
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 900)), max_size=5),
    st.integers(0, 90),
)
def test_a_log_that_was_rotated_gives_each_line_that_is_left_once(count, step, readings, last):
    """Each reading begins with a line of the log and is cut somewhere; the last one goes to the end."""
    log, _ = framed(numbered(count), range(0, 1500, step))
    whole = log.split(b"\n")[:-1]
    seen: list[str] = []
    reader = OutputReader(seen.append)
    rotated = 0
    for start, cut in [*sorted(readings), (last, len(log))]:
        rotated = min(max(rotated, start), len(whole))  # what is gone stays gone
        reader.start_again()
        reader.feed(b"".join(line + b"\n" for line in whole[rotated:])[:cut])
    reader.end(count)
    numbers = [int(line.split()[-1]) for line in seen]
    assert numbers == sorted(set(numbers))
    assert reader.lines == count
    assert reader.lost == count - len(numbers)
    kept = [int(line.split()[-1]) for line in whole[rotated:] if line.startswith(b"line number")]
    assert set(kept) <= set(numbers)


@given(STREAMS, STREAMS, PLACES)
def test_outputs_of_two_requests_are_not_mixed(first, second, received):
    framer = Framer()
    log = framer.feed(first) + framer.end() + framer.control(f"outcome 1 {framer.lines}")
    between = len(log)
    log += framer.feed(second) + framer.end() + framer.control(f"outcome 2 {framer.lines}")
    seen: list[str] = []
    reader = OutputReader(seen.append)
    for piece in in_pieces(log[:between], received):
        reader.feed(piece)
    assert (seen, reader.outcomes) == (split(first), 1)
    seen.clear()
    for piece in in_pieces(log[between:], received):
        reader.feed(piece)
    assert (seen, reader.outcomes) == (split(second), 2)


def test_a_line_that_has_no_end_is_handed_on_when_the_output_ends():
    log, count = framed(b"one\ntwo")
    seen: list[str] = []
    reader = OutputReader(seen.append)
    reader.feed(log)
    assert seen == ["one", "two"]
    reader.end(count)
    assert seen == ["one", "two"]


def test_a_mark_says_where_a_rotated_log_begins_before_it_ends():
    log, count = framed(numbered(40), range(0, 600, 30))
    later = log[log.index(b"line number 18\n") :]
    mark = later.index(CONTROL) + 2
    seen: list[str] = []
    reader = OutputReader(seen.append)
    reader.feed(log[: log.index(b"line number 20\n")])
    reader.start_again()
    reader.feed(later[: mark - 1])
    assert seen[-1] == "line number 19"  # nobody knows yet where those lines are
    reader.feed(later[mark - 1 : mark])
    assert int(seen[-1].split()[-1]) == later[:mark].count(b"number") + 17
    reader.feed(later[mark:])
    assert seen == [f"line number {number}" for number in range(40)]
    reader.end(count)
    assert reader.lost == 0


def test_what_is_held_back_without_a_mark_has_a_limit(monkeypatch):
    monkeypatch.setattr(output, "HELD_LIMIT", 100)
    seen: list[str] = []
    reader = OutputReader(seen.append)
    for number in range(20):
        reader.feed(b"nobody counted %d\n" % number)
    assert len(seen) == 20


@pytest.mark.parametrize("line", [b"", b" ", b"line", b"line x", b"line -1", b"line 1 2", b"outcome 1", b"outcome a b",
                                  b"line " + b"9" * 5000, b"hello", b"\xff"])  # fmt: skip
def test_a_control_line_that_says_nothing_known_changes_nothing(line):
    seen: list[str] = []
    reader = OutputReader(seen.append)
    reader.feed(b"line 0" + CONTROL + b"\none\n" + line + CONTROL + b"\ntwo\n")
    assert (seen, reader.outcomes, reader.lost) == (["one", "two"], 0, 0)


def test_the_limits_are_those_of_container_engines():
    # As they are, not as this module sets them: containerd and CRI-O cut at 16 KiB, a stamp included.
    assert LONGEST + 100 < 8 * 2**10
    assert INTERVAL > LONGEST
