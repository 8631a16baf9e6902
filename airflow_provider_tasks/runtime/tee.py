"""The output of the commands that make an environment: it goes on to the log, and its end is kept."""

from __future__ import annotations

import os
import select

TAIL = 16_384
"""Bytes of a command's output that are kept."""

GROUP_BEGIN = "::group::Environment"
"""The line before the output, where the log is to fold it."""

GROUP_END = "::endgroup::Environment"
"""The line after it; Airflow's log takes it for the end of a group, whatever follows the word."""

_PIPE = 2**16  # bytes that a pipe holds (Linux)
_CHUNK = 4096  # what a pipe that is ready takes without making the writer wait (PIPE_BUF on Linux)


class Tee:
    """A pipe into standard output.

    What a command leaves running (a service, a capture) may print as long as the request lasts. A log that nobody
    reads holds up who prints, never who passes on.

    Args:
        grouped: put the output between :data:`GROUP_BEGIN` and :data:`GROUP_END`, if there is any.

    """

    def __init__(self, *, grouped: bool = False) -> None:
        self._read, self.write = os.pipe()
        self._held = b""
        self._begin = f"{GROUP_BEGIN}\n".encode() if grouped else b""
        self._is_open = False
        self._last = b""
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
            self._last = self._held[-1:] or self._last
            if self._begin and self._held:
                self._held, self._begin, self._is_open = self._begin + self._held, b"", True
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

    def end_group(self) -> None:
        """End the group, if there is one; what is printed later is outside of it."""
        self.drain()
        self._begin = b""
        if not self._is_open:
            return
        self._is_open = False
        self._held = (b"" if self._last == b"\n" else b"\n") + f"{GROUP_END}\n".encode()
        self.drain()

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._read)
        os.close(self.write)
