"""The process above the supervisor, which outlives it: whatever ends the supervisor, nothing of the worker is left.

It does nothing but wait, so that nothing can go wrong in it, and it never reads what the user's code wrote.
"""

from __future__ import annotations

import contextlib
import os
import signal

from airflow_provider_tasks.runtime import files, processes


def guard(folder: str, *, keep: bool) -> None:
    """Go on in a child process, and tidy up after it in this one.

    This process ends as the child did, when every process below it has ended and, unless ``keep``, ``folder``
    is gone.
    """
    processes.adopt_orphans()
    supervisor = os.fork()
    if not supervisor:
        processes.end_with_parent(signal.SIGTERM)
        return
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os.kill(supervisor, number))
        status = _wait(supervisor)
        processes.kill_all()
        if not keep:
            files.remove(folder)
        if os.WIFSIGNALED(status):
            with contextlib.suppress(OSError):  # SIGKILL is nobody's to set
                signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
            os.kill(os.getpid(), os.WTERMSIG(status))
        os._exit(os.WEXITSTATUS(status))
    finally:
        os._exit(1)


def _wait(pid: int) -> int:
    """Return how ``pid`` ended; a task that stops it has it going again at once."""
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return status
        os.kill(pid, signal.SIGCONT)
