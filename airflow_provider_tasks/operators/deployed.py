"""A task of a pipeline that runs as a group: what came before it decides whether it runs, and may be its input."""

from __future__ import annotations

import copy
import inspect
import types
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_tasks.model.foreign import is_base
from airflow_provider_tasks.model.results import result_from_json
from airflow_provider_tasks.model.task import Task
from airflow_provider_tasks.operators.base import Declared, Pick, Work, WorkerOperator, failure_xcom
from airflow_provider_tasks.operators.results import RESULT, results_of, xcom_of
from airflow_provider_tasks.operators.states import states_of
from airflow_provider_tasks.operators.task import check_attributes, task_work
from airflow_provider_tasks.workers.bundle import nested_codes
from airflow_provider_tasks.workers.pipelines import config_of_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.sdk import Context

    from airflow_provider_tasks.model.deployment import Deployment
    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.model.steps import Step
    from airflow_provider_tasks.runtime.outcome import Outcome
    from airflow_provider_tasks.workers.config import WorkerConfig
    from airflow_provider_tasks.workers.digest import Digest


class DeployedTaskOperator(WorkerOperator):
    """A task of a pipeline that runs as a group; made by :func:`pipeline_group` and :func:`experiment_group`.

    Args:
        deployment: the pipeline on its node.
        name: what the task is called in it.
        environment: the digest of what its deployment adds to the task.
        step: what comes before the task.
        ids: the Airflow ids of the pipeline's tasks by their names in it.

    """

    def __init__(
        self,
        *,
        task: Task,
        deployment: Deployment,
        name: str,
        environment: Digest,
        step: Step,
        ids: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(node=deployment.node, **kwargs)
        check_attributes(task)
        self.task = task
        self._deployment = deployment
        self._name = name
        self._step = step
        self._ids = ids
        self.describe(type(task).__name__, task, environment, sorted(step.conditions.items()))

    def declared(self) -> Declared:
        """Return the task, with the requirements of the whole pipeline."""
        found = self._deployment
        pick = Pick("", type(self.task).__name__, found.dispatchers.get(self._name))
        return Declared([pick], found.environment_definition.commands, self.task)

    def execute(self, context: Context) -> Any:
        """Run the task, if what came before it has ended as it has to."""
        if not self._step.waits_for_success:
            self._check_what_came_before(context)
        return super().execute(context)

    def prepare(self, context: Context, node: Node | None) -> Work:
        """Return the task, with what earlier ones gave if it asks for that."""
        task = self.task
        if names_previous_steps(type(task)):
            task = copy.copy(task)
            object.__setattr__(task, "previous_steps", self._previous_steps(context))  # past a frozen dataclass
        work = task_work(task, self)
        return work._replace(requirements=self._deployment.environment_definition.commands)

    def conclude(self, context: Context, outcome: Outcome) -> Outcome:
        """Keep what a failed task gave for those that come after it."""
        if outcome.status == "failure":
            context["ti"].xcom_push(RESULT, failure_xcom(outcome))
        return outcome

    def own_worker_config(self, node: Node | None) -> WorkerConfig | None:
        """Return what the pipeline's environment definition says of the worker."""
        return config_of_environment(self._deployment.environment_definition)

    def _check_what_came_before(self, context: Context) -> None:
        ti = context["ti"]
        conditions = self._step.conditions
        states = states_of(ti, [self._ids[name] for name in conditions])
        for name, wanted in conditions.items():
            state = states.get(self._ids[name])
            ended = {"success": "success", "failed": "failure"}.get(state or "")
            if state == "skipped" and wanted == "any" and xcom_of(ti, self._ids[name], "outcome"):
                ended = "any"  # its own code said so, and so it ran
            if ended is None or wanted not in (ended, "any"):
                waits = "end" if wanted == "any" else wanted
                raise AirflowSkipException(f"it waits for the {waits} of {name}, which is {state or 'not there'}")

    def _previous_steps(self, context: Context) -> dict[str, Any]:
        ti, ids = context["ti"], [self._ids[name] for name in self._step.ancestors]
        found = results_of(ti, states_of(ti, ids), ids)
        told = {name: found[self._ids[name]] for name in self._step.ancestors}
        steps = {name: [result_from_json(result)] for name, result in told.items() if result is not None}
        aliases = self._deployment.aliases.items()
        return {**steps, **{alias: steps[name] for alias, name in aliases if name in steps}}


def names_previous_steps(kind: type) -> bool:
    """Whether the code of a task's class has the name ``previous_steps``.

    >>> class Sum:
    ...     def run(self):
    ...         return sum(self.previous_steps["parts"])
    >>> names_previous_steps(Sum), names_previous_steps(int)
    (True, False)
    """
    return any("previous_steps" in code.co_names for function in _functions(kind) for code in nested_codes(function))


def _functions(kind: type) -> Iterator[types.CodeType]:
    for cls in kind.__mro__:
        if cls is Task or is_base(cls):
            continue  # they set it
        for member in vars(cls).values():
            found = member
            for attribute in ("fget", "func", "__func__"):  # properties, cached ones, class methods
                found = getattr(found, attribute, found)
            if isinstance(found, types.FunctionType):
                yield inspect.unwrap(found).__code__
