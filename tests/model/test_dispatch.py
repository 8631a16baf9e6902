"""A dispatcher becomes a task, or an error that names the dispatcher and the node."""

from __future__ import annotations

import pytest

from airflow_provider_tasks.model.dispatch import resolve_task
from airflow_provider_tasks.model.errors import DispatchError
from airflow_provider_tasks.model.node import Architecture, Node
from airflow_provider_tasks.model.task import Task, TaskDispatcher


class LinuxPing(Task):
    def run(self) -> str:
        return "ping -c 1"


class WindowsPing(Task):
    def run(self) -> str:
        return "ping -n 1"


class Ping(TaskDispatcher):
    def dispatch(self, node: Node) -> Task:
        windows = node.architecture in (Architecture.WINDOWS_AMD64, Architecture.WINDOWS_ARM64)
        return WindowsPing() if windows else LinuxPing()


class Connect(Task):
    def __init__(self, address: str) -> None:
        self.address = address

    def run(self) -> str:
        return self.address


class ConnectTo(TaskDispatcher):
    def dispatch(self, node: Node) -> Task:
        return Connect(node["ipv4"])


class Return(TaskDispatcher):
    def __init__(self, value: object) -> None:
        self.value = value

    def dispatch(self, node: Node) -> Task:
        return self.value  # type: ignore[return-value]


EDGE = Node("edge-1", {"ipv4": "10.0.0.5"}, Architecture.LINUX_AMD64)


def test_a_task_is_returned_as_it_is():
    task = LinuxPing()
    assert resolve_task(task, None) is task
    assert resolve_task(task, EDGE) is task


def test_a_dispatcher_picks_by_operating_system():
    assert isinstance(resolve_task(Ping(), EDGE), LinuxPing)
    assert isinstance(resolve_task(Ping(), Node("desk", architecture=Architecture.WINDOWS_AMD64)), WindowsPing)


def test_a_dispatcher_makes_a_task_from_an_address():
    assert repr(resolve_task(ConnectTo(), EDGE)) == "Connect('10.0.0.5')"


def test_a_dispatcher_needs_a_node():
    with pytest.raises(DispatchError) as caught:
        resolve_task(Ping(), None)
    assert str(caught.value) == "Ping() is a dispatcher and has no node to dispatch for; pass node=Node(…)"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            None,
            (
                "Return(None).dispatch returned None for {node}: return a task on every path, "
                "also for the nodes that no branch is for"
            ),
        ),
        (
            Ping(),
            (
                "Return(Ping()).dispatch returned Ping() for {node}: that is a dispatcher; "
                "return the task that it dispatches to"
            ),
        ),
        (
            LinuxPing,
            (
                "Return(<class LinuxPing>).dispatch returned <class LinuxPing> for {node}: that is a class; "
                "make an instance of it: LinuxPing(…)"
            ),
        ),
        (
            "ping",
            (
                "Return('ping').dispatch returned 'ping' for {node}: that is of type str; "
                "expected an instance of a subclass of Task"
            ),
        ),
    ],
)
def test_what_is_no_task_is_refused(value, message):
    with pytest.raises(DispatchError) as caught:
        resolve_task(Return(value), EDGE)
    assert str(caught.value) == message.format(node="Node('edge-1', linux/amd64, {'ipv4': '10.0.0.5'})")


def test_what_dispatch_raises_is_the_cause():
    class Fails(TaskDispatcher):
        def dispatch(self, node: Node) -> Task:
            raise KeyError("os")

    with pytest.raises(
        DispatchError, match=r"^Fails\(\).dispatch failed for Node\('edge-1', .*\): KeyError: 'os'\. Return"
    ) as caught:
        resolve_task(Fails(), EDGE)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(("value", "message"), [(LinuxPing, "LinuxPing"), (3, "3 is no task: that is of type int")])
def test_what_is_neither_task_nor_dispatcher_is_refused(value, message):
    with pytest.raises(TypeError, match=message):
        resolve_task(value, EDGE)
