"""``TaskOperator``: a task, or what a dispatcher picks for a node, as an Airflow task."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.mappedoperator import MappedOperator, OperatorPartial

from airflow_provider_tasks.model.dispatch import resolve_task
from airflow_provider_tasks.model.task import Task, TaskDispatcher
from airflow_provider_tasks.operators.base import Work, WorkerOperator, as_node, check_declared, is_put_off
from airflow_provider_tasks.workers.bundle import Bundle
from airflow_provider_tasks.workers.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_tasks.model.node import Node


class TaskReference:
    """A task in the arguments of a mapped operator; its text is what Airflow writes into the DAG."""

    def __init__(self, task: Any) -> None:
        self.task = task
        kind = task if isinstance(task, type) else type(task)
        self._digest = Digest([task], Bundle.around(kind), kind.__name__)

    def __str__(self) -> str:
        return str(self._digest)


class TaskPartial(OperatorPartial):
    """What ``TaskOperator.partial`` returns: as Airflow's, with what is known checked where the DAG is parsed."""

    def expand(self, **mapped_kwargs: Any) -> MappedOperator:
        """Make an Airflow task for each value; see Airflow's ``expand``."""
        self._expand_called = True  # also where what follows raises: nothing was forgotten then
        if isinstance(mapped_kwargs.get("task"), (list, tuple)):
            mapped_kwargs["task"] = [TaskReference(task) for task in mapped_kwargs["task"]]
        names = ("task", "task_kwargs", "node")
        mapped = {name: mapped_kwargs[name] for name in names if name in mapped_kwargs}
        if all(isinstance(found, (list, tuple)) for found in mapped.values()):
            for found in itertools.product(*mapped.values()):
                _check(**{name: self.kwargs.get(name) for name in names} | dict(zip(mapped, found, strict=True)))
        return super().expand(**mapped_kwargs)

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> MappedOperator:
        """Make an Airflow task for each mapping of arguments; see Airflow's ``expand_kwargs``."""
        self._expand_called = True
        names = ("task", "task_kwargs", "node")
        if isinstance(kwargs, (list, tuple)):
            kwargs = [{**item, "task": TaskReference(item["task"])} if "task" in item else item for item in kwargs]
            for item in kwargs:
                _check(**{name: item.get(name, self.kwargs.get(name)) for name in names})
        return super().expand_kwargs(kwargs, strict=strict)


def _check(task: Any, task_kwargs: Any, node: Any) -> None:
    """Check one expansion as far as it is known."""
    if isinstance(task, TaskReference) and not is_put_off(node):
        resolve(task.task, (), task_kwargs or {}, as_node(node))


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
        task: Task | TaskDispatcher | type[Task] | type[TaskDispatcher] | TaskReference,
        task_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.task = task.task if isinstance(task, TaskReference) else task
        self.task_kwargs: Mapping[str, Any] = {} if task_kwargs is None else task_kwargs
        self._check()
        self._resolved = resolve(self.task, (), self.task_kwargs, self.node)
        declare(self, self.task, self._resolved)

    @classmethod
    def partial(cls, **kwargs: Any) -> TaskPartial:
        """Prepare the operator for ``expand``; see Airflow's ``partial``."""
        if "task" in kwargs:
            check_is_task(kwargs["task"])
            kwargs["task"] = TaskReference(kwargs["task"])
        check_declared(kwargs.get("worker_config"))
        made = super().partial(**kwargs)
        made._expand_called = True  # it warns where it is never expanded, and this one is not going to be
        return TaskPartial(operator_class=made.operator_class, kwargs=made.kwargs, params=made.params)

    def prepare(self, context: Context, node: Node | None) -> Work:
        """Return the task, made and dispatched now if it could not be before."""
        task = self._resolved
        return task_work(resolve(self.task, (), self.task_kwargs, node) if task is None else task, self)

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
        _check_attributes(task)
    if isinstance(task, TaskDispatcher) and is_put_off(node):
        return None
    return resolve_task(task, node)


def _check_attributes(task: Task | TaskDispatcher) -> None:
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
