"""A stream of bytes as lines of text, whatever the bytes are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 64 * 1024
"""Bytes of a line after which it goes on in the next one."""


class LineSplitter:
    r"""Splits what :meth:`feed` is given into lines; nothing is lost and nothing held back but the last line.

    Bytes that are no UTF-8 are shown as ``\\xNN``.

    >>> lines = LineSplitter()
    >>> list(lines.feed(b"one\ntw")), list(lines.feed(b"o\n\xff")), list(lines.end())
    (['one'], ['two'], ['\\xff'])
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Take ``data`` and yield the lines that are complete."""
        if b"\n" not in data and len(self._rest) + len(data) <= LONGEST:
            self._rest += data
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield from self._decode(line)
        while len(self._rest) > LONGEST:
            end = _boundary(self._rest)
            yield self._rest[:end].decode("utf-8", "backslashreplace")
            self._rest = self._rest[end:]

    def end(self) -> Iterator[str]:
        """Yield what is left when the stream has ended without a newline."""
        if self._rest:
            yield from self._decode(self._rest)
            self._rest = b""

    @staticmethod
    def _decode(line: bytes) -> Iterator[str]:
        while len(line) > LONGEST:
            end = _boundary(line)
            yield line[:end].decode("utf-8", "backslashreplace")
            line = line[end:]
        yield line.removesuffix(b"\r").decode("utf-8", "backslashreplace")


def _boundary(line: bytes) -> int:
    """Where to cut ``line`` at :data:`LONGEST` or a little before, so that no character is cut in two."""
    for end in range(LONGEST, LONGEST - 4, -1):
        if line[end] & 0xC0 != 0x80:
            return end
    return LONGEST
