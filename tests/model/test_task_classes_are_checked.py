"""Classes that can't work are refused where they are made, with a message that says why."""

from __future__ import annotations

import functools
from abc import abstractmethod
from typing import Any

import pytest

from airflow_provider_tasks.model.task import Task, TaskDispatcher


def bare(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def kind(function):
    return functools.wraps(function)(bare(function))


def test_run_without_arguments_is_fine_however_it_is_written():
    class Wrapped(Task):
        @kind
        def run(self) -> int:
            return 1

    class Bare(Task):
        @bare
        def run(self) -> int:
            return 2

    class Static(Task):
        @staticmethod
        def run() -> int:
            return 3

    class OfClass(Task):
        @classmethod
        def run(cls) -> int:
            return 4

    assert [Wrapped()(), Bare()(), Static()(), OfClass()()] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("run", "signature"),
    [
        (lambda self, x: x, "(x)"),
        (lambda self, x=1: x, "(x=1)"),
        (lambda self, *rest: rest, "(*rest)"),
        (lambda self, **rest: rest, "(**rest)"),
        (lambda self, *, x=1: x, "(*, x=1)"),
        (kind(lambda self, x: x), "(x)"),
        (staticmethod(lambda x: x), "(x)"),
    ],
)
def test_run_with_arguments_is_refused(run, signature):
    with pytest.raises(TypeError) as caught:
        type("Ping", (Task,), {"run": run})
    assert str(caught.value) == (
        f"Ping.run takes arguments: {signature}. A worker calls run() without any; "
        "take them in __init__, keep them on self, and write def run(self)"
    )


def test_run_with_arguments_from_a_mixin_is_refused():
    class Mixin:
        def run(self, x: int) -> int:
            return x

    with pytest.raises(TypeError, match=r"Ping.run takes arguments: \(x: 'int'\)"):

        class Ping(Mixin, Task): ...


def test_run_that_is_no_method_is_refused():
    with pytest.raises(TypeError, match=r"Ping.run is of type NoneType; expected a method"):
        type("Ping", (Task,), {"run": None})
    with pytest.raises(TypeError, match=r"Ping.run\(\) lacks self"):
        type("Ping", (Task,), {"run": lambda: 1})


def test_a_class_without_run_may_be_made_but_not_its_instances():
    class Intermediate(Task):
        def __init__(self, address: str) -> None:
            self.address = address

    class Whole(Intermediate):
        def run(self) -> str:
            return self.address

    assert Whole("a")() == "a"
    with pytest.raises(TypeError, match=r"Intermediate has no run\(\): define it in Intermediate, or make an inst"):
        Intermediate("a")
    with pytest.raises(TypeError, match=r"Task has no run\(\)"):
        Task()


def test_a_class_with_abstract_methods_of_its_own_names_them():
    class Measure(Task):
        @abstractmethod
        def probe(self) -> int: ...

        def run(self) -> int:
            return self.probe()

    with pytest.raises(TypeError, match=r"Measure has no probe\(\)"):
        Measure()


@pytest.mark.parametrize(
    ("requirements", "error", "message"),
    [
        (
            "pip install numpy",
            TypeError,
            "Ping.requirements is of type str: 'pip install numpy'; expected a list of shell",
        ),
        ({"pip install numpy"}, TypeError, "Ping.requirements is of type set"),
        (["true", 3], TypeError, "a requirement in Ping.requirements is of type int: 3; expected a string"),
        ([["pip"]], TypeError, r"a requirement in Ping.requirements is of type list"),
        ([" "], ValueError, "a requirement in Ping.requirements is blank"),
        (property(lambda self: []), TypeError, "Ping.requirements is of type property"),
    ],
)
def test_requirements_that_are_no_list_of_commands_are_refused(requirements, error, message):
    with pytest.raises(error, match=message):
        type("Ping", (Task,), {"requirements": requirements, "run": lambda self: 1})


def test_requirements_spoilt_later_are_refused_when_an_instance_is_made():
    class Ping(Task):
        def run(self) -> None: ...

    Ping.requirements = "pip install numpy"  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"Ping.requirements is of type str"):
        Ping()


@pytest.mark.parametrize(
    "dispatch",
    [
        lambda self, node: node,
        lambda self, node, *rest, **more: node,
        lambda self, node, x=1: node,
        lambda self, *nodes: nodes,
        staticmethod(lambda node: node),
        classmethod(lambda cls, node: node),
        bare(lambda self, node: node),
        kind(lambda self, node: node),
    ],
)
def test_dispatch_that_takes_a_node_is_fine(dispatch):
    assert type("Pick", (TaskDispatcher,), {"dispatch": dispatch})().dispatch("a") in ("a", ("a",))


@pytest.mark.parametrize(
    ("dispatch", "signature"),
    [
        (lambda self: 1, r"\(\)"),
        (lambda self, node, x: 1, r"\(node, x\)"),
        (lambda self, *, node: 1, r"\(\*, node\)"),
        (lambda self, node, *, x: 1, r"\(node, \*, x\)"),
    ],
)
def test_dispatch_that_needs_something_else_than_a_node_is_refused(dispatch, signature):
    with pytest.raises(TypeError, match=rf"Pick.dispatch can't be called with just a node: {signature}. Take other"):
        type("Pick", (TaskDispatcher,), {"dispatch": dispatch})


def test_async_dispatch_is_refused():
    with pytest.raises(TypeError, match=r"Pick.dispatch is async; it is called while the DAG is built"):

        class Pick(TaskDispatcher):
            async def dispatch(self, node: Any) -> Task: ...  # type: ignore[override]


def test_a_dispatcher_has_no_requirements():
    with pytest.raises(TypeError, match="Pick has requirements, but a dispatcher runs in no worker"):

        class Pick(TaskDispatcher):
            requirements = ["true"]


def test_a_dispatcher_without_dispatch_makes_no_instances():
    class Intermediate(TaskDispatcher): ...

    with pytest.raises(TypeError, match=r"Intermediate has no dispatch\(\)"):
        Intermediate()
