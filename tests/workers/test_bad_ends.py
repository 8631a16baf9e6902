"""A task that does not get to return has an outcome all the same, and it says why."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from airflow_provider_tasks.workers.diagnosis import diagnose

from .conftest import deferrable_too, in_a_shared_pod, run_in

MIB = 2**20


def diagnosis_of(ran):
    diagnosis = diagnose(ran.outcome)
    assert diagnosis.category == ran.outcome.category
    return diagnosis


@deferrable_too
def test_ending_the_process_is_the_tasks_failure(run):
    diagnosis = diagnosis_of(run(os._exit, 3))
    assert diagnosis.category == "task"
    assert diagnosis.summary == "the task's process ended with exit code 3 before run() returned"
    assert (
        diagnosis.advice == "Something in it ended the process: os._exit, a crash of a library, or a handler at exit."
    )


@deferrable_too
def test_ending_the_process_with_0_is_no_success(run):
    outcome = run(os._exit, 0).outcome
    assert (outcome.status, outcome.category, outcome.exit_code) == ("failure", "task", 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_signal_is_told_by_its_name(run, number):
    ran = run(lambda: os.kill(os.getpid(), number))
    diagnosis = diagnosis_of(ran)
    assert (diagnosis.category, ran.outcome.signal) == ("killed", number)
    assert diagnosis.summary == f"the task's process was ended by {number.name}"
    assert "Look at who sent the signal" in diagnosis.advice


def in_small_steps():
    held = []
    while True:
        held.append(b"x" * MIB)


def in_one_step():
    held = bytearray(b"x") * (1200 * MIB)
    threading.Event().wait()
    return held


def in_a_child():
    if os.fork():
        os.wait()
    else:
        in_small_steps()


@pytest.mark.parametrize("allocates", [in_small_steps, in_one_step, in_a_child])
def test_a_task_that_holds_too_much_memory_is_ended(run, allocates):
    ran = run(allocates, limits={"memory": 200 * MIB})
    diagnosis = diagnosis_of(ran)
    assert diagnosis.category == "memory"
    assert ran.outcome.peak_memory > 200 * MIB
    assert diagnosis.summary.endswith("of memory, its limit is 200 MiB")
    assert diagnosis.advice.startswith("Give it a larger worker_size (at least ")


def test_memory_that_forked_processes_share_counts_once(run):
    def forks():
        held = b"x" * (120 * MIB)
        ready, go = os.pipe(), os.pipe()
        for _ in range(3):
            if not os.fork():
                os.write(ready[1], b"r")
                os.read(go[0], 1)
                os._exit(0)
        for _ in range(3):
            os.read(ready[0], 1)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:  # be looked at
            pass
        os.write(go[1], b"ggg")
        return len(held)

    assert run(forks, limits={"memory": 300 * MIB}).outcome.result == 120 * MIB


def in_a_loop():
    while True:
        pass


def in_a_sleep():
    time.sleep(3600)


def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    threading.Event().wait()


@pytest.mark.parametrize("never_ends", [in_a_loop, in_a_sleep, deaf])
def test_a_task_that_never_ends_is_ended_at_its_time_limit(run, never_ends):
    diagnosis = diagnosis_of(run(never_ends, limits={"time": 0.7}))
    assert diagnosis.category == "timeout"
    assert diagnosis.summary == "the task ran into its time limit"
    assert diagnosis.advice.startswith("Raise time_limit")


@deferrable_too
def test_a_task_that_is_asked_to_end_may_tidy_up(run):
    def tidy():
        def tidy_up(*_):
            print("tidied up")
            raise SystemExit

        signal.signal(signal.SIGTERM, tidy_up)
        signal.pause()

    ran = run(tidy, limits={"time": 4})  # enough for the task to have said what is to be done then, on a slow machine
    assert (ran.outcome.category, ran.lines) == ("timeout", ["tidied up"])


@in_a_shared_pod
def test_threads_that_still_run_do_not_keep_the_worker(run):
    def leaves_a_thread():
        threading.Thread(target=threading.Event().wait).start()
        return "done"

    assert run(leaves_a_thread).outcome.result == "done"


@in_a_shared_pod
def test_what_is_registered_to_run_at_exit_runs(run):
    def registers():
        import atexit

        atexit.register(print, "at exit")

    assert run(registers).lines == ["at exit"]


@deferrable_too
def test_a_missing_module_is_named_with_a_requirement(run):
    def imports():
        import no_such_package.inner  # noqa: F401

    diagnosis = diagnosis_of(run(imports))
    assert diagnosis.category == "environment"
    assert diagnosis.summary == "the worker has no module 'no_such_package', which the task imports"
    assert "that installs the package with 'no_such_package' (requirements = ['pip install …'])" in diagnosis.advice
    assert diagnosis.retry is False


def test_a_module_missing_while_the_task_is_loaded_is_named_too(open_worker):
    import yaml

    diagnosis = diagnosis_of(run_in(open_worker(bare=True, shared=True), yaml.safe_load, "a: 1"))
    assert diagnosis.category == "environment"
    assert diagnosis.summary == "the worker has no module 'yaml', which the task imports"


@in_a_shared_pod
def test_a_missing_submodule_of_a_package_that_is_there_is_the_tasks_failure(run):
    def imports():
        import json.no_such  # noqa: F401

    outcome = run(imports).outcome
    assert (outcome.category, outcome.message) == ("task", "ModuleNotFoundError: No module named 'json.no_such'")


def test_airflow_is_no_requirement(open_worker):
    def imports():
        from airflow.sdk import Variable  # noqa: F401

    diagnosis = diagnosis_of(run_in(open_worker(bare=True, shared=True), imports))
    assert diagnosis.summary == "the worker has no module 'airflow', which the task imports"
    assert diagnosis.advice.startswith("A worker has no Airflow: take what the task needs as an argument")
    assert diagnosis.retry is False


def test_a_class_that_the_workers_package_lacks_is_named(run, tmp_path, monkeypatch):
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "versioned.py").write_text("def new(): pass\n")
    monkeypatch.syspath_prepend(packages)
    import versioned

    environment = {
        "startup_script": "mkdir older; touch older/versioned.py",
        "variables": {"PYTHONPATH": "older"},
    }
    diagnosis = diagnosis_of(run(versioned.new, environment=environment))
    assert diagnosis.category == "payload"
    assert diagnosis.summary.startswith(
        "the task can't be loaded in the worker: AttributeError: Can't get attribute 'new'"
    )


@deferrable_too
def test_a_signal_without_a_name_is_told_by_its_number(run):
    outcome = run(lambda: os.kill(os.getpid(), 40)).outcome
    assert (outcome.category, outcome.signal, outcome.message) == (
        "killed",
        40,
        "the task's process was ended by signal 40",
    )
