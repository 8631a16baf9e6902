"""A pipeline in one worker, on this machine and in pods; random graphs with real processes."""

from __future__ import annotations

import os

import psutil
import pytest
from hypothesis import HealthCheck, given, settings

from airflow_provider_tasks.runtime.pipeline import run_plan
from tests.runtime.graphs import drive
from tests.runtime.test_walk_properties import failing_always, graphs

from .conftest import deferrable_too, run_in


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
