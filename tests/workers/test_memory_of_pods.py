"""A pod that its task fills says so, whoever notices first: the worker's own limit, or the kernel."""

from __future__ import annotations

import signal

import pytest

from airflow_provider_tasks.operators.outcomes import to_error
from airflow_provider_tasks.workers.failures import MemoryExceededError
from airflow_provider_tasks.workers.sizes import WorkerSize

from .conftest import in_a_pod, in_pods, run_in

MIB = 2**20
SIZE = WorkerSize(memory=128 * MIB)


def in_small_steps():
    held = []
    while True:
        held.append(b"x" * MIB)


def in_one_step():
    held = bytearray(b"x") * (1000 * MIB)
    signal.pause()
    return held


def in_a_child():
    import subprocess
    import sys

    code = "held = []\nwhile True: held.append(b'x' * 2**20)"
    return subprocess.run([sys.executable, "-c", code], check=True)


def in_page_cache_and_memory():
    """Fill memory with what the kernel can take back, which is no reason to end anything."""
    with open("file", "wb") as file:
        for _ in range(200):
            file.write(b"x" * MIB)
    return len(open("file", "rb").read(100 * MIB)) // MIB


def assert_it_was_memory(worker, call, **parts):
    """Whether the worker says so itself, or the cluster knows better than a worker that only saw a SIGKILL."""
    try:
        failure = to_error(run_in(worker, call, **parts).outcome)
    except MemoryExceededError as error:
        failure = error
    assert isinstance(failure, MemoryExceededError), failure
    assert failure.retry
    assert "128 MiB" in failure.summary
    assert failure.advice.startswith("Give it a larger worker_size (")


@in_pods
@pytest.mark.parametrize("allocates", [in_small_steps, in_one_step])
def test_a_task_that_fills_its_size_is_ended_for_its_memory(open_worker, allocates):
    assert_it_was_memory(open_worker(size=SIZE), allocates, limits={"memory": SIZE.memory})


@in_pods
def test_a_task_that_the_kernel_ends_is_told_as_one_that_needs_memory(open_worker):
    """The worker does not look: the kernel alone ends the task, and the worker survives it."""
    assert_it_was_memory(open_worker(size=SIZE), in_small_steps)


@in_a_pod
def test_a_task_whose_child_the_kernel_ends_has_its_own_failure(open_worker):
    outcome = run_in(open_worker(size=SIZE), in_a_child).outcome
    assert outcome.category == "task"
    assert outcome.message.startswith("CalledProcessError: ")


@in_a_pod
def test_files_that_were_read_and_written_are_not_held(open_worker):
    assert (
        run_in(open_worker(size=SIZE), in_page_cache_and_memory, limits={"memory": SIZE.memory}).outcome.result == 100
    )


@in_a_pod
def test_a_requirement_that_the_kernel_ends_is_told_as_a_shell_tells_it(open_worker):
    code = "held = []\nwhile True: held.append(b'x' * 2**20)"
    environment = {"requirements": [f'python3 -c "{code}"']}
    outcome = run_in(open_worker(size=SIZE), print, environment=environment).outcome
    assert (outcome.category, outcome.detail["exit_code"]) == ("environment", "137")
