"""A graph made by hand: what it holds, and each rule that it may break."""

from __future__ import annotations

import networkx  # noqa: TID253 - here it is looked at
import pytest

from airflow_provider_tasks.model.errors import GraphError
from airflow_provider_tasks.model.graph import ExecutionGraph
from airflow_provider_tasks.model.node import Node
from airflow_provider_tasks.model.pipeline import CyclePipeline, Pipeline
from airflow_provider_tasks.model.task import Task, TaskDispatcher


class Say(Task):
    def run(self) -> None: ...


class SayOn(TaskDispatcher):
    def dispatch(self, node: Node) -> Task:
        return Say()


A, B, C = Say("a"), Say("b"), Say("c")


def graph(*edges: tuple) -> ExecutionGraph:
    made = ExecutionGraph()
    for source, target, *attributes in edges:
        made.graph.add_edge(source, target, **(attributes[0] if attributes else {}))
    return made


def weak(**more: object) -> dict:
    return {"type": "weak", **more}


def test_a_new_graph_has_a_root():
    made = ExecutionGraph()
    assert isinstance(made.graph, networkx.DiGraph)
    assert list(made.graph.nodes) == ["root"]
    assert made.graph is made.graph


def test_what_is_no_task_is_a_synchronisation_point():
    point = object()
    plan = graph(("root", A), (A, point), (point, B), (B, ("both", 1)), (B, "end")).plan()
    assert plan.nodes == ("root", "a", "<object>", "b", "('both', 1)", "end")
    assert plan.tasks == {"a": "Say", "b": "Say"}


@pytest.mark.parametrize(
    "made",
    [
        graph(("root", A)),
        graph(("root", A), (A, B), (B, A, weak())),
        graph(("root", A, {"counter": 1}), (A, A, weak(counter=3, traverse_on="failure"))),
        graph(("root", SayOn()), ("root", A, {"type": "strong"}), (A, B, {"traverse_on": "any"})),
        graph(("root", A, {"type": None, "counter": None, "traverse_on": None, "label": "first", "weight": 3})),
        graph(("root", 1), (1, "root", weak(counter=3)), (1, A)),
        graph(("root", 1), (1, A), (A, 1, weak())),
        Pipeline([A, [B, C]]),
        CyclePipeline([A]),
    ],
)
def test_a_graph_that_keeps_the_rules(made):
    made.check()


RULES = [
    (
        ExecutionGraph(),
        "there is no task in the graph: add one with pipeline.then(task), or with graph.add_edge('root', task)",
    ),
    (
        Pipeline(),
        "there is no task in the graph: add one with pipeline.then(task), or with graph.add_edge('root', task)",
    ),
    (
        graph(("root", Say)),
        "Say in the graph is a class, which does not run; make an instance: Say(…)",
    ),
    (
        graph(("root", A), (B, C)),
        (
            "the graph falls into parts: b, c are not connected with 'root'; add an edge that leads there, or "
            "remove what "
            "is too much"
        ),
    ),
    (
        graph(("root", A), (B, A)),
        (
            "b is never reached: edges lead from there to the rest of the graph, but none leads there from 'root'; "
            "add one, or turn one round"
        ),
    ),
    (
        graph(("root", A), (A, B), (B, C), (C, A)),
        (
            "strong edges make a cycle, in which each waits for the others: a → b → c → a; make the edge that "
            "leads back "
            "weak, as in graph.add_edge(…, …, type='weak', counter=2)"
        ),
    ),
    (
        graph(("root", A), (A, A)),
        (
            "strong edges make a cycle, in which each waits for the others: a → a; make the edge that leads "
            "back weak, as "
            "in graph.add_edge(…, …, type='weak', counter=2)"
        ),
    ),
    (
        graph(("root", A), (A, "root")),
        (
            "strong edges make a cycle, in which each waits for the others: root → a → root; make the edge that "
            "leads back "
            "weak, as in graph.add_edge(…, …, type='weak', counter=2)"
        ),
    ),
    (
        graph(("root", A), (A, B, weak())),
        (
            "b is reached over weak edges only, which start a task and are not waited for; lead strong edges "
            "there from "
            "'root'"
        ),
    ),
    *(
        (
            graph(("root", A, {"counter": counter})),
            (
                f"the edge root → a has counter {counter!r}; expected how often it may be walked, a whole number of at "
                "least 1"
            ),
        )
        for counter in (0, -1, 1.5, "3", True)
    ),
    (
        graph(("root", A), (A, B, {"traverse_on": "sometimes"})),
        "the edge a → b has traverse_on 'sometimes'; known: 'any', 'failure', 'success'",
    ),
    (
        graph(("root", A), (A, B, {"traverse_on": "Failure"})),
        "the edge a → b has traverse_on 'Failure'; did you mean 'failure'? Known: 'any', 'failure', 'success'",
    ),
    (
        graph(("root", 1), (1, A, {"traverse_on": "success"})),
        (
            "the edge 1 → a has traverse_on 'success', but 1 is a synchronisation point, which neither succeeds "
            "nor fails; "
            "leave traverse_on out, or put it on the edge of a task"
        ),
    ),
    (
        graph(("root", A), (A, B, {"type": "week"})),
        "the edge a → b has type 'week'; did you mean 'weak'? Known: 'strong', 'weak'",
    ),
    (
        graph(("root", A), (A, B), (B, A, weak(counters=3))),
        (
            "the edge b → a has the attribute 'counters', which does nothing; did you mean 'counter'? "
            "Known: 'counter', 'traverse_on', 'type'"
        ),
    ),
    (
        graph(("root", 1), (1, 2), (2, "root", weak()), (2, A)),
        (
            "the loop root → 1 → 2 → root has no task in it and no end; put a task into it, or a counter on one of its "
            "edges"
        ),
    ),
]


@pytest.mark.parametrize(("made", "message"), RULES)
def test_a_graph_that_breaks_a_rule_says_which(made, message):
    with pytest.raises(GraphError) as caught:
        made.check()
    assert str(caught.value) == message
    with pytest.raises(GraphError):
        made.plan()


@pytest.mark.parametrize("made", [made for made, _ in RULES])
def test_a_graph_that_breaks_a_rule_is_drawn(made):
    assert str(made.draw()).startswith(type(made).__name__)
    assert made.draw().svg().startswith("<svg")


def test_a_graph_without_a_root_is_refused():
    made = ExecutionGraph()
    made.graph.remove_node("root")
    made.graph.add_edge(A, B)
    with pytest.raises(
        GraphError, match=r"^the graph has no node 'root', where it starts: add graph\.add_edge\('root'"
    ):
        made.check()


def test_a_graph_made_elsewhere_can_take_its_place():
    made = ExecutionGraph()
    made.graph = networkx.DiGraph([("root", A), (A, B)])
    assert made.plan().nodes == ("root", "a", "b")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (networkx.Graph(), ("the graph is undirected (a networkx.Graph), so nothing says which task comes first; use "
                           "networkx.DiGraph")),
        (networkx.MultiDiGraph(), ("the graph is a networkx.MultiDiGraph, which may hold several edges from one task "
                                  "to another; use networkx.DiGraph")),
        ({"root": [A]}, "the graph is of type dict; expected a networkx.DiGraph"),
        (None, "the graph is of type NoneType; expected a networkx.DiGraph"),
    ],
)  # fmt: skip
def test_what_is_no_directed_graph_is_refused(other, message):
    made = ExecutionGraph()
    with pytest.raises(GraphError) as caught:
        made.graph = other
    assert str(caught.value) == message


def test_a_copy_goes_its_own_way():
    made = graph(("root", A), (A, B))
    twin = made.copy()
    twin.graph.edges[A, B]["counter"] = 3
    twin.graph.add_edge(B, C)
    assert made.graph.edges[A, B] == {}
    assert list(made.graph) == ["root", A, B]


def test_a_graph_shows_its_tasks():
    assert repr(graph(("root", A), (A, B))) == "ExecutionGraph(a, b)"
