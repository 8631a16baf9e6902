"""A proxy in front of the real API server that does to requests what a test says, where the server can't be made to.

::

    def test_a_lost_reply_makes_no_second_pod(cluster, proxy):
        lost = proxy.lose_reply("POST", r"/pods$")
        run(kubeconfig=proxy.kubeconfig(cluster.token))
        assert lost.struck == 1

It listens on loopback with plain HTTP and passes everything on over TLS: the client's own `Authorization`, bodies,
streams as they come, connections that become websockets. It adds no credentials. Where the API server is down, it
closes the client's connection.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypedDict, TypeVar, Unpack
from urllib.parse import unquote, urlsplit

from tests.kubernetes.cluster import config_of, write_kubeconfig
from tests.kubernetes.http_messages import Headers, body, close, pump, read_head, write_head

Given = TypeVar("Given")


@dataclass
class SeenRequest:
    """A request that reached the proxy: `target` is path and query, decoded; `status` is what its client was told."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    status: int | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.target} -> {self.status or 'no reply'}"


OnMatch = Callable[[SeenRequest], object]


class When(TypedDict, total=False):
    """What every fault takes besides: how often it strikes, and what is called when it does."""

    times: int | None
    on_match: OnMatch | None


@dataclass(eq=False)
class Rule:
    """A fault: what happens to the next `times` requests that match.

    Attributes:
        struck: how many requests it has happened to.

    """

    action: str
    method: str
    path: str
    times: int | None = 1
    on_match: OnMatch | None = None
    count: int = 0
    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0
    struck: int = 0
    _has_struck: threading.Event = field(default_factory=threading.Event)
    _is_released: threading.Event = field(default_factory=threading.Event)

    def wait(self, at_most: float = 60) -> None:
        """Return when it has happened once, at the latest after `at_most` seconds with an ``AssertionError``."""
        if not self._has_struck.wait(at_most):
            raise AssertionError(f"no {self.method} request for {self.path!r} within {at_most:g} s, to {self.action}")

    def release(self) -> None:
        """Let replies go on that `hold` or `silence_after` keep back, those to come too."""
        self._is_released.set()

    def takes(self, request: SeenRequest) -> bool:
        return self.times != 0 and self.method in ("*", request.method) and bool(re.search(self.path, request.target))

    def consume(self) -> None:
        if self.times is not None:
            self.times -= 1

    async def strike(self, request: SeenRequest) -> None:
        """Call `on_match`, in a thread, and wait for it: nothing goes on until it returns."""
        if self.on_match is not None:
            try:
                await asyncio.to_thread(self.on_match, request)
            except Exception as error:
                raise RuntimeError(f"on_match failed: {request}") from error
        self.struck += 1
        self._has_struck.set()

    async def released(self) -> None:
        while not self._is_released.is_set():
            await asyncio.sleep(0.01)


class _Cut(Exception):
    """The client's connection is closed here."""


class _Reader(asyncio.StreamReader):
    """A reader that tells when the other side has gone, while nobody reads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=1024 * 1024, loop=loop)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone.set()


class FaultyProxy:
    """The proxy, for as long as the ``with`` block runs; all its methods may be called from the test's thread.

    Each fault takes a method (``"*"`` is any) and a regular expression that is searched for in the decoded path with
    query. It strikes the next `times` requests that match (1; None: all); the oldest fault that matches strikes.
    `on_match` is called, with the request, at the moment that the fault strikes; nothing goes on until it returns.

    Attributes:
        url: where it listens.
        requests: all requests that it has seen, in order.

    """

    def __init__(self, kubeconfig: str) -> None:
        config = config_of(kubeconfig)
        server = urlsplit(config.cluster.server)
        self._host, self._port = server.hostname or "", server.port or 443
        authority = config.cluster.certificate_auth_data
        self._tls = ssl.create_default_context()
        if authority:
            self._tls.load_verify_locations(cadata=base64.b64decode(authority).decode())
        self._namespace = config.namespace
        self._folder = tempfile.TemporaryDirectory(prefix="airflow-provider-tasks-proxy-")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._rules: list[Rule] = []
        self._errors: list[Exception] = []
        self.url = ""
        self.requests: list[SeenRequest] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._shut_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()
        if self._errors:
            # Of `on_match`, or of this proxy.
            raise self._errors[0]

    def kubeconfig(self, token: str) -> str:
        """Write a kubeconfig with this token that goes through the proxy, and give its path."""
        path = Path(self._folder.name) / "kubeconfig"
        write_kubeconfig(path, {"server": self.url}, token, self._namespace)
        return str(path)

    def let_pass(self, method: str, path: str, **when: Unpack[When]) -> Rule:
        """Pass requests on as they are, before later faults get them: for `on_match`, or to strike only the third."""
        return self._add(Rule("pass on", method, path, **when))

    def refuse(self, method: str, path: str, **when: Unpack[When]) -> Rule:
        """Close the connection when the request has come, without passing it on."""
        return self._add(Rule("refuse", method, path, **when))

    def lose_reply(self, method: str, path: str, **when: Unpack[When]) -> Rule:
        """Pass the request on, wait for the reply, and close the connection instead of giving it to the client."""
        return self._add(Rule("lose the reply", method, path, **when))

    def answer(
        self, method: str, path: str, status: int, body: object = b"", headers: dict[str, str] | None = None,
        **when: Unpack[When],
    ) -> Rule:  # fmt: skip
        """Answer in the API server's place: `body` is bytes, or what becomes JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._add(Rule("answer", method, path, status=status, body=content, headers=headers or {}, **when))

    def cut_after(self, method: str, path: str, count: int, **when: Unpack[When]) -> Rule:
        """Close the connection when `count` bytes of the reply's body have come; a shorter reply passes whole."""
        return self._add(Rule("cut", method, path, count=count, **when))

    def silence_after(self, method: str, path: str, count: int, **when: Unpack[When]) -> Rule:
        """Send nothing more when `count` bytes of the reply's body have come, and stay open, until `release`."""
        return self._add(Rule("silence", method, path, count=count, **when))

    def hold(self, method: str, path: str, **when: Unpack[When]) -> Rule:
        """Pass the request on, and keep the reply back until the rule's `release` is called."""
        return self._add(Rule("hold", method, path, **when))

    def delay(self, method: str, path: str, seconds: float, **when: Unpack[When]) -> Rule:
        """Pass the request on only after so many seconds."""
        return self._add(Rule("delay", method, path, seconds=seconds, **when))

    def clear(self) -> None:
        """Forget all faults, and release what they hold."""
        rules, self._rules = self._rules, []
        for rule in rules:
            rule.release()

    def close_connections(self) -> None:
        """Close every connection that is open now, in the middle of what it carries."""
        self._call(self._close_connections())

    def _add(self, rule: Rule) -> Rule:
        self._rules.append(rule)
        return rule

    def _call(self, coroutine: Coroutine[Any, Any, Given]) -> Given:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _listen(self) -> None:
        def protocol() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(_Reader(self._loop), self._connected, loop=self._loop)

        self._server = await self._loop.create_server(protocol, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _shut_down(self) -> None:
        assert self._server is not None
        self._server.close()
        self.clear()
        await self._close_connections()
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()

    async def _close_connections(self) -> None:
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert isinstance(reader, _Reader)
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (_Cut, OSError, EOFError, asyncio.CancelledError):
            # Python 3.11 logs the cancellation of this coroutine as an error.
            pass
        except Exception as error:
            self._errors.append(error)
        finally:
            self._connections.discard(task)
            await close(writer)

    async def _serve(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        """Serve one request after another on a connection, until either side closes it."""
        while True:
            line, headers = await read_head(reader)
            method, target, _ = line.split(" ", 2)
            content = b"".join([piece async for piece in body(reader, headers, default="nothing")])
            request = SeenRequest(method, unquote(target), dict(headers), content)
            self.requests.append(request)
            rule = next((rule for rule in self._rules if rule.takes(request)), None)
            if rule is not None:
                rule.consume()
            exchange = asyncio.ensure_future(self._exchange(line, headers, request, rule, reader, writer))
            gone = asyncio.ensure_future(reader.gone.wait())
            try:
                await asyncio.wait((exchange, gone), return_when=asyncio.FIRST_COMPLETED)
                if not exchange.done():
                    return
                exchange.result()
            finally:
                for task in (exchange, gone):
                    task.cancel()
                await asyncio.gather(exchange, gone, return_exceptions=True)

    async def _exchange(
        self, line: str, headers: Headers, request: SeenRequest, rule: Rule | None,
        reader: _Reader, writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        """Get the reply to one request to its client, or do what the rule says."""
        action = rule.action if rule is not None else ""
        if rule is not None and action in ("pass on", "refuse", "answer", "delay"):
            await rule.strike(request)
            if action == "refuse":
                raise _Cut
            if action == "answer":
                request.status = rule.status
                content = {"Content-Type": "application/json", **rule.headers, "Content-Length": str(len(rule.body))}
                write_head(writer, f"HTTP/1.1 {rule.status} Answered", list(content.items()))
                writer.write(rule.body)
                await writer.drain()
                return
            await asyncio.sleep(rule.seconds)
        upstream, to_upstream = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=1024 * 1024)
        try:
            passed = [
                (name, value) for name, value in headers if name not in ("host", "transfer-encoding", "content-length")
            ]
            passed += [("Host", f"{self._host}:{self._port}")]
            if request.body or request.method in ("POST", "PUT", "PATCH"):
                passed.append(("Content-Length", str(len(request.body))))
            write_head(to_upstream, line, passed)
            to_upstream.write(request.body)
            await to_upstream.drain()
            status_line, reply_headers = await read_head(upstream)
            if rule is not None and action in ("lose the reply", "hold"):
                await rule.strike(request)
                if action == "lose the reply":
                    raise _Cut
                await rule.released()
            request.status = status = int(status_line.split(" ")[1])
            write_head(writer, status_line, reply_headers)
            await writer.drain()
            framing = dict(reply_headers)
            is_chunked = "chunked" in framing.get("transfer-encoding", "")
            default = "nothing" if request.method == "HEAD" or status in (204, 304) else "all"
            pieces = body(upstream, reply_headers, default=default)
            upload = asyncio.ensure_future(pump(reader, to_upstream)) if status == 101 else None
            try:
                await _pass_on(pieces, writer, is_chunked, request, rule)
            finally:
                if upload is not None:
                    upload.cancel()
                    await asyncio.gather(upload, return_exceptions=True)
            is_delimited = is_chunked or "content-length" in framing or default == "nothing"
            if not is_delimited or "close" in framing.get("connection", "").lower():
                raise _Cut
        finally:
            # A TLS connection that is closed politely waits for an answer, and the API server may be frozen.
            to_upstream.transport.abort()


async def _pass_on(
    pieces: AsyncIterator[bytes],
    writer: asyncio.StreamWriter,
    is_chunked: bool,
    request: SeenRequest,
    rule: Rule | None,
) -> None:
    """Send a reply's body piece by piece, as far as the rule lets it."""

    async def send(piece: bytes) -> None:
        if piece:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            await writer.drain()

    ends = rule is not None and rule.action in ("cut", "silence")
    left = rule.count if rule is not None else 0
    async for piece in pieces:
        rest = piece
        if ends and rule is not None:
            await send(piece[:left])
            rest = piece[left:]
            left -= len(piece) - len(rest)
            if left == 0:
                await rule.strike(request)
                if rule.action == "cut":
                    raise _Cut
                await rule.released()
                ends = False
        await send(rest)
    if is_chunked:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
