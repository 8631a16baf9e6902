"""A request again: what a worker was given, taken from where it is kept, and run on this machine.

A request is Airflow's own, so it is taken from where the task can't have changed it: that of a pod from the immutable
Secrets which the pod was made with, not from the pod. That of a local worker is in its folder, which belongs to the
same user as the task. Nothing of it is unpickled here; that is for the worker that runs it.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_tasks.runtime import files, protocol
from airflow_provider_tasks.workers.by_hand import Worker, run_request, worker_for_one_task
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ConfigurationError, PayloadError
from airflow_provider_tasks.workers.kept import Record
from airflow_provider_tasks.workers.opening import direct_settings
from airflow_provider_tasks.workers.places import in_a_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_tasks.runtime.messages import Request
    from airflow_provider_tasks.workers.settings import Settings

_LIMIT = 2**28
"""Bytes of a request that is read again."""


class Found(NamedTuple):
    """A request, and the Python of the local worker that ran it; None where that was Airflow's own, or a pod's."""

    request: Request
    python: str | None

    def __str__(self) -> str:
        """Return what is in the request, without anything that may be secret."""
        environment: Mapping[str, Any] = self.request.get("environment", {})
        script = environment.get("startup_script")
        parts = [f"a startup script of {len(script.splitlines())} lines"] if script else []
        requirements = environment.get("requirements") or ()
        parts += [f"{len(requirements)} requirements"] if requirements else []
        python, call = self.request.get("python"), self.request.get("call")
        return ", ".join([f"a {call}" if call else f"code of Python {python}", *parts])


def replay(
    name: str,
    worker_config: WorkerConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    python: str | None = None,
    terminate_on_completion: bool = True,
    capture_task_output: bool = True,
    raise_on_failure: bool = False,
    on_found: Callable[[Found], object] = lambda _: None,
) -> tuple[Worker, bool]:
    """Run the request of a worker once more, on this machine, in a local worker of its own.

    It is the same code with the same arguments, context, connections, variables, requirements and limits. What is of
    the place is this machine's: its Python, its files, its packages.

    Args:
        name: the worker: one that is kept, or a pod that is there, kept or not, running or not.
        worker_config: which cluster and namespace; the settings of Airflow's configuration unless given.
        python: the Python to run it with, a path or a command; that of the local worker, or Airflow's own, unless
            given.
        terminate_on_completion: False keeps the new worker, to look at it.
        capture_task_output: False prints and keeps nothing of what the task prints.
        raise_on_failure: raise where the task fails, instead of returning False.
        on_found: called with the request before it runs.

    Returns:
        The new worker, whose ``outcome`` tells what came of it, and whether it succeeded.

    Raises:
        ConfigurationError: there is no such worker, or it has no request.
        PayloadError: the request can't be read.
        WorkerError: the new worker failed; with ``raise_on_failure``, the task did.

    Example::

        worker, success = replay("local-0a1b2c3d4e5f")

    """
    found = find_request(name, worker_config)
    on_found(found)
    here = WorkerConfig(
        backend="local",
        python=python or found.python,
        terminate_on_completion=None if terminate_on_completion else False,
    )
    worker = worker_for_one_task(direct_settings(None, here), "replay")
    try:
        success = run_request(worker, found.request, capture_task_output, raise_on_failure)
    finally:
        if terminate_on_completion:
            worker.terminate()
    return worker, success


def find_request(name: str, worker_config: WorkerConfig | Mapping[str, Any] | str | Path | None = None) -> Found:
    """Return the request of a worker; see :func:`replay`."""
    settings = direct_settings(None, worker_config)
    for record in Record.all(settings):
        if record.name == name:
            return Found(_parse(_of_folder(Path(record.folder)), name), record.config.get("python"))
    data = _of_pod(name, settings) if settings.backend == "kubernetes" else None
    if data is None:
        known = ", ".join(worker.name for worker in Worker.list(worker_config)) or "none"
        raise ConfigurationError(
            f"there is no worker {name!r}",
            f"These are kept: {known}. terminate_on_completion=False keeps the worker of a task; its log has the name."
            + ("" if settings.backend == "kubernetes" else " Pods are looked for with backend='kubernetes'."),
        )
    return Found(_parse(data, name), None)


def _of_folder(folder: Path) -> bytes | None:
    """Return the last request of a local worker."""
    found = [path for path in folder.glob("request-*") if path.name.removeprefix("request-").isdigit()]
    last = max(found, key=lambda path: path.lstat().st_mtime_ns, default=None)
    return files.read(str(last), _LIMIT) if last is not None else b""


def _of_pod(name: str, settings: Settings) -> bytes | None:
    """Return the request that a pod was made with; None where there is no such pod, empty where it has none."""
    from airflow_provider_tasks.workers.connections import connected_cluster
    from airflow_provider_tasks.workers.kubernetes.api import Api
    from airflow_provider_tasks.workers.kubernetes.delivery import read_request
    from airflow_provider_tasks.workers.kubernetes.submit import secrets_of

    cluster = connected_cluster(settings.config.kubernetes_conn_id)

    async def read() -> list[bytes] | None:
        async with Api(cluster, settings.config.namespace) as api:
            pod = await api.get_pod(name)
            if pod is None:
                return None
            parts = []
            for secret in secrets_of(pod):
                content = ((await api.read_secret(secret)) or {}).get("data") or {}
                parts += [content[key] for key in sorted(content)]
            return [base64.b64decode(part, validate=True) for part in parts]

    try:
        parts = in_a_thread(read)
    except binascii.Error as error:
        raise PayloadError(f"the request of {name} can't be read: {error}") from error
    if parts is None:
        return None
    return read_request(parts) if parts else b""


def _parse(data: bytes | None, name: str) -> Request:
    if not data:
        raise ConfigurationError(
            f"worker {name} has no request to run again", "It was ended before it was given one, or its files are gone."
        )
    try:
        return protocol.parse_request(data)
    except protocol.MalformedRequestError as error:
        raise PayloadError(f"the request of {name} can't be read: {error}", retry=False) from error
