"""Whether this installation can run workers: what a worker needs, looked at one after the other, each with its fix."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_tasks.workers.failures import WorkerError
from airflow_provider_tasks.workers.opening import BY_HAND, Owner, direct_settings, open_worker
from airflow_provider_tasks.workers.outcomes import error_of, timeline_line
from airflow_provider_tasks.workers.places import in_a_thread
from airflow_provider_tasks.workers.requests import complete
from airflow_provider_tasks.workers.settings import SECTION, Installation, resolve
from airflow_provider_tasks.workers.sizes import describe_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_provider_tasks.workers.config import WorkerConfig
    from airflow_provider_tasks.workers.kubernetes.connection import Cluster
    from airflow_provider_tasks.workers.kubernetes.whole_cluster import WholeCluster
    from airflow_provider_tasks.workers.settings import Settings

OK, FAILED, NOT_DONE = "ok", "failed", "not done"

PERMISSIONS: Mapping[str, tuple[str, ...]] = {
    "pods": ("create", "get", "list", "watch", "delete"),
    "pods/log": ("get",),
    "pods/exec": ("create", "get"),
    "secrets": ("create", "get", "list", "delete"),
    "events": ("list",),
}
"""What the Role of ``docs/kubernetes/role.yaml`` allows: verbs by resource."""

WITHOUT: Mapping[tuple[str, str], str] = {
    ("pods/exec", "create"): "servers that ask for it can't fetch long results",
    ("secrets", "list"): "the clean-up finds nothing",
    ("secrets", "delete"): "the clean-up removes no Secrets",
}
"""What can be done without, and what that means."""

PATIENCE = 15.0
"""Seconds that the API server is asked for before it counts as not there."""

STARTUP_TIMEOUT = 120.0
"""Seconds in which the test pod has to run, unless the settings say otherwise."""


@dataclass(frozen=True)
class Check:
    """What one look has found; ``fix`` says what to do about it."""

    name: str
    status: str
    message: str = ""
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as plain data."""
        return {"check": self.name, "status": self.status, "message": self.message, "fix": self.fix}


class _FailedError(Exception):
    """A check has failed, and what comes after it can't be done."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class _Seen(NamedTuple):
    """What the cluster says: of the namespace (None where it may not be asked) and of each permission."""

    version: str
    namespace: str
    has_namespace: bool | None
    may: dict[tuple[str, str], bool]


def check_up(config: WorkerConfig, *, pod: bool = True) -> Iterator[Check]:
    """Yield what each look finds, as it is found.

    Args:
        config: what the workers are, beside the settings of Airflow's configuration.
        pod: make a test pod, where workers are pods.

    """
    settings: list[Settings] = []
    yield (found := _look("settings", lambda: _settings(config, settings)))
    if found.status != OK:
        yield from (Check(name, NOT_DONE, "for want of the settings") for name in ("cache folder", "worker"))
        return
    yield (found := _look("cache folder", lambda: _cache_folder(settings[0])))
    if settings[0].backend == "local" and found.status != OK:
        yield Check("worker", NOT_DONE, "for want of the cache folder")
    elif settings[0].backend == "local":
        yield _look("worker", lambda: _worker(settings[0]))
    else:
        yield from _look_at_cluster(config, settings[0], pod=pod)


def _look_at_cluster(config: WorkerConfig, settings: Settings, *, pod: bool) -> Iterator[Check]:
    names = ["API server", "namespace", *(f"may {resource}" for resource in PERMISSIONS), "test pod"]
    clusters: list[Cluster] = []
    seen: list[_Seen] = []
    yield (found := _look("connection", lambda: _connection(settings, clusters)))
    if found.status == OK:
        settings = direct_settings(None, config)  # those of the connection are among them now
        namespace = settings.config.namespace
        yield (found := _look("API server", lambda: _api_server(clusters[0], namespace, seen)))
        names.remove("API server")
    if found.status == OK:
        yield (found := _look("namespace", lambda: _namespace(seen[0])))
        names.remove("namespace")
    if found.status != OK:
        yield from (Check(name, NOT_DONE, f"for want of the {found.name}") for name in names)
        return
    permissions = [_look(f"may {resource}", partial(_permission, seen[0], resource)) for resource in PERMISSIONS]
    yield from permissions
    lacking = [check for check in permissions if check.status != OK]
    if lacking or not pod:
        yield Check("test pod", NOT_DONE, "for want of a permission" if lacking else "--no-pod")
        return
    yield _look("test pod", lambda: _pod(settings))


def _look(name: str, look: Callable[[], str]) -> Check:
    from airflow.sdk.exceptions import AirflowException

    try:
        return Check(name, OK, look())
    except _FailedError as failed:
        return Check(name, FAILED, failed.message, failed.fix)
    except WorkerError as error:
        return Check(name, FAILED, error.summary, error.advice)
    except AirflowException as error:
        return Check(name, FAILED, f"{type(error).__name__}: {error}")


def _settings(config: WorkerConfig, settings: list[Settings]) -> str:
    # Without what a connection says: whether there is one is looked at later.
    try:
        found = resolve(Installation.read(), [config], folder=os.getcwd())
    except WorkerError as error:
        fix = error.advice or f"Mend it in [{SECTION}] of airflow.cfg, or in the options of this command."
        raise _FailedError(error.summary, fix) from error
    settings.append(found)
    return f"backend {found.backend}, size {describe_size(found.config.worker_size, found.size)}"


def _cache_folder(settings: Settings) -> str:
    folder = settings.cache_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _FailedError(
            f"{folder} can't be written: {error.strerror}",
            f"Set cache_folder in [{SECTION}] to a folder that the user {_user()} may write to.",
        ) from error
    return f"{folder} can be written"


def _user() -> str:
    import getpass

    with contextlib.suppress(OSError, KeyError):
        return getpass.getuser()
    return str(os.getuid())


def _connection(settings: Settings, clusters: list[Cluster]) -> str:
    from airflow.sdk.exceptions import AirflowException

    from airflow_provider_tasks.workers.connections import connected_cluster, connection_settings

    conn_id = settings.config.kubernetes_conn_id
    try:
        if conn_id:
            connection_settings(conn_id)
        cluster = connected_cluster(conn_id)
    except AirflowException as error:
        raise _FailedError(
            f"{error}",
            f"Make it: airflow connections add {conn_id} --conn-type kubernetes --conn-extra '{{…}}', or set "
            f"AIRFLOW_CONN_{str(conn_id).upper()}; or name another one in kubernetes_conn_id. See docs/kubernetes.md.",
        ) from error
    server = cluster.access().config.cluster.server
    clusters.append(cluster)
    return f"{f'connection {conn_id!r}' if conn_id else 'no connection, the cluster at hand'} leads to {server}"


def _api_server(cluster: Cluster, namespace: str | None, seen: list[_Seen]) -> str:
    from airflow_provider_tasks.workers.kubernetes.whole_cluster import WholeCluster

    async def look() -> _Seen:
        async with WholeCluster(cluster, namespace, patience=PATIENCE) as api:
            return await _see(api)

    found = in_a_thread(look)
    seen.append(found)
    return f"it answers and takes the credentials: Kubernetes {found.version}"


async def _see(api: WholeCluster) -> _Seen:
    version = await api.version()
    may = {(resource, verb): await api.may(verb, resource) for resource, verbs in PERMISSIONS.items() for verb in verbs}
    return _Seen(version, api.namespace, await api.has_namespace(), may)


def _namespace(seen: _Seen) -> str:
    if seen.has_namespace is None:
        return f"{seen.namespace!r}; whether it is there may not be asked, which is as it should be"
    if not seen.has_namespace:
        raise _FailedError(
            f"there is no namespace {seen.namespace!r}",
            f"Create it: kubectl create namespace {seen.namespace}; or set another one in the connection, "
            f"in [{SECTION}] or in WorkerConfig.",
        )
    return f"{seen.namespace!r} is there"


def _permission(seen: _Seen, resource: str) -> str:
    lacking = [verb for verb in PERMISSIONS[resource] if not seen.may[resource, verb]]
    needed = [verb for verb in lacking if (resource, verb) not in WITHOUT]
    if needed:
        raise _FailedError(
            f"not {', '.join(lacking)} in the namespace {seen.namespace!r}",
            "Give Airflow's user the Role of docs/kubernetes/role.yaml; here it lacks "
            f'{{apiGroups: [""], resources: [{resource}], verbs: [{", ".join(lacking)}]}}.',
        )
    had = ", ".join(verb for verb in PERMISSIONS[resource] if verb not in lacking)
    return "; ".join([had, *(f"without {verb}, {WITHOUT[resource, verb]}" for verb in lacking)])


def _worker(settings: Settings) -> str:
    """Run a task that does nothing, and return what there is to say of it."""
    from airflow_provider_tasks.workers.payload import pack

    owner = Owner(BY_HAND, uuid.uuid4().hex, "doctor")
    with open_worker(settings, owner, implementation=lambda: "doctor") as worker:
        request = complete(
            pack(platform.python_version, (), {}),
            settings,
            requirements=[],
            context={"node": None, "params": {}},
            variables={},
            here=worker.environment,
        )
        outcome = worker.run(request, lambda _: None)
    if not outcome.is_success:
        raise error_of(outcome)
    return f"a task has run in {worker.place}: Python {outcome.result}; {timeline_line(outcome)}"


def _pod(settings: Settings) -> str:
    from airflow_provider_tasks.workers.kubernetes.pod import DEFAULT_IMAGE

    config: Any = replace(
        settings.config,
        terminate_on_completion=None,
        startup_timeout=settings.config.startup_timeout or STARTUP_TIMEOUT,
    )
    said = _worker(replace(settings, config=config))
    return (
        f"image {config.worker_image or DEFAULT_IMAGE}, size {describe_size(config.worker_size, settings.size)}: {said}"
    )
