"""What a person at a terminal sees: what a task prints, and that a worker takes its time to start."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

from airflow_provider_tasks.workers.places import LocalPlace

if TYPE_CHECKING:
    from airflow_provider_tasks.workers.places import Place

_FIRST = 0.5
"""Seconds until it appears: what takes less needs no line."""


class Progress:
    """Shows ``text`` and the seconds so far until it is ended; nothing where there is no terminal.

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


class Output:
    """Takes what a task prints: for the terminal, for :meth:`Worker.logs`, and for the log of a local worker."""

    def __init__(self, progress: Progress, place: Place | None, lines: list[str], *, show: bool) -> None:
        self._progress = progress
        self._lines = lines
        self._show = show
        self._log = place.open_log() if show and isinstance(place, LocalPlace) else None
        self._prints = sys.stdout is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._log is not None:
            self._log.close()

    def take(self, line: str) -> None:
        """Take a line; whatever becomes of it here, the task goes on."""
        self._progress.end()
        if not self._show:
            return
        self._lines.append(line)
        if self._prints:
            try:
                encoding = sys.stdout.encoding or "utf-8"
                sys.stdout.write(f"{line}\n".encode(encoding, "backslashreplace").decode(encoding))
                sys.stdout.flush()
            except (OSError, ValueError):  # nobody reads it any more
                self._prints = False
        if self._log is not None:
            with contextlib.suppress(OSError):
                self._log.write(f"{line}\n".encode("utf-8", "surrogateescape"))


def open_in_browser(url: str) -> bool:
    """Open an address that holds a secret; False where there is no browser.

    A browser is started with the address on its command line, which others on this machine can read. So it gets that of
    a file that leads there, and that only this user can read.
    """
    import html
    import tempfile
    import webbrowser
    from pathlib import Path

    folder = Path(tempfile.mkdtemp(prefix="airflow-notebook-"))  # for this user alone
    page = folder / "open.html"
    address = html.escape(url)
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={address}">'
        f'<title>Notebook</title><a href="{address}">Open the notebook</a>\n',
        encoding="utf-8",
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return webbrowser.open(page.as_uri())


def say(line: str) -> None:
    """Write a line for the user to standard error, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
