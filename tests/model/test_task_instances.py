"""What an instance of a task has and does, whatever its class looks like."""

from __future__ import annotations

import asyncio
import copy
import pickle
from dataclasses import dataclass, field
from typing import Any

import cloudpickle
import pytest

from airflow_provider_tasks.model.task import Task, TaskDispatcher


class Plain(Task):
    requirements = ["pip install icmplib"]

    def run(self) -> int:
        return 42


class NoSuper(Task):
    requirements = ["pip install icmplib"]

    def __init__(self, address: str, count: int = 1) -> None:
        self.address = address
        self.count = count

    def run(self) -> str:
        return f"{self.count} x {self.address}"


@dataclass
class Data(Task):
    address: str
    tags: list[str] = field(default_factory=list)

    def run(self) -> str:
        return self.address


@dataclass(frozen=True)
class Frozen(Task):
    address: str

    def run(self) -> str:
        return self.address


@dataclass
class OwnRequirements(Task):
    requirements: list[str] = field(default_factory=lambda: ["pip install numpy"])

    def run(self) -> None: ...


@dataclass(slots=True)
class Slots(Task):
    address: str
    requirements: list[str] = field(default_factory=lambda: ["pip install numpy"])

    def run(self) -> str:
        return self.address


MAKERS = [
    Plain,
    lambda: NoSuper("a", count=2),
    lambda: Data("a"),
    lambda: Frozen("a"),
    OwnRequirements,
    lambda: Slots("a"),
]


def test_the_name_is_that_of_the_class_unless_given():
    assert Plain().name == "Plain"
    assert Plain("first").name == "first"
    assert Plain(name="first").name == "first"
    assert NoSuper("8.8.8.8").name == "NoSuper"


@pytest.mark.parametrize(
    ("name", "error", "message"), [(3, TypeError, "is of type int: 3"), (" ", ValueError, "is blank")]
)
def test_a_name_that_is_no_text_is_refused(name, error, message):
    with pytest.raises(error, match=f"the name of a Plain {message}"):
        Plain(name)


@pytest.mark.parametrize("make", MAKERS)
def test_a_task_is_whole_without_super_init(make):
    task = make()
    assert task.name == type(task).__name__
    assert task.previous_steps == {}
    assert isinstance(task.requirements, list)


@pytest.mark.parametrize("make", MAKERS)
def test_a_task_survives_copying_and_pickling(make):
    task = make().add_requirement("true")
    for twin in (copy.copy(task), copy.deepcopy(task), pickle.loads(pickle.dumps(task))):
        assert twin is not task
        assert (repr(twin), twin.name, twin.requirements) == (repr(task), task.name, task.requirements)
        assert twin() == task()
        twin.add_requirement("false")
        assert "false" not in task.requirements


def test_a_class_travels_by_value_with_its_identity_rules():
    @dataclass
    class Local(Task):
        address: str

        def run(self) -> str:
            return self.address

    twin = pickle.loads(cloudpickle.dumps([Local("a"), Local("a")]))
    assert repr(twin) == "[Local('a'), Local('a')]"
    assert len(set(twin)) == 2
    assert twin[0]() == "a"


def test_requirements_of_an_instance_are_its_own():
    first, second = NoSuper("a"), NoSuper("b")
    assert first.add_requirement("apt-get install -y fping") is first
    first.requirements.append("true")
    assert first.requirements == ["pip install icmplib", "apt-get install -y fping", "true"]
    assert second.requirements == NoSuper.requirements == ["pip install icmplib"]


def test_requirements_may_be_a_field_of_a_dataclass():
    assert OwnRequirements().requirements == ["pip install numpy"]
    assert Slots("a").add_requirement("true").requirements == ["pip install numpy", "true"]


def test_a_tuple_of_requirements_becomes_a_list():
    class Two(Task):
        requirements = ("a", "b")  # type: ignore[assignment]

        def run(self) -> None: ...

    assert Two().requirements == ["a", "b"]


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        (None, TypeError, "is of type NoneType"),
        (["pip"], TypeError, "is of type list"),
        ("", ValueError, "is blank"),
        ("\n", ValueError, "is blank"),
    ],
)
def test_a_requirement_that_is_no_command_is_refused(command, error, message):
    with pytest.raises(error, match=rf"a requirement of Plain\(\) {message}"):
        Plain().add_requirement(command)


def test_calling_a_task_runs_it():
    assert Plain()() == 42


def test_run_may_be_async():
    class Async(Task):
        async def run(self) -> int:
            return 42

    assert asyncio.run(Async()()) == 42


@pytest.mark.parametrize("make", MAKERS)
def test_a_task_is_equal_to_itself_only_and_can_be_a_key(make):
    first, second = make(), make()
    assert first == first
    assert first != second
    assert {first: 1, second: 2}[first] == 1


def test_what_a_class_writes_itself_stays():
    class Base(Task):
        def __repr__(self) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Base)

        def __hash__(self) -> int:
            return 1

        def run(self) -> None: ...

    @dataclass
    class Child(Base):
        x: int

    class Diamond(Plain, Base):
        pass

    assert repr(Child(1)) == repr(Diamond()) == "mine"
    assert Child(1) == Child(2)
    assert hash(Child(1)) == 1


def test_a_name_may_be_a_property():
    class Named(Task):
        def __init__(self, address: str) -> None:
            self.address = address

        @property
        def name(self) -> str:  # type: ignore[override]
            return f"ping-{self.address}"

        def run(self) -> None: ...

    assert Named("a").name == "ping-a"


def test_a_dispatcher_is_whole_without_super_init_too():
    class Pick(TaskDispatcher):
        def __init__(self, city: str) -> None:
            self.city = city

        def dispatch(self, node: Any) -> Task:
            return Plain(self.city)

    pick = Pick("Oslo")
    assert repr(pick) == repr(copy.deepcopy(pick)) == "Pick('Oslo')"
    assert pick != Pick("Oslo")
    assert len({pick, pick}) == 1


def test_a_dispatcher_without_init_takes_no_arguments():
    class Pick(TaskDispatcher):
        def dispatch(self, node: Any) -> Task:
            return Plain()

    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        Pick("Oslo")


def test_what_a_task_was_made_with_is_not_kept():
    class Sized(Task):
        def __init__(self, values: list[int]) -> None:
            self.size = len(values)

        def run(self) -> int:
            return self.size

    assert len(cloudpickle.dumps(Sized(list(range(100_000))))) < 10_000
