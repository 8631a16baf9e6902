"""Whatever ends a task or its worker, no pod of it is left, nor a Secret; and at once, where somebody ended it."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from airflow_provider_tasks.workers.failures import KilledError, UnschedulableError
from tests.kubernetes.cluster import wait_until

from .conftest import KUBERNETES, in_a_pod, in_pods, run_in

NOWHERE = {"node_selector": {"pool": "there-is-none"}}


@pytest.fixture(autouse=True)
def identity(pods):
    """Whose pod it is; when its worker has been closed, nothing of it is left."""
    identity = pods.identity()
    yield identity
    pods.tests.assert_nothing_left(identity.selector_of_tries)


@pytest.fixture
def worker(open_worker, identity):
    return open_worker(identity=identity)


@pytest.fixture
def is_there(pods, identity):
    """Whether there is a pod."""
    return lambda: pods.tests.admin.pods(identity.selector_of_tries)


@pytest.fixture
def when(request):
    """Call a function in another thread as soon as something is so."""
    threads = []

    def when(condition, then):
        def wait():
            wait_until(condition)
            then()

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    yield when
    for thread in threads:
        thread.join()


def never_ends():
    print("begun")
    while True:
        signal.pause()


@in_pods
def test_nothing_is_left_after_a_success(worker):
    assert run_in(worker, lambda: 1).outcome.result == 1


@in_pods
def test_nothing_is_left_after_a_failure(worker):
    assert run_in(worker, lambda: 1 / 0).outcome.category == "task"


@in_pods
def test_nothing_is_left_after_a_result_that_is_fetched(worker):
    assert len(run_in(worker, lambda: os.urandom(20_000)).outcome.result) == 20_000


@in_a_pod
def test_nothing_is_left_after_an_exception_in_on_output(worker):
    def on_output(line):
        raise ValueError(line)

    with pytest.raises(ValueError, match="begun"):
        worker.run(request_of(never_ends), on_output)


def request_of(call):
    from airflow_provider_tasks.runtime import values
    from airflow_provider_tasks.workers.payload import pack

    from .conftest import AT_MOST

    return {**pack(call, (), {}), "limits": {"time": AT_MOST}, "environment": {}, "context": values.encode({})}


def run_until_killed(worker, on_output=lambda _: None):
    with pytest.raises(KilledError, match="the worker was told to end"):
        worker.run(request_of(never_ends), on_output)


@in_pods
def test_a_worker_that_was_killed_before_it_ran_makes_nothing(worker, is_there):
    worker.kill()
    run_until_killed(worker)
    assert not is_there()


@in_pods
def test_kill_while_the_pod_is_being_made(worker, is_there, when):
    when(is_there, worker.kill)
    run_until_killed(worker)


@in_pods
def test_kill_while_no_node_takes_the_pod(open_worker, identity, pods, when):
    worker = open_worker(identity=identity, **NOWHERE)
    when(lambda: pods.tests.admin.events(identity.name), worker.kill)
    run_until_killed(worker)


@in_pods
def test_kill_while_the_task_runs_from_another_thread(worker):
    called = []

    def on_output(line):
        called.append(threading.Thread(target=worker.kill))
        called[-1].start()

    run_until_killed(worker, on_output)
    called[0].join()


@in_a_pod
def test_kill_and_kill_again_while_the_task_runs_from_where_its_output_goes(worker):
    def on_output(line):
        worker.kill()
        worker.kill()

    run_until_killed(worker, on_output)


@in_a_pod
def test_kill_while_a_requirement_fills_the_log_that_nobody_reads(worker):
    request = {**request_of(never_ends), "environment": {"requirements": ["yes"]}}
    with pytest.raises(KilledError, match="told to end"):
        worker.run(request, lambda _: worker.kill())


@in_a_pod
def test_kill_while_a_long_result_is_fetched(worker, when):
    def returns_much():
        print("result follows")
        return os.urandom(48 * 2**20)

    lines = []

    def is_announced():
        # What the worker is at is seen from outside only in what it has not done yet.
        return bool(lines) and worker._follower is not None and worker._follower._reader.outcomes == 1

    when(is_announced, worker.kill)
    with pytest.raises(KilledError):
        worker.run(request_of(returns_much), lines.append)


@in_a_pod
@pytest.mark.parametrize("moment", ["made", "runs"])
def test_kill_from_a_signal_handler(worker, is_there, when, moment):
    lines = []

    def handler(*_):
        worker.kill()
        worker.kill()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        when(is_there if moment == "made" else lambda: lines, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        run_until_killed(worker, lines.append)
    finally:
        signal.signal(signal.SIGUSR1, before)


@in_a_pod
@pytest.mark.parametrize("moment", ["made", "runs"])
def test_an_exception_from_a_signal_handler_ends_the_pod(worker, is_there, when, moment):
    """As a timeout of Airflow does."""

    class TooLateError(Exception):
        pass

    def handler(*_):
        raise TooLateError

    lines = []
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        when(is_there if moment == "made" else lambda: lines, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        with pytest.raises(TooLateError):
            worker.run(request_of(never_ends), lines.append)
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("backend", [KUBERNETES], indirect=True)
@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.3, 0.6, 1.0, 1.5])
def test_kill_at_any_moment(worker, seconds):
    timer = threading.Timer(seconds, worker.kill)
    timer.start()
    run_until_killed(worker)
    timer.join()


@in_pods
def test_nothing_is_left_of_a_pod_that_never_starts(open_worker, identity):
    with pytest.raises(UnschedulableError, match="the pod did not start within 2 s"):
        run_in(open_worker(identity=identity, startup_timeout=2, **NOWHERE), never_ends)


@in_a_pod
def test_a_pod_that_is_killed_has_told_its_task_before(worker, identity, pods):
    """A task may tidy up when its worker is told to end."""

    def tidies_up():
        def tidy_up(*_):
            print("tidied up", flush=True)
            raise SystemExit

        signal.signal(signal.SIGTERM, tidy_up)
        print("begun")
        while True:
            signal.pause()

    logs = []

    def on_output(line):
        thread = threading.Thread(target=lambda: logs.append(pods.tests.admin.log(identity.name, follow="true")))
        thread.start()
        logs.append(thread)
        worker.kill()

    with pytest.raises(KilledError):
        worker.run(request_of(tidies_up), on_output)
    logs[0].join()
    assert b"tidied up" in logs[1]
