"""One API server: a request is asked again until there is an answer, and a refusal becomes an exception.

What the exceptions are is said in :mod:`airflow_provider_tasks.workers.kubernetes.answers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from airflow_provider_tasks.workers.failures import ClusterError, ConfigurationError
from airflow_provider_tasks.workers.kubernetes.answers import (
    RETRIED,
    Ask,
    RefusedError,
    Status,
    StreamCutError,
    describe,
    explain,
    explain_tls,
)
from airflow_provider_tasks.workers.kubernetes.channel import MESSAGE_LIMIT, PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping

    import httpx2
    from httpx2.websockets import AsyncWebSocketSession

    from airflow_provider_tasks.workers.kubernetes.connection import Access

Object = dict[str, Any]
"""What the API has: a Pod, a Secret, an Event."""

T = TypeVar("T")

_ATTEMPT = 40.0
"""Seconds that one attempt may take until its answer is there; an admission webhook may take 30."""
_CONNECT = 10.0
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0
_STARTING = 15.0
"""Seconds after a fault in which an API server may refuse whom it knows: it has just started."""
_STARTING_UNKNOWN = 5.0
"""Seconds for which it may where it does not say whether it is ready."""


class Call(NamedTuple):
    """A request: what it asks, in the words of a Role, and in those of HTTP."""

    ask: Ask
    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    body: Any = None
    headers: Mapping[str, str] | None = None


class _TroubleError(Exception):
    """An attempt came to nothing, and the next one may do better."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Server:
    """The API server of a cluster.

    Args:
        access: the cluster and the user.
        patience: seconds that a request is tried again for without an answer.
        keepalive: have the kernel ask quiet connections whether their peer is still there.

    """

    def __init__(self, access: Access, *, patience: float, keepalive: bool) -> None:
        self.url = access.config.cluster.server.rstrip("/")
        self._access = access
        self._patience = patience
        self._keepalive = keepalive
        name = access.cluster.get("tls-server-name")
        self._extensions = {"sni_hostname": name} if name else {}
        self._client: httpx2.AsyncClient | None = None
        self._has_answered = False
        self._fault_at = float("-inf")
        self._refused_at: float | None = None

    @property
    def client(self) -> httpx2.AsyncClient:
        """The client, made when it is first used."""
        from airflow_provider_tasks.workers.kubernetes.client import open_client

        if self._client is None:
            self._client = open_client(self._access, keepalive=self._keepalive)
        return self._client

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def json(self, call: Call) -> Object:
        """Return the object that the answer is."""

        async def attempt(seconds: float) -> bytes:
            response = await self._attempt(call, seconds)
            with self._troubles(call.ask):
                async with contextlib.aclosing(response):
                    return await response.aread()

        return parse(call.ask, await self._persist(call.ask, attempt))

    @contextlib.asynccontextmanager
    async def stream(self, call: Call, what: str) -> AsyncGenerator[httpx2.Response, None]:
        """Give the answer with its body yet to be read; ``what`` it is, for people.

        Raises:
            StreamCutError: the connection was cut while the body was read, or a ``TimeoutError`` came out of that.

        """
        import httpx2

        response = await self._persist(call.ask, lambda seconds: self._attempt(call, seconds))
        async with contextlib.aclosing(response):
            try:
                yield response
            except (httpx2.TransportError, TimeoutError) as error:
                self._fault_at = time.monotonic()
                reason = "it was silent for too long" if isinstance(error, TimeoutError) else describe(error)
                raise StreamCutError(f"the connection to {what} was cut: {reason}") from error

    async def websocket(self, call: Call, stack: contextlib.AsyncExitStack) -> AsyncWebSocketSession:
        """Open a websocket, which ends with ``stack``."""
        return await self._persist(call.ask, lambda seconds: self._attempt_websocket(call, stack, seconds))

    async def _persist(self, ask: Ask, attempt: Callable[[float], Awaitable[T]]) -> T:
        """Return what the first attempt that gets an answer returns; ``attempt`` is given seconds to connect in."""
        began = time.monotonic()
        wait = _FIRST_WAIT
        while True:
            left = max(1.0, self._patience - (time.monotonic() - began))
            try:
                async with asyncio.timeout(min(_ATTEMPT, left)) as limit:
                    return await attempt(min(_CONNECT, left))
            except _TroubleError as error:
                trouble = error
            except TimeoutError:
                if not limit.expired():
                    raise
                trouble = self._fault(f"no answer within {min(_ATTEMPT, left):.0f} s")
            waited = time.monotonic() - began
            if waited >= self._patience or waited + trouble.retry_after > self._patience:
                raise ClusterError(
                    f"{self.url} gave no answer for {waited:.0f} s, asked to {ask.words}: {trouble}",
                    "Trying again may find the cluster well.",
                )
            pause = max(wait * random.uniform(0.5, 1.0), trouble.retry_after)  # noqa: S311 - no secret
            await asyncio.sleep(min(pause, self._patience - waited))
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _attempt(self, call: Call, seconds: float) -> httpx2.Response:
        """Send the request once, and return its answer with the body yet to be read."""
        import httpx2

        request = self.client.build_request(
            call.method,
            call.path,
            params=call.params,
            content=None if call.body is None else json.dumps(call.body).encode(),
            headers={"Accept": "application/json", "Content-Type": "application/json", **(call.headers or {})},
            timeout=httpx2.Timeout(None, connect=seconds),
            extensions=self._extensions,
        )
        with self._troubles(call.ask):
            response = await self.client.send(request, stream=True)
        if response.is_success:
            self._has_answered, self._refused_at = True, None
            return response
        await response.aclose()
        raise await self._refusal(call.ask, response)

    async def _attempt_websocket(
        self, call: Call, stack: contextlib.AsyncExitStack, seconds: float
    ) -> AsyncWebSocketSession:
        import httpx2
        from httpx2.websockets import WebSocketUpgradeError

        try:
            with self._troubles(call.ask):
                return await stack.enter_async_context(
                    self.client.websocket(
                        call.path,
                        params=call.params,
                        subprotocols=PROTOCOLS,
                        max_message_size_bytes=MESSAGE_LIMIT,
                        # Nobody answers a ping while the command does not read its input.
                        keepalive_ping_interval_seconds=None,
                        timeout=httpx2.Timeout(None, connect=seconds),
                        extensions=self._extensions,
                    )
                )
        except WebSocketUpgradeError as error:
            response = error.response
        raise await self._refusal(call.ask, response)

    async def _refusal(self, ask: Ask, response: httpx2.Response) -> Exception:
        """Return what an answer that is no success comes to."""
        status = Status.of_body(response.status_code, response.content if response.is_error else b"")
        words = f"{status.code} {status.reason or response.reason_phrase}: {status.message}"
        if ask.resource == "pods/exec" and status.code == 500 and "not found" in status.message:
            return RefusedError(f"{ask.words}: {words}", status=404, reason=status.reason, message=status.message)
        if status.code in RETRIED:
            after = response.headers.get("Retry-After", "")
            wait = float(after) if after.isdecimal() else 0.0
            return _TroubleError(words, wait) if status.code == 429 else self._fault(words, wait)
        if status.code == 409 and ask.verb == "create" and status.reason != "AlreadyExists":
            return _TroubleError(words)  # something that the request touches was just changed, as a quota
        if status.code in (401, 403) and await self._is_starting():
            return _TroubleError(words)
        return explain(ask, status)

    async def _is_starting(self) -> bool:
        """Whether the API server may refuse whom it will know in a moment, as it does when it has just started."""
        import httpx2

        now = time.monotonic()
        if now - self._fault_at < _STARTING:
            return True
        try:
            answer = await self.client.get("/readyz", auth=None, timeout=_CONNECT, extensions=self._extensions)
        except httpx2.TransportError:
            return True
        if self._refused_at is None:
            self._refused_at = now
        # Not everybody may ask, and nobody may in the first moments.
        return answer.status_code >= 500 or (answer.is_error and now - self._refused_at < _STARTING_UNKNOWN)

    def _fault(self, reason: str, retry_after: float = 0.0) -> _TroubleError:
        self._fault_at = time.monotonic()
        return _TroubleError(reason, retry_after)

    @contextlib.contextmanager
    def _troubles(self, ask: Ask) -> Generator[None, None, None]:
        """Turn what a connection raises into what it means."""
        import httpx2
        from lightkube.core.exceptions import ConfigError

        try:
            yield
        except (httpx2.LocalProtocolError, UnicodeEncodeError):
            # Their own words hold the header, which may be the token.
            raise ConfigurationError(
                f"the request to {self.url} can't be made: its token or a name holds characters that HTTP forbids",
                "Check the token of the kubeconfig, or the file that it names.",
            ) from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise explain_tls(ask, error) or self._fault(describe(error)) from error
        except ConfigError as error:  # of lightkube's authentication
            raise ConfigurationError(f"no credentials for {self.url}: {error}") from None
        except ConfigurationError as error:  # of a credential plugin
            if error.retry and self._has_answered:
                raise _TroubleError(error.summary) from error
            raise


async def lines(response: httpx2.Response, idle: float) -> AsyncGenerator[bytes, None]:
    """Yield the whole lines of a body; ``idle`` is how many seconds it may give nothing.

    Raises:
        TimeoutError: it gave nothing for longer.

    """
    rest: list[bytes] = []
    pieces = aiter(response.aiter_bytes())
    while True:
        try:
            async with asyncio.timeout(idle):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        *ended, last = piece.split(b"\n")
        for end in ended:
            line = b"".join((*rest, end))
            rest.clear()
            if line:
                yield line
        if last:
            rest.append(last)


def parse(ask: Ask, data: bytes) -> Object:
    """Return the object that ``data`` holds as JSON.

    Raises:
        ClusterError: it holds something else.

    """
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ClusterError(
            f"{ask.server} answered with something else than an object in JSON, asked to {ask.words}",
            "Check that the server is a Kubernetes API server, and what stands in front of it.",
        )
    return document
