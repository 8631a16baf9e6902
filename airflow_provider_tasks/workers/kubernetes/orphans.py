"""Finding and removing what was left behind: pods that nobody waits for, runtimes that no pod uses.

A pod's Secrets go with it, as it owns them; they need no looking for.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_tasks.workers.kubernetes import delivery
from airflow_provider_tasks.workers.kubernetes.identity import Identity
from airflow_provider_tasks.workers.kubernetes.submit import RUNTIME_LABELS, container_state, is_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_tasks.workers.kubernetes.api import Api
    from airflow_provider_tasks.workers.kubernetes.connection import Cluster

    IsWanted = Callable[[Identity], bool | None]

UNCOLLECTED_SECONDS = 900.0
"""Seconds after its end after which a pod counts as left behind where nobody can say whether its task still runs."""

YOUNG_SECONDS = 120.0
"""Seconds for which a pod is left alone in any case: Airflow may not know yet that its task runs."""


class Orphan(NamedTuple):
    """What was left behind.

    ``kind`` is ``pod`` or ``secret``, ``age`` in seconds, ``reason`` says why nobody wants it any more, and
    ``identity`` whose it was.
    """

    kind: str
    name: str
    uid: str
    age: float
    reason: str
    identity: Identity | None = None

    def __str__(self) -> str:
        """Return a line for people."""
        of = self.identity
        whose = f" of {of.dag_id}.{of.task_id}, run {of.run_id}, try {of.try_number}" if of else ""
        return f"{self.kind} {self.name}{whose}: {self.reason}; {self.age / 60:.0f} min old"


async def find_orphans(
    api: Api,
    installation: str,
    *,
    is_wanted: IsWanted | None = None,
    now: datetime | None = None,
) -> list[Orphan]:
    """Return what this installation of Airflow left behind in a namespace; nothing is changed.

    Args:
        api: the cluster and the namespace.
        installation: whose pods; those of others are left alone.
        is_wanted: says whether the task of a pod still waits for it, None where it does not know; of those, and where
            it is not given, only pods count that ended a while ago.
        now: the time to compare with; the present unless given.

    Raises:
        WorkerError: the cluster refuses, or does not answer.

    """
    now = now or datetime.now(UTC)
    pods, _ = await api.list_pods(Identity.selector(installation))
    found = [orphan_of(pod, is_wanted, now) for pod in pods]
    in_use = {name for pod in pods for name in _runtimes_of(pod)} | {delivery.runtime_name()}
    selector = ",".join(f"{key}={value}" for key, value in RUNTIME_LABELS.items())
    for secret in await api.list_secrets(selector):
        metadata = secret["metadata"]
        age = _seconds_since(metadata["creationTimestamp"], now)
        # Another version of this provider may be in use, by an installation that can't be seen from here.
        if metadata["name"] not in in_use and age > 30 * 24 * 3600:
            found.append(Orphan("secret", metadata["name"], metadata["uid"], age, "a runtime that no pod uses"))
    return [orphan for orphan in found if orphan is not None]


async def remove_orphans(api: Api, orphans: Iterable[Orphan]) -> None:
    """Remove ``orphans``, each only if it is still the same that was found."""
    for orphan in orphans:
        if orphan.kind == "pod":
            await api.delete_pod(orphan.name, uid=orphan.uid, grace_seconds=None)
        else:
            await api.delete_secret(orphan.name)


def clean_up(
    cluster: Cluster,
    namespace: str | None,
    installation: str,
    *,
    remove: bool = False,
    is_wanted: IsWanted | None = None,
) -> list[Orphan]:
    """Find what was left behind and, with ``remove=True``, remove it; return what was found.

    See :func:`find_orphans` for the arguments.
    """

    async def work() -> list[Orphan]:
        from airflow_provider_tasks.workers.kubernetes.api import Api

        async with Api(cluster, namespace) as api:
            orphans = await find_orphans(api, installation, is_wanted=is_wanted)
            if remove:
                await remove_orphans(api, orphans)
            return orphans

    return asyncio.run(work())


def orphan_of(pod: Mapping[str, Any], is_wanted: IsWanted | None, now: datetime) -> Orphan | None:
    """Return what a pod is as one that was left behind; None where it is none. See :func:`find_orphans`."""
    metadata = pod["metadata"]
    identity = Identity.of_pod(pod)
    age = _seconds_since(metadata["creationTimestamp"], now)
    if identity is None or metadata.get("deletionTimestamp") or age < YOUNG_SECONDS:
        return None

    def orphan(reason: str) -> Orphan:
        return Orphan("pod", metadata["name"], metadata["uid"], age, reason, identity)

    ended = container_state(pod, "terminated")
    if is_kept(pod):
        return orphan("it was kept, and its time is over") if ended is not None else None
    wanted = is_wanted(identity) if is_wanted is not None else None
    if wanted is not None:
        return None if wanted else orphan("its Airflow task does not run any more")
    if ended is None or not ended.get("finishedAt"):
        return None
    if _seconds_since(ended["finishedAt"], now) < UNCOLLECTED_SECONDS:
        return None
    return orphan("it has ended, and nobody came for its outcome")


def _runtimes_of(pod: Mapping[str, Any]) -> list[str]:
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    names = [str((volume.get("secret") or {}).get("secretName", "")) for volume in volumes]
    return [name for name in names if name.startswith("airflow-worker-runtime-")]


def _seconds_since(timestamp: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(timestamp)).total_seconds()
