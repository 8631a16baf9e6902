"""From a task or a dispatcher to the task that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_tasks.model.describe import describe
from airflow_provider_tasks.model.errors import DispatchError
from airflow_provider_tasks.model.foreign import node_for, shown, with_stable_name
from airflow_provider_tasks.model.task import Task, TaskDispatcher

if TYPE_CHECKING:
    from airflow_provider_tasks.model.node import Node


def resolve_task(task: Task | TaskDispatcher, node: Node | None) -> Task:
    """Return the task that runs on a node: a task itself, or what a dispatcher picks.

    One written for netunicorn whose name is random is replaced by a copy that is named after its class.

    Args:
        task: An instance of a task or of a dispatcher.
        node: Where it is to run; only a dispatcher needs it.

    Returns:
        The task.

    Raises:
        DispatchError: If a dispatcher has no node, raises, or returns something else than a task.
        TypeError: If ``task`` is neither a task nor a dispatcher.

    >>> from airflow_provider_tasks.model.node import Node
    >>> class Say(Task):
    ...     def __init__(self, word):
    ...         self.word = word
    ...     def run(self):
    ...         return self.word
    >>> class Greet(TaskDispatcher):
    ...     def dispatch(self, node):
    ...         return Say(node.name)
    >>> resolve_task(Say("hello"), None)
    Say('hello')
    >>> resolve_task(Greet(), Node("edge"))
    Say('edge')
    """
    return with_stable_name(pick_task(task, node))


def pick_task(task: Task | TaskDispatcher, node: Node | None) -> Task:
    """Do what ``resolve_task`` does, and leave the task's name as it is.

    >>> class Say(Task):
    ...     def run(self):
    ...         return "hello"
    >>> pick_task(Say(), None)
    Say()
    """
    if isinstance(task, Task):
        return task
    if not isinstance(task, TaskDispatcher):
        raise TypeError(f"{describe(task)} is no task: {task_advice(task)}")
    if node is None:
        raise DispatchError(f"{shown(task)} is a dispatcher and has no node to dispatch for; pass node=Node(…)")
    try:
        found: object = task.dispatch(node_for(task, node))
    except Exception as error:
        raise DispatchError(
            f"{shown(task)}.dispatch failed for {node!r}: {type(error).__name__}: {error}. "
            "Return a task for this node, or leave the node out"
        ) from error
    if not isinstance(found, Task):
        what = "None" if found is None else describe(found)
        raise DispatchError(f"{shown(task)}.dispatch returned {what} for {node!r}: {task_advice(found)}")
    return found


def task_advice(found: object) -> str:
    """Say what to do about something that stands where a task should.

    >>> task_advice(3)
    'that is of type int; expected an instance of a subclass of Task'
    """
    if found is None:
        return "return a task on every path, also for the nodes that no branch is for"
    if isinstance(found, TaskDispatcher):
        return "that is a dispatcher; return the task that it dispatches to"
    if isinstance(found, type) and issubclass(found, (Task, TaskDispatcher)):
        return f"that is a class; make an instance of it: {found.__name__}(…)"
    return f"that is of type {type(found).__name__}; expected an instance of a subclass of Task"
