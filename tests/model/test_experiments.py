"""Which pipeline runs on which node."""

from __future__ import annotations

import json

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.model.errors import DispatchError, ExperimentFormatError
from airflow_provider_tasks.model.experiment import Experiment
from airflow_provider_tasks.model.node import Architecture, Node
from airflow_provider_tasks.model.nodes import CountableNodePool, UncountableNodePool
from airflow_provider_tasks.model.pipeline import CyclePipeline, Pipeline
from airflow_provider_tasks.model.task import Task, TaskDispatcher
from tests.model import strategies


class LinuxPing(Task):
    requirements = ["apt-get install -y iputils-ping"]

    def run(self) -> None: ...


class WindowsPing(Task):
    def run(self) -> None: ...


class Ping(TaskDispatcher):
    def dispatch(self, node: Node) -> Task:
        if node.architecture is Architecture.UNKNOWN:
            raise LookupError("no ping for it")
        return LinuxPing() if node.architecture is Architecture.LINUX_AMD64 else WindowsPing()


NODES = [
    Node("edge-1", {"ipv4": "10.0.0.5"}, Architecture.LINUX_AMD64),
    Node("edge-2", {"ipv4": "10.0.0.6"}, Architecture.LINUX_AMD64),
    Node("desk-1", architecture=Architecture.WINDOWS_AMD64),
    Node("desk-2", architecture=Architecture.WINDOWS_AMD64),
]


def example() -> Experiment:
    return (
        Experiment().map(Pipeline([Ping()]), NODES).append(NODES[0], CyclePipeline([[Ping(), LinuxPing()]], cycles=2))
    )


def test_four_nodes_of_two_kinds_read_well():
    assert str(example()).splitlines() == [
        "Experiment of 5 deployments",
        "  edge-1 (linux/amd64): LinuxPing",
        "  edge-2 (linux/amd64): LinuxPing",
        "  desk-1 (win/amd64): WindowsPing",
        "  desk-2 (win/amd64): WindowsPing",
        "  edge-1 (linux/amd64): LinuxPing | LinuxPing_2; 1 ⇢ root",
    ]
    assert str(Experiment()) == "Experiment of 0 deployments"
    assert str(Experiment().append(NODES[2], Pipeline([Ping()]))).splitlines()[0] == "Experiment of 1 deployment"


def test_an_experiment_is_a_sequence_of_deployments():
    experiment = example()
    assert len(experiment) == 5
    assert list(experiment) == experiment.deployment_map
    assert experiment[0] is experiment.deployment_map[0]
    assert experiment[-1] is experiment.deployment_map[4]
    assert experiment[1:3] == experiment.deployment_map[1:3]
    with pytest.raises(IndexError):
        experiment[5]


def test_the_deployment_map_holds_commands_and_pipelines():
    experiment = example()
    assert experiment.deployment_map[0].environment_definition.commands == ["apt-get install -y iputils-ping"]
    assert experiment.deployment_map[2].environment_definition.commands == []
    assert repr(cloudpickle.loads(experiment.deployment_map[2].pipeline)) == "Pipeline([[WindowsPing()]])"


def test_experiments_add_up():
    one, two = Experiment().append(NODES[0], Pipeline([Ping()])), Experiment().append(NODES[2], Pipeline([Ping()]))
    both = one + two
    assert both.deployment_map == [one[0], two[0]]
    assert (len(one), len(two)) == (1, 1)
    both.append(NODES[1], Pipeline([Ping()]))
    assert (len(one), len(two)) == (1, 1)
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for \+: 'Experiment' and 'list'"):
        one + two.deployment_map


def test_nodes_of_a_pool_are_taken_out_of_it():
    pool = UncountableNodePool([NODES[0]])
    assert [one.node.name for one in Experiment().map(Pipeline([Ping()]), pool.take(3))] == [
        "edge-1-1",
        "edge-1-2",
        "edge-1-3",
    ]


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (
            lambda e, p: e.map(p, CountableNodePool(NODES[2:3])),
            (
                "expected a list of nodes, found a pool of them, CountableNodePool([Node('desk-1', win/amd64)]); "
                "say how many: map(pipeline, pool.take(2))"
            ),
        ),
        (
            lambda e, p: e.map(p, NODES[2]),
            (
                "expected a list of nodes, found Node('desk-1', win/amd64); write map(pipeline, [node, …]), "
                "or append(node, pipeline) for one"
            ),
        ),
        (
            lambda e, p: e.map(NODES, p),
            (
                "expected a list of nodes, found Pipeline([[Ping()]]); write map(pipeline, [node, …]), "
                "or append(node, pipeline) for one"
            ),
        ),
        (
            lambda e, p: e.map(p, [NODES[0], "desk-1"]),
            "expected a node, found 'desk-1'; make one: Node('desk-1')",
        ),
        (
            lambda e, p: e.append(CountableNodePool([]), p),
            (
                "expected a node, found a pool of them, CountableNodePool([]); "
                "take nodes out of it: experiment.map(pipeline, pool.take(2))"
            ),
        ),
        (
            lambda e, p: e.append(p, NODES[0]),
            "expected a node, found Pipeline([[Ping()]]); the node comes first: append(node, pipeline)",
        ),
        (lambda e, p: e.append(None, p), "expected a node, found None"),
    ],
)
def test_what_is_no_node_is_refused(add, message):
    experiment = Experiment()
    with pytest.raises(TypeError) as caught:
        add(experiment, Pipeline([Ping()]))
    assert str(caught.value) == message
    assert len(experiment) == 0


def test_a_node_that_a_dispatcher_has_no_task_for_is_named_and_nothing_is_added():
    experiment = Experiment()
    with pytest.raises(
        DispatchError, match=r"^Ping\(\)\.dispatch failed for Node\('odd'\): LookupError: no ping for it"
    ):
        experiment.map(Pipeline([Ping()]), [*NODES, Node("odd")])
    assert len(experiment) == 0


@pytest.mark.parametrize("as_text", [False, True])
def test_an_experiment_survives_json(as_text):
    experiment = example()
    data = experiment.to_json()
    twin = Experiment.from_json(json.dumps(data) if as_text else data)
    assert str(twin) == str(experiment)
    assert twin.to_json() == data
    for one, other in zip(twin, experiment):
        assert one.node == other.node
        assert one.environment_definition == other.environment_definition
        assert one.plan == other.plan
        assert list(one.tasks_by_name()) == list(other.tasks_by_name())
        assert repr(one.graph) == repr(other.graph)


@given(st.lists(strategies.nodes, max_size=4))
def test_any_nodes_survive_json(nodes):
    experiment = Experiment().map(Pipeline([LinuxPing()]), nodes)
    twin = Experiment.from_json(json.dumps(experiment.to_json()))
    assert [one.node for one in twin] == nodes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("[", "experiment, line 1: not JSON: Expecting value"),
        ("[]", "experiment: is list []; expected a mapping with deployment_map"),
        ({}, "experiment: lacks the key 'deployment_map'"),
        ({"deployments": []}, "experiment: deployments is unknown here; did you mean 'deployment_map'?"),
        ({"deployment_map": {}}, "experiment: deployment_map is dict {}; expected a list"),
        ({"deployment_map": [{}]}, "experiment: deployment_map[0] lacks the key 'node'"),
    ],
)
def test_json_that_is_no_experiment_says_where(data, message):
    with pytest.raises(ExperimentFormatError) as caught:
        Experiment.from_json(data)
    assert str(caught.value).startswith(message)
