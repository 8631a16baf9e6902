"""A stream becomes lines, however it comes in pieces."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.workers import lines
from airflow_provider_tasks.workers.lines import LONGEST, LineSplitter


def split(*pieces):
    splitter = LineSplitter()
    found = [line for piece in pieces for line in splitter.feed(piece)]
    return found + list(splitter.end())


def in_pieces(data, cuts):
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


STREAMS = st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", "🛰".encode(), "ü".encode(), b"\xff", b"x" * 50])).map(
    b"".join
)


@given(STREAMS, st.lists(st.integers(0, 300)))
def test_any_pieces_give_the_same_lines_and_nothing_is_lost(data, cuts):
    before, lines.LONGEST = lines.LONGEST, 16
    try:
        whole = split(data)
        assert split(*in_pieces(data, cuts)) == whole
        assert all(len(line.encode()) <= 4 * 16 for line in whole)
        text = data.decode("utf-8", "backslashreplace")
        assert "".join(whole).replace("\r", "") == text.replace("\n", "").replace("\r", "")
    finally:
        lines.LONGEST = before


@given(STREAMS)
def test_lines_are_those_between_line_ends(data):
    if not data.endswith(b"\n"):
        data += b"\n"
    expected = [line.removesuffix("\r") for line in data.decode("utf-8", "backslashreplace").split("\n")[:-1]]
    assert split(data) == expected


def test_a_line_is_handed_on_as_soon_as_it_is_complete():
    splitter = LineSplitter()
    assert list(splitter.feed(b"one\ntwo")) == ["one"]
    assert list(splitter.feed(b"\n")) == ["two"]
    assert list(splitter.end()) == []


def test_a_long_line_is_cut_between_characters():
    found = split("aü🛰".encode() * LONGEST)
    assert "".join(found) == "aü🛰" * LONGEST
    assert all(len(line.encode()) <= LONGEST for line in found)


def test_a_long_line_of_no_text_is_cut_too():
    found = split(b"\x80" * (LONGEST * 2))
    assert "".join(found) == "\\x80" * (LONGEST * 2)
