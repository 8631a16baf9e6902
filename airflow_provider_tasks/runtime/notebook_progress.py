"""What is told of a notebook while it runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime.notebook_values import PUBLISH_NEXT_RESULT, RESULT, is_tagged

if TYPE_CHECKING:
    from airflow_provider_tasks.runtime.notebook_kernel import Kernel

_END_WITH_CALLER = """\
try:
    __import__("airflow_provider_tasks.runtime.processes", fromlist=["end_with_parent"]).end_with_parent()
except Exception:
    pass
"""
"""What a Python kernel is sent first: where the caller is killed, nobody is left to end the kernel. It leaves no name
behind."""


class Console:
    """Standard output, for what a notebook prints and for lines of our own between it; it takes any text."""

    def __init__(self) -> None:
        self._at_line_start = True

    def write(self, text: str) -> None:
        """Write text as it is; what the stream's encoding has no word for is escaped."""
        stream = sys.stdout
        if stream is None or not text:
            return  # type: ignore[unreachable, unused-ignore]  # a process may have no standard output
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._at_line_start = text.endswith("\n")

    def flush(self) -> None:
        """Have what is written seen at once."""
        if sys.stdout is not None:
            sys.stdout.flush()

    def line(self, text: str) -> None:
        """Write a line, on a line of its own whatever the notebook left open."""
        self.write(f"{'' if self._at_line_start else chr(10)}{text}\n")
        self.flush()


class Progress:
    """Follows a notebook from cell to cell, and says on the console which one begins.

    Args:
        console: Where it says so.
        kernel: What runs the cells.
        is_python: Whether that is Python.
        skip_tag: The tag of cells that are not run.

    """

    def __init__(self, console: Console, kernel: Kernel, *, is_python: bool, skip_tag: str) -> None:
        self._console = console
        self._kernel = kernel
        self._is_python = is_python
        self._skip_tag = skip_tag
        self._total = 0
        self.notebook: Any = None
        self.cell: Any = None
        """The cell that runs, or ran last; None before the first."""
        self.number = 0
        """Its number among those that run, as Jupyter counts them."""

    def on_notebook_start(self, notebook: Any) -> None:
        """Take the notebook that is about to run; the kernel is there."""
        self.notebook = notebook
        self._total = sum(
            cell["cell_type"] == "code" and bool(cell["source"].strip()) and not is_tagged(cell, self._skip_tag)
            for cell in notebook["cells"]
        )
        if self._is_python:
            self._kernel.tell(_END_WITH_CALLER)

    def on_cell_execute(self, cell: Any, cell_index: int) -> None:
        """Take the cell that is about to run."""
        self._kernel.check()
        self.cell = cell
        self.number += 1
        self._console.line(f"cell {self.number} of {self._total}: {_first_line(cell['source'])}")
        if self._is_python and is_tagged(cell, RESULT):
            self._kernel.tell(PUBLISH_NEXT_RESULT)


def _first_line(source: str) -> str:
    r"""Give the first line of a cell that says something.

    >>> _first_line("\n  rows = load()\nprint(rows)")
    'rows = load()'
    """
    line = source.strip().partition("\n")[0].rstrip()
    shown = "".join(char if char.isprintable() else " " for char in line[:101])
    return shown if len(shown) <= 100 else f"{shown[:99]}…"
