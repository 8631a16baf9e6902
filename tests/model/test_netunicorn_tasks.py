"""Tasks written for netunicorn, as those of netunicorn-library, stand wherever a task of ours can."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from airflow_provider_tasks.model.deployment import Deployment
from airflow_provider_tasks.model.dispatch import resolve_task
from airflow_provider_tasks.model.errors import DispatchError, GraphError
from airflow_provider_tasks.model.experiment import Experiment
from airflow_provider_tasks.model.node import Architecture, Node
from airflow_provider_tasks.model.pipeline import Pipeline
from airflow_provider_tasks.model.task import Task, TaskDispatcher

REASON = "netunicorn-base and netunicorn-library are not installed here: pip install netunicorn-base netunicorn-library"
base = pytest.importorskip("netunicorn.base", reason=REASON)
basic = pytest.importorskip("netunicorn.library.tasks.basic", reason=REASON)
ping = pytest.importorskip("netunicorn.library.tasks.measurements.ping", reason=REASON)
tcpdump = pytest.importorskip("netunicorn.library.tasks.capture.tcpdump", reason=REASON)

EDGE = Node("edge-1", {"ipv4": "10.0.0.5"}, Architecture.LINUX_ARM64)


@pytest.fixture
def _signals() -> Iterator[None]:
    """Some of their tasks have this process ignore how its children end, which is for a worker's process only."""
    handler = signal.getsignal(signal.SIGCHLD)
    yield
    signal.signal(signal.SIGCHLD, handler)


class Ours(Task):
    def run(self) -> str:
        return "ours"


class Theirs(base.Task):
    def __init__(self, word: str, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.word = word

    def run(self) -> str:
        return self.word


class TheirDispatcher(base.TaskDispatcher):
    def __init__(self, make, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.make = make

    def dispatch(self, node):
        return self.make(node)


class OurDispatcher(TaskDispatcher):
    def dispatch(self, node: Node) -> Task:
        return Theirs(node.name)


def test_their_classes_are_known():
    assert issubclass(basic.SleepTask, Task)
    assert isinstance(basic.DummyTask(), Task)
    assert issubclass(ping.Ping, TaskDispatcher)
    assert isinstance(ping.Ping("8.8.8.8"), TaskDispatcher)
    assert not isinstance(ping.Ping("8.8.8.8"), Task)
    assert not isinstance(basic.DummyTask(), TaskDispatcher)
    assert not isinstance(basic.DummyTask(), Ours)
    assert not isinstance(base.Node("edge", {}), (Task, TaskDispatcher))


def test_their_task_is_resolved():
    named = basic.SleepTask(0, name="nap")
    assert resolve_task(named, None) is named
    unnamed = basic.SleepTask(0)
    resolved = resolve_task(unnamed, None)
    assert resolved.name == "SleepTask"
    assert vars(resolved) == {**vars(unnamed), "name": "SleepTask"}
    assert resolved() == 0


def test_their_dispatcher_is_asked_with_a_node_of_theirs():
    seen = []

    def make(node):
        seen.append(node)
        return Theirs(node["ipv4"])

    assert resolve_task(TheirDispatcher(make), EDGE)() == "10.0.0.5"
    assert seen == [base.Node("edge-1", {"ipv4": "10.0.0.5"}, base.Architecture.LINUX_ARM64)]


@pytest.mark.parametrize("architecture", Architecture)
def test_every_architecture_has_a_counterpart(architecture):
    task = TheirDispatcher(lambda node: Theirs(node.architecture.value))
    assert resolve_task(task, Node("n", architecture=architecture))() == architecture.value


def test_the_ping_of_the_library_picks_linux_and_nothing_else():
    task = resolve_task(ping.Ping("8.8.8.8", count=3), EDGE)
    assert type(task) is ping.PingLinuxImplementation
    with pytest.raises(DispatchError) as caught:
        resolve_task(ping.Ping("8.8.8.8"), Node("desk", architecture=Architecture.WINDOWS_AMD64))
    message = "Ping().dispatch failed for Node('desk', win/amd64): NotImplementedError: Ping is not implemented for "
    assert str(caught.value).startswith(message)


def test_ours_and_theirs_may_be_mixed():
    assert resolve_task(TheirDispatcher(lambda _: Ours()), EDGE)() == "ours"
    assert resolve_task(OurDispatcher(), EDGE)() == "edge-1"
    pipeline = Pipeline([Ours(), [Theirs("a"), OurDispatcher()], TheirDispatcher(lambda _: Ours())])
    assert str(Deployment(EDGE, pipeline)) == "edge-1 (linux/arm64): Ours → Theirs | Theirs_2 → Ours_2"


def capture() -> Pipeline:
    return (
        Pipeline()
        .then(tcpdump.StartCapture(filepath="/tmp/capture.pcap", name="capture"))
        .then([ping.Ping("8.8.8.8"), ping.Ping("1.1.1.1")])
        .then(tcpdump.StopNamedCapture(start_capture_task_name="capture"))
    )


def test_the_capture_pipeline_is_deployed():
    pipeline = capture()
    deployment = Deployment(EDGE, pipeline)
    assert list(deployment.plan.tasks) == [
        "capture",
        "PingLinuxImplementation",
        "PingLinuxImplementation_2",
        "StopNamedCaptureLinuxImplementation",
    ]
    assert deployment.environment_definition.commands == [
        "sudo apt-get update",
        "sudo apt-get install -y tcpdump",
        "sudo apt-get install -y iputils-ping",
        "sudo apt-get install -y iputils-ping",
        "sudo apt-get update",
        "sudo apt-get install -y tcpdump",
        "sudo apt-get install -y procps",
    ]
    assert [task.address for task in list(deployment.tasks_by_name().values())[1:3]] == ["8.8.8.8", "1.1.1.1"]


def test_one_pipeline_serves_many_nodes():
    experiment = Experiment().map(capture(), [EDGE, Node("edge-2", architecture=Architecture.LINUX_AMD64)])
    assert len({str(one).partition(": ")[2] for one in experiment}) == 1
    assert experiment[0].plan == experiment[1].plan


@pytest.mark.usefixtures("_signals")
def test_earlier_results_are_found_by_the_name_that_they_were_given():
    stop = Deployment(EDGE, capture()).tasks_by_name()["StopNamedCaptureLinuxImplementation"]
    stop.previous_steps = {"other": [base.Success(1)]}
    assert stop().failure() == "Named StartCapture not found"


def test_random_names_lead_to_the_names_in_the_plan():
    first, second = Theirs("a"), Theirs("b")
    dispatcher = TheirDispatcher(lambda _: Theirs("c"), name=None)
    deployment = Deployment(EDGE, Pipeline([first, second, dispatcher, Theirs("d", name="Theirs")]))
    assert list(deployment.plan.tasks) == ["Theirs", "Theirs_2", "Theirs_3", "Theirs_4"]
    assert deployment.aliases[first.name] == "Theirs"
    assert deployment.aliases[second.name] == "Theirs_2"
    assert deployment.aliases[dispatcher.name] == "Theirs_3"
    assert len(deployment.aliases) == 4
    assert Deployment.from_json(deployment.to_json()).aliases == deployment.aliases


def test_a_task_without_a_name_has_that_of_its_dispatcher():
    deployment = Deployment(EDGE, Pipeline([TheirDispatcher(lambda _: Theirs("a"), name="fetch")]))
    assert list(deployment.plan.tasks) == ["fetch"]
    assert deployment.tasks_by_name()["fetch"].name == "fetch"


def test_a_task_stands_in_a_pipeline_once():
    task = Theirs("a", name="first")
    with pytest.raises(GraphError, match=r"^Theirs\(name='first'\) is in stage 1 already"):
        Pipeline([task, task])
    unnamed = Theirs("a")
    with pytest.raises(GraphError, match=r"^Theirs\(\) is in stage 1 already"):
        Pipeline([unnamed, unnamed])


def test_a_pipeline_with_their_tasks_survives_pickling():
    twin = pickle.loads(pickle.dumps(Pipeline([Theirs("a"), [Theirs("b"), ping.Ping("8.8.8.8")]])))
    twin.check()
    assert [task.word for task in Deployment(EDGE, twin).tasks_by_name().values() if isinstance(task, Theirs)] == [
        "a",
        "b",
    ]
    assert list(twin.graph.successors("root")) == twin.tasks[0]


SCRIPT = """
from airflow_provider_tasks import Architecture, Deployment, Node, Pipeline
from netunicorn.library.tasks.basic import SleepTask
from netunicorn.library.tasks.measurements.ping import Ping

pipeline = Pipeline([SleepTask(1), [Ping("a"), Ping("b")]])
deployment = Deployment(Node("edge", architecture=Architecture.LINUX_AMD64), pipeline)
print(pipeline, deployment, pipeline.draw(), deployment.plan.to_json(), repr(deployment.graph))
print([sorted(vars(task).items()) for task in deployment.tasks_by_name().values()])
"""


def test_no_random_name_is_left():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    texts = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(texts) == 1
