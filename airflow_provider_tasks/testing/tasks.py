"""Tasks in a local worker, without Airflow running."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_tasks.model.dispatch import resolve_task, task_advice
from airflow_provider_tasks.model.node import as_node
from airflow_provider_tasks.model.results import Failure, Success
from airflow_provider_tasks.model.task import Task, TaskDispatcher
from airflow_provider_tasks.workers.config import WorkerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.model.results import Result
    from airflow_provider_tasks.runtime.outcome import Outcome
    from airflow_provider_tasks.workers.failures import WorkerError

LOCAL = WorkerConfig(backend="local")
"""The strongest settings of every worker in a test."""


@dataclass(frozen=True)
class Ran:
    """What came of a task that ran in a worker.

    Attributes:
        result: ``Success`` of what it returned; ``Failure`` of what it returned in one, or of a message.
        output: the lines that it has printed, and those of its requirements.
        outcome: what the worker reported: ``status``, ``category``, ``exceptions``, ``timeline``, ``peak_memory``, …
        error: the exception that the Airflow task would fail with; None unless it would.

    """

    result: Result[Any, Any]
    output: list[str]
    outcome: Outcome
    error: WorkerError | None


class RunInWorker(Protocol):
    """What the fixture ``run_in_worker`` gives; see :func:`run_in_worker`."""

    def __call__(
        self,
        task: Task | TaskDispatcher | Callable[..., Any],
        *args: Any,
        node: Node | Mapping[str, Any] | None = None,
        worker_config: WorkerConfig | Mapping[str, Any] | str | Path | None = None,
        context: Mapping[str, Any] | None = None,
        requirements: bool = True,
    ) -> Ran:
        """Run a task in a worker of this machine and return what came of it."""


def dispatch(dispatcher: TaskDispatcher, node: Node | Mapping[str, Any]) -> Task:
    """Return the task that a dispatcher picks for a node, checked as it is where a DAG is parsed.

    Raises:
        DispatchError: it raises, or returns something else than a task.

    >>> from airflow_provider_tasks import Node
    >>> class Ping(Task):
    ...     def __init__(self, command):
    ...         self.command = command
    ...     def run(self):
    ...         return self.command
    >>> class PingFrom(TaskDispatcher):
    ...     def dispatch(self, node):
    ...         return Ping("ping -n 1" if node["os"] == "windows" else "ping -c 1")
    >>> dispatch(PingFrom(), Node("office", {"os": "windows"}))
    Ping('ping -n 1')
    """
    return resolve_task(dispatcher, as_node(node))


def run_in_worker(
    task: Task | TaskDispatcher | Callable[..., Any],
    *args: Any,
    node: Node | Mapping[str, Any] | None = None,
    worker_config: WorkerConfig | Mapping[str, Any] | str | Path | None = None,
    context: Mapping[str, Any] | None = None,
    requirements: bool = True,
) -> Ran:
    """Run a task in a worker of this machine, isolated as any, and return what came of it.

    Args:
        task: a task, a dispatcher with its ``node``, or a function; also one that ``@task.worker`` decorates.
        *args: the arguments of a function or of a decorated class.
        node: the node that it is to run on.
        worker_config: what the worker is; ``backend`` is ``local`` in any case.
        context: what ``get_context()`` gives beside the node: ``{"params": {…}, "ds": "2026-01-31"}``.
        requirements: False leaves out the task's requirements, where the Python of the tests has what they install.

    Raises:
        DispatchError: a dispatcher gives no task for the node.
        TypeError: it is the class of a task, and no instance.
        WorkerError: the worker reported nothing: a setting is wrong, the task can't be packed.

    >>> class Add(Task):
    ...     def __init__(self, a, b):
    ...         self.a, self.b = a, b
    ...     def run(self):
    ...         print("adding")
    ...         return self.a + self.b
    >>> ran = run_in_worker(Add(1, 2))
    >>> ran.result, ran.output
    (<Success: 3>, ['adding'])
    """
    from airflow_provider_tasks.workers.opening import BY_HAND, Owner, direct_settings, open_worker
    from airflow_provider_tasks.workers.payload import pack
    from airflow_provider_tasks.workers.requests import complete

    # What ``@task.worker`` makes of a function or a class has it as an attribute.
    work: Any = getattr(task, "function", task) if getattr(task, "_airflow_is_task_decorator", False) else task
    if hasattr(work, "task_class"):
        work, args = work(*args), ()
    node = as_node(node)
    commands: list[str] = []
    if isinstance(work, type) and issubclass(work, (Task, TaskDispatcher)):
        raise TypeError(f"run_in_worker({work.__name__}): {task_advice(work)}")
    if isinstance(work, (Task, TaskDispatcher)):
        work = resolve_task(work, node)
        commands = work.requirements
    settings = direct_settings(node, worker_config, LOCAL)
    name = getattr(work, "__name__", type(work).__name__)
    output: list[str] = []
    with open_worker(settings, Owner(BY_HAND, uuid.uuid4().hex, name), node=node, implementation=str) as worker:
        request = complete(
            pack(work, args, {}),
            settings,
            requirements=commands if requirements else [],
            context={"node": None if node is None else node.to_json(), "params": {}, **(context or {})},
            variables={},
            here=worker.environment,
        )
        outcome = worker.run(request, output.append)
    return _ran(outcome, output)


def _ran(outcome: Outcome, output: list[str]) -> Ran:
    from airflow_provider_tasks.workers.outcomes import error_of

    if outcome.is_success:
        return Ran(Success(outcome.result), output, outcome, None)
    error = error_of(outcome) if outcome.status == "failure" else None
    return Ran(Failure(outcome.result if outcome.has_result else outcome.message), output, outcome, error)
