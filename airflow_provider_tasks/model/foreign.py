"""Tasks and dispatchers written for netunicorn: how they are known, and what they need to run unchanged.

They are known by the names of their base classes; netunicorn is imported only where such an object is at hand,
so where it is installed. ``Task`` and ``TaskDispatcher`` count their classes as their own subclasses, which is
all that ``isinstance`` needs elsewhere.
"""

from __future__ import annotations

import copy
import importlib
import re
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from airflow_provider_tasks.model.node import Node

NETUNICORN = "netunicorn"
"""The package that netunicorn and the libraries of its tasks share."""

_PACKAGE = f"{NETUNICORN}.base"
_BASES = f"{_PACKAGE}.task"
_RANDOM_NAME = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

Declared = TypeVar("Declared")


def derives_from(cls: type, base: str) -> bool:
    """Tell whether a class derives from one of netunicorn's base classes.

    Args:
        cls: The class.
        base: ``Task`` or ``TaskDispatcher``.

    >>> theirs = type("Task", (), {"__module__": "netunicorn.base.task"})
    >>> class Ping(theirs): ...
    >>> derives_from(Ping, "Task"), derives_from(Ping, "TaskDispatcher"), derives_from(int, "Task")
    (True, False, False)
    """
    return any(one.__name__ == base and one.__module__ == _BASES for one in cls.__mro__)


def is_base(cls: type) -> bool:
    """Tell whether a class is one of netunicorn's base classes itself.

    >>> is_base(type("Task", (), {"__module__": "netunicorn.base.task"})), is_base(int)
    (True, False)
    """
    return cls.__module__ == _BASES


def node_for(dispatcher: object, node: Node) -> Any:
    """Return the node in the class that a dispatcher expects: netunicorn's own for one of netunicorn's.

    The libraries written for netunicorn look an architecture up among netunicorn's, to which ours is not equal.

    Args:
        dispatcher: The dispatcher that is to be asked.
        node: Our node.

    Returns:
        The node itself, or netunicorn's of the same name, properties and architecture.

    >>> from airflow_provider_tasks.model.node import Node
    >>> node_for(object(), Node("edge"))
    Node('edge')
    """
    if not derives_from(type(dispatcher), "TaskDispatcher"):
        return node
    architecture = importlib.import_module(f"{_PACKAGE}.architecture").Architecture(node.architecture.value)
    return importlib.import_module(f"{_PACKAGE}.nodes").Node(node.name, dict(node.properties), architecture)


def with_stable_name(task: Declared) -> Declared:
    """Return a task whose name is the same each time the DAG is parsed.

    netunicorn gives a task without a name a random one.

    Args:
        task: Any task or dispatcher.

    Returns:
        The task itself; in place of one with a random name a copy that is named after its class.

    >>> theirs = type("Task", (), {"__module__": "netunicorn.base.task"})
    >>> task = theirs()
    >>> task.name = "4d1b5e6c-0b5a-4c8e-9d8a-3f0c1d2e3f40"
    >>> with_stable_name(task).name, task.name[:8]
    ('Task', '4d1b5e6c')
    """
    if not has_random_name(task):
        return task
    named = copy.copy(task)
    named.name = type(task).__name__  # type: ignore[attr-defined]
    return named


def has_random_name(task: object) -> bool:
    """Tell whether netunicorn made a task's name up.

    >>> has_random_name(object())
    False
    """
    name = getattr(task, "name", None)
    return isinstance(name, str) and _RANDOM_NAME.fullmatch(name) is not None and _is_foreign(task)


def shown(task: object) -> str:
    """Write a task or a dispatcher for a message: netunicorn's own text has a random name or an address in it.

    >>> theirs = type("Task", (), {"__module__": "netunicorn.base.task", "name": "first"})
    >>> shown(theirs()), shown([1])
    ("Task(name='first')", '[1]')
    """
    if not _is_foreign(task):
        return repr(task)
    name = "" if has_random_name(task) else f"name={getattr(task, 'name', None)!r}"
    return f"{type(task).__name__}({name})"


def _is_foreign(task: object) -> bool:
    return derives_from(type(task), "Task") or derives_from(type(task), "TaskDispatcher")
