"""Removing what Airflow left behind in a cluster, from within Airflow: for a maintenance DAG."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_provider_tasks.operators.states import ENDED, TaskKey, state_of
from airflow_provider_tasks.workers.config import WorkerConfig

if TYPE_CHECKING:
    from airflow_provider_tasks.workers.kubernetes.identity import Identity

_log = logging.getLogger(__name__)


def remove_orphans(
    kubernetes_conn_id: str | None = None, namespace: str | None = None, *, dry_run: bool = True
) -> list[str]:
    """Find the pods that no task of this Airflow waits for any more, and remove them; call it in an Airflow task.

    A pod is left behind where Airflow itself was killed and did not try the task again. A pod whose task runs, is
    deferred, is queued or is yet to be tried again stays: the next try takes it over. So does one of a task that this
    Airflow does not know, as long as it runs: it may be of another Airflow in the same namespace, from which
    ``installation`` in ``[worker_tasks]`` should tell this one.

    Args:
        kubernetes_conn_id: the Airflow connection of the cluster; that of ``[worker_tasks]`` unless given.
        namespace: the namespace; the connection's or that of ``[worker_tasks]`` unless given.
        dry_run: only say what would be removed.

    Returns:
        A line for each that was found.

    Raises:
        WorkerError: the cluster refuses, or does not answer.

    Example::

        @task
        def clean_up() -> list[str]:
            return remove_orphans(dry_run=False)

    """
    from airflow_provider_tasks.workers.connections import connected_cluster, connection_settings
    from airflow_provider_tasks.workers.kubernetes.orphans import clean_up
    from airflow_provider_tasks.workers.settings import Installation, resolve

    asked = WorkerConfig(kubernetes_conn_id=kubernetes_conn_id, namespace=namespace)
    settings = resolve(Installation.read(), [asked], connection_settings)
    found = clean_up(
        connected_cluster(settings.config.kubernetes_conn_id),
        settings.config.namespace,
        settings.installation,
        remove=not dry_run,
        is_wanted=_Wanted(),
    )
    told = [str(orphan) for orphan in found]
    for line in told:
        _log.info("%s %s", "Would remove" if dry_run else "Removed", line)
    return told


class _Wanted:
    """Whether a pod's task may still come for it; asks Airflow once for each task, however many tries it had."""

    def __init__(self) -> None:
        self._state_of = lru_cache(maxsize=None)(state_of)

    def __call__(self, identity: Identity) -> bool | None:
        state = self._state_of(TaskKey(identity.dag_id, identity.run_id, identity.task_id, identity.map_index))
        return None if state is None else state not in ENDED
