"""Work in a worker without Airflow: from a script, a notebook, a shell."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.deployment import Deployment
from airflow_provider_tasks.model.node import as_node
from airflow_provider_tasks.model.results import Failure, Success, result_from_json
from airflow_provider_tasks.workers.pipelines import config_of_environment, pack_deployment, plain_results

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_tasks.model.graph import ExecutionGraph
    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.model.results import Result
    from airflow_provider_tasks.workers.config import WorkerConfig

_log = logging.getLogger("airflow_provider_tasks")


def run_pipeline(
    pipeline: ExecutionGraph,
    node: Node | Mapping[str, Any] | None = None,
    worker_config: WorkerConfig | Mapping[str, Any] | str | Path | None = None,
) -> Result[dict[str, list[Result[Any, Any]]], dict[str, list[Result[Any, Any]]]]:
    """Run a pipeline in one worker, without Airflow running; what it prints is printed as it comes.

    Settings come from Airflow's configuration where there is one, connections from where Airflow looks for them
    outside of tasks (``AIRFLOW_CONN_…``, secrets backends). Ctrl-C ends the worker.

    Args:
        pipeline: a :class:`~airflow_provider_tasks.Pipeline` or any other graph of tasks.
        node: where it is to run, for its dispatchers and the worker's place.
        worker_config: what the worker is: an object, a mapping, or the path of a JSON or YAML file.

    Returns:
        ``{task name: [Result, …]}`` with a result for each time that a task ran: as a ``Success`` if every task
        succeeded, else as a ``Failure``.

    Raises:
        GraphError: the graph breaks a rule.
        DispatchError: a dispatcher gives no task for the node.
        WorkerError: the worker failed, and no task is to blame; says why, and what to do.

    >>> from airflow_provider_tasks import Pipeline, Task
    >>> class Add(Task):
    ...     def __init__(self, a, b):
    ...         self.a, self.b = a, b
    ...     def run(self):
    ...         return self.a + self.b
    >>> run_pipeline(Pipeline([Add(1, 2)]))
    <Success: {'Add': [<Success: 3>]}>
    """
    from airflow_provider_tasks.workers.opening import BY_HAND, Owner, direct_settings, open_worker
    from airflow_provider_tasks.workers.outcomes import error_of, timeline_line
    from airflow_provider_tasks.workers.requests import complete

    node = as_node(node)
    deployment = Deployment(node, pipeline)
    settings = direct_settings(node, worker_config, weakest=config_of_environment(deployment.environment_definition))
    owner = Owner(BY_HAND, uuid.uuid4().hex, "pipeline")
    summary = deployment.plan.summary()
    _log.info("Running %s; worker: %s", summary, settings)
    with open_worker(settings, owner, node=node, implementation=lambda: summary, on_note=_log.info) as worker:
        request = complete(
            pack_deployment(deployment),
            settings,
            requirements=deployment.environment_definition.commands,
            context={"node": None if node is None else node.to_json(), "params": {}},
            variables={},
            here=worker.environment,
        )
        outcome = worker.run(request, print)
    _log.info("Worker %s: %s", worker.name, timeline_line(outcome))
    if not outcome.is_success:
        raise error_of(outcome)
    came = outcome.result
    results = {name: [result_from_json(one) for one in found] for name, found in plain_results(came).items()}
    return Success(results) if came["success"] else Failure(results)
