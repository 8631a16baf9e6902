"""``@task.worker`` and its typed twin ``worker``: a function or a class as an Airflow task in a worker."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Protocol, TypeVar, cast, overload

from airflow.sdk.bases.decorator import DecoratedOperator, get_unique_task_id, task_decorator_factory

from airflow_provider_tasks.model.task import Task, TaskDispatcher, check_requirements
from airflow_provider_tasks.operators.base import Declared, Pick, Work, WorkerOperator, check_declared
from airflow_provider_tasks.operators.context import check_parameters, travelling, wanted_by
from airflow_provider_tasks.operators.documentation import documentation, is_documented
from airflow_provider_tasks.operators.task import declare, declared_task, resolve, task_work
from airflow_provider_tasks.workers.bundle import Bundle
from airflow_provider_tasks.workers.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
    from pathlib import Path

    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import TaskDecorator

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.workers.config import WorkerConfig

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class FunctionOperator(DecoratedOperator, WorkerOperator):
    """A function in a worker; what ``@task.worker`` makes of one."""

    custom_operator_name = "@task.worker"
    ui_color = WorkerOperator.ui_color  # not that of Airflow's own decorators
    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *WorkerOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **WorkerOperator.template_fields_renderers,
    }

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        implementation: Any = None,  # what stands for this operator in the DAG where it is mapped
        requirements: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(python_callable=python_callable, **kwargs)
        self.requirements = requirements
        self.describe(_name(python_callable), python_callable, list(requirements))

    def said_by_decorator(self) -> str:
        """Return what the decorator says of the function."""
        return documentation(_name(self.python_callable), of=self.python_callable)

    def declared(self) -> Declared:
        """Return which function runs."""
        function = self.python_callable
        return Declared([Pick("", _name(function))], self.requirements, function)

    def prepare(self, context: Context, node: Node | None) -> Work:
        """Return the function with its arguments, those of Airflow's context filled in."""
        from airflow_provider_tasks.runtime import values
        from airflow_provider_tasks.workers.payload import pack

        function = self.python_callable
        parameters = inspect.signature(function).parameters
        bound = set(list(parameters)[: len(self.op_args)])
        names = wanted_by(parameters, lambda name: name in self.op_kwargs or name in bound)
        # Through the codec, which makes Python's own types of Airflow's.
        from_context = values.decode(values.encode(travelling(context, names)))
        bundle = Bundle.around(function, file=self.dag.fileloc)
        request = pack(function, self.op_args, {**from_context, **self.op_kwargs}, bundle)
        return Work(request, function.__name__, self.requirements)


class TaskClassOperator(WorkerOperator):
    """A ``Task`` or ``TaskDispatcher`` class in a worker; what ``@task.worker`` makes of one when it is called."""

    custom_operator_name = "@task.worker"
    template_fields: Sequence[str] = ("op_args", "op_kwargs", *WorkerOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "op_args": "py",
        "op_kwargs": "py",
        **WorkerOperator.template_fields_renderers,
    }

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        task_id: str,
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        implementation: Any = None,  # what stands for this operator in the DAG where it is mapped
        **kwargs: Any,
    ) -> None:
        if not getattr(self, "_BaseOperator__from_mapped", False):
            task_id = get_unique_task_id(task_id, kwargs.get("dag"), kwargs.get("task_group"))
        super().__init__(task_id=task_id, **kwargs)
        self.python_callable = python_callable
        self.op_args = list(op_args or ())
        self.op_kwargs = dict(op_kwargs or {})
        inspect.signature(python_callable).bind(*self.op_args, **self.op_kwargs)
        self._resolved = resolve(self._task_class, self.op_args, self.op_kwargs, self.node)
        declare(self, self._task_class, self._resolved)

    @property
    def _task_class(self) -> type[Task] | type[TaskDispatcher]:
        return self.python_callable.task_class  # type: ignore[attr-defined,no-any-return]

    def said_by_decorator(self) -> str:
        """Return what the decorator says of the class."""
        return documentation(_name(self._task_class), of=self._task_class)

    def declared(self) -> Declared:
        """Return which task runs, and which dispatcher has picked it."""
        return declared_task(self._task_class, self._resolved)

    def prepare(self, context: Context, node: Node | None) -> Work:
        """Return the task, made and dispatched now if it could not be before."""
        task = self._resolved
        if task is None:
            task = resolve(self._task_class, self.op_args, self.op_kwargs, node)
        return task_work(task, self)


class WorkerTask(Protocol[P, R_co]):
    """What the decorator makes: call it in a DAG to make an Airflow task.

    The declared result of a call is ``Any``: at run time it is an ``XComArg``, which may stand for an argument of
    any type in another task's call, and Python's types have no word for that.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Make an Airflow task."""

    def expand(self, **kwargs: Any) -> Any:
        """Make a mapped Airflow task, an instance for each value."""

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> Any:
        """Make a mapped Airflow task, an instance for each mapping of arguments."""

    def partial(self, **kwargs: Any) -> WorkerTask[..., R_co]:
        """Give some arguments now; ``expand`` gives the others."""

    def override(self, **kwargs: Any) -> WorkerTask[P, R_co]:
        """Return the same with other arguments for Airflow or the worker."""


class _Decorate(Protocol):
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R_co]], /) -> WorkerTask[P, R_co]: ...

    @overload
    def __call__(self, function: Callable[P, R_co], /) -> WorkerTask[P, R_co]: ...


@overload
def worker(function: Callable[P, Coroutine[Any, Any, R_co]], /) -> WorkerTask[P, R_co]: ...


@overload
def worker(function: Callable[P, R_co], /) -> WorkerTask[P, R_co]: ...


@overload
def worker(
    *,
    node: Node | Mapping[str, Any] | None = None,
    worker_config: WorkerConfig | Mapping[str, Any] | str | Path | None = None,
    requirements: Sequence[str] = (),
    fail_on_failure: bool = True,
    pickle_results: bool = False,
    multiple_outputs: bool | None = None,
    **kwargs: Any,
) -> _Decorate: ...


def worker(function: Callable[..., Any] | None = None, /, **kwargs: Any) -> Any:
    """Run a function, a ``Task`` class or a ``TaskDispatcher`` class in a worker: ``@task.worker``, with types.

    Args:
        function: the function or class; or nothing, and the arguments below.
        **kwargs: ``node``, ``worker_config``, ``requirements`` (for a function: shell commands that must have run
            before it), ``fail_on_failure``, ``pickle_results``, ``multiple_outputs``, and all arguments of Airflow's
            ``BaseOperator``.

    Returns:
        What makes an Airflow task when it is called in a DAG.

    Raises:
        TypeError: a function takes something of Airflow's context that can't go to a worker.

    Example::

        @worker(node=edge, worker_config=WorkerConfig(worker_size="X-Small"))
        def count(path: str) -> int:
            with open(path) as file:
                return len(file.readlines())

    """
    return worker_task(function, **kwargs)


def worker_task(
    python_callable: Callable[..., Any] | None = None, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """Make the decorator; this is what Airflow calls for ``@task.worker``."""
    if python_callable is None:
        return cast("TaskDecorator", lambda found: worker_task(found, multiple_outputs, **kwargs))
    check_declared(kwargs.get("worker_config"))
    if not is_documented(kwargs):
        # What a mapped task is told by: anything else may be overridden. One that is not mapped has its own.
        kwargs["doc_md"] = documentation(_name(python_callable), of=python_callable)
    if multiple_outputs is None and kwargs.get("fail_on_failure") is False:
        multiple_outputs = False  # what is pushed is the Result, whatever the function says it returns
    operator: type[WorkerOperator] = FunctionOperator
    if isinstance(python_callable, type):
        if not issubclass(python_callable, (Task, TaskDispatcher)):
            raise TypeError(
                f"@task.worker on the class {python_callable.__name__}: expected a subclass of Task or "
                "TaskDispatcher, or a function"
            )
        if "requirements" in kwargs:
            raise TypeError(
                f"@task.worker(requirements=…) on the class {python_callable.__name__}: "
                "requirements of a class are its attribute: requirements = […]"
            )
        kwargs["implementation"] = Digest([python_callable], Bundle.around(python_callable), _name(python_callable))
        python_callable = _maker(python_callable)
        operator = TaskClassOperator
    elif callable(python_callable):
        kwargs["implementation"] = Digest([python_callable], Bundle.around(python_callable), _name(python_callable))
        check_requirements(kwargs.get("requirements", ()), _name(python_callable))
        check_parameters(_name(python_callable), inspect.signature(python_callable).parameters)
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=operator,
        **kwargs,
    )


def _name(python_callable: Callable[..., Any]) -> str:
    return getattr(python_callable, "__name__", "function")


def _maker(cls: type[Task] | type[TaskDispatcher]) -> Callable[..., Any]:
    """Return ``cls`` as the function that Airflow's decorators work on."""

    def make(*args: Any, **kwargs: Any) -> Any:
        return cls(*args, **kwargs)

    make.__name__, make.__qualname__, make.__module__ = cls.__name__, cls.__qualname__, cls.__module__
    make.__doc__ = vars(cls).get("__doc__")
    make.__signature__ = inspect.signature(cls)  # type: ignore[attr-defined]
    make.task_class = cls  # type: ignore[attr-defined]
    return make
