"""``pipeline_group`` and ``experiment_group``: each task of a pipeline as an Airflow task with a worker of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import BaseOperator, Label, TaskGroup

from airflow_provider_tasks.model.content import unique_names
from airflow_provider_tasks.model.deployment import Deployment
from airflow_provider_tasks.model.experiment import Experiment
from airflow_provider_tasks.model.node import Architecture, as_node
from airflow_provider_tasks.model.steps import joins_of, steps_of
from airflow_provider_tasks.operators.base import is_put_off
from airflow_provider_tasks.operators.collect import CollectOperator
from airflow_provider_tasks.operators.deployed import DeployedTaskOperator
from airflow_provider_tasks.workers.digest import Digest
from airflow_provider_tasks.workers.failures import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from airflow_provider_tasks.model.graph import ExecutionGraph
    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.model.steps import Step

COLLECT = "collect"
"""The task that ``collect=True`` adds."""

_LONGEST_ID = 60  # an id has the ids of all its groups before it, and Airflow allows 250 characters
_LONGEST_TOOLTIP = 500

_FROM_PIPELINE = "It comes from the pipeline and its tasks."
_NOT_FOR_GROUPS = {
    "task": _FROM_PIPELINE,
    "task_kwargs": _FROM_PIPELINE,
    "task_id": _FROM_PIPELINE,
    "task_display_name": _FROM_PIPELINE,
    "node": "Each deployment of an experiment has its own: experiment.append(node, pipeline).",
    "trigger_rule": "It follows from the edges of the pipeline: their traverse_on, and early_stopping.",
    "fail_on_failure": "What follows a task depends on whether it has failed; Pipeline(early_stopping=False) goes on "
    "after a failure, and collect=True gathers what came of all tasks.",
    "do_xcom_push": "What follows a task, and what collects, reads its XComs.",
}


def pipeline_group(
    pipeline: ExecutionGraph,
    *,
    node: Node | Mapping[str, Any] | None = None,
    group_id: str | None = None,
    collect: bool = False,
    default_args: Mapping[str, Any] | None = None,
    **operator_arguments: Any,
) -> TaskGroup:
    """Make a pipeline a group of Airflow tasks, each with a worker of its own.

    Every task has the environment of the whole pipeline: its image, its variables, the requirements of all tasks.
    What follows a task runs as its edge's ``traverse_on`` says, by Airflow's trigger rules: ``all_success``,
    ``all_failed``, and for everything else ``all_done``, where a task that is not to run skips itself.

    In one worker a failure that leads nowhere ends what runs beside it; in a group that goes on, and nothing that
    follows the failed task runs. The results of earlier tasks are in ``previous_steps`` where the task's class
    names that attribute.

    Args:
        pipeline: a :class:`~airflow_provider_tasks.Pipeline` or any other graph in which every task runs once.
        node: where it is to run; its dispatchers are resolved for it now.
        group_id: what the group is called in Airflow; like the node unless given, or else ``pipeline``.
        collect: add a task ``collect``, whose XCom is a list of the stages, each a list with the result of each
            task: ``{"result_type": "Success" | "Failure", "result": …}``, or None for one that did not run.
            It fails, with that XCom, where any of them has failed.
        default_args: as those of a DAG, for the group.
        **operator_arguments: for each task: ``worker_config``, ``deferrable``, ``retries``, ``pool`` and all else
            that :class:`~airflow_provider_tasks.operators.TaskOperator` takes.

    Returns:
        The group, which ``>>`` and ``<<`` take; ``group.get_child_by_label("collect").output`` is what was collected.

    Raises:
        GraphError: the graph breaks a rule, or a task may run more than once.
        DispatchError: a dispatcher gives no task for the node.
        ConfigurationError: an argument can't be set for a group.

    Example::

        with DAG("measure"):
            pipeline_group(Pipeline([fetch, [count, plot]]), node=edge, retries=2)

    """
    if is_put_off(node):
        raise ConfigurationError(
            "pipeline_group(node=…): a node that is only known when the DAG runs can't shape the DAG",
            "PipelineOperator.partial(pipeline=…).expand(node=…) runs the pipeline in one worker on each node.",
        )
    deployment = Deployment(as_node(node), pipeline)
    title = _title(deployment)
    with TaskGroup(
        group_id or _as_id(deployment.node.name if deployment.node else "pipeline"),
        group_display_name=f"{group_id}: {title}" if group_id and title else title,
        tooltip=_shortened(str(deployment)),
        default_args=default_args or {},  # type: ignore[arg-type]
        add_suffix_on_collision=group_id is None,
    ) as group:
        placed = _place(deployment, operator_arguments, reserved=(COLLECT,) if collect else ())
        if collect:
            _collect([placed], by_node=False)
    return group


def experiment_group(
    experiment: Experiment,
    *,
    group_id: str | None = None,
    collect: bool = False,
    default_args: Mapping[str, Any] | None = None,
    **operator_arguments: Any,
) -> TaskGroup:
    """Make an experiment a group of Airflow tasks: in it a group for each node; see :func:`pipeline_group`.

    Args:
        experiment: which pipeline on which node.
        group_id: what the group is called in Airflow; ``experiment`` unless given.
        collect: as for :func:`pipeline_group`; the XCom is a list of the nodes, each a list of stages.
        default_args: as those of a DAG, for the group.
        **operator_arguments: for each task.

    Returns:
        The group.

    Raises:
        GraphError: in a graph a task may run more than once.
        ConfigurationError: there is nothing in the experiment, or an argument can't be set for a group.

    Example::

        with DAG("measure"):
            experiment_group(Experiment().map(pipeline, nodes), group_id="measure", collect=True)

    """
    if not isinstance(experiment, Experiment):
        raise TypeError(
            f"experiment_group({experiment!r}): that is a {type(experiment).__name__}, expected an Experiment; "
            "a single pipeline is for pipeline_group"
        )
    if not len(experiment):
        raise ConfigurationError(
            "experiment_group: there is nothing in the experiment",
            "Add to it: experiment.append(node, pipeline), or experiment.map(pipeline, nodes).",
        )
    names = (deployment.node.name if deployment.node else "pipeline" for deployment in experiment)
    with TaskGroup(
        group_id or "experiment",
        tooltip=_shortened(str(experiment)),
        default_args=default_args or {},  # type: ignore[arg-type]
        add_suffix_on_collision=group_id is None,
    ) as group:
        placed = []
        for deployment, id_ in zip(experiment, _ids(names, (COLLECT,) if collect else ()), strict=True):
            with TaskGroup(id_, group_display_name=_title(deployment), tooltip=_shortened(str(deployment))):
                placed.append(_place(deployment, operator_arguments))
        if collect:
            _collect(placed, by_node=True)
    return group


class _Placed(NamedTuple):
    """A deployment as Airflow tasks: their ids by stage, and those that have all ended when all tasks have."""

    stages: list[list[str]]
    ends: list[Any]


def _place(deployment: Deployment, arguments: Mapping[str, Any], reserved: Sequence[str] = ()) -> _Placed:
    """Make the Airflow tasks of a deployment, in the group that is open."""
    for name, why in _NOT_FOR_GROUPS.items():
        if name in arguments:
            raise ConfigurationError(f"{name}={arguments[name]!r} can't be set for a group", why)
    plan, tasks = deployment.plan, deployment.tasks_by_name()
    steps = steps_of(plan)
    environment = Digest([deployment.environment_definition.to_json()])
    made: dict[str, Any] = {}
    ids: dict[str, str] = {}  # the operators look up those of what comes before them, which are made by then
    wanted = _ids((name if name in tasks else f"sync_{name}" for name in steps), reserved)
    for (name, step), id_ in zip(steps.items(), wanted, strict=True):
        if name in tasks:
            made[name] = DeployedTaskOperator(
                task_id=id_,
                task=tasks[name],
                deployment=deployment,
                name=name,
                environment=environment,
                step=step,
                ids=ids,
                trigger_rule=_rule(step, tasks),
                task_display_name=plan.label(name),
                # Not only unless given: default_args may say something else.
                **{"fail_on_failure": True, "do_xcom_push": True, **arguments},
            )
            ids[name] = made[name].task_id
        else:
            made[name] = _point(id_, name, "all_success" if step.waits_for_success else "all_done")
        for earlier in step.after:
            how = step.conditions.get(earlier, "success")
            made[name].set_upstream(made[earlier], edge_modifier=None if how == "success" else Label(f"on {how}"))
    stages = [[ids[name] for name in stage] for stage in plan.stages()]
    return _Placed(stages, [made[name] for name in joins_of(steps)])


def _rule(step: Step, tasks: Container[str]) -> str:
    if step.waits_for_success:
        return "all_success"
    # A synchronisation point does not fail with what comes before it.
    return "all_failed" if step.waits_for_failure and all(name in tasks for name in step.after) else "all_done"


def _point(id_: str, name: str, rule: str) -> BaseOperator:
    from airflow.providers.standard.operators.empty import EmptyOperator

    return EmptyOperator(task_id=id_, task_display_name=f"· {name} ·", trigger_rule=rule)


def _collect(placed: Sequence[_Placed], *, by_node: bool) -> None:
    operator = CollectOperator(
        task_id=COLLECT,
        ids=[one.stages for one in placed],
        by_node=by_node,
        trigger_rule="all_done",
        retries=0,  # it would find the same again
        do_xcom_push=True,
    )
    operator.set_upstream([end for one in placed for end in one.ends])


def _ids(names: Iterable[str], reserved: Iterable[str] = ()) -> list[str]:
    return unique_names([_as_id(name) for name in names], reserved)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TOOLTIP else f"{text[:_LONGEST_TOOLTIP]}…"


def _as_id(name: str) -> str:
    """Return a name as Airflow takes it.

    >>> _as_id("write on 10.0.0.1")
    'write_on_10_0_0_1'
    """
    return re.sub(r"[^\w-]+", "_", name).strip("_")[:_LONGEST_ID] or "task"


def _title(deployment: Deployment) -> str:
    node = deployment.node
    if node is None:
        return ""
    return node.name if node.architecture is Architecture.UNKNOWN else f"{node.name} ({node.architecture.value})"
