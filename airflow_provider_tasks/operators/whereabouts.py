"""Where the worker of a task is: the XCom ``worker``, from which Airflow's UI tells it."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.workers.base import WorkerBackend
    from airflow_provider_tasks.workers.settings import Settings


def whereabouts(worker: WorkerBackend, settings: Settings, node: Node | None) -> dict[str, Any]:
    """Return what is known of a worker that starts, as plain data: no setting that may be secret."""
    told: dict[str, Any] = {
        "name": worker.name,
        "node": node.name if node else None,
        "backend": settings.backend,
        "kept": settings.config.terminate_on_completion is False,
        "size": settings.config.worker_size,
    }
    if settings.backend == "local":
        return told | {"host": platform.node(), "folder": worker.place}
    from airflow_provider_tasks.workers.kubernetes.worker import KubernetesWorker

    assert isinstance(worker, KubernetesWorker)
    return told | {"namespace": worker.namespace, "kubernetes_conn_id": settings.config.kubernetes_conn_id}
