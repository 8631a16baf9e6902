"""Names and order of a graph: the same in every process."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.model.content import unique_names
from airflow_provider_tasks.model.errors import NodeFormatError
from airflow_provider_tasks.model.graph import ExecutionGraph
from airflow_provider_tasks.model.pipeline import CyclePipeline, Pipeline
from airflow_provider_tasks.model.plan import Plan
from airflow_provider_tasks.model.reading import Source
from airflow_provider_tasks.model.task import Task
from tests.model.hash_seeds import text_whatever_the_hash_seed


class Ping(Task):
    def run(self) -> None: ...


class Trace(Task):
    def run(self) -> None: ...


@dataclass
class Named(Task):
    name: object

    def run(self) -> None: ...


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("", ""),
        ("a b", "a b"),
        ("a a a", "a a_2 a_3"),
        ("a a a_2", "a a_3 a_2"),
        ("a_2 a a", "a_2 a a_3"),
        ("a a_2 a_2 a", "a a_2 a_2_2 a_3"),
    ],
)
def test_a_name_that_is_taken_gets_a_number(wanted, given):
    assert " ".join(unique_names(wanted.split())) == given


@given(st.lists(st.sampled_from(["a", "a_2", "a_2_2", "b", "a_3"])), st.sets(st.sampled_from(["a", "a_3", "c"])))
def test_names_are_unique(wanted, taken):
    names = unique_names(wanted, taken)
    assert len(set(names)) == len(wanted)
    assert not set(names) & taken
    for index, name in enumerate(wanted):
        if name not in wanted[:index] and name not in taken:
            assert names[index] == name


def test_tasks_are_called_by_name_or_class():
    pipeline = Pipeline([Ping(), [Ping("first"), Ping()], Trace(), Named("Oslo"), Named("Oslo"), Named(3), Named(" ")])
    assert list(pipeline.plan().tasks) == [
        "Ping",
        "first",
        "Ping_2",
        "Trace",
        "Oslo",
        "Oslo_2",
        "Named",
        "Named_2",
    ]


def test_points_give_way_to_tasks():
    plan = Pipeline([Ping("1"), Ping("root"), Ping("2")]).plan()
    assert plan.nodes == ("root_2", "1", "1_2", "root", "2_2", "2", "3")
    assert plan.edges[0].source == "root_2"


def test_a_task_comes_after_those_that_it_waits_for():
    last, middle, first = Ping("last"), Ping("middle"), Ping("first")
    made = ExecutionGraph()
    made.graph.add_nodes_from([last, middle, first])
    made.graph.add_edges_from([(middle, last), (first, middle), ("root", first)])
    made.graph.add_edge(last, first, type="weak")
    assert made.plan().nodes == ("root", "first", "middle", "last")


def test_otherwise_first_come_first_served():
    tasks = [Ping(str(number)) for number in (3, 1, 2)]
    assert list(Pipeline([tasks]).plan().tasks) == ["3", "1", "2"]


def test_stages_are_those_of_the_pipeline():
    tasks = [[Ping("a")], [Ping("b"), Ping("c")], [Ping("d")]]
    assert Pipeline(tasks).plan().stages() == [["a"], ["b", "c"], ["d"]]


def test_a_plan_in_a_line():
    assert Pipeline([Ping("a"), [Ping(), Trace()]]).plan().summary() == "a (Ping) → Ping | Trace"
    assert CyclePipeline([Ping(), Ping()], cycles=2).plan().summary() == "Ping → Ping_2; 2 ⇢ root"


def example() -> Plan:
    pipeline = CyclePipeline([Ping(), [Ping(), Trace("b")]], cycles=3, early_stopping=False)
    pipeline.graph.add_edge(pipeline.tasks[0][0], "seen", traverse_on="failure", counter=2)
    return pipeline.plan()


def test_a_plan_is_json():
    assert example().to_json() == {
        "nodes": ["root", "Ping", "1", "Ping_2", "b", "2", "seen"],
        "tasks": {"Ping": "Ping", "Ping_2": "Ping", "b": "Trace"},
        "edges": [
            ["root", "Ping", {}],
            ["Ping", "1", {}],
            ["Ping", "seen", {"counter": 2, "traverse_on": "failure"}],
            ["1", "Ping_2", {}],
            ["1", "b", {}],
            ["Ping_2", "2", {}],
            ["b", "2", {}],
            ["2", "root", {"type": "weak", "counter": 2}],
        ],
        "early_stopping": False,
    }


def test_a_plan_survives_json():
    text = json.dumps(example().to_json())
    assert Plan.read(Source(json.loads(text), "plan")) == example()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": 3}, "plan: nodes is int 3; expected a list"),
        ({"nodes": [3]}, "plan: nodes[0] is int 3; expected a string"),
        ({"tasks": {"Pong": "Ping"}}, "plan: tasks.Pong is unknown here; did you mean 'Ping'? Known: '1', '2', "),
        ({"tasks": {"Ping": 3}}, "plan: tasks.Ping is int 3; expected a string"),
        ({"early_stopping": "no"}, "plan: early_stopping is 'no'; expected true or false"),
        ({"edges": [["root", "Ping"]]}, "plan: edges[0] is ['root', 'Ping']; expected a list of source, target and"),
        ({"edges": [["root", "Pong", {}]]}, "plan: edges[0][1] 'Pong' is no node of the graph; did you mean 'Ping'?"),
        ({"edges": [["root", "1", {"count": 1}]]}, "plan: edges[0][2].count is unknown here; did you mean 'counter'?"),
        ({"edges": [["root", "1", {"counter": 0}]]}, "plan: edges[0][2].counter is int 0; expected a whole number of"),
        ({"edges": [["root", "1", {"type": "week"}]]}, "plan: edges[0][2].type 'week' is unknown; did you mean 'weak'"),
        ({"edges": [["root", "1", {"traverse_on": 3}]]}, "plan: edges[0][2].traverse_on is int 3; expected a string"),
        ({"more": 1}, "plan: more is unknown here; known: "),
    ],
)
def test_json_that_is_no_plan_says_where(change, message):
    with pytest.raises(NodeFormatError) as caught:
        Plan.read(Source({**example().to_json(), **change}, "plan"))
    assert str(caught.value).startswith(message)


SCRIPT = """
import json
from airflow_provider_tasks import CyclePipeline, ExecutionGraph, Experiment, Node, Task, TaskDispatcher

class Ping(Task):
    requirements = ["true"]
    def __init__(self, *words): ...
    def run(self): ...

class PingFrom(TaskDispatcher):
    def dispatch(self, node):
        return Ping(node.name, {"b", "a"})

words = {"alpha", "beta", "gamma", "delta"}
made = ExecutionGraph()
tasks = [Ping(words), PingFrom(), Ping({w: words for w in words}), Ping()]
for task in tasks:
    made.graph.add_edge("root", task)
    made.graph.add_edge(task, ("point", frozenset(words)), traverse_on="any")
    made.graph.add_edge(task, task, type="weak", counter=2)
pipeline = CyclePipeline([[PingFrom(), Ping()], Ping(words)], cycles=3)
print(made, pipeline, made.draw(), pipeline.draw().svg(), made.draw().svg(), json.dumps(made.plan().to_json()))
experiment = Experiment().map(made, [Node("edge", {w: 1 for w in words}), Node("hub")])
experiment.append(Node("hub"), pipeline)
print(experiment, repr(experiment), [d.environment_definition.commands for d in experiment])
print([{**d, "pipeline": ""} for d in experiment.to_json()["deployment_map"]])
"""


def test_the_hash_seed_changes_nothing():
    assert "Ping_2 | Ping_3" in text_whatever_the_hash_seed(SCRIPT)
