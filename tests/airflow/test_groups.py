"""Pipelines and experiments as groups of Airflow tasks: the same graphs mean the same as in one worker."""

from __future__ import annotations

import json

import pytest

from tests.runtime.graphs import graph

TASKS = """
import json, os
from airflow_provider_tasks import experiment_group, pipeline_group
from airflow_provider_tasks.operators import PipelineOperator

class Say(Task):
    def __init__(self, name, fails=False):
        self.name, self.fails = name, fails
    def run(self):
        if self.fails:
            raise ValueError(f"no {self.name}")
        return self.name

class Skip(Task):
    def run(self):
        raise SkipTask("not today")

class Before(Task):
    def run(self):
        return {name: [str(result) for result in results] for name, results in self.previous_steps.items()}

def edges(text):
    pairs = [part.split() for part in text.split(",")]
    nodes = ["root", *sorted({name for source, _, target, *_ in pairs for name in (source, target)} - {"root"})]
    found = [
        (source, target, {"type": "weak"} if arrow == "~>" else {"traverse_on": on[0]} if on else {})
        for source, arrow, target, *on in pairs
    ]
    return make(nodes, [name for name in nodes if name.islower() and name != "root"], found, True, ())

def make(nodes, tasks, edges, early_stopping, fails):
    made = {name: Say(name, name in fails) if name in tasks else name for name in nodes}
    graph = ExecutionGraph(early_stopping=early_stopping)
    for source, target, attributes in edges:
        graph.graph.add_edge(made[source], made[target], **attributes)
    return graph
"""

SEQUENCE = "root -> a, a -> b, b -> c"
STAGE = "root -> a, root -> b, a -> ONE, b -> ONE, ONE -> c"
STAGES = "root -> a, root -> b, root -> c, a -> ONE, b -> ONE, c -> ONE, ONE -> x, ONE -> y, ONE -> z"
JOINED = "root -> a, a -> b, a -> c, b -> d, c -> d"
WAYS = "root -> a, a -> b success, a -> c failure"
CLEAN_UP = "root -> a, a -> b, b -> c any"
RESCUE = "root -> a, a -> b, b -> c failure, a -> d failure"
MIXED = "root -> a, root -> b, a -> ONE any, b -> ONE, ONE -> c"
BOTH = "root -> a, root -> b, a -> c success, b -> c failure"
ALARMS = (
    "root -> a, root -> b, root -> c, a -> ONE failure, b -> ONE failure, c -> ONE failure, "
    "ONE -> x, ONE -> y, ONE -> z"
)
MEET = "root -> a, a -> b success, a -> c failure, b -> d any, c -> d any"

CASES = [
    # text, early stopping, what fails, what runs
    (SEQUENCE, True, "", "a b c"),
    (SEQUENCE, True, "b", "a b"),
    (SEQUENCE, False, "a", "a b c"),
    (STAGE, True, "", "a b c"),
    (STAGE, False, "a", "a b c"),
    (STAGES, True, "", "a b c x y z"),
    (STAGES, False, "a", "a b c x y z"),
    (JOINED, True, "", "a b c d"),
    (WAYS, True, "", "a b"),
    (WAYS, True, "a", "a c"),
    (CLEAN_UP, True, "", "a b c"),
    (CLEAN_UP, True, "b", "a b c"),
    (CLEAN_UP, True, "a", "a"),
    (RESCUE, True, "", "a b"),
    (RESCUE, True, "a", "a d"),
    (RESCUE, True, "b", "a b c"),
    (MIXED, True, "", "a b c"),
    (MIXED, True, "b", "a b"),
    (BOTH, True, "b", "a b c"),
    (BOTH, True, "", "a b"),
    (ALARMS, True, "a b c", "a b c x y z"),
    (ALARMS, False, "a", "a b c"),
    (MEET, True, "a", "a c"),
    (MEET, True, "", "a b"),
]  # fmt: skip


@pytest.fixture(scope="module")
def all_cases(tmp_path_factory):
    """All graphs in one DAG run, each as a group and in one worker."""
    return {}


def text_of(case):
    text, early_stopping, fails, _ = case
    given = graph(text, early_stopping)
    return json.dumps([given.nodes, given.tasks, given.edges, early_stopping, fails.split()])


@pytest.fixture
def ran(all_cases, run):
    if not all_cases:
        groups = "\n".join(
            f"    pipeline = make(*json.loads({text_of(case)!r}))\n"
            f"    pipeline_group(pipeline, group_id='g{number}', collect=True)\n"
            f"    PipelineOperator(task_id='p{number}', pipeline=pipeline)\n"
            for number, case in enumerate(CASES)
        )
        all_cases["run"] = run(TASKS + "\nwith DAG('table'):\n" + groups)
    return all_cases["run"]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_graph_means_the_same_as_in_one_worker(ran, number):
    _, _, fails, runs = CASES[number]
    told = ran.xcom(f"p{number}")
    results = {name: found[0] for name, found in told.items()}
    assert sorted(results) == runs.split()
    wanted = {
        name: {"result_type": "Failure", "result": f"no {name}"}
        if name in fails.split()
        else {"result_type": "Success", "result": name}
        for name in runs.split()
    }
    assert results == wanted
    states = {
        task_id.partition(".")[2]: state
        for task_id, state in ran.states.items()
        if task_id.startswith(f"g{number}.") and not task_id.startswith((f"g{number}.sync_", f"g{number}.collect"))
    }
    assert {name for name, state in states.items() if state in ("success", "failed")} == set(runs.split())
    assert {name for name, state in states.items() if state == "failed"} == set(fails.split())
    collected = ran.xcom(f"g{number}.collect")
    found = [one for stage in collected for one in stage if one is not None]
    assert sorted(found, key=str) == sorted(wanted.values(), key=str)
    assert ran.states[f"g{number}.collect"] == ("failed" if fails else "success")


def test_stages_are_dependencies_and_a_point_saves_some(parse):
    dag = parse(
        TASKS
        + """
with DAG("shape"):
    pipeline_group(Pipeline([[Say("a"), Say("b")], [Say("c"), Say("d")], Say("e")]), group_id="small")
    pipeline_group(Pipeline([[Say(f"a{i}") for i in range(3)], [Say(f"b{i}") for i in range(3)]]), group_id="large")
"""
    ).dag

    def after(task_id):
        return sorted(dag.get_task(task_id).upstream_task_ids)

    assert after("small.c") == after("small.d") == ["small.a", "small.b"]
    assert after("small.e") == ["small.c", "small.d"]
    assert after("large.b0") == ["large.sync_1"]
    assert after("large.sync_1") == ["large.a0", "large.a1", "large.a2"]


def test_the_graph_says_which_edges_are_for_failures(parse):
    dag = parse(f"{TASKS}\nwith DAG('labels'):\n    pipeline_group(edges({RESCUE!r}), group_id='g')\n").dag
    assert dag.edge_info == {
        "g.a": {"g.d": {"label": "on failure"}},
        "g.b": {"g.c": {"label": "on failure"}},
    }


def test_a_reader_sees_node_and_implementation(parse):
    dag = parse(
        TASKS
        + """
class OnLinux(Say): ...
class OnWindows(Say): ...
class Anywhere(TaskDispatcher):
    def dispatch(self, node):
        kind = OnWindows if node.architecture == Architecture.WINDOWS_AMD64 else OnLinux
        return kind("measure the line")

nodes = [Node("10.0.0.7", architecture=Architecture.LINUX_ARM64), Node("desk", architecture=Architecture.WINDOWS_AMD64)]
with DAG("shape"):
    experiment_group(Experiment().map(Pipeline([Anywhere()]), nodes * 2), group_id="measure", retries=3)
"""
    ).dag
    group = dag.task_group.children["measure"]
    assert [(child.group_id, child.label) for child in group.children.values()] == [
        ("measure.10_0_0_7", "10.0.0.7 (linux/arm64)"),
        ("measure.desk", "desk (win/amd64)"),
        ("measure.10_0_0_7_2", "10.0.0.7 (linux/arm64)"),
        ("measure.desk_2", "desk (win/amd64)"),
    ]
    first = group.children["measure.10_0_0_7"]
    assert first.tooltip == "10.0.0.7 (linux/arm64): measure the line (OnLinux)"
    task = dag.get_task("measure.desk.measure_the_line")
    assert (task.task_display_name, task.retries) == ("measure the line (OnWindows)", 3)
    assert str(task.implementation).startswith("OnWindows ")


def test_each_worker_has_the_environment_of_all_tasks(run):
    done = run(
        TASKS
        + """
class One(Task):
    requirements = ["echo one >> needed"]
    def run(self):
        return open("needed").read().split(), os.environ["LEVEL"]
class Two(One):
    requirements = ["echo two >> needed"]
with DAG("environment"):
    around = DockerImage(commands=["echo all >> needed"], env_variables={"LEVEL": "3"})
    pipeline_group(Pipeline([One(), Two()], environment_definition=around))
"""
    )
    assert done.xcom("pipeline.One") == done.xcom("pipeline.Two") == (["all", "one", "two"], "3")


def test_previous_steps_are_there_for_who_asks(run):
    done = run(
        TASKS
        + """
with DAG("before"):
    pipeline_group(Pipeline([[Say("a"), Say("b", fails=True)], Before()], early_stopping=False))
"""
    )
    assert done.xcom("pipeline.Before") == {"a": ["<Success: a>"], "b": ["<Failure: no b>"]}


def test_results_by_node_and_stage(run):
    done = run(
        TASKS
        + """
class Where(TaskDispatcher):
    def dispatch(self, node):
        return Say(f"on {node.name}")
with DAG("collect"):
    pipeline = Pipeline([[Say("a"), Where()], Say("b")])
    experiment_group(Experiment().map(pipeline, [Node("one"), Node("two")]), collect=True)
"""
    )

    def success(value):
        return {"result_type": "Success", "result": value}

    assert done.xcom("experiment.collect") == [
        [[success("a"), success("on one")], [success("b")]],
        [[success("a"), success("on two")], [success("b")]],
    ]


def test_a_skip_is_an_end_and_no_success(run):
    done = run(
        TASKS
        + """
with DAG("skips"):
    pipeline_group(Pipeline([Skip(), Say("a")]), group_id="stops")
    pipeline_group(Pipeline([Skip(), Say("a")], early_stopping=False), group_id="goes_on")
"""
    )
    assert done.states["stops.a"] == "skipped"
    assert done.states["goes_on.a"] == "success"


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("pipeline_group(CyclePipeline([Say('a')], cycles=2))", "the weak edge 1 ⇢ root runs root once more"),
        ("pipeline_group(edges('root -> a, a -> b, b ~> b'))", "an Airflow task runs once in a DAG run"),
        ("pipeline_group(edges('root -> a, a -> ONE, ONE -> b, a -> b failure'))", "b can never run: it waits for the"),
        ("pipeline_group(Pipeline())", "there is no task"),
        ("pipeline_group(Pipeline([Say('a')]), fail_on_failure=False)", "can't be set for a group"),
        ("pipeline_group(Pipeline([Say('a')]), trigger_rule='all_done')", "It follows from the edges of the pipeline"),
        ("pipeline_group(Pipeline([Say('a')]), node='{{ params.node }}')", "expand\\(node="),
        ("pipeline_group(Pipeline([Say('a')]), retrys=1)", "retrys"),
        ("pipeline_group(Pipeline([Say('a')]), do_xcom_push=False)", "reads its XComs"),
        ("experiment_group(Experiment())", "there is nothing in the experiment"),
        ("experiment_group(Pipeline([Say('a')]))", "expected an Experiment"),
        ("pipeline_group([Say('a')])", "has a Pipeline or an ExecutionGraph"),
    ],
)  # fmt: skip
def test_what_can_not_be_a_group_is_a_dag_import_error(parse, group, message):
    import re

    error = parse(f"{TASKS}\nwith DAG('wrong'):\n    {group}\n").error
    assert re.search(message, error), error


def test_what_comes_before_and_after_a_group(run):
    done = run(
        TASKS
        + """
@task
def broken():
    raise ValueError("no")
@task
def left_out():
    from airflow.sdk.exceptions import AirflowSkipException
    raise AirflowSkipException("not this way")
@task
def after():
    return "ran"
with DAG("around", default_args={"retries": 0}):
    for name, before in (("failed", broken), ("skipped", left_out)):
        group = pipeline_group(Pipeline([Say("a"), Say("b")]), group_id=name, collect=True)
        before.override(task_id=f"before_{name}")() >> group >> after.override(task_id=f"after_{name}")()
"""
    )
    assert (done.states["failed.a"], done.states["failed.collect"]) == ("upstream_failed", "failed")
    assert done.states["after_failed"] == "upstream_failed"
    assert (done.states["skipped.a"], done.states["skipped.collect"]) == ("skipped", "skipped")
    assert done.states["after_skipped"] == "skipped"


def test_in_a_mapped_group_each_has_its_own_results(run):
    done = run(
        TASKS
        + """
from airflow.sdk import task_group
class Which(Task):
    def run(self):
        return get_context()["map_index"]
@task
def count(): return [1, 2]
with DAG("mapped"):
    @task_group
    def each(number):
        pipeline_group(Pipeline([Which(), Before()]), collect=True)
    each.expand(number=count())
"""
    )
    for index in (0, 1):
        assert done.xcom("each.pipeline.Before", map_index=index) == {"Which": [f"<Success: {index}>"]}
        assert done.xcom("each.pipeline.collect", map_index=index)[0] == [{"result_type": "Success", "result": index}]


def test_values_of_every_kind_are_collected_and_handed_on(run):
    done = run(
        TASKS
        + """
import decimal
class Values(Task):
    def run(self):
        return {"price": decimal.Decimal("1.10"), "data": b"abc", "nothing": None, "far": float("inf")}
class Again(Task):
    def run(self):
        return self.previous_steps["Values"][0].unwrap()
with DAG("values"):
    pipeline_group(Pipeline([Values(), Again()]), collect=True)
"""
    )
    import decimal

    values = {"price": decimal.Decimal("1.10"), "data": b"abc", "nothing": None, "far": float("inf")}
    assert done.xcom("pipeline.Again") == values
    assert done.xcom("pipeline.collect") == [[{"result_type": "Success", "result": values}]] * 2


def test_a_retry_counts_as_it_ended(run):
    done = run(
        TASKS
        + """
class Second(Task):
    def run(self):
        if get_context()["try_number"] == 1:
            raise ValueError("not yet")
        return "now"
with DAG("again"):
    pipeline_group(Pipeline([Second(), Before()]), collect=True, retries=1, retry_delay=0.1)
"""
    )
    assert done.xcom("pipeline.Before") == {"Second": ["<Success: now>"]}
    assert done.states["pipeline.collect"] == "success"


def test_what_defaults_say_does_not_change_what_follows_a_failure(run):
    done = run(
        TASKS
        + """
with DAG("defaults", default_args={"fail_on_failure": False, "do_xcom_push": False, "retries": 0}):
    pipeline_group(Pipeline([Say("a", fails=True), Say("b")]), collect=True)
"""
    )
    assert done.states == {
        "pipeline.a": "failed", "pipeline.b": "upstream_failed", "pipeline.collect": "failed",
    }  # fmt: skip
    assert done.xcom("pipeline.collect") == [[{"result_type": "Failure", "result": "no a"}], [None]]


def test_names_that_airflow_or_the_group_needs(parse):
    dag = parse(
        TASKS
        + """
long = "x" * 300
with DAG("names"):
    pipeline_group(Pipeline([Say("collect"), Say(long), Say("a b"), Say("a/b")]), collect=True, node=Node("edge"))
    pipeline_group(Pipeline([Say("a")]), node=Node("edge"))
    experiment_group(Experiment().append(Node("collect"), Pipeline([Say("a")])), collect=True)
    experiment_group(Experiment().append(Node("one"), Pipeline([Say("a")])))
    pipeline_group(Pipeline([Say("a")]), group_id="given", node=Node("edge"))
"""
    ).dag
    groups = {child.group_id: child.label for child in dag.task_group.children.values()}
    assert groups == {
        "edge": "edge", "edge__1": "edge", "experiment": "experiment", "experiment__1": "experiment__1",
        "given": "given: edge",
    }  # fmt: skip
    assert [task_id for task_id in dag.task_ids if task_id.startswith("edge.")] == [
        "edge.collect_2", f"edge.{'x' * 60}", "edge.a_b", "edge.a_b_2", "edge.collect",
    ]  # fmt: skip
    assert "experiment.collect_2.a" in dag.task_ids


def test_a_group_is_the_same_in_every_process_and_changes_with_its_edges(dags_folder):
    import os
    import subprocess
    import sys

    def serialized(first, seed):
        text = f"""
import json
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow_provider_tasks import *
class Say(Task):
    def run(self): ...
class Pick(TaskDispatcher):
    def dispatch(self, node): return Say(node.name)
a, b, c = Say("a"), Say("b"), Pick()
graph = ExecutionGraph()
for edge in (("root", a), ("root", b)):
    graph.graph.add_edge(*edge)
graph.graph.add_edge(a, c, traverse_on={first!r})
graph.graph.add_edge(b, c, traverse_on="success" if {first!r} == "failure" else "failure")
with DAG("stable") as dag:
    experiment_group(Experiment().map(graph, [Node("x", {{"k": {{"p", "q"}} and 1}}), Node("y")]), collect=True)
print("DAG:", json.dumps(DagSerialization.to_dict(dag), sort_keys=True))
"""
        file = dags_folder / "stable.py"
        file.write_text(text)
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, file], env=env, capture_output=True, text=True, check=True)
        return next(line for line in done.stdout.splitlines() if line.startswith("DAG:"))

    first = serialized("failure", "1")
    assert first == serialized("failure", "2")
    assert "0x" not in first
    assert first != serialized("success", "1")
