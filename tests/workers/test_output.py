"""What a task prints arrives as lines, whatever it prints and however."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tracemalloc

from airflow_provider_tasks.workers.lines import LONGEST
from airflow_provider_tasks.workers.payload import pack

from .conftest import deferrable_too, in_a_shared_pod, send


@deferrable_too
def test_lines_arrive_while_the_task_runs(worker, shell):
    def prints_and_waits():
        import os.path
        import time

        print("first")
        while not os.path.exists("heard"):
            time.sleep(0.01)
        print("second", end="")

    lines = []

    def on_output(line):
        lines.append(line)
        if line == "first":
            shell(worker, "touch heard")

    outcome = worker.run({**pack(prints_and_waits, (), {}), "limits": {"time": 60}}, on_output)
    assert (outcome.status, lines) == ("success", ["first", "second"])


@deferrable_too
def test_standard_output_and_error_arrive_in_order(run):
    def both():
        for number in range(3):
            print("out", number)
            print("err", number, file=sys.stderr)

    assert run(both).lines == [f"{name} {number}" for number in range(3) for name in ("out", "err")]


@in_a_shared_pod
def test_what_a_child_prints_arrives(run):
    assert run(lambda: subprocess.run(["echo", "from a child"], check=True).returncode).lines == ["from a child"]


@deferrable_too
def test_the_last_words_of_a_killed_task_arrive(run):
    def speaks_and_dies():
        print("last words")
        os.kill(os.getpid(), 9)

    assert run(speaks_and_dies).lines == ["last words"]


@in_a_shared_pod
def test_windows_line_ends_and_a_missing_one_are_fine(run):
    assert run(lambda: os.write(1, b"one\r\ntwo\n\nthree")).lines == ["one", "two", "", "three"]


@deferrable_too
def test_binary_output_is_shown_and_nothing_of_it_is_lost(run):
    lines = run(lambda: os.write(1, bytes(range(256)))).lines
    assert len(lines) == 2
    assert lines[1].endswith("\\xfe\\xff")


def test_an_emoji_that_comes_in_pieces_is_whole(run):
    def pieces():
        for byte in "🛰 ü".encode():
            os.write(1, bytes([byte]))

    assert run(pieces).lines == ["🛰 ü"]


def test_much_output_arrives_and_is_not_kept(worker, backend):
    line = "x" * 99_999
    lines = 2000 if backend == "local" else 150
    count = 0
    strange = []

    def on_output(text):
        nonlocal count
        count += len(text)
        if set(text) != {"x"}:
            strange.append(text)

    def prints():
        for _ in range(lines):
            print(line)

    request = {**pack(prints, (), {}), "limits": {"time": 120}}
    tracemalloc.start()
    try:
        outcome = worker.run(request, on_output)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (outcome.status, count, strange) == ("success", lines * 99_999, [])
    assert peak < 16 * 2**20


def test_one_very_long_line_arrives_in_pieces(run, backend):
    length = 25_000_000 if backend == "local" else 2_500_000
    lines = run(lambda: print("ü" * length)).lines
    assert set(map(len, lines[:-1])) == {LONGEST // 2}
    assert sum(map(len, lines)) == length


@in_a_shared_pod
def test_a_task_that_closes_its_files_returns_all_the_same(run):
    def closes():
        print("before")
        sys.stdout.flush()
        for number in (0, 1, 2):
            os.close(number)
        return "returned"

    ran = run(closes)
    assert (ran.outcome.result, ran.lines) == ("returned", ["before"])


@in_a_shared_pod
def test_what_is_printed_to_closed_files_does_not_end_up_in_the_outcome(run):
    def closes():
        os.close(1)
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
        print("{}" * 100)
        return "returned"

    assert run(closes).outcome.result == "returned"


@in_a_shared_pod
def test_a_task_that_closes_its_streams_returns_all_the_same(run):
    def closes():
        sys.stdout.close()
        sys.stderr.close()
        return "returned"

    assert run(closes).outcome.result == "returned"


@in_a_shared_pod
def test_a_task_without_streams_returns_all_the_same(run):
    def loses():
        sys.stdout = sys.stderr = None
        return "returned"

    assert run(loses).outcome.result == "returned"


def test_what_looks_like_an_outcome_is_output(run):
    text = '{"version": 1, "status": "success", "result": 1}'
    ran = run(lambda: print(text))
    assert (ran.outcome.result, ran.lines) == (None, [text])


@in_a_shared_pod
def test_standard_input_is_empty(run):
    assert run(lambda: sys.stdin.read()).outcome.result == ""


@in_a_shared_pod
def test_files_of_the_worker_are_not_open_in_the_task(run):
    def opened():
        import stat

        numbers = [int(name) for name in os.listdir("/dev/fd")]
        found = []
        for number in numbers:
            with contextlib.suppress(OSError):
                found.append(stat.S_ISFIFO(os.fstat(number).st_mode) and number > 2)
        return any(found)

    assert run(opened).outcome.result is False


def test_a_line_of_many_requests_is_not_mixed_with_the_next(many_worker):
    request = pack(lambda: os.write(1, b"no end"), (), {})
    assert [send(many_worker, dict(request)).lines for _ in range(3)] == [["no end"]] * 3
