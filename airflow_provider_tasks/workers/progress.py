"""A line in a terminal that says that something takes its time; nothing where there is no terminal."""

from __future__ import annotations

import sys
import threading
import time
from typing import Self

_FIRST = 0.5
"""Seconds until it appears: what takes less needs no line."""


class Progress:
    """Shows ``text`` and the seconds so far until it is ended.

    >>> with Progress("the worker starts") as progress:
    ...     progress.end()
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._ended = threading.Event()
        self._begun = time.monotonic()
        self._thread: threading.Thread | None = None
        if sys.stderr is not None and sys.stderr.isatty():
            self._thread = threading.Thread(target=self._show, name="progress", daemon=True)
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Take the line away; twice is fine."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _show(self) -> None:
        shown = False
        wait = _FIRST
        while not self._ended.wait(wait):
            wait, shown = 0.2, True
            sys.stderr.write(f"\r{self._text}: {time.monotonic() - self._begun:.0f} s \x1b[K")
            sys.stderr.flush()
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
