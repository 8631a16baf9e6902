"""What happens to pods, for as long as anybody wants to know: followed by one, or shared by many."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Self
from weakref import WeakKeyDictionary

from airflow_provider_tasks.workers.failures import ClusterError
from airflow_provider_tasks.workers.kubernetes.answers import GoneError, StreamCutError
from airflow_provider_tasks.workers.kubernetes.api import Api
from airflow_provider_tasks.workers.kubernetes.client import preload

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from airflow_provider_tasks.workers.kubernetes.connection import Cluster

Pod = dict[str, Any]
Change = tuple[str, Pod]
"""What happened to a pod (``ADDED``, ``MODIFIED``, ``DELETED``), and its state then."""

IDLE = 90.0
"""Seconds that a watch may be silent; API servers send a bookmark each minute."""

_Key = tuple[str, str, str]
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0


async def follow_pods(
    api: Api,
    *,
    name: str | None = None,
    labels: Mapping[str, str] | str | None = None,
    resource_version: str | None = None,
    known: Iterable[Pod] = (),
    idle: float = IDLE,
) -> AsyncGenerator[Change, None]:
    """Yield what happens to pods, without an end, whatever happens to the connection.

    After a cut it goes on where it was. Where the API server no longer knows what happened since then, the difference
    between what is there and what was known is what is yielded: states in between are left out, none is made up.

    Args:
        api: the cluster and the namespace.
        name: follow the pod of this name only.
        labels: follow the pods with these labels only.
        resource_version: begin after this one. Without it all pods that are there come first, as ``ADDED``.
        known: the pods as they were at ``resource_version``.
        idle: seconds without a byte after which the connection is taken for dead.

    Raises:
        ClusterError: the API server did not answer for the ``api``'s patience.
        ConfigurationError: the API server refuses the credentials or the permission.

    """
    state = _State(known)
    version, may_be_missing = resource_version, name is not None and resource_version is not None
    pause = _Pause(api.patience)
    silent = 0
    while True:
        if version is None or silent > 1:  # what lets nothing through twice is not to be relied on
            items, version = await api.list_pods(labels, name=name)
            silent = 0
            pause.forgive()
            for change in state.replace(items):
                yield change
            if may_be_missing and not state.has_seen_any:
                yield "DELETED", {"metadata": {"name": name, "namespace": api.namespace}}
            may_be_missing = False
        error: Exception | None = None
        try:
            async with contextlib.aclosing(
                api.watch(name=name, labels=labels, resource_version=version, idle=idle)
            ) as events:
                async for kind, pod in events:
                    version = pod["metadata"].get("resourceVersion") or version
                    silent = 0
                    pause.reset()
                    if kind in ("ADDED", "MODIFIED", "DELETED"):
                        state.take(kind, pod)
                        yield kind, pod
        except GoneError as gone:
            version, error = None, gone
        except StreamCutError as cut:
            error = cut
            silent = silent + 1 if isinstance(cut.__cause__, TimeoutError) else 0
        else:
            silent += 1  # it may have ended before it told anything
        await pause.wait(error)


class _State:
    """The pods as they were last seen."""

    def __init__(self, pods: Iterable[Pod]) -> None:
        self._pods = {str(pod["metadata"]["name"]): pod for pod in pods}
        self.has_seen_any = bool(self._pods)

    def take(self, kind: str, pod: Pod) -> None:
        """Take note of a change."""
        # Who wrote which field is most of what a pod's JSON takes.
        pod["metadata"].pop("managedFields", None)
        self.has_seen_any = True
        name = pod["metadata"]["name"]
        if kind == "DELETED":
            self._pods.pop(name, None)
        else:
            self._pods[name] = pod

    def replace(self, pods: Iterable[Pod]) -> Iterable[Change]:
        """Take note of what is there now, and give what that changes."""
        found = {pod["metadata"]["name"]: pod for pod in pods}
        for name, old in list(self._pods.items()):
            if name not in found or found[name]["metadata"]["uid"] != old["metadata"]["uid"]:
                self.take("DELETED", old)
                yield "DELETED", old
        for name, pod in found.items():
            known = self._pods.get(name)
            if known is None or known["metadata"]["resourceVersion"] != pod["metadata"]["resourceVersion"]:
                kind = "ADDED" if known is None else "MODIFIED"
                self.take(kind, pod)
                yield kind, pod


class _Pause:
    """The time between two connections: longer the longer nothing comes of them."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self.reset()

    def reset(self) -> None:
        """Say that something came."""
        self._wait = _FIRST_WAIT
        self.forgive()

    def forgive(self) -> None:
        """Say that the API server answers, though watches come to nothing."""
        self._failing_since: float | None = None

    async def wait(self, error: Exception | None) -> None:
        """Wait before the next connection, the last one having ended with ``error``."""
        now = time.monotonic()
        if error is not None:
            if self._failing_since is None:
                self._failing_since = now
            elif now - self._failing_since > self._patience:
                raise ClusterError(f"nothing came of watching pods for {now - self._failing_since:.0f} s: {error}")
        await asyncio.sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        self._wait = min(2 * self._wait, _LONGEST_WAIT)


class SharedWatch:
    """One watch, and one :class:`Api`, for all in an event loop that wait for pods of the same namespace and labels.

    The first subscriber starts it, and with the last one it ends. What ends it otherwise reaches all::

        async with SharedWatch.subscribe(cluster, "default", labels, "a-pod") as pods:
            async for kind, pod in pods:
                ...
    """

    _all: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, SharedWatch]]] = WeakKeyDictionary()

    def __init__(self, api: Api, labels: str, idle: float) -> None:
        self.api = api
        self.pods: dict[str, Pod] = {}
        self.is_listed = asyncio.Event()
        self.error: Exception | None = None
        self._labels = labels
        self._idle = idle
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._task = asyncio.create_task(self._run())

    @classmethod
    @contextlib.asynccontextmanager
    async def subscribe(
        cls,
        cluster: Cluster,
        namespace: str | None,
        labels: Mapping[str, str] | str,
        name: str,
        *,
        patience: float = 120.0,
        idle: float = IDLE,
    ) -> AsyncGenerator[Subscription, None]:
        """Give the changes of the pod ``name``, its present state first; a pod that is not there is ``DELETED``.

        Args:
            cluster: how to reach the cluster.
            namespace: the namespace, the cluster's own unless given.
            labels: those of all pods to be watched; the pod has to have them.
            name: the pod.
            patience: as of :class:`Api`; that of the first subscriber counts.
            idle: as of :func:`follow_pods`; that of the first subscriber counts.

        Raises:
            ConfigurationError: the cluster's settings can't be used.

        """
        if not isinstance(labels, str):
            labels = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        watches = cls._all.setdefault(asyncio.get_running_loop(), {})
        key = (cluster.key, namespace or "", labels)
        if key not in watches:
            await asyncio.to_thread(preload)
        watch = watches.get(key)
        if watch is None or watch.error is not None:
            watch = watches[key] = cls(Api(cluster, namespace, patience=patience), labels, idle)
        subscription = Subscription(watch, name)
        watch._subscriptions.setdefault(name, []).append(subscription)
        try:
            yield subscription
        finally:
            await watch._leave(subscription, watches, key)

    async def _leave(self, subscription: Subscription, watches: dict[_Key, SharedWatch], key: _Key) -> None:
        others = self._subscriptions[subscription.name]
        others.remove(subscription)
        if not others:
            del self._subscriptions[subscription.name]
        if self._subscriptions:
            return
        if watches.get(key) is self:
            del watches[key]
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        async with self.api:
            try:
                await self._follow()
            except Exception as error:  # it is raised in each subscriber
                self.error = error
                self.is_listed.set()
                for subscription in self._everyone():
                    subscription.end()
            # Subscribers may still ask the API what they want to know of the failure.
            await asyncio.Event().wait()

    async def _follow(self) -> None:
        items, version = await self.api.list_pods(self._labels)
        for pod in items:
            pod["metadata"].pop("managedFields", None)
        self.pods = {pod["metadata"]["name"]: pod for pod in items}
        self.is_listed.set()
        changes = follow_pods(self.api, labels=self._labels, resource_version=version, known=items, idle=self._idle)
        async with contextlib.aclosing(changes):
            async for kind, pod in changes:
                name = pod["metadata"]["name"]
                if kind == "DELETED":
                    self.pods.pop(name, None)
                else:
                    self.pods[name] = pod
                for subscription in self._subscriptions.get(name, ()):
                    subscription.take(kind, pod)

    def _everyone(self) -> list[Subscription]:
        return [subscription for group in self._subscriptions.values() for subscription in group]


class Subscription:
    """The changes of one pod; an asynchronous iterator.

    Attributes:
        api: the :class:`Api` of the watch, for other requests.
        name: the pod's name.

    """

    def __init__(self, watch: SharedWatch, name: str) -> None:
        self.api = watch.api
        self.name = name
        self._watch = watch
        self._changes: deque[Change] = deque()
        self._news = asyncio.Event()
        self._has_begun = False
        self._began_with: Pod | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        """Return the next change; cancelling it loses none.

        Raises:
            WorkerError: the watch failed.

        """
        if not self._has_begun:
            await self._watch.is_listed.wait()
            if self._watch.error is None:
                return await self._begin()
        while not self._changes:
            if self._watch.error is not None:
                raise copy.copy(self._watch.error)
            self._news.clear()
            await self._news.wait()
        return self._changes.popleft()

    def take(self, kind: str, pod: Pod) -> None:
        """Take a change of the pod."""
        if self._began_with is None or not _is_older(pod, self._began_with):
            self._changes.append((kind, pod))
            self._news.set()

    def end(self) -> None:
        """Say that the watch has failed."""
        self._news.set()

    async def _begin(self) -> Change:
        """Return the pod's present state."""
        pod = self._watch.pods.get(self.name)
        if pod is None:
            # The watch may not have come to it yet.
            pod = await self.api.get_pod(self.name)
            waiting = list(self._changes)
        else:
            waiting = []  # they have led to this state
        self._has_begun = True
        self._began_with = pod
        self._changes.clear()
        if pod is None:
            if waiting:
                self._changes.extend(waiting[1:])
                return waiting[0]
            return "DELETED", {"metadata": {"name": self.name, "namespace": self.api.namespace}}
        for kind, change in waiting:
            self.take(kind, change)
        return "ADDED", pod


def _is_older(pod: Pod, than: Pod) -> bool:
    """Whether ``pod`` is a state of the same pod that is no newer."""
    versions = [str(one["metadata"].get("resourceVersion")) for one in (pod, than)]
    is_same = pod["metadata"].get("uid") == than["metadata"].get("uid")
    # Compared as numbers, as https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions allows.
    return is_same and all(version.isdecimal() for version in versions) and int(versions[0]) <= int(versions[1])
