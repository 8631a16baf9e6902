"""A pipeline in one worker: a process for each task, in the order in which :class:`GraphWalk` lets them start.

The tasks share the file system, and each finds what ran before in ``previous_steps``. What a task leaves running (a
capture, a server) goes on until the pipeline has ended; what a failure stops early is ended with all that it started.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import signal
import sys
import time
import traceback

from airflow_provider_tasks.runtime import values
from airflow_provider_tasks.runtime.processes import signal_name
from airflow_provider_tasks.runtime.report import message_of
from airflow_provider_tasks.runtime.returned import awaited, opened
from airflow_provider_tasks.runtime.signals import FailTask
from airflow_provider_tasks.runtime.walk import GraphWalk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

GRACE = 2.0
"""Seconds that a task has to end in which an early stop ends."""

_CHUNK = 65_536
_LONGEST_LINE = 65_536


class Pipeline:
    """Runs the tasks of a plan.

    Args:
        plan: the arguments of :class:`GraphWalk`, as ``Plan.to_json`` writes them.
        tasks: the tasks by their names in it.
        aliases: further names under which ``previous_steps`` holds a task's results.
        pickle_results: whether a result may be what only another worker can open.

    """

    def __init__(
        self, plan: Mapping[str, Any], tasks: Mapping[str, Any], aliases: Mapping[str, str], *, pickle_results: bool
    ) -> None:
        self._walk = GraphWalk(plan["nodes"], plan["tasks"], plan["edges"], plan["early_stopping"])
        self._tasks = tasks
        self._aliases = aliases
        self._pickle_results = pickle_results
        self._selector = selectors.DefaultSelector()
        self._running: dict[str, _Process] = {}
        self._told: dict[str, list[dict[str, Any]]] = {}
        self._may_retry = True

    def run(self) -> dict[str, Any]:
        """Run all there is to run.

        Returns:
            ``results`` ({task: [{"result_type", "result", "seconds"}, …]}), ``success``, what kept it from going
            on: ``stopped_by`` (a task, or None) and ``stuck`` ({task: those it waits for}), and ``retry``: False
            where a task raised ``FailTask``.

        """
        try:
            while not self._walk.is_done:
                for name in self._walk.ready():
                    self._start(name)
                if self._walk.stopped_by is not None:
                    self._stop()
                self._wait()
        finally:
            for process in self._running.values():
                process.kill(signal.SIGKILL)
            self._read(0)
            self._selector.close()
        return {
            "results": self._told,
            "success": self._walk.is_successful,
            "stopped_by": self._walk.stopped_by,
            "stuck": self._walk.stuck(),
            "retry": self._may_retry,
        }

    def _start(self, name: str) -> None:
        task = self._tasks[name]
        before = self._walk.previous_steps()
        previous = {earlier: [result for result, _ in results] for earlier, results in before.items()}
        for alias, known in self._aliases.items():
            if known in previous:
                previous[alias] = previous[known]
        object.__setattr__(task, "previous_steps", previous)  # past a frozen dataclass
        process = _Process(name, task)
        self._running[name] = process
        self._selector.register(process.output, selectors.EVENT_READ, process)
        self._selector.register(process.report, selectors.EVENT_READ, process)
        if process.end is not None:
            self._selector.register(process.end, selectors.EVENT_READ, process)

    def _wait(self) -> None:
        """Pass on output until a task has ended."""
        while self._running:
            # Where the kernel does not tell of its end, its report ends a moment before it does.
            is_about_to_end = any(p.end is None and p.report_is_closed for p in self._running.values())
            self._read(0.01 if is_about_to_end else 1.0)
            ended = [process for process in self._running.values() if process.has_ended()]
            for process in ended:
                self._read(0)
                self._take(process)
            if ended:
                return

    def _read(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            process: _Process = key.data
            if not process.read(key.fd):
                self._selector.unregister(key.fd)
                os.close(key.fd)

    def _take(self, process: _Process) -> None:
        """Take note of how a task has ended."""
        del self._running[process.name]
        process.drain()
        process.flush()
        for number in (None if process.report_is_closed else process.report, process.end):
            if number is not None and number in self._selector.get_map():
                self._selector.unregister(number)
                os.close(number)
        process.end = None
        success, value = process.result()
        self._may_retry = self._may_retry and process.may_retry
        told: dict[str, Any] = {"result_type": "Success" if success else "Failure", "result": value}
        try:
            told["result"] = values.decode(values.encode(value))
        except values.ValueEncodeError as error:
            if self._pickle_results:
                told["result"] = value
            else:
                success, value = False, f"the result can't travel: {error}"
                told = {"result_type": "Failure", "result": value}
        told["seconds"] = round(process.seconds, 3)
        self._told.setdefault(process.name, []).append(told)
        self._walk.finished(process.name, success, (_as_result(success, value), told))

    def _stop(self) -> None:
        """End what still runs: something else has failed."""
        for process in [process for process in self._running.values() if process.has_ended()]:
            self._take(process)
        for process in self._running.values():
            process.why = f"ended early, as {self._walk.stopped_by} has failed"
            process.kill(signal.SIGTERM)
        end = time.monotonic() + GRACE
        while self._running and time.monotonic() < end:
            self._read(0.05)
            for process in [process for process in self._running.values() if process.has_ended()]:
                process.kill(signal.SIGKILL)  # what it has started
                self._take(process)
        for process in self._running.values():
            process.kill(signal.SIGKILL)


def run_plan(
    plan: Mapping[str, Any], tasks: Mapping[str, Any], aliases: Mapping[str, str], *, pickle_results: bool = False
) -> dict[str, Any]:
    """Run a pipeline in this process's children; see :meth:`Pipeline.run`."""
    return Pipeline(plan, tasks, aliases, pickle_results=pickle_results).run()


class _Process:
    """The process of a task."""

    def __init__(self, name: str, task: Any) -> None:
        self.name = name
        self.why = ""
        self.may_retry = True
        self.report_is_closed = False
        self._line = b""
        self._reported = bytearray()
        self._status: int | None = None
        self._begun = time.monotonic()
        self.seconds = 0.0
        self.output, output = os.pipe()
        self.report, report = os.pipe()
        for number in (self.output, self.report):
            os.set_blocking(number, False)
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            _be_task(task, output, report)
        with contextlib.suppress(OSError):  # it does so too, and one of both comes first
            os.setpgid(self._pid, self._pid)
        os.close(output)
        os.close(report)
        self.end: int | None = None
        """Readable when the process has ended; None where the kernel has no such thing."""
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self.end = os.pidfd_open(self._pid)

    def drain(self) -> None:
        """Read what it has reported, which what it left running may keep from ending."""
        with contextlib.suppress(BlockingIOError):
            while not self.report_is_closed and self.read(self.report):
                pass

    def read(self, number: int) -> bool:
        """Read what is there; False at the end."""
        if number == self.end:
            self.end = None
            return False
        data = os.read(number, _CHUNK)
        if number == self.report:
            self._reported += data
            self.report_is_closed = not data
        else:
            self._print(data)
        return bool(data)

    def flush(self) -> None:
        """Print a line that was not ended."""
        if self._line:
            self._print(b"\n")

    def has_ended(self) -> bool:
        """Whether its process, not what that left running, is gone."""
        if self._status is None:
            try:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has been told how
                pid, status = self._pid, 0
            if pid:
                self._status = status
                self.seconds = time.monotonic() - self._begun
        return self._status is not None

    def kill(self, number: int) -> None:
        """Send a signal to it and to what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)

    def result(self) -> tuple[bool, Any]:
        """Return whether it succeeded, and its value or its message."""
        if self.why:
            return False, self.why
        if self._reported:
            try:
                success, value, self.may_retry = pickle.loads(self._reported)  # noqa: S301 - it never leaves the worker
            except BaseException as error:  # opening it runs code of the user's
                return False, f"its result can't be read: {type(error).__name__}: {message_of(error)}"
            return success, value
        status = self._status or 0
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            hint = ", as happens where a worker's memory is used up" if number == signal.SIGKILL else ""
            return False, f"its process was ended by {signal_name(number)}{hint}"
        return False, f"its process ended with exit code {os.WEXITSTATUS(status)} before run() returned"

    def _print(self, data: bytes) -> None:
        """Pass on whole lines, each with the task's name before it."""
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > _LONGEST_LINE:
            lines.append(self._line)
            self._line = b""
        label = f"[{self.name}] ".encode()
        sys.stdout.buffer.write(b"".join(label + line + b"\n" for line in lines))
        sys.stdout.buffer.flush()


def _be_task(task: Any, output: int, report: int) -> None:
    """Run a task in a process that was just forked, and end it."""
    code = 1
    process = os.getpid()
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        content = _dump(*_outcome_of(task))
        sys.stdout.flush()
        sys.stderr.flush()
        if os.getpid() == process:  # a child that the user's code forked comes here as well
            with open(report, "wb") as file:
                file.write(content)
        code = 0
    finally:
        os._exit(code)


def _outcome_of(task: Any) -> tuple[bool, Any, bool]:
    """Run a task; return whether it succeeded, its value or message, and whether another try may help."""
    try:
        return (*opened(awaited(task.run())), True)
    except BaseException as error:
        if error.__traceback__ is not None:
            error.__traceback__ = error.__traceback__.tb_next  # from the user's code on
        traceback.print_exception(type(error), error, error.__traceback__)
        message = message_of(error)
        if isinstance(error, SystemExit) or not message:
            message = f"{type(error).__name__}: {message}" if message else type(error).__name__
        return False, message, not isinstance(error, FailTask)


def _dump(success: bool, value: Any, may_retry: bool) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps((success, value, may_retry)))
    except Exception as error:
        message = f"its result can't be handed on: a {type(value).__name__} can't be pickled ({error})"
        return pickle.dumps((False, message, may_retry))


def _as_result(success: bool, value: Any) -> Any:
    """Give what ``previous_steps`` holds."""
    from airflow_provider_tasks.model.results import Failure, Success

    return Success(value) if success else Failure(value)
