"""Getting a pod made: once, whatever is lost on the way, and never where an earlier one can be taken over."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_tasks.runtime.outcome import MalformedOutcomeError
from airflow_provider_tasks.workers.failures import ClusterError, ConfigurationError, WorkerError
from airflow_provider_tasks.workers.kubernetes import delivery
from airflow_provider_tasks.workers.kubernetes.api import AlreadyExistsError
from airflow_provider_tasks.workers.kubernetes.identity import Identity
from airflow_provider_tasks.workers.kubernetes.message import parse_message
from airflow_provider_tasks.workers.kubernetes.watch import follow_pods

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airflow_provider_tasks.workers.kubernetes.api import Api

RUNTIME_LABELS = {"app.kubernetes.io/managed-by": "airflow-provider-tasks", "app.kubernetes.io/component": "runtime"}
_AT_ONCE = 4  # Secrets that are made at the same time

IMPLEMENTATION = "airflow-worker/implementation"
"""The annotation that says what a pod runs: a pod that runs something else is not taken over."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What to get made: the pod's ``manifest`` and the packed ``request`` that goes into its Secrets."""

    identity: Identity
    manifest: Mapping[str, Any]
    request: bytes


class Submitted(NamedTuple):
    """The pod as the cluster has it, and whether it was there before."""

    pod: dict[str, Any]
    adopted: bool


class Submitter:
    """Makes pods.

    Args:
        api: the cluster.
        markers: a folder in which is noted which runtimes a namespace has, so that nobody need ask again; None
            asks each time.
        on_note: called with a line for people.

    """

    def __init__(self, api: Api, markers: Path | None, on_note: Callable[[str], None]) -> None:
        self._api = api
        self._markers = markers
        self._note = on_note

    async def submit(self, submission: Submission) -> Submitted:
        """Return a pod that runs ``submission``.

        Raises:
            WorkerError: the cluster refuses it, or does not answer.

        """
        identity = submission.identity
        if identity.try_number > 1:
            earlier = await self._earlier(submission)
            if earlier is not None:
                return Submitted(earlier, adopted=True)
        await self.ensure_runtime()
        for _ in range(10):
            with contextlib.suppress(AlreadyExistsError):
                return Submitted(await self._create(submission), adopted=False)
            found = await self._api.get_pod(identity.name)
            if found is None:
                continue
            if await self._can_be_taken_over(found, submission):
                return Submitted(found, adopted=True)
            if await self._waits_for_its_request(found, submission):
                # The reply to its creation was lost.
                await self._deliver(found, submission)
                return Submitted(found, adopted=False)
            await self.remove(found)
        raise ClusterError(f"pod {identity.name} is there already, and can be neither taken over nor removed")

    async def ensure_runtime(self, *, again: bool = False) -> None:
        """See to it that the namespace has the runtime's Secret; ``again`` looks even if that was noted."""
        name = delivery.runtime_name()
        marker = self._markers / self._api.cluster.key / self._api.namespace / name if self._markers else None
        if marker is not None and marker.exists() and not again:
            return
        if not await self._api.has_secret(name):
            await self._api.create_secret(delivery.runtime_secret(RUNTIME_LABELS))
        if marker is not None:
            with contextlib.suppress(OSError):  # it only saves a request
                marker.parent.mkdir(parents=True, exist_ok=True)
                marker.touch()

    async def remove(self, pod: Mapping[str, Any]) -> None:
        """Remove ``pod``, and wait until it is gone."""
        metadata = pod["metadata"]
        grace = None if container_state(pod, "running") else 0
        await self._api.delete_pod(metadata["name"], uid=metadata["uid"], grace_seconds=grace)
        found = await self._api.get_pod(metadata["name"])
        if found is None or found["metadata"]["uid"] != metadata["uid"]:
            return
        changes = follow_pods(self._api, name=metadata["name"], resource_version=found["metadata"]["resourceVersion"])
        async with contextlib.aclosing(changes):
            async for kind, found in changes:
                if kind == "DELETED" or found["metadata"]["uid"] != metadata["uid"]:
                    return

    async def _create(self, submission: Submission) -> dict[str, Any]:
        pod = await self._api.create_pod(submission.manifest)
        await self._deliver(pod, submission)
        return pod

    async def _deliver(self, pod: Mapping[str, Any], submission: Submission) -> None:
        """Make the Secrets that ``pod`` waits for; it owns them, so that they go when it goes.

        Where the cluster refuses them, ``pod`` is removed, which would wait for ever.
        """
        secrets = iter(delivery.request_secrets(submission.request, pod, submission.identity.labels))

        async def create() -> None:
            for secret in secrets:
                await self._api.create_secret(secret)

        try:
            await asyncio.gather(*[create() for _ in range(_AT_ONCE)])
        except ConfigurationError:
            with contextlib.suppress(WorkerError):
                await self._api.delete_pod(pod["metadata"]["name"], uid=pod["metadata"]["uid"], grace_seconds=0)
            raise

    async def _earlier(self, submission: Submission) -> dict[str, Any] | None:
        """Return the pod of an earlier try whose Airflow worker was lost, if there is one to take over."""
        identity = submission.identity
        pods, _ = await self._api.list_pods(identity.selector_of_tries)
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True):
            of = Identity.of_pod(pod)
            if of is None or of.try_number >= identity.try_number or pod["metadata"]["name"] == identity.name:
                continue
            if await self._can_be_taken_over(pod, submission):
                self._note(f"Taking over the pod of try {of.try_number}: {pod['metadata']['name']}")
                return pod
            if not is_kept(pod):
                self._note(f"Removing the pod that try {of.try_number} left: {pod['metadata']['name']}")
                await self._api.delete_pod(pod["metadata"]["name"], uid=pod["metadata"]["uid"], grace_seconds=None)
        return None

    async def _can_be_taken_over(self, pod: Mapping[str, Any], submission: Submission) -> bool:
        if is_kept(pod) or not _is_alike(pod, submission):
            return False
        terminated = container_state(pod, "terminated")
        if terminated:
            try:
                message = parse_message(terminated.get("message"))
            except MalformedOutcomeError:
                return False
            # A try that failed is what Airflow tries again: only what it would lose is taken over.
            own = pod["metadata"]["name"] == submission.identity.name
            return message is not None and message.outcome is not None and (own or message.is_success)
        if container_state(pod, "running"):
            return True
        if pod.get("status", {}).get("phase") != "Pending":
            return False
        return all([await self._api.has_secret(name) for name in secrets_of(pod)])

    async def _waits_for_its_request(self, pod: Mapping[str, Any], submission: Submission) -> bool:
        """Whether ``pod`` is what ``submission`` asks for, and nobody has made any of its Secrets."""
        secrets = secrets_of(pod)
        if not _is_alike(pod, submission) or len(secrets) != delivery.count_parts(submission.request):
            return False
        return not any([await self._api.has_secret(name) for name in secrets])


def _is_alike(pod: Mapping[str, Any], submission: Submission) -> bool:
    """Whether ``pod`` runs what ``submission`` does, and is there to stay."""
    metadata = pod["metadata"]
    if metadata.get("deletionTimestamp"):
        return False
    wanted = submission.manifest["metadata"].get("annotations", {})
    return bool(metadata.get("annotations", {}).get(IMPLEMENTATION) == wanted.get(IMPLEMENTATION))


def container_state(pod: Mapping[str, Any], state: str) -> dict[str, Any] | None:
    """Return what the pod's status says of its worker being in ``state``: waiting, running or terminated."""
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if status.get("name") == "worker":
            found: dict[str, Any] | None = (status.get("state") or {}).get(state)
            return {} if found is None and state in (status.get("state") or {}) else found
    return None


def is_kept(pod: Mapping[str, Any]) -> bool:
    """Whether ``pod`` stays when its task has ended."""
    return (pod["metadata"].get("annotations") or {}).get("airflow-worker/keep") == "true"


def secrets_of(pod: Mapping[str, Any]) -> list[str]:
    """Return the names of the Secrets that ``pod`` has its request from, in order."""
    volumes = pod.get("spec", {}).get("volumes") or ()
    sources = [source for volume in volumes for source in (volume.get("projected") or {}).get("sources") or ()]
    names = (source["secret"]["name"] for source in sources if "secret" in source)
    return [name for name in names if name.startswith(pod["metadata"]["name"] + "-")]
