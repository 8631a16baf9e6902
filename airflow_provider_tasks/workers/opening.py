"""The worker that settings ask for, and the settings of one that no operator asks for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.local import LocalWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.workers.base import WorkerBackend
    from airflow_provider_tasks.workers.settings import Settings


BY_HAND = "by-hand"
"""What stands for the DAG in the labels of a pod that no DAG has made."""


class Owner(NamedTuple):
    """Whose worker it is; see :class:`~airflow_provider_tasks.workers.kubernetes.identity.Identity`."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1


def open_worker(
    settings: Settings,
    owner: Owner,
    *,
    node: Node | None = None,
    implementation: Callable[[], str],
    timeout: float | None = None,
    ends_with_parent: bool = False,
    on_note: Callable[[str], None] = lambda _: None,
    on_trouble: Callable[[str], None] | None = None,
) -> WorkerBackend:
    """Return a worker, not started yet.

    Args:
        settings: what it is.
        owner: whose it is.
        node: the node that it is for.
        implementation: names what is to run, where it is asked; a pod of an earlier try that runs the same is taken
            over.
        timeout: seconds after which nobody waits for it any more.
        ends_with_parent: end a local one when the process that started this one ends.
        on_note: called with a line for people.
        on_trouble: called with what somebody should look at, as lines that are lost; ``on_note`` unless given.

    Raises:
        ConfigurationError: there is no such worker.

    """
    if settings.backend == "local":
        return LocalWorker(
            cache_folder=settings.cache_folder,
            python=settings.config.python,
            keep=settings.config.terminate_on_completion is False,
            ends_with_parent=ends_with_parent,
        )
    from airflow_provider_tasks.workers.connections import connected_cluster
    from airflow_provider_tasks.workers.kubernetes.identity import Identity
    from airflow_provider_tasks.workers.kubernetes.worker import KubernetesWorker

    if settings.config.python is not None:
        raise ConfigurationError(
            f"WorkerConfig(python={settings.config.python!r}): a pod has the Python of its image",
            "Leave python out, and choose worker_image; or set backend='local'.",
        )
    return KubernetesWorker(
        connected_cluster(settings.config.kubernetes_conn_id),
        settings,
        Identity(settings.installation, *owner),
        node=node,
        implementation=implementation(),
        timeout=timeout,
        on_note=on_note,
        on_trouble=on_trouble,
    )


def direct_settings(
    node: Node | None,
    *configs: WorkerConfig | Mapping[str, Any] | str | Path | None,
    weakest: WorkerConfig | None = None,
) -> Settings:
    """Return what a worker is that no operator asks for; relative paths start at the working directory.

    Args:
        node: the node that it is for, whose settings are weaker than ``configs``.
        configs: settings, from weak to strong: objects, mappings, or paths of JSON or YAML files.
        weakest: settings that are weaker than the node's.

    Raises:
        ConfigurationError: a setting is wrong.

    """
    from airflow_provider_tasks.workers.connections import connection_settings
    from airflow_provider_tasks.workers.settings import NODE_CONFIG, Installation, resolve

    of_node = node[NODE_CONFIG] if node is not None else None
    layers = [WorkerConfig.of(config) for config in (weakest, of_node, *configs)]
    return resolve(Installation.read(), layers, connection_settings, os.getcwd())
