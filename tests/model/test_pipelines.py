"""Stages, one after the other, and what is no stage."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import dataclass

import pytest

from airflow_provider_tasks.model.deployment import Deployment
from airflow_provider_tasks.model.environment_definition import DockerImage, ShellExecution
from airflow_provider_tasks.model.errors import GraphError
from airflow_provider_tasks.model.node import Node
from airflow_provider_tasks.model.pipeline import CyclePipeline, Pipeline
from airflow_provider_tasks.model.task import Task, TaskDispatcher


class Ping(Task):
    def __init__(self, address: str = "") -> None:
        self.address = address

    def run(self) -> None: ...


class PingFrom(TaskDispatcher):
    def dispatch(self, node: Node) -> Task:
        return Ping(node.name)


def edges(pipeline: Pipeline) -> list[tuple[str, str, dict]]:
    return [(edge.source, edge.target, edge.attributes()) for edge in pipeline.plan().edges]


def test_stages_follow_one_another():
    first, second, third, fourth = Ping("1"), Ping("2"), Ping("3"), PingFrom()
    pipeline = Pipeline([first]).then([second, third]).then(fourth)
    assert pipeline.tasks == [[first], [second, third], [fourth]]
    assert list(pipeline.graph.edges) == [
        ("root", first),
        (first, 1),
        (1, second),
        (1, third),
        (second, 2),
        (third, 2),
        (2, fourth),
        (fourth, 3),
    ]
    assert all(found == {} for _, _, found in pipeline.graph.edges(data=True))


def test_then_gives_the_pipeline_itself():
    pipeline = Pipeline()
    assert pipeline.then(Ping()) is pipeline


def test_stages_can_be_added_after_the_graph_was_used():
    first, second = Ping(), Ping()
    pipeline = Pipeline([first])
    pipeline.graph.add_edge(first, "seen")
    pipeline.then(second)
    assert list(pipeline.graph.successors(1)) == [second]
    assert list(pipeline.graph.predecessors("seen")) == [first]
    assert pipeline.tasks == [[first], [second]]


def test_tasks_are_not_the_pipelines_own_lists():
    pipeline = Pipeline([Ping()])
    pipeline.tasks[0].append(Ping())
    assert len(pipeline.tasks[0]) == 1


def test_a_cycle_leads_back_from_its_last_stage():
    pipeline = CyclePipeline([Ping(), [Ping(), Ping()]], cycles=3)
    weak = [edge for edge in edges(pipeline) if edge[2]]
    assert weak == [("2", "root", {"type": "weak", "counter": 2})]
    pipeline.then(Ping())
    assert [edge for edge in edges(pipeline) if edge[2]] == [("3", "root", {"type": "weak", "counter": 2})]


def test_a_cycle_leads_back_also_when_stages_are_added_after_the_graph_was_used():
    pipeline = CyclePipeline([Ping()], cycles=2)
    assert pipeline.graph.edges[1, "root"] == {"type": "weak", "counter": 1}
    pipeline.then(Ping())
    assert not pipeline.graph.has_edge(1, "root")
    assert pipeline.graph.edges[2, "root"] == {"type": "weak", "counter": 1}


def test_a_cycle_without_a_number_goes_on_without_end():
    assert edges(CyclePipeline([Ping()]))[-1] == ("1", "root", {"type": "weak"})


@pytest.mark.parametrize(
    ("cycles", "error", "message"),
    [
        (1, ValueError, r"^cycles is 1; expected at least 2, or None to go on without end; what runs once is a Pip"),
        (0, ValueError, r"^cycles is 0; expected at least 2"),
        (-3, ValueError, r"^cycles is -3; expected at least 2"),
        (2.0, TypeError, r"^cycles is 2\.0; expected how often all of it runs, a whole number, or None$"),
        (True, TypeError, r"^cycles is True; expected how often"),
        ("3", TypeError, r"^cycles is '3'; expected how often"),
    ],
)  # fmt: skip
def test_cycles_that_are_none_are_refused(cycles, error, message):
    with pytest.raises(error, match=message):
        CyclePipeline([Ping()], cycles=cycles)


def test_the_number_of_cycles_has_a_name():
    with pytest.raises(TypeError, match=r"^the stages of a CyclePipeline are a list, found 3; write cycles=3$"):
        CyclePipeline(3)


@pytest.mark.parametrize(
    ("stage", "error", "message"),
    [
        ([], GraphError, r"^stage 2 is empty; put a task into it, or leave it out$"),
        (None, TypeError, r"^in stage 2 of a Pipeline is None; expected a task or a dispatcher$"),
        (3, TypeError, r"^in stage 2 of a Pipeline is 3: that is of type int; expected an instance of a subclass"),
        (Ping, TypeError, r"is <class Ping>: that is a class; make an instance of it: Ping\(…\)$"),
        ([Ping(), [Ping()]], TypeError, r"is a list, \[Ping\(\)\]; expected tasks, which run side by side: lists in"),
        ({Ping()}, TypeError, r"is a set; expected a list, whose order is the same each time the DAG is parsed$"),
        (Pipeline([Ping("a")]), TypeError, r"is Pipeline\(\[\[Ping\('a'\)\]\]\): a pipeline in a pipeline does not"),
        (print, TypeError, r"is <function print>: that is of type builtin_function_or_method; expected an instance"),
    ],
)  # fmt: skip
def test_what_is_no_stage_is_refused(stage, error, message):
    pipeline = Pipeline([Ping()])
    with pytest.raises(error, match=message):
        pipeline.then(stage)
    assert len(pipeline.tasks) == 1
    assert len(pipeline.graph) == 3


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (Ping("a"), r"^the stages of a Pipeline are a list, found Ping\('a'\); put it into a list: \[Ping\(…\)\]$"),
        ({"a": Ping()}, r"^the stages of a Pipeline are a list, found a dict; expected a list, whose order"),
        (None, r"^the stages of a Pipeline are a list, found None"),
    ],
)
def test_stages_are_a_list(tasks, message):
    with pytest.raises(TypeError, match=message):
        Pipeline(tasks)


def test_stages_that_are_given_one_by_one_are_refused():
    message = r"^early_stopping is \[Ping\(\)\]; expected True or False\. All stages go into one list: Pipeline\(\["
    with pytest.raises(TypeError, match=message):
        Pipeline([Ping()], [Ping()])


@pytest.mark.parametrize("second", [lambda task: task, lambda task: [Ping(), task]])
def test_a_task_stands_in_a_pipeline_once(second):
    task = Ping("a")
    with pytest.raises(GraphError) as caught:
        Pipeline([Ping(), task]).then(second(task))
    assert str(caught.value) == (
        "Ping('a') is in stage 2 already, and a task stands in a pipeline once; "
        "make another instance, or repeat all stages with CyclePipeline"
    )
    with pytest.raises(GraphError, match=r"^Ping\('a'\) is in stage 1 already"):
        Pipeline([[task, task]])


def test_a_task_that_was_put_into_the_graph_by_hand_is_there_too():
    task = Ping("a")
    pipeline = Pipeline([Ping()])
    pipeline.graph.add_edge(1, task)
    with pytest.raises(GraphError, match=r"^Ping\('a'\) is in the graph already"):
        pipeline.then(task)


def test_a_dispatcher_may_stand_in_a_pipeline_twice():
    dispatcher = PingFrom()
    pipeline = Pipeline([dispatcher, [Ping(), dispatcher], dispatcher])
    assert list(pipeline.plan().tasks) == ["PingFrom", "Ping", "PingFrom_2", "PingFrom_3"]
    pipeline.check()


def test_a_task_that_can_not_be_hashed_is_refused():
    class Equal(Ping):
        def __eq__(self, other):
            return True

    with pytest.raises(
        TypeError, match=r"^Equal\(\) can't stand in a graph: Equal defines __eq__ and no __hash__; define"
    ):
        Pipeline([Equal()])


def test_equal_dataclasses_are_two_tasks():
    @dataclass
    class Fetch(Task):
        address: str

        def run(self) -> None: ...

    assert list(Pipeline([Fetch("a"), Fetch("a")]).plan().tasks) == ["Fetch", "Fetch_2"]


@pytest.mark.parametrize("make", [Pipeline, lambda tasks: CyclePipeline(tasks, cycles=2)])
@pytest.mark.parametrize("copied", [Pipeline.copy, copy.copy])
@pytest.mark.parametrize("graph_was_used", [False, True])
def test_a_copy_goes_its_own_way(make, copied, graph_was_used):
    task = Ping()
    pipeline = make([task])
    if graph_was_used:
        assert pipeline.graph
    twin = copied(pipeline)
    assert type(twin) is type(pipeline)
    assert edges(twin) == edges(pipeline)
    twin.then(Ping())
    twin.graph.add_edge(task, "seen", counter=1)
    twin.environment_definition.commands.append("make")
    assert pipeline.tasks == [[task]]
    assert "seen" not in pipeline.graph
    assert pipeline.environment_definition == DockerImage()
    assert twin.tasks[0] == [task]


@pytest.mark.parametrize(
    ("pipeline", "text"),
    [
        (Pipeline(), "Pipeline([])"),
        (Pipeline([Ping("a"), [Ping("b"), PingFrom()]]), "Pipeline([[Ping('a')], [Ping('b'), PingFrom()]])"),
        (CyclePipeline([Ping("a")], cycles=2), "CyclePipeline([[Ping('a')]], cycles=2)"),
        (CyclePipeline([Ping("a")]), "CyclePipeline([[Ping('a')]], cycles=None)"),
    ],
)
def test_a_pipeline_shows_its_stages(pipeline, text):
    assert repr(pipeline) == text


def test_a_pipeline_has_an_environment_definition():
    wanted = ShellExecution(["make"])
    assert Pipeline(environment_definition=wanted).environment_definition is wanted
    assert Pipeline().environment_definition == DockerImage()
    with pytest.raises(
        TypeError, match=r"^environment_definition is 'debian'; expected DockerImage\(image=…\) or Shell"
    ):
        Pipeline(environment_definition="debian")


def test_an_environment_definition_that_was_set_later_is_checked_when_it_is_deployed():
    pipeline = Pipeline([Ping()])
    pipeline.environment_definition = ShellExecution(["make"])
    assert Deployment(Node("edge"), pipeline).environment_definition.commands == ["make"]
    pipeline.environment_definition = "debian"
    with pytest.raises(TypeError, match=r"^environment_definition is 'debian'; expected DockerImage"):
        Deployment(Node("edge"), pipeline)


def test_a_pipeline_needs_no_networkx():
    code = """
import sys
sys.modules["networkx"] = None
import pickle
from airflow_provider_tasks import CyclePipeline, Deployment, Experiment, Node, Task

class Ping(Task):
    def run(self): ...

deployment = Deployment(Node("edge"), CyclePipeline([Ping(), [Ping(), Ping()]], cycles=2))
print(deployment)
print(deployment.graph.draw().svg()[:4], len(pickle.loads(deployment.pipeline).copy().tasks))
try:
    deployment.graph.graph
except ModuleNotFoundError as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == (
        "edge: Ping → Ping_2 | Ping_3; 2 ⇢ root\n<svg 2\nExecutionGraph.graph is a graph of networkx, which is not "
        "installed here: pip install networkx. A Pipeline that is made with then() needs none\n"
    ), found.stderr
