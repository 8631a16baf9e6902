"""Processes and what they leave behind, in the terms of POSIX and, where it helps, of Linux."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def _prctl(option: int, value: int) -> None:
    """Call Linux's ``prctl(2)``; elsewhere there is nothing like it."""
    if sys.platform != "linux":
        return
    try:
        import ctypes
    except ImportError:  # a Python that was built without libffi
        return
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none can slip away."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(number: int = signal.SIGKILL) -> None:
    """Be sent the signal ``number`` when the process that started this one ends."""
    _prctl(_PR_SET_PDEATHSIG, number)


def spawn(argv: Sequence[str], env: Mapping[str, str], folder: str, stdout: int | None = None) -> int:
    """Start ``argv`` in ``folder`` and return its process id.

    Standard input is empty, standard error goes where standard output goes, every other file descriptor that
    is not inheritable is closed, and the process dies with this one.
    """
    pid = os.fork()
    if pid:
        return pid
    try:  # pragma: no cover - the child, which becomes another program
        end_with_parent()
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
    if not _LISTS_CHILDREN:
        return [child for child, parent, _ in _table() if parent == pid]
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children.extend(map(int, file.read().split()))
    return children


def memory(limit: int | None = None) -> int:
    """Return the bytes of memory that all processes below this one hold together.

    With a ``limit``, the cheap look, which counts what forked processes share once for each of them, does where
    it stays below.
    """
    pids = descendants()
    if not os.path.isdir("/proc/self"):
        sizes = {pid: size for pid, _, size in _table()}
        return sum(sizes.get(pid, 0) for pid in pids)
    total = sum(map(_private_memory, pids))
    return total if limit is not None and total <= limit else sum(map(_share_of_memory, pids))


def memory_of(pids: Iterable[int]) -> int:
    """Return the bytes of memory that processes hold together (Linux only)."""
    return sum(map(_share_of_memory, pids))


def kill_largest(but: int) -> bool:
    """End the process below this one that holds most memory, except ``but``; whether there was one."""
    sizes = {pid: _share_of_memory(pid) for pid in descendants() if pid != but}
    if not sizes:
        return False
    _send(max(sizes, key=lambda pid: sizes[pid]), signal.SIGKILL)
    return True


def _private_memory(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
        fields = file.read().split()
        return (int(fields[1]) - int(fields[2])) * _PAGE
    return 0


def _share_of_memory(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss_Anon:"):
                return int(line.split()[1]) * 1024
    return _private_memory(pid)


def _table() -> list[tuple[int, int, int]]:
    """Every process as (id, parent's id, bytes), from ``ps``, where ``/proc`` does not say."""
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
    reap()
    return descendants()


class Ended:
    """How a process ended: ``exit_code`` or ``signal``, and the most ``memory`` it held, in bytes."""

    def __init__(self, exit_code: int | None, signal: int | None, memory: int) -> None:
        self.exit_code = exit_code
        self.signal = signal
        self.memory = memory


def reap(pid: int = 0) -> Ended | None:
    """Collect every child that has ended; return how ``pid`` did, if it is among them."""
    found = None
    while True:
        try:
            child, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if child == 0:
            return found
        if child == pid:
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
            found = Ended(code, number, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_name(number: int) -> str:
    """Return what a signal is called; those of real time have no names."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def marked(name: str, value: str) -> list[int]:
    """Return the processes of this machine whose environment holds ``name=value`` (Linux only)."""
    needle = f"{name}={value}".encode()
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:
                if needle in file.read().split(b"\0"):
                    found.append(int(entry))
    return found


def kill_marked(name: str, value: str) -> None:
    """End every process of this machine whose environment holds ``name=value``, until all of them have let go.

    A process that is ending has no environment any more, and for a moment its files and sockets still.
    """
    killed: set[int] = set()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = marked(name, value)
        killed = {pid for pid in killed.union(found) if _is_alive(pid)}
        if not killed:
            return
        for pid in found:
            _send(pid, signal.SIGKILL)
        time.sleep(0.002)


def _is_alive(pid: int) -> bool:
    """Whether it has not ended; one that only waits for its parent to hear of it has (Linux only)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[:1] not in ([b"Z"], [b"X"])
    return False
