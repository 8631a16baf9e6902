"""Waiting for a pod in the triggerer: what is handed over, and how an Airflow task goes on afterwards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred

from airflow_provider_tasks.operators import memory
from airflow_provider_tasks.operators.log import RunLog
from airflow_provider_tasks.operators.outcomes import outcome_xcom
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.connections import handed_over
from airflow_provider_tasks.workers.failures import BY_CATEGORY, PayloadError, WorkerError
from airflow_provider_tasks.workers.outcomes import outcome_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_provider_tasks.operators.base import WorkerOperator
    from airflow_provider_tasks.runtime.messages import Request
    from airflow_provider_tasks.workers.base import WorkerBackend
    from airflow_provider_tasks.workers.kubernetes.follow import Finish
    from airflow_provider_tasks.workers.settings import Settings


def defer_where_asked(
    operator: WorkerOperator,
    worker: WorkerBackend,
    settings: Settings,
    request: Request,
    about: dict[str, Any],
) -> None:
    """Have the pod made and leave it to the triggerer, where the operator is deferrable; else do nothing.

    Raises:
        TaskDeferred: it was left to the triggerer.
        WorkerError: the pod can't be made.

    """
    if settings.backend != "kubernetes" or not _is_deferrable(operator):
        return
    from airflow_provider_tasks.triggers.worker import WorkerTrigger
    from airflow_provider_tasks.workers.kubernetes.worker import KubernetesWorker

    assert isinstance(worker, KubernetesWorker)
    pod = worker.submit(request)
    timeout = operator.execution_timeout
    trigger = WorkerTrigger(
        pod=pod["metadata"]["name"],
        uid=pod["metadata"]["uid"],
        namespace=worker.namespace,
        kubernetes_conn_id=settings.config.kubernetes_conn_id,
        installation=settings.installation,
        startup_timeout=settings.startup_timeout,
        keep=settings.config.terminate_on_completion is False,
        deadline=time.time() + timeout.total_seconds() if timeout else None,
        ends_task=_can_end_in_triggerer(operator),
        submitted=time.time(),
        handed_over={
            "connections": list(settings.config.connections or ()),
            "variables": list(settings.config.variables or ()),
        },
        about=about,
    )
    worker.detach()
    raise TaskDeferred(trigger=trigger, method_name="resume")


def resume(operator: WorkerOperator, context: Context, event: Mapping[str, Any]) -> Any:
    """Return the result of a worker that the triggerer saw end, or raise what it is for Airflow."""
    from airflow_provider_tasks.workers.kubernetes.result import outcome_of_finish
    from airflow_provider_tasks.workers.settings import read_sizes

    about = event["about"]
    handed_over(WorkerConfig.from_dict(event["handed_over"]))  # so that this process masks what is secret in them
    if event["kind"] == "timeout":
        raise AirflowTaskTimeout(f"{about['worker']} ran into the task's execution_timeout, and was removed")
    with memory.planned(operator, context, about.get("memory_limit")):
        try:
            finish = _fetched(event) if event["kind"] == "fetch" else _told(event)
            outcome = outcome_of_finish(finish, event["timeline"], event["elapsed"], read_sizes())
        except WorkerError as error:
            operator.push_outcome(context, outcome_xcom(outcome_of(error), **about))
            raise
        return operator.end(context, outcome, about, RunLog(operator.log))


def _told(event: Mapping[str, Any]) -> Finish:
    """Return how it ended by the triggerer's event alone, in which is what the worker wrote."""
    from airflow_provider_tasks.runtime.outcome import MalformedOutcomeError
    from airflow_provider_tasks.workers.kubernetes.follow import Finish
    from airflow_provider_tasks.workers.kubernetes.message import parse_message

    if event["kind"] == "failed":
        cls = BY_CATEGORY[event["category"]]
        raise cls(event["summary"], event["advice"], retry=event["retry"])
    try:
        message = parse_message(event["message"])
    except MalformedOutcomeError as error:
        raise PayloadError(f"the worker's outcome can't be read: {error}") from error
    return Finish(outcome=None if message is None else message.outcome)


def _fetched(event: Mapping[str, Any]) -> Finish:
    """Fetch an outcome that is too long for an event, and remove the pod."""
    import asyncio

    from airflow_provider_tasks.workers.connections import connected_cluster
    from airflow_provider_tasks.workers.kubernetes.api import Api
    from airflow_provider_tasks.workers.kubernetes.fetch import fetch_outcome
    from airflow_provider_tasks.workers.kubernetes.follow import Finish

    async def work() -> Finish:
        async with Api(connected_cluster(event["kubernetes_conn_id"]), event["namespace"]) as api:
            outcome = await fetch_outcome(api, event["pod"], 1)
            if not event["keep"]:
                await api.delete_pod(event["pod"], uid=event["uid"])
            return Finish(outcome=outcome)

    return asyncio.run(work())


def _is_deferrable(operator: WorkerOperator) -> bool:
    if operator.deferrable is not None:
        return operator.deferrable
    from airflow.sdk.configuration import conf

    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def _can_end_in_triggerer(operator: WorkerOperator) -> bool:
    """Whether nothing is left to do for an Airflow worker when the task has succeeded.

    Airflow registers assets, records the length of what downstream tasks are mapped over and calls ``post_execute``
    and the callbacks of a success only where it runs a task.
    """
    has_own_end = type(operator).post_execute is not BaseOperator.post_execute or operator._post_execute_hook
    return not (
        has_own_end
        or not operator.may_end_in_triggerer
        or operator.outlets
        or operator.on_success_callback
        or operator.on_skipped_callback
        or not operator.fail_on_failure
        or not operator.do_xcom_push
        or getattr(operator, "multiple_outputs", False)
        or any(True for _ in operator.iter_mapped_dependants())
    )
