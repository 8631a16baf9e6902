"""A port of this machine that leads to a port of a pod, as ``kubectl port-forward`` has it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from airflow_provider_tasks.workers.failures import ClusterError, WorkerError

if TYPE_CHECKING:
    from airflow_provider_tasks.workers.kubernetes.api import Api
    from airflow_provider_tasks.workers.kubernetes.connection import Cluster


_PATIENCE = 150.0
"""Seconds; the API server may have to be asked again for 120 of them."""


class Forwarder:
    """Passes connections on, in a thread of its own, until it is closed or this process ends.

    Args:
        cluster: the cluster.
        namespace: its namespace, the cluster's own unless given.
        pod: the name of the pod.
        port: the port that something in the pod listens on.

    """

    def __init__(self, cluster: Cluster, namespace: str | None, pod: str, port: int) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._pod = pod
        self.to = port
        """The port of the pod."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"port {port} of {pod}", daemon=True)
        self._stack = contextlib.AsyncExitStack()
        self._server: asyncio.Server | None = None
        self.port = 0
        """The port of this machine, once it is started."""
        self.error: Exception | None = None
        """Why the last connection was not passed on."""

    def start(self) -> None:
        """Listen on a port of the loopback interface that is free."""
        self._thread.start()
        try:
            self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """See whether somebody who speaks HTTP listens there.

        Raises:
            ConfigurationError: this user may not forward ports.
            ClusterError: nobody answers.

        """
        import http.client

        self.error = None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        try:
            with contextlib.closing(connection):
                connection.request("GET", "/api")
                connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            raise self.error or ClusterError(f"port {self.to} of pod {self._pod} does not answer: {error}") from None

    def close(self) -> None:
        """End all connections; twice is fine."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> int:
        from airflow_provider_tasks.workers.kubernetes.api import Api

        api = await self._stack.enter_async_context(Api(self._cluster, self._namespace))

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._connect(api, reader, writer)

        self._server = await asyncio.start_server(connect, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _connect(self, api: Api, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await api.forward(self._pod, self.to, reader, writer)
        except WorkerError as error:
            self.error = error
        except asyncio.CancelledError:  # asyncio logs one that ends in a connection's task (Python 3.11)
            return
        finally:
            writer.close()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._stack.aclose()
