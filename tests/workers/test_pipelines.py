"""A pipeline in one worker, on this machine and in pods; random graphs with real processes."""

from __future__ import annotations

import dataclasses
import os
import sys
import time

import psutil
import pytest
from hypothesis import HealthCheck, given, settings

from airflow_provider_tasks.model.deployment import Deployment
from airflow_provider_tasks.model.pipeline import Pipeline
from airflow_provider_tasks.runtime.pipeline import run_plan
from airflow_provider_tasks.workers.pipelines import pack_deployment, plain_results
from tests.runtime.graphs import drive
from tests.runtime.test_walk_properties import failing_always, graphs

from .conftest import deferrable_too, on_this_machine, run_in, send


def task(body):
    """A task that does what a function does; it goes to the worker by value."""

    class Does:
        def __init__(self):
            self.previous_steps = {}

        def run(self):
            return body(self)

    return Does()


def plan(*stages, early_stopping=True):
    """The plan of tasks in stages, each a list of names."""
    nodes = ["root", *(name for stage in stages for name in stage)]
    pairs = zip([["root"], *stages], stages, strict=False)
    edges = [[source, target, {}] for before, after in pairs for source in before for target in after]
    return {
        "nodes": nodes, "tasks": dict.fromkeys(nodes[1:], "Does"), "edges": edges, "early_stopping": early_stopping,
    }  # fmt: skip


@deferrable_too
def test_tasks_share_files_and_know_what_was_before(worker):
    def write(_):
        with open("file", "w") as file:
            file.write("from one")
        print("written")
        return 1

    def read(self):
        with open("file") as file:
            return [file.read(), self.previous_steps["write"][0].unwrap()]

    ran = run_in(worker, run_plan, plan(["write"], ["read"]), {"write": task(write), "read": task(read)}, {})
    assert ran.outcome.status == "success"
    results = {name: [one["result"] for one in found] for name, found in ran.outcome.result["results"].items()}
    assert results == {"write": [1], "read": [["from one", 1]]}
    assert ran.lines == ["[write] written"]


@deferrable_too
def test_a_failure_ends_what_runs_beside_it(worker):
    def fail(_):
        raise ValueError("it broke")

    def wait(_):
        import time

        time.sleep(600)

    ran = run_in(worker, run_plan, plan(["fail", "wait"], ["never"]), {"fail": task(fail), "wait": task(wait)}, {})
    assert (ran.outcome.result["success"], ran.outcome.result["stopped_by"]) == (False, "fail")
    assert ran.lines[-1] == "[fail] ValueError: it broke"


@given(graphs(), failing_always)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_random_graphs_run_as_walked_and_leave_no_process(graph, fails):
    expected = drive(graph, lambda name, _: name in fails)

    def body(name):
        def run(self):
            if name in fails:
                raise ValueError(name)
            return sorted(self.previous_steps)

        return run

    before = {process.pid for process in psutil.Process().children(recursive=True)}
    made = {"nodes": graph.nodes, "tasks": graph.tasks, "edges": graph.edges, "early_stopping": graph.early_stopping}
    came = run_plan(made, {name: task(body(name)) for name in graph.tasks}, {})
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before
    if expected.walk.stopped_by is None and not graph.early_stopping:
        assert {name: len(found) for name, found in came["results"].items()} == expected.counts
        assert came["success"] == expected.walk.is_successful
    assert set(came["stuck"]) == set(expected.walk.stuck()) or graph.early_stopping


def test_a_task_may_report_much_and_print_much(local_worker):
    def much(_):
        print("x" * 300_000)
        return b"y" * 5_000_000

    ran = run_in(local_worker, run_plan, plan(["much"]), {"much": task(much)}, {})
    assert ran.outcome.result["results"]["much"][0]["result"] == b"y" * 5_000_000
    assert sum(line.count("x") for line in ran.lines) == 300_000


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")
def test_a_child_that_keeps_the_report_open_holds_nothing_up(local_worker):
    def leave(_):
        import os
        import time

        if os.fork() == 0:
            time.sleep(600)
        return "left"

    ran = run_in(
        local_worker, run_plan, plan(["leave"], ["then"]), {"leave": task(leave), "then": task(lambda _: 2)}, {}
    )
    assert [found[0]["result"] for found in ran.outcome.result["results"].values()] == ["left", 2]


@deferrable_too
def test_a_child_that_a_task_forks_reports_nothing(worker):
    def fork(_):
        if os.fork() == 0:
            return "child"
        os.wait()
        return "parent"

    ran = run_in(worker, run_plan, plan(["fork"]), {"fork": task(fork)}, {})
    assert [one["result"] for one in ran.outcome.result["results"]["fork"]] == ["parent"]


@deferrable_too
def test_what_can_not_be_opened_or_said_is_that_tasks_failure(worker):
    def exits_when_opened(_):
        class Exits:
            def __reduce__(self):
                return sys.exit, ("boom",)

        return Exits()

    def says_nothing(_):
        class SilentError(Exception):
            def __str__(self):
                raise ValueError("no")

        raise SilentError

    def exits(_):
        sys.exit(0)

    tasks = {"opens": task(exits_when_opened), "silent": task(says_nothing), "exits": task(exits)}
    ran = run_in(worker, run_plan, plan(["opens", "silent", "exits"], early_stopping=False), tasks, {})
    results = {name: found[0]["result"] for name, found in ran.outcome.result["results"].items()}
    assert results["opens"].startswith("its result can't be read: SystemExit: boom")
    assert results["silent"] == "<SilentError: its __str__ raised ValueError>"
    assert results["exits"] == "SystemExit: 0"


@on_this_machine
def test_too_much_memory_is_the_failure_of_the_task_that_takes_it(worker):
    def greedy(_):
        held = [bytearray(2**20) for _ in range(2000)]
        return len(held)

    def modest(_):
        time.sleep(3)
        return "done"

    tasks = {"greedy": task(greedy), "modest": task(modest)}
    limits = {"memory": 300 * 2**20, "memory_ends": "largest"}
    ran = run_in(worker, run_plan, plan(["greedy", "modest"], early_stopping=False), tasks, {}, limits=limits)
    results = {name: found[0]["result"] for name, found in ran.outcome.result["results"].items()}
    assert results == {
        "greedy": "its process was ended by SIGKILL, as happens where a worker's memory is used up",
        "modest": "done",
    }


@on_this_machine
def test_a_frozen_dataclass_may_be_a_task(worker):
    @dataclasses.dataclass(frozen=True)
    class Frozen:
        word: str

        def run(self):
            return self.word, list(self.previous_steps)

    ran = run_in(worker, run_plan, plan(["a"], ["b"]), {"a": Frozen("one"), "b": Frozen("two")}, {})
    assert ran.outcome.result["results"]["b"][0]["result"] == ("two", ["a"])


@on_this_machine
def test_a_large_result_does_not_take_for_ever(worker):
    def large(_):
        return b"x" * (48 * 2**20)

    ran = run_in(worker, run_plan, plan(["large"]), {"large": task(large)}, {})
    assert len(ran.outcome.result["results"]["large"][0]["result"]) == 48 * 2**20


NETUNICORN = "not installed here: pip install netunicorn-base netunicorn-library"


@pytest.mark.parametrize("options", [{"bare": True}])
@deferrable_too
def test_tasks_of_netunicorn_library_run_where_nothing_is_installed(worker):
    basic = pytest.importorskip("netunicorn.library.tasks.basic", reason=NETUNICORN)
    pipeline = Pipeline([[basic.SleepTask(0, name="sleep"), basic.ShellCommand(["echo", "said"], name="say")]])
    ran = send(worker, pack_deployment(Deployment(None, pipeline)))
    assert ran.outcome.status == "success", ran.outcome
    results = plain_results(ran.outcome.result)
    assert results == {
        "sleep": [{"result_type": "Success", "result": 0}],
        "say": [{"result_type": "Success", "result": "said\n\n"}],
    }
