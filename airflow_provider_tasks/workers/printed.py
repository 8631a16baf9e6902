"""What a command prints: its beginning and its end where it is long."""

from __future__ import annotations

LIMIT = 16 * 2**20
"""Bytes that are kept of what a command prints."""


class Printed:
    """The output of a command, of which no more than ``limit`` bytes are kept.

    >>> printed = Printed(limit=10)
    >>> for piece in (b"begins, ", b"goes on and on, ", b"ends"):
    ...     printed.take(piece)
    >>> print(printed)
    begin
    … 18 bytes of output left out …
     ends
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._half = limit // 2
        self._size = 0
        self._head = bytearray()
        self._tail = bytearray()

    def take(self, data: bytes) -> None:
        """Take what comes next."""
        self._size += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self._half:  # not at once: each cut moves all that is kept
            del self._tail[: -self._half]

    def __str__(self) -> str:
        tail = self._tail[-self._half :]
        left_out = self._size - len(self._head) - len(tail)
        if not left_out:
            return (self._head + tail).decode("utf-8", "replace")
        begins, ends = self._head.decode("utf-8", "replace"), tail.decode("utf-8", "replace")
        return f"{begins}\n… {left_out:,} bytes of output left out …\n{ends}"
