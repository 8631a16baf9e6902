"""The output of the commands that make an environment: it goes on to the log, and its end is kept."""

from __future__ import annotations

import os
import select

TAIL = 16_384
"""Bytes of a command's output that are kept."""

_PIPE = 2**16  # bytes that a pipe holds (Linux)
_CHUNK = 4096  # what a pipe that is ready takes without making the writer wait (PIPE_BUF on Linux)


class Tee:
    """A pipe into standard output.

    What a command leaves running (a service, a capture) may print as long as the request lasts. A log that nobody
    reads holds up who prints, never who passes on.
    """

    def __init__(self) -> None:
        self._read, self.write = os.pipe()
        self._held = b""
        self.tail = bytearray()

    def waits_for(self) -> tuple[list[int], list[int]]:
        """Return the files that must be readable, and those that must be writable, before :meth:`step` has work."""
        return ([], [1]) if self._held else ([self._read], [])

    def step(self) -> bool:
        """Pass on a little, as far as that goes without waiting; whether there was something."""
        readable, writable, _ = select.select(*self.waits_for(), [], 0)
        if readable:
            self._held = os.read(self._read, _CHUNK)
            self.tail += self._held
            del self.tail[:-TAIL]
        if writable:
            self._held = self._held[os.write(1, self._held) :]
        return bool(readable or writable)

    def drain(self) -> None:
        """Pass on what is there now, however long the log's reader takes; who goes on printing is not waited for."""
        left = _PIPE
        while self._held or (left > 0 and select.select([self._read], [], [], 0)[0]):
            if self._held:
                select.select([], [1], [])
                self.step()
            else:
                self.step()
                left -= len(self._held)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._read)
        os.close(self.write)
