"""``TaskOperator``: a task, or what a dispatcher picks for a node, as an Airflow task."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.dispatch import resolve_task
from airflow_provider_tasks.model.node import as_node
from airflow_provider_tasks.model.task import Task, TaskDispatcher
from airflow_provider_tasks.operators.base import Declared, Pick, Work, WorkerOperator, check_declared, is_put_off
from airflow_provider_tasks.operators.partial import CheckedPartial, Reference, referred
from airflow_provider_tasks.workers.bundle import Bundle
from airflow_provider_tasks.workers.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_tasks.model.node import Node


class TaskPartial(CheckedPartial):
    """What ``TaskOperator.partial`` returns."""

    what = "task"
    names = ("task", "task_kwargs", "node")

    @classmethod
    def refer(cls, what: Any) -> Reference:
        """Return what stands for a task."""
        check_is_task(what)
        kind = what if isinstance(what, type) else type(what)
        return Reference(what, Digest([what], Bundle.around(kind), kind.__name__))

    @classmethod
    def check(cls, **found: Any) -> None:
        """Resolve the task of one instance, if its node is known."""
        if isinstance(found["task"], Reference) and not is_put_off(found["node"]):
            resolve(found["task"].what, (), found["task_kwargs"] or {}, as_node(found["node"]))


class TaskOperator(WorkerOperator):
    """Run a task in a worker.

    Args:
        task: an instance of a :class:`~airflow_provider_tasks.Task` or a
            :class:`~airflow_provider_tasks.TaskDispatcher`, or such a class.
        task_kwargs: the arguments of a class; templated. The instance is made where the DAG is parsed, unless
            one of them is only known when the Airflow task runs.

    For the other arguments see :class:`WorkerOperator` and Airflow's ``BaseOperator``.

    Raises:
        TypeError: ``task`` is neither, or the class does not take the arguments.
        DispatchError: a dispatcher has no node, or does not return a task.

    Example::

        TaskOperator(task_id="ping", task=Ping("8.8.8.8", count=3), node=edge)
        TaskOperator(task_id="ping", task=Ping, task_kwargs={"address": "{{ params.host }}"})
        TaskOperator.partial(task_id="ping", task=PingDispatcher()).expand(node=[edge, core])

    """

    template_fields: Sequence[str] = ("task_kwargs", *WorkerOperator.template_fields)

    def __init__(
        self,
        *,
        task: Task | TaskDispatcher | type[Task] | type[TaskDispatcher] | Reference,
        task_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.task = referred(task)
        self.task_kwargs = task_kwargs
        self._check()
        self._resolved = resolve(self.task, (), task_kwargs or {}, self.node)
        declare(self, self.task, self._resolved)

    @classmethod
    def partial(cls, **kwargs: Any) -> TaskPartial:
        """Prepare the operator for ``expand``; see Airflow's ``partial``."""
        check_declared(kwargs.get("worker_config"))
        return TaskPartial.of(super().partial, kwargs)

    def declared(self) -> Declared:
        """Return which task runs, and which dispatcher has picked it."""
        return declared_task(self.task, self._resolved)

    def prepare(self, context: Context, node: Node | None) -> Work:
        """Return the task, made and dispatched now if it could not be before."""
        task = self._resolved
        return task_work(resolve(self.task, (), self.task_kwargs or {}, node) if task is None else task, self)

    def _check(self) -> None:
        check_is_task(self.task)
        if not isinstance(self.task, type) and self.task_kwargs:
            raise TypeError(
                f"TaskOperator(task={self.task!r}, task_kwargs=…): the task is made already; "
                f"pass the class: task={type(self.task).__name__}"
            )


def check_is_task(task: Any) -> None:
    """Refuse what is neither a task nor a dispatcher."""
    kind = task if isinstance(task, type) else type(task)
    if issubclass(kind, (Task, TaskDispatcher)):
        return
    if getattr(kind, "_airflow_is_task_decorator", False):
        name = task.function.__name__
        raise TypeError(
            f"TaskOperator(task={name}): {name} is decorated with @task.worker, so calling it makes an Airflow task; "
            "call it, or leave the decorator out to use the class here"
        )
    raise TypeError(
        f"TaskOperator(task={task!r}): that is a {kind.__name__}, "
        "expected a Task or a TaskDispatcher, an instance or the class"
    )


def resolve(
    task: Task | TaskDispatcher | type[Task] | type[TaskDispatcher],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    node: Any,
) -> Task | None:
    """Make the instance of a class, dispatch a dispatcher; None where either has to wait for the run."""
    if isinstance(task, type):
        if is_put_off(args) or is_put_off(kwargs):
            _check_put_off_dispatcher(task, node)
            return None
        task = task(*args, **kwargs)
    else:
        check_attributes(task)
    if isinstance(task, TaskDispatcher) and is_put_off(node):
        return None
    return resolve_task(task, node)


def check_attributes(task: Task | TaskDispatcher) -> None:
    """Refuse, or warn of, what an instance holds that would have to be filled in before it runs."""
    kind = type(task).__name__
    for name, value in vars(task).items():
        if name.startswith("_") or name in ("requirements", "previous_steps") or not is_put_off(value):
            continue
        instead = f"pass the class and its arguments: task={kind}, task_kwargs={{{name!r}: …}}"
        if hasattr(value, "resolve"):
            raise TypeError(
                f"{kind}.{name} holds the result of another Airflow task, which is not known yet; {instead}"
            )
        warnings.warn(
            f"{kind}.{name} looks like a template, which is not rendered in an instance; {instead}", stacklevel=5
        )


def _check_put_off_dispatcher(task: type[Task] | type[TaskDispatcher], node: Any) -> None:
    if issubclass(task, TaskDispatcher) and node is None:
        from airflow_provider_tasks.model.errors import DispatchError

        raise DispatchError(f"{task.__name__} is a dispatcher and has no node to dispatch for; pass node=Node(…)")


def declared_task(task: Any, resolved: Task | None) -> Declared:
    """Return what is known of ``task``, which is ``resolved`` or yet to be."""
    kind = task if isinstance(task, type) else type(task)
    dispatcher = kind.__name__ if issubclass(kind, TaskDispatcher) else None
    if resolved is not None:
        return Declared([Pick("", type(resolved).__name__, dispatcher)], resolved.requirements, resolved)
    pick = Pick("", None if dispatcher else kind.__name__, dispatcher)
    return Declared([pick], getattr(task, "requirements", ()), task, settled=False)


def declare(operator: WorkerOperator, task: Any, resolved: Task | None) -> None:
    """Describe ``operator`` by the task that it runs, or by the class where that is not known yet."""
    if resolved is not None:
        operator.describe(type(resolved).__name__, resolved)
    else:
        kind = task if isinstance(task, type) else type(task)
        operator.describe(kind.__name__, task)


def task_work(task: Task | None, operator: WorkerOperator) -> Work:
    """Return ``task`` packed for a worker."""
    from airflow_provider_tasks.workers.payload import pack

    assert task is not None
    bundle = Bundle.around(type(task), file=operator.dag.fileloc)
    return Work(pack(task, (), {}, bundle), type(task).__name__, task.requirements)
