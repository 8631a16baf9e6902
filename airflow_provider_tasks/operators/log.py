"""The log of a run as its reader sees it.

Airflow's UI folds what stands between ``::group::NAME`` and ``::endgroup::``, and shows it at a click. Folded are the
settings, the start of the worker, what made its environment, and the figures of its result. What the task prints, why
a worker does not start, the traceback, the cause and the fix are not: they are what a log is opened for.

A group that stays open hides all that follows it, so none is left open: neither here nor by what the task prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_tasks.model.node import Architecture, Node
from airflow_provider_tasks.runtime.tee import GROUP_BEGIN, GROUP_END
from airflow_provider_tasks.workers.outcomes import timeline_line
from airflow_provider_tasks.workers.quantities import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Protocol

    from airflow_provider_tasks.runtime.outcome import Outcome

    class Logger(Protocol):
        """What writes the lines: a logger of the standard library, or one of structlog."""

        def info(self, event: Any, /, *args: Any) -> Any:
            """Write a line that tells."""

        def warning(self, event: Any, /, *args: Any) -> Any:
            """Write a line that somebody should look at."""


BEGIN = "::group::"
END = "::endgroup::"


class RunLog:
    """Writes the log of one run.

    Args:
        log: where the lines go.

    >>> class Lines(list):
    ...     def info(self, message, *args):
    ...         self.append(message % args)
    >>> lines = Lines()
    >>> log = RunLog(lines)
    >>> for printed in ("a", "::group::mine", "b"):
    ...     log.output(printed)
    >>> log.group("Result", ["peak memory 3 MiB"])
    >>> lines
    ['a', '::group::mine', 'b', '::endgroup::', '::group::Result', 'peak memory 3 MiB', '::endgroup::']

    """

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._open = 0  # groups that are open, as Airflow's UI counts them
        self._outside = 0  # those that were, when the worker began to make its environment
        self._is_starting = True

    def note(self, line: str) -> None:
        """Take a line about the worker: until the task prints something, it is about its start."""
        if self._is_starting and not self._open:
            self._begin("Start-up")
        self._log.info("%s", line)

    def trouble(self, line: str) -> None:
        """Take a line that is to be seen at once."""
        self._close(0)
        self._log.warning("%s", line)

    def output(self, line: str) -> None:
        """Take a line that the task has printed, or what made its environment."""
        if self._is_starting:
            self.close()
        if line == GROUP_BEGIN:
            self._outside = self._open
        elif line == GROUP_END:
            self._close(self._outside)
            return
        # As the UI reads it: anywhere in a line, and what ends nothing is no matter.
        if BEGIN in line:
            self._open += 1
        elif END in line and self._open:
            self._open -= 1
        self._log.info("%s", line)

    def group(self, name: str, lines: Iterable[str]) -> None:
        """Write a group, unless it would be empty."""
        lines = list(lines)
        self._close(0)
        if lines:
            self._begin(name)
            for line in lines:
                self._log.info("%s", line)
            self._close(0)

    def result(self, worker: str, outcome: Outcome, memory: int | None) -> None:
        """Write what came back: where the time went, and the figures; ``memory`` is what the worker had, in bytes."""
        self.group("Result", _figures(outcome, memory))
        self._log.info("Worker %s: %s", worker, timeline_line(outcome))

    def close(self) -> None:
        """End what is open, so that it hides nothing of what comes next; calling it twice is allowed."""
        self._is_starting = False
        self._close(0)

    def _begin(self, name: str) -> None:
        self._log.info("%s%s", BEGIN, name)
        self._open += 1

    def _close(self, left: int) -> None:
        while self._open > left:
            self._log.info(END)
            self._open -= 1


def on_node(node: Node | None) -> str:
    """Return where a task runs, for the line that says what runs.

    Of the node only its name is told: its properties are the user's, and may hold what no log should.

    >>> on_node(Node("edge", architecture=Architecture.LINUX_ARM64)), on_node(Node("shop")), on_node(None)
    (' on node edge (linux/arm64)', ' on node shop', '')
    """
    if node is None:
        return ""
    known = node.architecture is not Architecture.UNKNOWN
    return f" on node {node.name} ({node.architecture.value})" if known else f" on node {node.name}"


def _figures(outcome: Outcome, memory: int | None) -> Iterator[str]:
    if outcome.python:
        yield f"Python {outcome.python}"
    if outcome.peak_memory is not None:
        limit = "" if memory is None else f" of {format_bytes(memory)}"
        yield f"peak memory {format_bytes(outcome.peak_memory)}{limit}"
    if outcome.exit_code:
        yield f"exit code {outcome.exit_code}"
    if outcome.signal:
        yield f"signal {outcome.signal}"
