"""Processes and what they leave behind, in the terms of POSIX and, where it helps, of Linux."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _prctl(option: int, value: int) -> None:
    """Call Linux's ``prctl(2)``; elsewhere there is nothing like it."""
    if sys.platform != "linux":
        return
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none can slip away."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def spawn(argv: Sequence[str], env: Mapping[str, str], folder: str, stdout: int | None = None) -> int:
    """Start ``argv`` in ``folder`` and return its process id.

    Standard input is empty, standard error goes where standard output goes, every other file descriptor that
    is not inheritable is closed, and the process dies with this one.
    """
    pid = os.fork()
    if pid:
        return pid
    try:  # pragma: no cover - the child, which becomes another program
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        if stdout is not None:
            os.dup2(stdout, 1)
        os.dup2(1, 2)
        os.chdir(folder)
        os.execve(argv[0], list(argv), dict(env))  # noqa: S606 - no shell is the point
    except BaseException as error:
        with contextlib.suppress(BaseException):
            os.write(2, f"can't start {argv[0]}: {error}\n".encode())
    os._exit(127)


def descendants() -> list[int]:
    """Return the ids of all living processes below this one, grandchildren included."""
    found: list[int] = []
    pending = [os.getpid()]
    while pending:
        pid = pending.pop()
        children = _children(pid)
        found.extend(children)
        pending.extend(children)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return [child for child, parent, _ in _table() if parent == pid] if not os.path.isdir("/proc/self") else []
    for thread in threads:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
            children.extend(map(int, file.read().split()))
    return children


def memory() -> int:
    """Return the bytes of memory that all processes below this one hold together."""
    pids = descendants()
    if not os.path.isdir("/proc/self"):
        sizes = {pid: size for pid, _, size in _table()}
        return sum(sizes.get(pid, 0) for pid in pids)
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
            fields = file.read().split()
            # What is shared (a library, or memory from before a fork) is counted once a process otherwise.
            total += (int(fields[1]) - int(fields[2])) * _PAGE
    return total


def _table() -> list[tuple[int, int, int]]:
    """Every process as (id, parent's id, bytes), from ``ps``, where there is no ``/proc``."""
    import subprocess

    lines = subprocess.run(["ps", "-axo", "pid=,ppid=,rss="], capture_output=True, check=False).stdout.splitlines()
    rows = (line.split() for line in lines)
    return [(int(row[0]), int(row[1]), int(row[2]) * 1024) for row in rows if len(row) == 3]


def kill_all(grace: float = 0.0) -> None:
    """End every process below this one: ``SIGTERM``, after ``grace`` seconds ``SIGKILL``, until none is left."""
    if grace:
        for pid in descendants():
            _send(pid, signal.SIGTERM)
        end = time.monotonic() + grace
        while time.monotonic() < end and _reap_and_list():
            time.sleep(0.02)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        left = _reap_and_list()
        if not left:
            return
        for pid in left:
            _send(pid, signal.SIGKILL)
        time.sleep(0.002)


def _reap_and_list() -> list[int]:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return descendants()


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def marked(name: str, value: str) -> dict[int, None]:
    """Return the processes of this machine whose environment holds ``name=value`` (Linux only)."""
    needle = f"{name}={value}".encode()
    found: dict[int, None] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:
                if needle in file.read().split(b"\0"):
                    found[int(entry)] = None
    return found
