"""The process that watches the one with the user's code, so that an outcome exists whatever that one does."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time

from airflow_provider_tasks.runtime import files, processes, protocol
from airflow_provider_tasks.runtime.environment import Builder, EnvironmentFailedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from airflow_provider_tasks.runtime.tee import Tee

GRACE = 2.0
"""Seconds between asking a task to end and ending it."""

_SAMPLE = 0.05
"""Seconds between two looks at a task's memory."""

_TO_GIVE_BACK = 0.2
"""Seconds in which the memory of a process that was ended is free again."""

_HEAD_LIMIT = 8 * 2**20
"""Bytes of a report without its result."""


class StoppedError(Exception):
    """The task was ended before its time: ``reason`` is ``memory``, ``timeout``, ``killed`` or ``abandoned``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Supervisor:
    """Takes one request after another, and runs each in processes of its own.

    Args:
        entry: what Python runs to get this runtime; it is what the task's own process is started from.
        lifeline: a file descriptor that is readable at its end of file as soon as whoever wants the outcome
            is gone; None where nobody can tell.

    """

    def __init__(self, entry: str, lifeline: int | None = None) -> None:
        self._entry = entry
        self._lifeline = lifeline
        self._received = b""
        self._terminated = False
        self._deadline: float | None = None
        self._memory: int | None = None
        self._spared: int | None = None
        self._next_look = 0.0
        self._peak = 0
        self._tee: Tee | None = None
        self._wakeup, write = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(write, False)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started this process may have some blocked
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.signal(signal.SIGINT, self._on_terminate)
        processes.adopt_orphans()

    def next_line(self) -> bytes | None:
        """Return the next line from the lifeline, or None at its end."""
        assert self._lifeline is not None
        try:
            while b"\n" not in self._received:
                self._wait()
        except StoppedError:
            return None
        line, _, self._received = self._received.partition(b"\n")
        return line

    def run(self, request_file: str, outcome_file: str, task_folder: str, folder: str) -> None:
        """Run the request in ``request_file`` and write its outcome, which there is in any case.

        Args:
            request_file: the request.
            outcome_file: where the outcome goes; it is moved there when it is complete.
            task_folder: the working directory of the task; it is made if it is not there.
            folder: a folder for the runtime itself; what is in it goes.

        Raises:
            StoppedError: nobody waits for the outcome any more.

        """
        head: dict[str, Any] = {"status": "failure", "python": ".".join(map(str, sys.version_info[:3]))}
        result: memoryview | None = None
        timeline: dict[str, float] = {}
        self._peak = 0
        try:
            files.make_empty(folder)
            os.makedirs(task_folder, 0o700, exist_ok=True)
            if not os.access(task_folder, os.R_OK | os.W_OK | os.X_OK):
                os.chmod(task_folder, 0o700)  # an earlier task took its rights away
            result = self._run(request_file, task_folder, folder, head, timeline)
        except protocol.MalformedRequestError as error:
            head.update(category="payload", message=str(error))
        except OSError as error:
            head.update(category="environment", message=f"the worker can't use its files: {error}")
        except EnvironmentFailedError as error:
            head.update(category="environment", message=str(error), detail=error.detail)
        except StoppedError as stopped:
            processes.kill_all(0 if stopped.reason == "memory" else GRACE)
            if stopped.reason == "abandoned":
                raise
            head.update(category=stopped.reason, message=self._why(stopped.reason), detail=self._limits())
        finally:
            self._deadline = self._memory = None
            self._terminated = False  # that was meant for this request: its outcome must stay until it has been read
            processes.kill_all()
        if self._tee is not None:
            self._tee.end_group()
            self._tee.close()
            self._tee = None
        head["timeline"] = {**timeline, **head.get("timeline", {})}
        if self._peak:
            head["peak_memory"] = self._peak
        files.write(outcome_file, *protocol.dump_outcome(head, result))

    @staticmethod
    def _unpack(archive: str, folder: str) -> None:
        import tarfile
        import zlib

        from airflow_provider_tasks.runtime.uploads import unpack_files

        try:
            unpack_files(archive, folder)
        except (ValueError, EOFError, tarfile.TarError, zlib.error) as error:
            raise protocol.MalformedRequestError(
                f"the uploaded files can't be unpacked in the worker: {error}"
            ) from error

    def _run(
        self, request_file: str, task_folder: str, folder: str, head: dict[str, Any], timeline: dict[str, float]
    ) -> memoryview | None:
        with open(request_file, "rb") as file:
            request = protocol.parse_request(file.read())
        limits = request.get("limits", {})
        seconds = limits.get("time")
        self._deadline = time.monotonic() + seconds if seconds else None
        self._memory = limits.get("memory")
        self._spared = None
        self._next_look = 0.0
        wanted = request.get("environment", {})
        env = {**os.environ, **wanted.get("variables", {})}

        if "files" in request:  # requirements may want them
            self._unpack(request["files"], task_folder)
        begun = time.monotonic()

        def run(argv: Sequence[str], *, env: Mapping[str, str]) -> tuple[int, str]:
            return self._command(argv, env, task_folder, grouped=wanted.get("grouped", False))

        try:
            python = Builder(self._entry, folder, run, self._lock).build(wanted, env)
        finally:
            timeline["environment"] = time.monotonic() - begun
        if self._tee is not None:
            self._tee.end_group()
        if python != sys.executable:
            env["PATH"] = os.path.dirname(python) + os.pathsep + env.get("PATH", os.defpath)
            env["VIRTUAL_ENV"] = os.path.dirname(os.path.dirname(python))

        files.write(os.path.join(folder, protocol.PYTHON), os.fsencode(python))
        process = processes.spawn([python, self._entry, "execute", request_file, folder], env, task_folder)
        self._spared = process if limits.get("memory_ends") == "largest" else None
        ended = self._watch(process)
        head["exit_code"], head["signal"] = ended.exit_code, ended.signal
        self._peak = max(self._peak, ended.memory)
        report = _read_report(folder)
        if report is not None:
            head.update(report[0])
            return report[1]
        if ended.signal is not None:
            name = processes.signal_name(ended.signal)
            head.update(category="killed", message=f"the task's process was ended by {name}")
        else:
            head.update(
                category="task",
                message=f"the task's process ended with exit code {ended.exit_code} before run() returned",
            )
        return None

    def _command(self, argv: Sequence[str], env: Mapping[str, str], folder: str, *, grouped: bool) -> tuple[int, str]:
        """Run a command of the environment; its output goes on to the log, its end is kept."""
        if self._tee is None:
            from airflow_provider_tasks.runtime.tee import Tee

            self._tee = Tee(grouped=grouped)
        self._tee.tail.clear()
        ended = self._watch(processes.spawn(argv, env, folder, stdout=self._tee.write))
        self._tee.drain()
        code = ended.exit_code if ended.exit_code is not None else 128 + (ended.signal or 0)
        return code, self._tee.tail.decode("utf-8", "replace")

    def _lock(self, lock: int) -> None:
        import fcntl

        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # noqa: PERF203
                if not told:
                    told = True
                    os.write(1, b"waiting for another worker, which is installing the same requirements\n")
                # The kernel tells nobody that a lock is free, and a blocking wait would miss the lifeline.
                self._wait(0.1)
            else:
                return

    def _watch(self, pid: int) -> processes.Ended:
        """Wait until process ``pid`` has ended, its limits watched."""
        while True:
            ended = processes.reap(pid)
            if ended is not None:
                return ended
            self._wait()

    def _wait(self, seconds: float | None = None) -> None:
        """Wait for something to happen: a child's end, a signal, a line, a limit; at most ``seconds``.

        Raises:
            StoppedError: what happened ends the request.

        """
        now = time.monotonic()
        timeouts = [seconds] if seconds is not None else []
        if self._deadline is not None:
            timeouts.append(max(0.0, self._deadline - now))
        if self._memory is not None:
            timeouts.append(max(0.0, self._next_look - now))
        readable, writable = self._tee.waits_for() if self._tee is not None else ([], [])
        readable += [file for file in (self._wakeup, self._lifeline) if file is not None]
        ready, _, _ = select.select(readable, writable, [], min(timeouts) if timeouts else None)
        if self._wakeup in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakeup, 4096)
        if self._tee is not None:
            self._tee.step()
        if self._lifeline is not None and self._lifeline in ready:
            data = os.read(self._lifeline, 65_536)
            if not data:
                raise StoppedError("abandoned")
            self._received += data
        if self._terminated:
            raise StoppedError("killed")
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise StoppedError("timeout")
        if self._memory is not None and time.monotonic() >= self._next_look:
            self._look_at_memory(self._memory)

    def _look_at_memory(self, limit: int) -> None:
        begun = time.monotonic()
        held = processes.memory(limit)
        now = time.monotonic()
        # A look at a large family takes a while, and must not become all that this process does.
        self._next_look = now + max(_SAMPLE, 10 * (now - begun))
        self._peak = max(self._peak, held)
        if held <= limit:
            return
        # As the kernel does in a pod: what holds most goes, and the process that started it tells of that.
        if self._spared is None or not processes.kill_largest(but=self._spared):
            raise StoppedError("memory")
        self._next_look = now + _TO_GIVE_BACK

    def _on_terminate(self, *_: object) -> None:
        self._terminated = True

    def _limits(self) -> dict[str, str]:
        return {"memory_limit": str(self._memory)} if self._memory else {}

    def _why(self, reason: str) -> str:
        if reason == "memory":
            return f"the task held {self._peak:,} bytes of memory, its limit is {self._memory or 0:,}"
        return {"timeout": "the task ran into its time limit", "killed": "the worker was told to end"}[reason]


def _read_report(folder: str) -> tuple[dict[str, Any], memoryview | None] | None:
    """Read what the task's process reported; the user's code can have written anything there."""
    report = files.read(os.path.join(folder, protocol.REPORT), _HEAD_LIMIT + protocol.RESULT_LIMIT)
    if report is None:
        return None
    end = report.find(b"\n", 0, _HEAD_LIMIT)
    try:
        head = json.loads(report[:end]) if end >= 0 else None
        if isinstance(head, dict) and isinstance(head.get("timeline"), dict):
            json.dumps(head, allow_nan=False)
            return head, memoryview(report)[end + 1 :] or None
    except (ValueError, RecursionError):
        pass
    return {"category": "payload", "message": "the task's process wrote a report that is no outcome"}, None


def serve(entry: str, control: int, folder: str) -> None:
    """Take requests from standard input until it ends, and tell of each outcome on ``control``.

    A line on standard input is the path of a request, a line on ``control`` the path of its outcome, which is
    the request's with ``.outcome`` appended. ``folder`` is the worker's: tasks run in ``folder/task``. When
    standard input ends, everything that still runs is ended.
    """
    os.set_inheritable(control, False)
    supervisor = Supervisor(entry, lifeline=0)
    with contextlib.suppress(StoppedError, BrokenPipeError):
        while True:
            line = supervisor.next_line()
            if line is None:
                break
            request = os.fsdecode(line)
            outcome = request + ".outcome"
            supervisor.run(request, outcome, os.path.join(folder, "task"), request + ".runtime")
            os.write(control, os.fsencode(outcome) + b"\n")
    os._exit(0)  # nothing is left to tidy up, and whoever waits for this process need not wait longer
