"""One pipeline on a node: dispatchers are asked, requirements are put together, the pipeline stays as it is."""

from __future__ import annotations

import cloudpickle
import pytest

from airflow_provider_tasks.model.deployment import Deployment
from airflow_provider_tasks.model.environment_definition import DockerImage, ShellExecution
from airflow_provider_tasks.model.errors import DispatchError, ExperimentFormatError, GraphError
from airflow_provider_tasks.model.graph import ExecutionGraph
from airflow_provider_tasks.model.node import Architecture, Node
from airflow_provider_tasks.model.nodes import CountableNodePool
from airflow_provider_tasks.model.pipeline import CyclePipeline, Pipeline
from airflow_provider_tasks.model.task import Task, TaskDispatcher

EDGE = Node("edge-1", {"ipv4": "10.0.0.5"}, Architecture.LINUX_AMD64)
DESK = Node("desk-1", architecture=Architecture.WINDOWS_AMD64)


class WriteToTmp(Task):
    requirements = ["mkdir -p /tmp/out"]

    def run(self) -> None: ...


class LinuxPing(Task):
    requirements = ["apt-get install -y iputils-ping"]

    def run(self) -> None: ...


class WindowsPing(Task):
    def run(self) -> None: ...


class Ping(TaskDispatcher):
    asked = 0

    def dispatch(self, node: Node) -> Task:
        self.asked += 1
        return LinuxPing() if node.architecture is Architecture.LINUX_AMD64 else WindowsPing()


class Return(TaskDispatcher):
    def __init__(self, value: object) -> None:
        self.value = value

    def dispatch(self, node: Node) -> Task:
        return self.value  # type: ignore[return-value]


def commands(*tasks: Task) -> list[str]:
    return Deployment(EDGE, Pipeline(tasks)).environment_definition.commands


def test_three_tasks_of_one_class_have_their_requirements_three_times():
    assert commands(WriteToTmp(), WriteToTmp(), WriteToTmp()) == ["mkdir -p /tmp/out"] * 3


def test_a_requirement_of_one_instance_is_there_once():
    class Write(Task):
        def run(self) -> None: ...

    assert commands(Write(), Write().add_requirement("mkdir -p /tmp/out"), Write()) == ["mkdir -p /tmp/out"]


def test_requirements_are_in_graph_order_behind_the_commands_of_the_pipeline():
    made = ExecutionGraph(environment_definition=DockerImage("debian:13", ["apt-get update"], {"LEVEL": "3"}))
    last = WriteToTmp().add_requirement("last")
    made.graph.add_node(last)
    first, second = WriteToTmp().add_requirement("first"), LinuxPing()
    made.graph.add_edges_from([("root", first), (first, second), (second, last)])
    assert Deployment(EDGE, made).environment_definition == DockerImage(
        "debian:13",
        [
            "apt-get update",
            "mkdir -p /tmp/out",
            "first",
            "apt-get install -y iputils-ping",
            "mkdir -p /tmp/out",
            "last",
        ],
        {"LEVEL": "3"},
    )


def test_requirements_of_what_a_dispatcher_picks_count():
    pipeline = Pipeline([Ping()])
    assert Deployment(EDGE, pipeline).environment_definition.commands == ["apt-get install -y iputils-ping"]
    assert Deployment(DESK, pipeline).environment_definition.commands == []


@pytest.mark.parametrize("graph_was_used", [False, True])
def test_the_pipeline_stays_as_it_is(graph_was_used):
    dispatcher, task = Ping(), WriteToTmp()
    pipeline = CyclePipeline([dispatcher, task], cycles=2, environment_definition=ShellExecution(["make"]))
    if graph_was_used:
        assert pipeline.graph
    before = (repr(pipeline), pipeline.plan(), repr(pipeline.environment_definition), repr(vars(task)))
    deployments = [Deployment(node, pipeline) for node in (EDGE, DESK)]
    assert [list(deployment.plan.tasks) for deployment in deployments] == [
        ["LinuxPing", "WriteToTmp"],
        ["WindowsPing", "WriteToTmp"],
    ]
    assert (repr(pipeline), pipeline.plan(), repr(pipeline.environment_definition), repr(vars(task))) == before
    assert pipeline.tasks == [[dispatcher], [task]]


def test_a_deployment_does_not_see_what_is_done_to_the_pipeline_later():
    pipeline = Pipeline([WriteToTmp()])
    deployment = Deployment(EDGE, pipeline)
    pipeline.then(LinuxPing())
    pipeline.environment_definition.commands.append("make")
    assert list(deployment.tasks_by_name()) == ["WriteToTmp"]
    assert deployment.environment_definition.commands == ["mkdir -p /tmp/out"]


def test_a_dispatcher_that_is_there_twice_is_asked_twice():
    dispatcher = Ping()
    tasks = Deployment(EDGE, Pipeline([dispatcher, dispatcher])).tasks_by_name()
    assert list(tasks) == ["LinuxPing", "LinuxPing_2"]
    assert tasks["LinuxPing"] is not tasks["LinuxPing_2"]


def test_a_dispatcher_that_always_returns_the_same_task_gives_two():
    one = LinuxPing("one")
    pipeline = Pipeline([Return(one), [Return(one), one]])
    tasks = Deployment(EDGE, pipeline).tasks_by_name()
    assert list(tasks) == ["one", "one_2", "one_3"]
    assert len({id(task) for task in tasks.values()}) == 3
    assert Deployment(EDGE, pipeline).environment_definition.commands == ["apt-get install -y iputils-ping"] * 3


def test_edges_keep_what_they_say():
    dispatcher, task = Ping(), WriteToTmp()
    made = ExecutionGraph(early_stopping=False)
    made.graph.add_edge("root", dispatcher)
    made.graph.add_edge(dispatcher, task, traverse_on="failure", counter=2)
    made.graph.add_edge(task, dispatcher, type="weak")
    plan = Deployment(EDGE, made).plan
    assert [(edge.source, edge.target, edge.attributes()) for edge in plan.edges] == [
        ("root", "LinuxPing", {}),
        ("LinuxPing", "WriteToTmp", {"counter": 2, "traverse_on": "failure"}),
        ("WriteToTmp", "LinuxPing", {"type": "weak"}),
    ]
    assert plan.early_stopping is False


def test_the_pipeline_can_be_opened():
    deployment = Deployment(EDGE, CyclePipeline([Ping(), [WriteToTmp(), WriteToTmp()]], cycles=2))
    opened = cloudpickle.loads(deployment.pipeline)
    assert isinstance(opened, CyclePipeline)
    assert repr(opened) == "CyclePipeline([[LinuxPing()], [WriteToTmp(), WriteToTmp()]], cycles=2)"
    assert opened.plan() == deployment.plan
    assert next(iter(opened.graph.nodes)) == "root"
    assert isinstance(deployment.pipeline, bytes)


def test_a_node_is_not_needed_where_there_is_no_dispatcher():
    assert str(Deployment(None, Pipeline([WriteToTmp()]))) == "no node: WriteToTmp"
    with pytest.raises(DispatchError, match=r"^Ping\(\) is a dispatcher and has no node to dispatch for; pass node="):
        Deployment(None, Pipeline([WriteToTmp(), Ping()]))


def test_a_deployment_reads_as_a_line():
    pipeline = CyclePipeline([WriteToTmp("start"), [Ping(), Ping()], WriteToTmp()], cycles=2)
    deployment = Deployment(EDGE, pipeline)
    line = "start (WriteToTmp) → LinuxPing | LinuxPing_2 → WriteToTmp; 3 ⇢ root"
    assert str(deployment) == f"edge-1 (linux/amd64): {line}"
    assert repr(deployment) == f"Deployment({EDGE!r}, {line!r})"


class Equal(Task):
    def __eq__(self, other):
        return isinstance(other, Equal)

    def __hash__(self):
        return 0

    def run(self) -> None: ...


class Unhashable(Task):
    __hash__ = None  # type: ignore[assignment]

    def run(self) -> None: ...


def broken() -> Task:
    task = WriteToTmp()
    task.requirements = "mkdir"  # type: ignore[assignment]
    return task


@pytest.mark.parametrize(
    ("node", "pipeline", "error", "message"),
    [
        (
            "edge-1",
            Pipeline([WriteToTmp()]),
            TypeError,
            "expected a node, found 'edge-1'; make one: Node('edge-1')",
        ),
        (
            CountableNodePool([DESK]),
            Pipeline([WriteToTmp()]),
            TypeError,
            (
                "expected a node, found a pool of them, CountableNodePool([Node('desk-1', win/amd64)]); "
                "take nodes out of it: experiment.map(pipeline, pool.take(2))"
            ),
        ),
        (
            Pipeline(),
            DESK,
            TypeError,
            "expected a node, found Pipeline([]); the node comes first: append(node, pipeline)",
        ),
        (
            DESK,
            WriteToTmp("w"),
            TypeError,
            (
                "a deployment has a Pipeline or an ExecutionGraph, found WriteToTmp('w'); "
                "put it into one: Pipeline([WriteToTmp(…)])"
            ),
        ),
        (
            DESK,
            [WriteToTmp()],
            TypeError,
            "a deployment has a Pipeline or an ExecutionGraph, found [WriteToTmp()]",
        ),
        (
            DESK,
            Pipeline(),
            GraphError,
            "there is no task in the graph: add one with pipeline.then(task), or with graph.add_edge('root', task)",
        ),
        (
            DESK,
            Pipeline([Return(Ping())]),
            DispatchError,
            (
                "Return(Ping()).dispatch returned Ping() for Node('desk-1', win/amd64): that is a dispatcher; "
                "return the task that it dispatches to"
            ),
        ),
        (
            DESK,
            Pipeline([Return(None)]),
            DispatchError,
            (
                "Return(None).dispatch returned None for Node('desk-1', win/amd64): return a task on every path, "
                "also for the nodes that no branch is for"
            ),
        ),
        (
            DESK,
            Pipeline([Return(Equal()), Return(Equal())]),
            GraphError,
            (
                "of Equal(), Equal() some are equal, for Node('desk-1', win/amd64), and a graph takes equal "
                "ones for one; "
                "leave __eq__ and __hash__ out of their classes"
            ),
        ),
        (
            DESK,
            Pipeline([Return(Unhashable())]),
            GraphError,
            "Unhashable() can't stand in a graph: Unhashable defines __eq__ and no __hash__; define both or neither",
        ),
        (
            DESK,
            Pipeline([LinuxPing(), broken()]),
            TypeError,
            (
                "WriteToTmp.requirements is of type str: 'mkdir'; expected a list of shell commands "
                "(WriteToTmp() for Node('desk-1', win/amd64))"
            ),
        ),
    ],
)
def test_what_can_not_be_deployed_says_why(node, pipeline, error, message):
    with pytest.raises(error) as caught:
        Deployment(node, pipeline)
    assert str(caught.value) == message


def test_json_opens_nothing():
    data = Deployment(EDGE, Pipeline([WriteToTmp()])).to_json()
    data["pipeline"] = "AAAA"  # no pickle at all
    twin = Deployment.from_json(data)
    assert str(twin) == "edge-1 (linux/amd64): WriteToTmp"
    assert twin.to_json() == data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"node": 3}, "deployment: node is int 3; expected a mapping with name"),
        ({"plan": {}}, "deployment: plan lacks the key 'nodes'"),
        ({"pipeline": "*"}, "deployment: pipeline is no base64: "),
        ({"aliases": {"a": 3}}, "deployment: aliases.a is int 3; expected a string"),
        (
            {"environment_definition": {"type": 1}},
            "deployment: environment_definition.type is int 1; expected a string",
        ),
    ],
)
def test_json_that_is_no_deployment_says_where(change, message):
    data = Deployment(EDGE, Pipeline([WriteToTmp()])).to_json()
    with pytest.raises(ExperimentFormatError) as caught:
        Deployment.from_json({**data, **change})
    assert str(caught.value).startswith(message)
