"""HTTP/1.1 messages on asyncio's streams: heads, and bodies as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

PIECE = 64 * 1024
"""How much is read at once, in bytes."""

Headers = list[tuple[str, str]]


async def read_head(reader: asyncio.StreamReader) -> tuple[str, Headers]:
    """The first line of a message and its headers, their names in lower case."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise EOFError from error
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    return first, [(name.lower(), value.strip()) for name, value in pairs]


def write_head(writer: asyncio.StreamWriter, first: str, headers: Headers) -> None:
    """Write the first line of a message and its headers."""
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


async def body(reader: asyncio.StreamReader, headers: Headers, *, default: str) -> AsyncIterator[bytes]:
    """The body of a message as it comes, after an empty piece.

    Where no header says how long it is, it is what `default` says: "nothing", or "all" until the connection ends.
    """
    framing = dict(headers)
    yield b""
    if "chunked" in framing.get("transfer-encoding", ""):
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            async for piece in _exactly(reader, size):
                yield piece
            await reader.readexactly(2)
        # Trailers, of which there are none, end with an empty line.
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
    elif "content-length" in framing:
        async for piece in _exactly(reader, int(framing["content-length"])):
            yield piece
    elif default == "all":
        while piece := await reader.read(PIECE):
            yield piece


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(size, PIECE))
        if not piece:
            raise EOFError
        size -= len(piece)
        yield piece


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass everything on until the connection ends."""
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection after what was written to it, but wait for nobody who does not read it."""
    writer.close()
    try:
        async with asyncio.timeout(1):
            await writer.wait_closed()
    except OSError:
        # TimeoutError is one.
        writer.transport.abort()
