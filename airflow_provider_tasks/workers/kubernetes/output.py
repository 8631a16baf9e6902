"""A pod's output, from the lines of its log back to what was printed: nothing lost, nothing twice.

The other end is :mod:`airflow_provider_tasks.runtime.framing`. A log that is read anew after a cut begins at its
beginning, or, where the cluster has rotated it, somewhere later: the lines that count tell where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_tasks.runtime.framing import CONTINUED, CONTROL, ESCAPED
from airflow_provider_tasks.workers.lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

HELD_LIMIT = 4 * 2**20
"""Bytes that are held back at most until a line says where in the output they stand."""


class OutputReader:
    r"""Takes the bytes of a pod's log, once or again after a cut, and hands on each line of output once.

    Args:
        on_line: called with each line.
        after: how many lines of the log are known already, and not handed on.

    >>> seen = []
    >>> reader = OutputReader(seen.append)
    >>> reader.feed(b"line 0\x1d\none\ntw")  # ... and the connection is cut
    >>> reader.start_again()
    >>> reader.feed(b"line 0\x1d\none\ntwo\noutcome 1 2\x1d\n")
    >>> seen, reader.outcomes, reader.lines
    (['one', 'two'], 1, 2)

    """

    def __init__(self, on_line: Callable[[str], None], *, after: int = 0) -> None:
        self.lines = after
        """Lines of the log, without those that say something, that have been handed on."""
        self.lost = 0
        """Lines that the cluster threw away before they could be read."""
        self.outcomes = 0
        """The last request whose outcome is there."""
        self._on_line = on_line
        self._splitter = LineSplitter()
        self._rest = b""
        self._position: int | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._bytes = 0
        self._read = 0

    def start_again(self) -> None:
        """Say that what is fed next comes from a new reading of the log."""
        self._rest = b""
        self._position = None
        self._held.clear()
        self._held_bytes = 0

    def expected_bytes(self, lines: int) -> int:
        """Return about how many bytes ``lines`` lines take, by those that have been read."""
        return self._bytes * lines // self._read if self._read else 0

    def feed(self, data: bytes) -> None:
        """Take bytes of the log."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.endswith(CONTROL):
                self._said(line[:-1].split())
            elif self._position is None:
                self._hold(line)
            else:
                self._take(line)

    def end(self, lines: int | None = None) -> None:
        """Say that there is no more; ``lines`` is how many there were in all, where that is known."""
        if self._position is None and self._held:
            first = self.lines if lines is None else lines - len(self._held)
            self._found(max(0, first))
        if lines is not None and lines > self.lines:
            self.lost += lines - self.lines
            self.lines = lines
        self.flush()

    def flush(self) -> None:
        """Hand on what is left of a last line that has no newline."""
        for text in self._splitter.end():
            self._on_line(text)

    def _said(self, words: list[bytes]) -> None:
        """Take what a line says; one that says nothing known was written by the user's code itself."""
        if not words or not all(word.isdigit() and len(word) < 16 for word in words[1:]):
            return
        if words[0] == b"line" and len(words) == 2:
            self._at(int(words[1]))
        elif words[0] == b"outcome" and len(words) == 3:
            self._at(int(words[2]))
            self.outcomes = max(self.outcomes, int(words[1]))
            self.flush()

    def _at(self, position: int) -> None:
        """Learn how many lines of output came before this one."""
        if self._position is None:
            self._found(position - len(self._held))
        elif position > self._position:
            self.lost += max(0, position - max(self._position, self.lines))
            self.lines = max(self.lines, position)
            self._position = position

    def _hold(self, line: bytes) -> None:
        self._held.append(line)
        self._held_bytes += len(line)
        if self._held_bytes > HELD_LIMIT:
            self._found(self.lines)

    def _found(self, first: int) -> None:
        """Learn that the lines that are held begin with number ``first``."""
        if first > self.lines:
            self.lost += first - self.lines
            self.lines = first
        self._position = first
        held, self._held, self._held_bytes = self._held, [], 0
        for line in held:
            self._take(line)

    def _take(self, line: bytes) -> None:
        assert self._position is not None
        self._position += 1
        if self._position <= self.lines:
            return  # read before
        self.lines = self._position
        self._read += 1
        self._bytes += len(line) + 1
        if line.endswith(CONTINUED):
            data = line[:-1]
        else:
            data = (line[:-1] if line.endswith(ESCAPED) else line) + b"\n"
        for text in self._splitter.feed(data):
            self._on_line(text)
