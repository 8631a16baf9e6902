"""``PipelineOperator``: a pipeline, all of its tasks in one worker, as an Airflow task."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.log import redact  # type: ignore[attr-defined]

from airflow_provider_tasks.model.deployment import Deployment
from airflow_provider_tasks.model.graph import ExecutionGraph
from airflow_provider_tasks.model.node import as_node
from airflow_provider_tasks.operators.base import Declared, Pick, Work, WorkerOperator, check_declared, is_put_off
from airflow_provider_tasks.operators.documentation import documentation
from airflow_provider_tasks.operators.partial import CheckedPartial, Reference, referred
from airflow_provider_tasks.operators.task import declared_task
from airflow_provider_tasks.operators.xcom import to_xcom
from airflow_provider_tasks.workers.bundle import Bundle
from airflow_provider_tasks.workers.digest import Digest
from airflow_provider_tasks.workers.failures import TaskRaisedError
from airflow_provider_tasks.workers.pipelines import conclude_pipeline, config_of_environment, pack_deployment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.model.results import Result
    from airflow_provider_tasks.runtime.outcome import Outcome
    from airflow_provider_tasks.workers.config import WorkerConfig


class PipelineOperator(WorkerOperator):
    """Run a pipeline in one worker: a process for each task, which share its file system.

    The XCom is ``{task name: [{"result_type": "Success" | "Failure", "result": …}, …]}``, a result for each time that
    a task ran; :func:`pipeline_results` makes ``Result`` objects of it. It is there after a failure too. The Airflow
    task fails when any of the tasks has failed.

    Args:
        pipeline: a :class:`~airflow_provider_tasks.Pipeline` or any other
            :class:`~airflow_provider_tasks.ExecutionGraph`. Its dispatchers are resolved where the DAG is parsed,
            unless ``node`` is only known when the Airflow task runs.

    For the other arguments see :class:`WorkerOperator`.

    Raises:
        GraphError: the graph breaks a rule.
        DispatchError: a dispatcher gives no task for the node.

    Example::

        PipelineOperator(task_id="capture", pipeline=Pipeline([start, [ping, trace], stop]), node=edge)
        PipelineOperator.partial(task_id="capture", pipeline=pipeline).expand(node=nodes_that_another_task_found)

    """

    may_end_in_triggerer: ClassVar[bool] = False
    ui_color = "#efeafc"
    ui_fgcolor = "#3b2a73"

    def __init__(self, *, pipeline: ExecutionGraph | Reference, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline: ExecutionGraph = check_pipeline(referred(pipeline))
        self._deployment = None if is_put_off(self.node) else Deployment(as_node(self.node), self.pipeline)
        self.describe(type(self.pipeline).__name__, *what_runs(self._deployment or self.pipeline))

    @classmethod
    def partial(cls, **kwargs: Any) -> PipelinePartial:
        """Prepare the operator for ``expand``; see Airflow's ``partial``."""
        check_declared(kwargs.get("worker_config"))
        return PipelinePartial.of(super().partial, kwargs)

    def declared(self) -> Declared:
        """Return which tasks run, and which dispatchers have picked them."""
        found = self._deployment
        is_ours = type(self.pipeline).__module__.partition(".")[0] == __name__.partition(".")[0]
        of = None if is_ours else self.pipeline
        if found is not None:
            dispatchers = found.dispatchers
            picks = [Pick(name, kind, dispatchers.get(name)) for name, kind in found.plan.tasks.items()]
            return Declared(picks, found.environment_definition.commands, of)
        tasks = self.pipeline.tasks_by_name()
        picks = [declared_task(task, None).picks[0]._replace(name=name) for name, task in tasks.items()]
        return Declared(picks, self.pipeline.environment_definition.commands, of, settled=False)

    def prepare(self, context: Context, node: Node | None) -> Work:
        """Return the pipeline for the node."""
        deployment = self._deployment_on(node)
        packed = pack_deployment(deployment, file=self.dag.fileloc, pickle_results=self.pickle_results)
        return Work(packed, deployment.plan.summary(), deployment.environment_definition.commands)

    def own_worker_config(self, node: Node | None) -> WorkerConfig | None:
        """Return what the pipeline's environment definition says of the worker."""
        return config_of_environment(self.pipeline.environment_definition)

    def conclude(self, context: Context, outcome: Outcome) -> Outcome:
        """Make the XCom of the results; a task that failed is a failure, after which the XCom is there too."""
        if not outcome.is_success:
            return outcome
        came = outcome.result
        for name, results in came["results"].items():
            for number, result in enumerate(results, 1):
                again = f" (run {number})" if len(results) > 1 else ""
                self.log.info("%s%s: %s in %.1f s", name, again, result["result_type"], result["seconds"])
        concluded = conclude_pipeline(outcome)
        if concluded.is_success:
            return concluded
        results = redact(concluded.result)
        if self.do_xcom_push and self.fail_on_failure:
            context["ti"].xcom_push("return_value", to_xcom(results))
        return replace(concluded, result=results)

    def finish(self, outcome: Outcome) -> Any:
        """Return the results, or raise what is for Airflow."""
        from airflow_provider_tasks.operators.outcomes import TaskFailedForGoodError

        if outcome.is_success or outcome.category != "task" or not self.fail_on_failure or outcome.exceptions:
            return super().finish(outcome)
        advice = "Each line of the log names its task; the XCom return_value holds the results."
        error = TaskRaisedError if outcome.retry else TaskFailedForGoodError
        raise error(outcome.message, advice, retry=outcome.retry, outcome=outcome)

    def _deployment_on(self, node: Node | None) -> Deployment:
        if self._deployment is None:
            self._deployment = Deployment(node, self.pipeline)
        return self._deployment


class PipelinePartial(CheckedPartial):
    """What ``PipelineOperator.partial`` returns."""

    what = "pipeline"
    names = ("pipeline", "node")

    @classmethod
    def refer(cls, what: Any) -> Reference:
        """Return what stands for a pipeline."""
        pipeline = check_pipeline(what)
        kinds = {type(task) for task in pipeline.tasks_by_name().values()}
        return Reference(what, Digest(what_runs(pipeline), Bundle.around(*kinds), type(what).__name__))

    @classmethod
    def documentation(cls, kwargs: Mapping[str, Any]) -> str:
        """Return what is told of all instances in Airflow's UI."""
        pipeline = check_pipeline(kwargs["pipeline"])
        return documentation(type(pipeline).__name__, requirements=pipeline.environment_definition.commands)

    @classmethod
    def check(cls, **found: Any) -> None:
        """Resolve the dispatchers of one instance, if its node is known."""
        if isinstance(found["pipeline"], Reference) and not is_put_off(found["node"]):
            Deployment(as_node(found["node"]), found["pipeline"].what)


def check_pipeline(pipeline: Any) -> ExecutionGraph:
    """Return a pipeline that can run.

    Raises:
        TypeError: it is none.
        GraphError: the graph breaks a rule.

    """
    if not isinstance(pipeline, ExecutionGraph):
        raise TypeError(
            f"PipelineOperator(pipeline={pipeline!r}): that is a {type(pipeline).__name__}, "
            "expected a Pipeline or an ExecutionGraph; a single task is for TaskOperator"
        )
    pipeline.check()
    return pipeline


def what_runs(pipeline: Deployment | ExecutionGraph) -> list[Any]:
    """Return the parts of a digest: the graph, the environment, the tasks."""
    plan = pipeline.plan if isinstance(pipeline, Deployment) else pipeline.plan()
    return [plan.to_json(), pipeline.environment_definition.to_json(), *pipeline.tasks_by_name().values()]


def pipeline_results(xcom: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[Result[Any, Any]]]:
    """Return the results of a :class:`PipelineOperator`, of its XCom, as ``Result`` objects.

    >>> pipeline_results({"ping": [{"result_type": "Success", "result": 3}]})
    {'ping': [<Success: 3>]}
    """
    from airflow_provider_tasks.model.results import result_from_json

    return {name: [result_from_json(result) for result in results] for name, results in xcom.items()}
