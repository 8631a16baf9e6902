"""The few requests to the API server that a worker's life takes: asynchronous, JSON in and out.

Requests that get no answer are asked again; what is refused becomes an exception of
:mod:`airflow_provider_tasks.workers.kubernetes.answers`. The API is
https://kubernetes.io/docs/reference/using-api/api-concepts/.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Self
from urllib.parse import quote

from airflow_provider_tasks.workers.kubernetes.answers import (
    AlreadyExistsError,
    Ask,
    GoneError,
    NotFoundError,
    RefusedError,
    Status,
    StreamCutError,
    describe,
    explain,
)
from airflow_provider_tasks.workers.kubernetes.channel import ExecResult, converse, relay
from airflow_provider_tasks.workers.kubernetes.server import Call, Object, Server, lines, parse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from airflow_provider_tasks.workers.kubernetes.connection import Cluster

__all__ = [
    "AlreadyExistsError",
    "Api",
    "ExecResult",
    "GoneError",
    "NotFoundError",
    "Object",
    "RefusedError",
    "StreamCutError",
]


class Api:
    """One namespace of a cluster; an asynchronous context manager.

    Args:
        cluster: how to reach it.
        namespace: the namespace, the cluster's own unless given.
        patience: seconds that a request is tried again for without an answer.

    Raises:
        ConfigurationError: the cluster's settings can't be used. Every method raises it where the API server refuses
            the credentials, the permission or the certificate.
        ClusterError: raised by every method when there is no answer for ``patience`` seconds.

    """

    def __init__(self, cluster: Cluster, namespace: str | None = None, *, patience: float = 120.0) -> None:
        self.cluster = cluster
        self.patience = patience
        access = cluster.access()
        self.namespace = namespace or access.config.namespace
        self._server = Server(access, patience=patience, keepalive=not cluster.disable_tcp_keepalive)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def create_pod(self, manifest: Mapping[str, Any]) -> Object:
        """Create a pod and return it.

        Raises:
            AlreadyExistsError: there is one of that name; it may be the one of an attempt whose reply was lost.
            ConfigurationError: the API server does not accept it; says why.

        """
        return await self._server.json(self._call("create", "pods", body=manifest))

    async def get_pod(self, name: str) -> Object | None:
        """Return the pod, None if there is none."""
        with contextlib.suppress(NotFoundError):
            return await self._server.json(self._call("get", "pods", name))
        return None

    async def list_pods(
        self, labels: Mapping[str, str] | str | None = None, *, name: str | None = None
    ) -> tuple[list[Object], str]:
        """Return the pods with these labels (of this name), and the resource version to watch from."""
        return await self._list(self._call("list", "pods", params=_selectors(name, labels)))

    async def delete_pod(self, name: str, *, uid: str | None = None, grace_seconds: int | None = None) -> None:
        """Delete the pod; nothing happens if it is gone, or if one with another ``uid`` has its name.

        ``grace_seconds`` is how long it may take to end, the pod's own ``terminationGracePeriodSeconds`` unless given.
        """
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self._server.json(self._call("delete", "pods", name, body=options))
        except RefusedError as error:
            if error.status != 404 and (error.status != 409 or uid is None):
                raise

    async def create_secret(self, manifest: Mapping[str, Any]) -> bool:
        """Create a Secret; False if there is one of that name.

        Raises:
            ConfigurationError: the API server does not accept it; says why.

        """
        try:
            await self._server.json(self._call("create", "secrets", body=manifest))
        except AlreadyExistsError:
            return False
        return True

    async def has_secret(self, name: str) -> bool:
        """Whether there is such a Secret; its content is not asked for."""
        try:
            await self._server.json(self._call("get", "secrets", name, headers=_metadata_only("PartialObjectMetadata")))
        except NotFoundError:
            return False
        return True

    async def read_secret(self, name: str) -> Object | None:
        """Return the Secret with its content, None if there is none.

        No task needs this: it is for a person who asks for what went to a pod.
        """
        with contextlib.suppress(NotFoundError):
            return await self._server.json(self._call("get", "secrets", name))
        return None

    async def list_secrets(self, labels: Mapping[str, str] | str) -> list[Object]:
        """Return the Secrets with these labels: their metadata, not their content."""
        headers = _metadata_only("PartialObjectMetadataList")
        items, _ = await self._list(self._call("list", "secrets", params=_selectors(None, labels), headers=headers))
        return items

    async def delete_secret(self, name: str) -> None:
        """Delete the Secret; nothing happens if it is gone."""
        with contextlib.suppress(NotFoundError):
            await self._server.json(self._call("delete", "secrets", name))

    async def events(self, pod_uid: str) -> list[Object]:
        """Return what has happened to a pod, the oldest first."""
        params = {"fieldSelector": f"involvedObject.uid={pod_uid}"}
        items, _ = await self._list(self._call("list", "events", params=params))
        return sorted(items, key=_time_of_event)

    async def log(
        self,
        name: str,
        *,
        container: str = "worker",
        since: str | None = None,
        follow: bool = True,
        timestamps: bool = False,
        idle: float | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the log of a container as it comes over one connection, in pieces that end anywhere.

        Args:
            name: the pod.
            container: its container.
            since: leave out what is older than this time (RFC 3339), whose fraction of a second does not count.
            follow: go on until the container has ended.
            timestamps: have each line begin with its time.
            idle: seconds that it may give nothing; None is no limit.

        Raises:
            NotFoundError: there is no such pod.
            RefusedError: the container has not started (``status`` is 400).
            StreamCutError: the connection was cut before the log's end, or gave nothing for ``idle`` seconds.

        """
        params = {"container": container, "follow": str(follow).lower(), "timestamps": str(timestamps).lower()}
        if since is not None:
            params["sinceTime"] = since
        call = self._call("get", "pods/log", name, params=params, headers={"Accept-Encoding": "identity"})
        async with self._server.stream(call, "the log") as response:
            pieces = aiter(response.aiter_raw())
            while True:
                async with asyncio.timeout(idle):
                    data = await anext(pieces, b"")
                if not data:
                    return
                yield data

    async def watch(
        self,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | str | None = None,
        resource_version: str,
        idle: float,
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Yield what happens to pods after ``resource_version``, over one connection: ``(type, pod)``.

        ``BOOKMARK`` says that nothing did up to its object's resource version. It ends when the server ends it.

        Raises:
            GoneError: the API server no longer knows what happened since then.
            StreamCutError: the connection was cut, or gave nothing for ``idle`` seconds.

        """
        params = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": resource_version}
        call = self._call("watch", "pods", params={**params, **_selectors(name, labels)})
        async with (
            self._server.stream(call, "the watch") as response,
            contextlib.aclosing(lines(response, idle)) as events,
        ):
            async for line in events:
                event = parse(call.ask, line)
                kind, pod = str(event.get("type")), event.get("object") or {}
                if kind == "ERROR":
                    status = Status.of(pod)
                    if status.code == 410:
                        raise explain(call.ask, status)
                    raise StreamCutError(f"the API server ended the watch: {status.code} {status.message}")
                yield kind, pod

    async def exec(
        self,
        name: str,
        command: Sequence[str],
        *,
        container: str = "worker",
        stdin: bytes | BinaryIO | None = None,
        stdout: Callable[[bytes], object],
    ) -> ExecResult:
        """Run a command in a container, and hand each piece of its output to ``stdout`` as it comes.

        On servers before v5.channel.k8s.io the command is not told where its input ends.

        Raises:
            RefusedError: there is no such pod or container, or the command can't be started.
            StreamCutError: the connection was cut before the command ended, which it may have.

        """
        streams = {"stdin": stdin is not None, "stdout": True, "stderr": True}
        params = [("container", container), *((stream, str(wanted).lower()) for stream, wanted in streams.items())]
        params += [("command", word) for word in command]
        call = self._call("get", "pods/exec", name, params=params)
        result: ExecResult | Exception | None = None
        try:
            async with contextlib.AsyncExitStack() as stack:
                session = await self._server.websocket(call, stack)
                try:
                    result = await converse(session, stdin=stdin, stdout=stdout, silence=self.patience)
                except Exception as error:  # taken past the session's task group, which would wrap it
                    result = error
        except ExceptionGroup as group:  # what a task of the session's raised
            result = result or StreamCutError(f"the connection to the command was cut: {describe(group)}")
        if isinstance(result, ExecResult):
            return result
        assert result is not None
        raise result

    async def forward(self, name: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect ``reader`` and ``writer`` with a port that something in a pod listens on, until either side ends.

        Raises:
            RefusedError: there is no such pod, or nothing listens.
            StreamCutError: the connection was cut.

        """
        call = self._call("get", "pods/portforward", name, params=[("ports", str(port))])
        try:
            async with contextlib.AsyncExitStack() as stack:
                session = await self._server.websocket(call, stack)
                refused: RefusedError | None = None
                try:
                    await relay(session, reader, writer)
                except RefusedError as error:  # taken past the session's task group, which would wrap it
                    refused = error
        except ExceptionGroup as group:
            raise StreamCutError(f"the connection into the pod was cut: {describe(group)}") from group
        if refused is not None:
            raise refused

    async def _list(self, call: Call) -> tuple[list[Object], str]:
        found = await self._server.json(call)
        return found.get("items") or [], str((found.get("metadata") or {}).get("resourceVersion") or "")

    def _call(
        self,
        verb: str,
        resource: str,
        name: str = "",
        *,
        params: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        **rest: Any,
    ) -> Call:
        kind, _, part = resource.partition("/")
        path = "/".join(filter(None, ("/api/v1/namespaces", self.namespace, kind, quote(name, safe=""), part)))
        methods = {"create": "POST", "delete": "DELETE"}
        ask = Ask(verb, resource, self.namespace, self._server.url, name)
        query = params.items() if isinstance(params, Mapping) else params
        return Call(ask, methods.get(verb, "GET"), path, tuple(query), **rest)


def _selectors(name: str | None, labels: Mapping[str, str] | str | None) -> dict[str, str]:
    selectors = {}
    if name is not None:
        selectors["fieldSelector"] = f"metadata.name={name}"
    if labels:
        text = labels if isinstance(labels, str) else ",".join(f"{key}={value}" for key, value in labels.items())
        selectors["labelSelector"] = text
    return selectors


def _metadata_only(kind: str) -> dict[str, str]:
    return {"Accept": f"application/json;as={kind};g=meta.k8s.io;v=v1"}


def _time_of_event(event: Object) -> str:
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return str(next(filter(None, times), ""))
