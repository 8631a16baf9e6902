"""What came of notebooks: one run, the runs of this process, and the errors that tell of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 50_000
"""Characters of a source, a message or a traceback that are kept: what a notebook prints may be of any length."""

# Control sequences (colours, cursor), operating system commands (titles, links), and what is left of broken ones.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|\x1b")


@dataclass(frozen=True)
class FailedCell:
    """The cell that ended a notebook.

    >>> FailedCell(3, "1 / 0", "ZeroDivisionError", "division by zero").error
    'ZeroDivisionError: division by zero'
    """

    number: int
    """What stands beside the cell in the executed notebook. ``[3]`` is the third code cell that ran."""

    source: str
    error_type: str
    """The exception's class as the notebook named it; text, and no more than that."""

    message: str
    traceback: str = ""
    """The traceback without colours; empty where the cell had no exception of its own."""

    @property
    def error(self) -> str:
        """The exception in a line, as Python shows it."""
        return f"{self.error_type}: {self.message}" if self.message else self.error_type


@dataclass(frozen=True)
class NotebookRun:
    """A notebook that ran in this process, as the history keeps it."""

    name: str
    """The input's file name without ``.ipynb``."""

    success: bool
    seconds: float
    """How long it ran, its kernel's start and end included."""

    output_path: str
    """Where the executed notebook is, also after a failure."""

    failed_cell: FailedCell | None = None

    @property
    def error(self) -> str | None:
        """What went wrong, in a line; None for a success."""
        return self.failed_cell.error if self.failed_cell else None


@dataclass(frozen=True)
class NotebookResult(NotebookRun):
    """What ``execute_notebook`` returns. It holds plain data only, so a task may return it.

    >>> NotebookResult("report", True, 1.5, "/data/report_output.ipynb", results={"rows": 3}).results["rows"]
    3
    """

    results: dict[str, Any] = field(default_factory=dict)
    """The values glued, by name, and as ``"result"`` what the cell tagged ``result`` gave."""

    def without_results(self) -> NotebookRun:
        """Give the part that the history keeps: values may be large."""
        return NotebookRun(**{kept.name: getattr(self, kept.name) for kept in fields(NotebookRun)})


class NotebookError(Exception):
    """A notebook that could not be run, or that failed; the classes below say which."""


class NotebookFormatError(NotebookError, ValueError):
    """A file is no notebook; nothing ran."""


class NotebookParameterError(NotebookError, ValueError):
    """Parameters that the notebook does not take; nothing ran."""


class NotebookKernelError(NotebookError, RuntimeError):
    """The notebook's kernel is not there, or did not start; no cell ran."""


class NotebookExecutionError(NotebookError):
    """A cell of a notebook failed; the message shows the cell, its source and its traceback.

    >>> cell = FailedCell(2, "1 / 0", "ZeroDivisionError", "division by zero")
    >>> error = NotebookExecutionError(NotebookResult("report", False, 0.3, "/data/report_output.ipynb", cell))
    >>> str(error).splitlines()[0]
    'report.ipynb failed in cell 2: ZeroDivisionError: division by zero'
    >>> error.result.failed_cell.source
    '1 / 0'
    """

    def __init__(self, result: NotebookResult) -> None:
        super().__init__(result)
        self.result = result

    def __str__(self) -> str:
        cell = self.result.failed_cell
        if cell is None:
            return f"{self.result.name}.ipynb failed"
        parts = [
            f"{self.result.name}.ipynb failed in cell {cell.number}: {cell.error}",
            f"----- cell {cell.number} -----\n{cell.source}",
        ]
        if cell.traceback:
            parts.append(f"----- traceback -----\n{cell.traceback}")
        parts.append(f"The executed notebook is {self.result.output_path}")
        return "\n".join(parts)


class NotebooksFailedError(NotebookError):
    """Some of several notebooks failed; ``runs`` are those.

    >>> cell = FailedCell(2, "1 / 0", "ZeroDivisionError", "division by zero")
    >>> print(NotebooksFailedError([NotebookRun("report", False, 0.3, "/data/report_output.ipynb", cell)], 5))
    1 of 5 notebooks failed:
    report.ipynb in cell 2: ZeroDivisionError: division by zero (/data/report_output.ipynb)
    """

    def __init__(self, runs: Iterable[NotebookRun], total: int) -> None:
        self.runs = tuple(runs)
        self.total = total
        super().__init__(self.runs, total)

    def __str__(self) -> str:
        lines = [f"{len(self.runs)} of {self.total} notebooks failed:"]
        for run in self.runs:
            where = f" in cell {run.failed_cell.number}: {run.failed_cell.error}" if run.failed_cell else ""
            lines.append(f"{run.name}.ipynb{where} ({run.output_path})")
        return "\n".join(lines)


class NotebookHistory(Sequence[NotebookRun]):
    """The notebooks that ran in this process, in the order in which they ended.

    A notebook that was refused before anything of it ran is not among them.

    >>> history = NotebookHistory()
    >>> history.add(NotebookRun("load", True, 1.2, "/data/load_output.ipynb"))
    >>> [(run.name, run.success) for run in history]
    [('load', True)]
    >>> history.check()
    >>> cell = FailedCell(2, "{}['a']", "KeyError", "'a'")
    >>> history.add(NotebookRun("report", False, 0.3, "/data/report_output.ipynb", cell))
    >>> history.check()
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.runtime.notebook_results.NotebooksFailedError: 1 of 2 notebooks failed:
    report.ipynb in cell 2: KeyError: 'a' (/data/report_output.ipynb)
    >>> history.clear()
    >>> len(history)
    0
    """

    def __init__(self) -> None:
        self._runs: list[NotebookRun] = []

    @overload
    def __getitem__(self, index: int) -> NotebookRun: ...
    @overload
    def __getitem__(self, index: slice) -> list[NotebookRun]: ...
    def __getitem__(self, index: int | slice) -> NotebookRun | list[NotebookRun]:
        return self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._runs!r})"

    def add(self, run: NotebookRun) -> None:
        """Add a run."""
        self._runs.append(run)

    def check(self) -> None:
        """Do nothing if all succeeded.

        Raises:
            NotebooksFailedError: naming those that failed, with their cells.

        """
        check_all(self._runs)

    def clear(self) -> None:
        """Forget all runs."""
        self._runs.clear()


def check_all(runs: Sequence[NotebookRun]) -> None:
    """Raise `NotebooksFailedError` if any of ``runs`` failed."""
    failed = [run for run in runs if not run.success]
    if failed:
        raise NotebooksFailedError(failed, len(runs))


def plain_text(text: object) -> str:
    r"""Give text that a notebook brought as a log can show it: without colours, of a bounded length.

    >>> plain_text("\x1b[0;31mValueError\x1b[0m: \x1b]0;title\x07no")
    'ValueError: no'
    """
    # Cut before looking for sequences as well, so that the work is bounded too.
    plain = _ANSI.sub("", _cut(str(text), 10 * _LONGEST))
    return _cut(plain, _LONGEST).encode("utf-8", "backslashreplace").decode()


def _cut(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    half = length // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


notebook_history = NotebookHistory()
"""The notebooks that ran in this process."""
