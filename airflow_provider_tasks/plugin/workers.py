"""The workers that there are: those of tasks that run, those that are kept, those that were left behind."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.plugin.tasks import Key, active_workers, state_of
from airflow_provider_tasks.runtime import processes
from airflow_provider_tasks.workers.failures import WorkerError
from airflow_provider_tasks.workers.kept import Record, forget, is_used, remove_folder
from airflow_provider_tasks.workers.local import MARK
from airflow_provider_tasks.workers.opening import BY_HAND, direct_settings
from airflow_provider_tasks.workers.places import in_a_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from airflow_provider_tasks.plugin.access import Access
    from airflow_provider_tasks.workers.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Row:
    """A worker, as the page shows it; ``action`` is what the user may do: ``fail``, ``terminate`` or nothing.

    ``fail`` is Airflow's own way to end a task that runs. ``age`` and ``left`` are seconds, ``memory`` is bytes.
    """

    name: str
    backend: str
    status: str
    place: str
    key: Key | None = None
    try_number: int | None = None
    node: str | None = None
    age: float | None = None
    left: float | None = None
    memory: int | None = None
    limit: str | None = None
    reason: str = ""
    uid: str = ""
    conn_id: str | None = None
    namespace: str | None = None
    action: str | None = None

    @property
    def dag_id(self) -> str | None:
        """The DAG that it is of; None where it is of none."""
        return None if self.key is None or self.key.dag_id == BY_HAND else self.key.dag_id

    def to_json(self) -> dict[str, Any]:
        """Return it for the page."""
        return {**asdict(self), "key": None if self.dag_id is None or self.key is None else self.key._asdict()}


@dataclass
class Workers:
    """All workers that a user may see, and what could not be looked at."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    host: str = field(default_factory=platform.node)
    folder: str = ""


def list_workers(session: Session, access: Access) -> Workers:
    """Return the workers that a user may see.

    Those of running tasks are known from Airflow's database, wherever they are. Kept local ones are those of this
    machine; pods are those in the namespaces that ``[worker_tasks]``, and tasks that run now, name.
    """
    found = Workers()
    active = {row.name: row for row in _active(session) if access.may_see(row.dag_id)}
    try:
        settings = direct_settings(None)
    except Exception as error:
        found.notes.append(f"The settings of [worker_tasks] can't be read: {_first_line(error)}")
        found.rows = [_allowed(row, access) for row in active.values()]
        return found
    found.folder = str(settings.cache_folder)
    rows = {**active, **{row.name: row for row in _kept(settings) if row.name not in active}}
    for conn_id, namespace in _clusters(settings, active.values()):
        try:
            pods = _pods(session, settings, conn_id, namespace)
        except Exception as error:  # whatever is wrong with a cluster, the others are shown
            found.notes.append(f"The pods of {namespace or 'the namespace'} can't be listed: {_first_line(error)}")
            continue
        for row in pods:
            told = active.get(row.name)
            rows[row.name] = replace(row, node=told.node, age=told.age) if told else row
    found.rows = [_allowed(row, access) for row in rows.values() if access.may_see(row.dag_id)]
    return found


def terminate(row: Row) -> None:
    """End a worker that no task runs in.

    Raises:
        WorkerError: the cluster refuses, or does not answer.

    """
    settings = direct_settings(None)
    if row.backend == "local":
        for record in Record.all(settings):
            if record.name == row.name:
                remove_folder(Path(record.folder))
                forget(settings, record.name)
        return
    from airflow_provider_tasks.workers.connections import connected_cluster
    from airflow_provider_tasks.workers.kubernetes.api import Api

    async def work() -> None:
        async with Api(connected_cluster(row.conn_id), row.namespace) as api:
            await api.delete_pod(row.name, uid=row.uid)

    in_a_thread(work)


def shell_lines(namespace: str, name: str) -> dict[str, str]:
    """Return what kubectl takes to look at a pod, by what it does."""
    return {
        "A shell in it": f"kubectl exec -it --namespace {namespace} {name} --container worker -- sh",
        "What it prints": f"kubectl logs --follow --namespace {namespace} {name} --container worker",
        "What the cluster says of it": f"kubectl describe pod --namespace {namespace} {name}",
    }


def _active(session: Session) -> list[Row]:
    here, now = platform.node(), datetime.now(UTC)
    rows = []
    for told in active_workers(session):
        worker = told.worker
        is_local = worker.get("backend") == "local"
        place = f"{worker.get('host')}:{worker.get('folder')}" if is_local else f"namespace {worker.get('namespace')}"
        memory = None
        if is_local and worker.get("host") == here:
            memory = processes.memory_of(processes.marked(MARK, str(worker["name"]))) or None
        rows.append(
            Row(
                name=str(worker["name"]),
                backend=str(worker.get("backend")),
                status="running",
                place=place,
                key=told.key,
                try_number=told.try_number,
                node=_text(worker.get("node")),
                age=None if told.started is None else (now - told.started).total_seconds(),
                memory=memory,
                limit=_text(worker.get("size")),
                conn_id=_text(worker.get("kubernetes_conn_id")),
                namespace=_text(worker.get("namespace")),
            )
        )
    return rows


def _kept(settings: Settings) -> list[Row]:
    rows = []
    for record in Record.all(settings):
        owner = record.owner or {}
        key = Key(*(owner[name] for name in Key._fields)) if set(Key._fields) <= owner.keys() else None
        rows.append(
            Row(
                name=record.name,
                backend="local",
                status="running" if is_used(settings, record.name) else "kept",
                place=f"{platform.node()}:{record.folder}",
                key=key,
                try_number=owner.get("try_number"),
                node=(record.node or {}).get("name"),
                left=max(0.0, record.until - time.time()),
                memory=processes.memory_of(processes.marked(MARK, record.name)) or None,
                limit=record.config.get("worker_size"),
            )
        )
    return rows


def _clusters(settings: Settings, active: Any) -> list[tuple[str | None, str | None]]:
    """Return the connections and namespaces to look for pods in."""
    config = settings.config
    found: dict[tuple[str | None, str | None], None] = {}
    if settings.backend == "kubernetes" or config.kubernetes_conn_id:
        found[config.kubernetes_conn_id, config.namespace] = None
    for row in active:
        if row.backend == "kubernetes":
            found[row.conn_id, row.namespace] = None
    return list(found)[:20]


def _pods(session: Session, settings: Settings, conn_id: str | None, namespace: str | None) -> list[Row]:
    from airflow_provider_tasks.workers.connections import connected_cluster
    from airflow_provider_tasks.workers.kubernetes.api import Api
    from airflow_provider_tasks.workers.kubernetes.identity import Identity

    async def work() -> list[dict[str, Any]]:
        async with Api(connected_cluster(conn_id), namespace) as api:
            pods, _ = await api.list_pods(Identity.selector(settings.installation))
            return pods

    return [row for pod in in_a_thread(work) if (row := _of_pod(session, pod, conn_id)) is not None]


def _of_pod(session: Session, pod: Mapping[str, Any], conn_id: str | None) -> Row | None:
    from airflow_provider_tasks.workers.kubernetes.identity import Identity
    from airflow_provider_tasks.workers.kubernetes.orphans import orphan_of
    from airflow_provider_tasks.workers.kubernetes.submit import container_state, is_kept

    metadata = pod["metadata"]
    identity = Identity.of_pod(pod)
    if identity is None:
        return None
    key = Key(identity.dag_id, identity.run_id, identity.task_id, identity.map_index)
    known = None if key.dag_id == BY_HAND else state_of(session, key)
    state = None if known is None else known[0]
    now = datetime.now(UTC)
    orphan = orphan_of(pod, lambda _: None if state is None else state not in _ENDED, now)
    if metadata.get("deletionTimestamp"):
        status = "ending"
    elif orphan is not None:
        status = "orphaned"
    elif is_kept(pod) and state in (None, *_ENDED):
        status = "kept"
    elif container_state(pod, "running") is not None:
        status = "running"
    else:
        status = "ending" if container_state(pod, "terminated") is not None else "starting"
    containers = pod.get("spec", {}).get("containers") or ()
    limits = [c.get("resources", {}).get("limits", {}).get("memory") for c in containers if c.get("name") == "worker"]
    return Row(
        name=metadata["name"],
        uid=metadata["uid"],
        backend="kubernetes",
        status=status,
        place=f"namespace {metadata['namespace']}",
        key=key,
        try_number=identity.try_number,
        age=(now - datetime.fromisoformat(metadata["creationTimestamp"])).total_seconds(),
        limit=limits[0] if limits else None,
        reason=orphan.reason if orphan is not None else "",
        conn_id=conn_id,
        namespace=metadata["namespace"],
    )


def _allowed(row: Row, access: Access) -> Row:
    """Return a row with what the user may do about it."""
    if row.status == "ending" or not access.may_end(row.dag_id):
        return row
    if row.status in ("kept", "orphaned"):
        return replace(row, action="terminate")
    return replace(row, action="fail" if row.dag_id is not None else None)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _first_line(error: Exception) -> str:
    told = error.summary if isinstance(error, WorkerError) else str(error)
    return (told.splitlines() or [type(error).__name__])[0][:300]


_ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
