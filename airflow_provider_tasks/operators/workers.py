"""The worker that settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.local import LocalWorker

if TYPE_CHECKING:
    from airflow_provider_tasks.workers.base import WorkerBackend
    from airflow_provider_tasks.workers.settings import Settings


def open_worker(settings: Settings) -> WorkerBackend:
    """Return a worker, not started yet.

    Raises:
        ConfigurationError: there is no such worker.

    """
    if settings.backend == "kubernetes":
        raise ConfigurationError(
            "backend = kubernetes: this version has the local worker only",
            "Set backend = local in [worker_tasks], the connection or WorkerConfig.",
        )
    return LocalWorker(
        cache_folder=settings.cache_folder,
        python=settings.config.python,
        keep=settings.config.terminate_on_completion is False,
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
