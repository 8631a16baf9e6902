"""A task may do anything to its worker: its outcome is clear all the same, and the next task runs as if nothing was."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from airflow_provider_tasks.workers.diagnosis import diagnose
from airflow_provider_tasks.workers.failures import KilledError, PayloadError

from .conftest import deferrable_too, in_a_shared_pod, on_this_machine, run_in

NO_OUTCOME = "the task's process wrote a report that is no outcome"


def report_path():
    """Where this process is to report, as a task can find out."""
    with open("/proc/self/cmdline") as file:
        return file.read().split("\0")[-2] + "/report"


def deep(text):
    return text * 100_000


HEAD = b'{"status": "success", "timeline": {}}\n'


@in_a_shared_pod
@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"garbage", b"\xff\xfe\n", b"[]\n", b"null\nnull", b"[" * 200_000 + b"\n", b'{"a":' * 200_000 + b"\n",
     b'{"timeline": []}\n', b'{"timeline": {}, "peak_memory": NaN}\n', b"{" + b" " * (9 * 2**20) + b"}\n"],
    ids=["empty", "line", "garbage", "binary", "list", "null", "deep list", "deep object", "timeline", "NaN", "long"],
)  # fmt: skip
def test_a_report_that_is_none_is_a_clear_failure(run, content):
    def writes():
        with open(report_path(), "wb") as file:
            file.write(content)
        os._exit(0)

    outcome = run(writes).outcome
    assert (outcome.status, outcome.category) == ("failure", "payload")
    assert diagnose(outcome).summary == NO_OUTCOME


@deferrable_too
@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"status": "fine", "timeline": {}}\n', "status is 'fine', expected one of success, failure, skipped"),
     (b'{"status": "success", "timeline": {}, "more": 1}\n', "unknown fields more"),
     (b'{"status": "failure", "timeline": {}}\n', "status is 'failure' with category None"),
     (HEAD + b"not JSON", "the outcome is not JSON"),
     (HEAD + b'{"__type__": "module", "value": "os"}', "the result can't be read: result has the unknown type"),
     (HEAD + b"[" * 100_000 + b"]" * 100_000, "the outcome is not JSON"),
     (HEAD + b"1" * (97 * 2**20), "expected at most")],
    ids=["status", "field", "category", "not JSON", "tag", "deep", "large"],
)  # fmt: skip
def test_a_report_that_lies_can_not_be_read_and_says_why(run, content, message):
    def writes():
        with open(report_path(), "wb") as file:
            file.write(content)
        os._exit(0)

    with pytest.raises(PayloadError) as caught:
        run(writes)
    assert message in caught.value.summary


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)], ids=["pipe", "folder", "link"]
)
def test_a_report_that_is_no_file_is_taken_for_none(run, make):
    def makes():
        make(report_path())
        os._exit(0)

    assert run(makes).outcome.message == "the task's process ended with exit code 0 before run() returned"


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)], ids=["pipe", "folder", "link"]
)
def test_what_lies_where_the_outcome_goes_is_replaced(run, make):
    def makes():
        folder = os.path.dirname(report_path()).removesuffix(".runtime")
        for path in (f"{folder}.outcome", f"{folder}.outcome.part", report_path(), report_path() + ".part"):
            make(path)
        return "returned"

    assert run(makes).outcome.result == "returned"


def worker_folder():
    return os.path.dirname(os.path.dirname(report_path()))


def test_a_task_that_removes_its_own_folder_returns(many_worker):
    def removes():
        import shutil

        shutil.rmtree(worker_folder())
        return "returned"

    assert run_in(many_worker, removes).outcome.result == "returned"
    assert run_in(many_worker, os.getcwd).outcome.status == "success"


def test_a_task_that_forbids_its_own_folders_harms_itself_alone(many_worker, backend):
    def forbids():
        for folder in (os.getcwd(), os.path.dirname(report_path()), worker_folder()):
            os.chmod(folder, 0)
        return "returned"

    outcome = run_in(many_worker, forbids).outcome
    is_root = backend == "local" and os.getuid() == 0  # to whom nothing is forbidden
    assert outcome.result == "returned" if is_root else outcome.status == "failure"
    assert run_in(many_worker, lambda: 1).outcome.result == 1


def test_a_task_that_takes_the_names_of_the_next_request_does_not_stop_it(many_worker):
    def takes():
        for name in ("request-2", "request-2.runtime", "request-2.outcome"):
            os.mkdir(os.path.join(worker_folder(), name))

    run_in(many_worker, takes)
    assert run_in(many_worker, lambda: 2).outcome.result == 2


def failure_of(run, call):
    """How a worker that did not survive its task says so: one on this machine raises, one in a pod has an outcome."""
    try:
        outcome = run(call).outcome
    except KilledError as error:
        return error.category, error.summary
    return outcome.category, outcome.message


@deferrable_too
def test_a_task_that_kills_its_parent_ends_the_worker(run):
    category, summary = failure_of(run, lambda: os.kill(os.getppid(), signal.SIGKILL))
    assert category == "killed"
    assert summary.startswith("the worker ended with signal SIGKILL before it reported an outcome")


def test_a_task_that_kills_its_parent_leaves_nobody_printing(run):
    def leaves():
        import subprocess

        subprocess.Popen("yes", start_new_session=True)
        os.kill(os.getppid(), signal.SIGKILL)

    assert failure_of(run, leaves)[0] == "killed"


@on_this_machine
def test_the_output_of_a_worker_that_died_is_in_the_error(worker):
    def speaks():
        print("last words")
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()

    with pytest.raises(KilledError, match="    last words"):
        run_in(worker, speaks)


def test_a_task_that_tells_its_parent_to_end_is_ended(run):
    def tells():
        os.kill(os.getppid(), signal.SIGTERM)
        signal.pause()

    outcome = run(tells).outcome
    assert (outcome.category, diagnose(outcome).summary) == ("killed", "the worker was told to end")


def test_a_task_that_stops_its_parent_is_still_watched(run):
    def stops():
        os.kill(os.getppid(), signal.SIGSTOP)
        signal.pause()

    assert run(stops, limits={"time": 0.7}).outcome.category == "timeout"


def test_a_task_that_stops_itself_is_ended_at_its_time_limit(run):
    assert run(lambda: os.kill(os.getpid(), signal.SIGSTOP), limits={"time": 0.7}).outcome.category == "timeout"


def test_a_task_that_writes_to_the_workers_pipes_gains_nothing(run):
    def answers():
        parent = f"/proc/{os.getppid()}/fd"
        for name in os.listdir(parent):
            if int(name) > 2 and os.readlink(f"{parent}/{name}").startswith("pipe:"):
                try:
                    number = os.open(f"{parent}/{name}", os.O_WRONLY | os.O_NONBLOCK)
                    os.write(number, b"/etc/passwd\n")
                except OSError:
                    pass
        signal.pause()

    category, summary = failure_of(run, answers)
    assert category == "killed"
    assert "before it reported an outcome" in summary


def test_a_task_that_fills_the_table_of_files_returns(run):
    def fills():
        held = []
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            return len(held) > 10
        finally:
            for number in held[-20:]:
                os.close(number)

    assert run(fills).outcome.result is True


def test_a_task_that_breaks_the_modules_it_shares_with_us_harms_itself_alone(many_worker):
    def breaks():
        import json

        json.dumps = sys.exit

    assert run_in(many_worker, breaks).outcome.category == "task"
    assert run_in(many_worker, lambda: 1).outcome.result == 1
