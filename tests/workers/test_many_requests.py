"""A worker takes one request after another, whatever came of those before."""

from __future__ import annotations

import os
import signal

import pytest

from airflow_provider_tasks.workers.failures import KilledError
from airflow_provider_tasks.workers.payload import pack

from .conftest import run_in, send


def test_requests_run_one_after_another_in_processes_of_their_own(many_worker):
    request = pack(os.getpid, (), {})
    pids = [send(many_worker, dict(request)).outcome.result for _ in range(10)]
    assert len(set(pids)) == 10


def test_requests_share_the_folder(many_worker):
    run_in(many_worker, lambda: open("left_behind", "w").close())
    assert run_in(many_worker, os.listdir).outcome.result == ["left_behind"]


def test_a_request_after_one_that_failed_runs(many_worker):
    def raises():
        raise ValueError

    for bad, limits in [(raises, {}), (lambda: os._exit(3), {}), (lambda: os.kill(os.getpid(), 9), {}),
                        (signal.pause, {"time": 0.5}),
                        (lambda: [b"x" * 2**20 for _ in range(2000)], {"memory": 100 * 2**20})]:  # fmt: skip
        assert run_in(many_worker, bad, limits=limits).outcome.status == "failure"
        ran = run_in(many_worker, lambda: print("next") or 1)
        assert (ran.outcome.result, ran.lines) == (1, ["next"])


def test_a_request_after_one_whose_environment_failed_runs(many_worker):
    outcome = run_in(many_worker, print, environment={"requirements": ["exit 4"]}).outcome
    assert (outcome.category, outcome.detail["exit_code"]) == ("environment", "4")
    assert run_in(many_worker, lambda: 1).outcome.result == 1


def test_variables_and_context_are_of_one_request_alone(many_worker):
    def sees():
        from airflow_provider_tasks import get_context

        return os.environ.get("GIVEN"), get_context()

    environment = {"variables": {"GIVEN": "yes"}}
    assert run_in(many_worker, sees, environment=environment, context={"ds": "x"}).outcome.result == (
        "yes",
        {"ds": "x"},
    )
    assert run_in(many_worker, sees).outcome.result == (None, {})


def test_a_signal_to_end_ends_the_request_that_runs_and_an_idle_worker(many_worker, shell):
    def tells():
        os.kill(os.getppid(), signal.SIGTERM)
        signal.pause()

    for _ in range(5):
        assert run_in(many_worker, tells).outcome.category == "killed"
    supervisor = run_in(many_worker, os.getppid).outcome.result
    shell(many_worker, f"kill -TERM {supervisor}")
    with pytest.raises(KilledError):
        run_in(many_worker, signal.pause)


def test_a_worker_that_was_told_to_end_takes_no_more(many_worker):
    assert run_in(many_worker, lambda: 1).outcome.result == 1
    many_worker.kill()
    with pytest.raises(KilledError, match="the worker was told to end before it ran the task"):
        run_in(many_worker, lambda: 1)
