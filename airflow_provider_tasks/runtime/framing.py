"""The output of a pod as its log: whole lines, so that whoever reads it can go on after a cut.

A log is bytes that a container engine cuts into lines of its own, keeps for a while, and begins anew when it has
become large. So that nothing is lost and nothing read twice, lines are short and counted:

- a line that ends with :data:`CONTINUED` goes on in the next one;
- a line that ends with :data:`CONTROL` is no output, but says something: ``line N`` (N lines of output came
  before it) or ``outcome R N`` (the outcome of request R is there, and N lines of output came before it);
- a line whose own last byte is one of the three has :data:`ESCAPED` appended.

Everything else is as it was printed, and reads well wherever logs are shown.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROL = b"\x1d"
CONTINUED = b"\x1e"
ESCAPED = b"\x1f"
_MARKS = CONTROL + CONTINUED + ESCAPED

LONGEST = 8000
"""Bytes of a line: container engines cut at 16 KiB, some at 8."""

INTERVAL = 256 * 1024
"""Bytes of output after which a line says how many lines came before it."""


class Framer:
    r"""Turns what is printed into such lines.

    >>> framer = Framer()
    >>> framer.feed(b"one\ntw"), framer.feed(b"o\n"), framer.end(), framer.lines
    (b'line 0\x1d\none\n', b'two\n', b'', 2)
    """

    def __init__(self) -> None:
        self.lines = 0
        self._rest = b""
        self._unmarked = INTERVAL

    def feed(self, data: bytes) -> bytes:
        """Take ``data`` and return the lines that are complete with it, and as much of a long one as can go."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        framed = [line for text in lines for line in _frame(text)]
        if len(self._rest) > LONGEST:
            *pieces, self._rest = _cut(self._rest)
            framed += [piece + CONTINUED for piece in pieces]
        return self._send(framed)

    def end(self) -> bytes:
        """Return what is left when there is no more for now."""
        left, self._rest = self._rest, b""
        return self._send(list(_frame(left)) if left else [])

    def control(self, text: str) -> bytes:
        """Return the line that says ``text``."""
        return text.encode("ascii") + CONTROL + b"\n"

    def _send(self, lines: list[bytes]) -> bytes:
        if not lines:
            return b""
        mark = b""
        if self._unmarked >= INTERVAL:
            self._unmarked = 0
            mark = self.control(f"line {self.lines}")
        self.lines += len(lines)
        text = b"\n".join(lines) + b"\n"
        self._unmarked += len(text)
        return mark + text


def _frame(text: bytes) -> Iterator[bytes]:
    if len(text) > LONGEST:
        *pieces, text = _cut(text)
        for piece in pieces:
            yield piece + CONTINUED
    yield text + ESCAPED if text[-1:] in _MARKS and text else text


def _cut(text: bytes) -> Iterator[bytes]:
    """Cut ``text`` into pieces that are short enough, none of them in the middle of a character."""
    while len(text) > LONGEST:
        end = next((end for end in range(LONGEST, LONGEST - 4, -1) if text[end] & 0xC0 != 0x80), LONGEST)
        yield text[:end]
        text = text[end:]
    yield text
