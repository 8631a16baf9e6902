"""Find and end processes, with all that they started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil


def free_port() -> int:
    """Give a port of the loopback interface that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    """Say whether a server could listen on this port of the loopback interface."""
    with socket.socket() as listener:
        # As servers do: a connection of a server that has just ended is in nobody's way.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def with_descendants(pid: int) -> list[psutil.Process]:
    """Give a process and everything that it started, whatever process group that is in."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def with_environment(name: str, value: str) -> Iterator[psutil.Process]:
    """Give the processes whose environment says ``name=value``, orphans included."""
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(name) == value:
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def with_title(start: str, word: str) -> list[psutil.Process]:
    """Give the processes whose title (or command line) starts like this and has the word in it."""
    found = []
    for process in psutil.process_iter():
        try:
            title = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if title.startswith(start) and word in title.split():
            found.append(process)
    return found


def kill(processes: Iterable[psutil.Process], timeout: float = 10) -> None:
    """End processes with SIGKILL and wait until they are gone."""
    processes = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    if alive := wait_until_gone(processes, timeout):
        raise TimeoutError(f"not gone {timeout:.0f} s after SIGKILL: {alive}")


def wait_until_gone(processes: Iterable[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Wait until the processes have ended; give those that have not."""
    alive = list(processes)
    deadline = Deadline(timeout)
    while alive := [process for process in alive if _is_alive(process)]:
        if deadline.passed:
            break
        time.sleep(0.05)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    # One that ended may stay a zombie for good: not every container's first process reaps orphans.
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def tail(path: Path, lines: int = 30) -> str:
    """Give the last lines of a file, or say that there is none."""
    if not path.exists():
        return f"({path.name} was never written)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


class Deadline:
    """A point in time that something has to happen before.

    >>> deadline = Deadline(0.01)
    >>> deadline.passed
    False
    >>> time.sleep(0.02)
    >>> deadline.passed
    True
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        return time.monotonic() > self._end
