"""The worker that settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.local import LocalWorker

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.operators.base import WorkerOperator
    from airflow_provider_tasks.workers.base import WorkerBackend
    from airflow_provider_tasks.workers.kubernetes.connection import Cluster
    from airflow_provider_tasks.workers.settings import Settings


def open_worker(settings: Settings, operator: WorkerOperator, context: Context, node: Node | None) -> WorkerBackend:
    """Return a worker for a run of ``operator``, not started yet.

    Raises:
        ConfigurationError: there is no such worker.

    """
    if settings.backend == "local":
        return LocalWorker(
            cache_folder=settings.cache_folder,
            python=settings.config.python,
            keep=settings.config.terminate_on_completion is False,
        )
    from airflow_provider_tasks.workers.kubernetes.identity import Identity
    from airflow_provider_tasks.workers.kubernetes.worker import KubernetesWorker

    if settings.config.python is not None:
        raise ConfigurationError(
            f"WorkerConfig(python={settings.config.python!r}): a pod has the Python of its image",
            "Leave python out, and choose worker_image; or set backend='local'.",
        )
    ti = context["ti"]
    return KubernetesWorker(
        connected_cluster(settings.config.kubernetes_conn_id),
        settings,
        Identity(
            settings.installation,
            ti.dag_id,
            ti.run_id,
            ti.task_id,
            -1 if ti.map_index is None else ti.map_index,
            ti.try_number,
        ),
        node=node,
        # Whoever clears a task wants it to run anew, also where the pod of an earlier try still runs.
        implementation=f"{operator.implementation} {context['dag_run'].clear_number or 0}",
        timeout=operator.execution_timeout.total_seconds() if operator.execution_timeout else None,
        on_note=lambda line: operator.log.info("%s", line),
    )


def connection_settings(conn_id: str) -> WorkerConfig:
    """Return the settings that a connection of type ``kubernetes`` carries.

    They are its namespace and the object ``worker_config`` among its extras.
    """
    from airflow.sdk import Connection

    extra = Connection.get(conn_id).extra_dejson
    try:
        config = WorkerConfig.of(extra.get("worker_config"))
    except ConfigurationError as error:
        raise ConfigurationError(f"connection {conn_id!r}, worker_config: {error.summary}") from error
    namespace = extra.get("namespace")
    return config.over(WorkerConfig(namespace=namespace)) if namespace else config


def connected_cluster(conn_id: str | None) -> Cluster:
    """Return the cluster of a connection; where None is named, the one that this process finds itself in."""
    from airflow.sdk import Connection

    return cluster_of(Connection.get(conn_id) if conn_id else None)


def cluster_of(connection: Any) -> Cluster:
    """Return the cluster that an Airflow connection of type ``kubernetes`` leads to.

    Raises:
        ConfigurationError: it is of another type, or its fields are wrong.

    """
    from airflow_provider_tasks.workers.kubernetes.connection import Cluster

    if connection is None:
        return Cluster()
    if connection.conn_type != "kubernetes":
        raise ConfigurationError(
            f"connection {connection.conn_id!r} is of type {connection.conn_type!r}, expected 'kubernetes'",
            "Name a connection of type kubernetes in kubernetes_conn_id.",
        )
    return Cluster.from_extra(connection.extra_dejson, name=connection.conn_id)
