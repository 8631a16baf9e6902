"""A deployment as a request, and what comes back of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.workers.bundle import Bundle
from airflow_provider_tasks.workers.config import WorkerConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_tasks.model.deployment import Deployment
    from airflow_provider_tasks.model.environment_definition import EnvironmentDefinition
    from airflow_provider_tasks.runtime.messages import Request
    from airflow_provider_tasks.runtime.outcome import Outcome


def pack_deployment(deployment: Deployment, *, file: str | None = None, pickle_results: bool = False) -> Request:
    """Return the part of a request that runs all tasks of a deployment; ``file`` is the DAG file that they are of."""
    from airflow_provider_tasks.runtime.pipeline import run_plan
    from airflow_provider_tasks.workers.payload import pack

    tasks = deployment.tasks_by_name()
    bundle = Bundle.around(*{type(task) for task in tasks.values()}, file=file)
    arguments = (deployment.plan.to_json(), tasks, deployment.aliases)
    packed = pack(run_plan, arguments, {"pickle_results": pickle_results}, bundle)
    return {**packed, "limits": {"memory_ends": "largest"}}  # one task that takes too much has failed, not all


def plain_results(came: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return what ``run_plan`` gave as ``{task name: [Result as JSON, …]}``.

    >>> plain_results({"results": {"ping": [{"result_type": "Success", "result": 3, "seconds": 0.1}]}})
    {'ping': [{'result_type': 'Success', 'result': 3}]}
    """
    return {
        name: [{"result_type": one["result_type"], "result": one["result"]} for one in found]
        for name, found in came["results"].items()
    }


def config_of_environment(definition: EnvironmentDefinition) -> WorkerConfig:
    """Return what an environment definition says of the worker; its commands are requirements.

    >>> from airflow_provider_tasks.model.environment_definition import DockerImage
    >>> config_of_environment(DockerImage("python:3.11", env_variables={"LEVEL": "3"})).to_dict()
    {'worker_image': 'python:3.11', 'env_variables': {'LEVEL': '3'}}
    """
    image = getattr(definition, "image", None)
    return WorkerConfig(worker_image=image, env_variables=definition.env_variables or None)


def is_pipeline(request: Request) -> bool:
    """Whether a request is one of :func:`pack_deployment`."""
    return request.get("limits", {}).get("memory_ends") == "largest"


def conclude_pipeline(outcome: Outcome) -> Outcome:
    """Return what came of a pipeline by its worker's ``outcome``: a task that failed is a failure."""
    if not outcome.is_success:
        return outcome
    came = outcome.result
    concluded = replace(outcome, result=plain_results(came))
    if came["success"]:
        return concluded
    failed = {"status": "failure", "category": "task", "message": _what_failed(came), "retry": came["retry"]}
    return replace(concluded, exit_code=None, **failed)


def _what_failed(came: Mapping[str, Any]) -> str:
    failed = [
        f"{name}: {result['result']}"
        for name, results in came["results"].items()
        for result in results
        if result["result_type"] == "Failure"
    ]
    stuck = [f"{name} never ran, as it waits for {', '.join(others)}" for name, others in came["stuck"].items()]
    total = sum(len(results) for results in came["results"].values())
    first = f"{len(failed)} of {total} tasks failed" if failed else "the pipeline came to no end"
    said = "; ".join(text if len(text) <= 300 else f"{text[:300]}…" for text in [*failed, *stuck][:10])
    return f"{first}: {said}"
