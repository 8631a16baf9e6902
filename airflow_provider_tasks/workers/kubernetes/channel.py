"""Commands in a container, over the websocket of the API's ``exec``, and connections into a pod, over ``portforward``.

Each message begins with a byte that says which stream it belongs to. The protocol of commands is ``v5.channel.k8s.io``,
or on older servers ``v4.channel.k8s.io``, in which nobody can say that the standard input has ended; that of
connections is ``v4.channel.k8s.io``: a stream for the data of a port and one for what went wrong with it, which both
begin with the number of the port.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from airflow_provider_tasks.workers.kubernetes.answers import RefusedError, Status, StreamCutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from httpx2.websockets import AsyncWebSocketSession

PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
"""What is offered to the server, the best first."""

MESSAGE_LIMIT = 2**20
"""Bytes of a message that the server may send; it sends 32 KiB."""

_STDIN, _STDOUT, _STDERR, _ERROR = range(4)
_END_OF_STDIN = bytes((255, _STDIN))
_DATA, _DATA_ERROR = range(2)
_SIZE_OF_PORT = 2
_CHUNK = 64 * 2**10
_STDERR_LIMIT = 64 * 2**10


class ExecResult(NamedTuple):
    """How a command ended: its ``exit_code``, and the last 64 KiB of what it wrote to ``stderr``."""

    exit_code: int
    stderr: str


async def converse(
    session: AsyncWebSocketSession,
    *,
    stdin: bytes | BinaryIO | None,
    stdout: Callable[[bytes], object],
    silence: float,
) -> ExecResult:
    """Give the command its input and take its output until it has ended.

    Raises:
        StreamCutError: the connection ended before the command did, or nothing came for ``silence`` seconds.
        RefusedError: the command could not be started.

    """
    from httpx2.websockets import HTTPXWSException

    sent = 0

    async def send(data: bytes) -> None:
        nonlocal sent
        await session.send_bytes(data)
        sent += 1

    sending = None if stdin is None else asyncio.create_task(_send(send, stdin, session.subprotocol))
    errors = b""
    sent_before = 0
    try:
        while True:
            try:
                async with asyncio.timeout(silence):
                    data = await session.receive_bytes()
            except TimeoutError:
                if sent != sent_before:
                    sent_before = sent  # it takes its input, and has nothing to say yet
                    continue
                raise StreamCutError(f"the command said nothing for {silence:g} s") from None
            except HTTPXWSException as error:
                raise StreamCutError(
                    f"the connection to the command was cut: {error or type(error).__name__}"
                ) from None
            channel, content = data[:1], data[1:]
            if channel == bytes((_STDOUT,)):
                if content:
                    stdout(content)
            elif channel == bytes((_STDERR,)):
                errors = (errors + content)[-_STDERR_LIMIT:]
            elif channel == bytes((_ERROR,)) and content:
                return ExecResult(_exit_code(content), errors.decode(errors="replace"))
    finally:
        if sending is not None:
            sending.cancel()
            # The command may well end before it has read its input, and the reader above tells of a cut.
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await sending


async def relay(session: AsyncWebSocketSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes from ``reader`` to a port of a pod, and what comes from there to ``writer``, until one ends.

    Raises:
        RefusedError: the pod did not take the connection.

    """
    from httpx2.websockets import HTTPXWSException

    async def send() -> None:
        while data := await reader.read(_CHUNK):
            await session.send_bytes(bytes((_DATA,)) + data)

    async def receive() -> None:
        begun: set[bytes] = set()
        while True:
            message = await session.receive_bytes()
            channel, content = message[:1], message[1:]
            if channel not in begun:
                begun.add(channel)
                content = content[_SIZE_OF_PORT:]
            if content and channel == bytes((_DATA_ERROR,)):
                said = content.decode(errors="replace")
                raise RefusedError(f"the pod took no connection: {said}", status=500, reason="", message=said)
            if content:
                writer.write(content)
                await writer.drain()

    both = [asyncio.create_task(send()), asyncio.create_task(receive())]
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            with contextlib.suppress(HTTPXWSException, ConnectionError):  # its end, and the browser's
                task.result()
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _send(send: Callable[[bytes], Awaitable[None]], stdin: bytes | BinaryIO, protocol: str | None) -> None:
    source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
    while chunk := source.read(_CHUNK):
        await send(bytes((_STDIN,)) + chunk)
    if protocol == PROTOCOLS[0]:
        await send(_END_OF_STDIN)


def _exit_code(content: bytes) -> int:
    try:
        document = json.loads(content)
    except ValueError:
        document = {"message": content.decode(errors="replace")}
    if isinstance(document, dict) and document.get("status") == "Success":
        return 0
    status = Status.of(document)
    causes = status.details.get("causes") or ()
    codes = [cause.get("message") for cause in causes if cause.get("reason") == "ExitCode"]
    if status.reason == "NonZeroExitCode" and codes and str(codes[0]).isdigit():
        return int(codes[0])
    raise RefusedError(
        f"the command could not be run in the container: {status.message}",
        status=status.code,
        reason=status.reason,
        message=status.message,
    )
