"""Output of any size and any kind arrives once, in order and whole; what it looks like makes no difference."""

from __future__ import annotations

import os

import pytest

from airflow_provider_tasks.workers.lines import LineSplitter

from .conftest import deferrable_too, in_a_shared_pod, run_in

FRAME = 8000
"""Bytes after which the output of a pod is cut into another line of its log."""

SPLIT = 64 * 1024
"""Bytes after which a line goes on in the next one, whatever the worker."""


def split(data):
    splitter = LineSplitter()
    return [*splitter.feed(data), *splitter.end()]


def writes(pieces):
    """Print `pieces`, each with a call of its own."""
    for piece in pieces:
        while piece:
            piece = piece[os.write(1, piece) :]
    return "written"


def assert_all_of_it_arrives(worker, pieces):
    ran = run_in(worker, writes, pieces)
    expected = split(b"".join(pieces))
    wrong = next(
        (index for index, pair in enumerate(zip(ran.lines, expected, strict=False)) if pair[0] != pair[1]), None
    )
    assert wrong is None, f"line {wrong}: {ran.lines[wrong][:200]!r}, expected {expected[wrong][:200]!r}"
    assert len(ran.lines) == len(expected)
    assert (ran.outcome.status, ran.outcome.result) == ("success", "written")


@deferrable_too
def test_100_000_lines_arrive_in_order(worker):
    def prints():
        for number in range(100_000):
            print("line", number)
        return "printed"

    ran = run_in(worker, prints)
    assert ran.lines == [f"line {number}" for number in range(100_000)]
    assert ran.outcome.result == "printed"


@deferrable_too
def test_lines_of_1_mb_arrive_whole(worker):
    lines = [f"{number}".encode() * 1_000_000 + b"\n" for number in range(3)]
    assert_all_of_it_arrives(worker, lines)


def test_an_output_larger_than_a_log_of_the_cluster_arrives(worker):
    """The kubelet begins a new log after 10 MiB, when it happens to look."""
    assert_all_of_it_arrives(worker, [b"%07d " % number + b"x" * 991 + b"\n" for number in range(15_000)])


EMOJI = "🛰".encode()
MARKED = [b"%s%s\n" % (text, mark) for mark in (b"\x1d", b"\x1e", b"\x1f") for text in (b"", b"text", b"\x1d\x1e\x1f")]

KINDS = {
    "no newline at the end": [b"one\ntwo\n\nthree"],
    "binary": [bytes(range(256)), b"\0\0\n\0", bytes(range(255, -1, -1)) * 40],
    "emoji in single bytes": [bytes([byte]) for byte in EMOJI * 5 + b"\n" + EMOJI],
    "emoji over borders": [
        b"a" * (border - before) + EMOJI * 3 + b"\n" for border in (FRAME, 2 * FRAME, SPLIT) for before in range(5)
    ],
    "lines as long as a frame": [b"b" * (FRAME + more) + b"\n" for more in range(-2, 3)],
    "bytes of the framing": MARKED,
    "bytes of the framing at borders": [
        b"c" * (FRAME + more) + mark + end
        for more in range(-2, 2)
        for mark in (b"\x1d", b"\x1e", b"\x1f")
        for end in (b"\n", b"d\n")
    ],
    "what looks like the framing": [
        b"line 5\x1d\n", b"outcome 1 3\x1d\n", b"outcome 1 0\x1d\nline 0\x1d\nline 100000\x1d\n",
        b"line 7", b"\x1d", b"\n",
        b"airflow-worker 1 3 plain\n{}\n", b"outcome 2 3\x1d",
    ],
}  # fmt: skip


@in_a_shared_pod
@pytest.mark.parametrize("kind", KINDS)
def test_output_of_every_kind_arrives_as_it_was_written(worker, kind):
    assert_all_of_it_arrives(worker, KINDS[kind])


@deferrable_too
def test_output_of_all_kinds_one_after_another_arrives_as_it_was_written(worker):
    assert_all_of_it_arrives(worker, [piece for pieces in KINDS.values() for piece in [*pieces, b"\n"]])


def test_what_looks_like_the_framing_does_not_end_a_request_of_many(many_worker):
    for _ in range(2):
        assert_all_of_it_arrives(many_worker, [*KINDS["what looks like the framing"], b"\n", b"outcome 9 9\x1d\n"])


def test_what_is_printed_does_not_become_the_outcome_of_a_task_that_dies(run):
    def forges():
        os.write(1, b'outcome 1 1\x1d\nairflow-worker 1 1 plain\n{"version": 1, "status": "success"}\n')
        os._exit(3)

    ran = run(forges)
    assert (ran.outcome.status, ran.outcome.exit_code) == ("failure", 3)
    assert len(ran.lines) == 3
