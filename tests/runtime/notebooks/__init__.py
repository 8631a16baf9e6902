"""Notebooks for tests: two that are files, as people have them, and any others as they are needed."""

from __future__ import annotations

from pathlib import Path

import nbformat

FOLDER = Path(__file__).parent
REPORT = FOLDER / "report.ipynb"
"""Takes the parameters `day` and `rows`, prints, glues a value, and has a cell tagged `result`."""

RAISES = FOLDER / "raises.ipynb"
"""Its second cell raises ``SystemError("Simulated error")``; there is one after it."""


def write(path: Path, *cells: str | tuple[str, str], kernel: str | None = "python3", language: str = "python") -> Path:
    """Write a notebook of code cells, each its source or its tag and its source."""
    notebook = nbformat.v4.new_notebook()
    if kernel is not None:
        notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": language}
    for number, cell in enumerate(cells):
        tag, source = cell if isinstance(cell, tuple) else (None, cell)
        metadata = {"tags": [tag]} if tag else {}
        notebook.cells.append(nbformat.v4.new_code_cell(source, id=f"cell-{number}", metadata=metadata))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(notebook), encoding="utf-8")
    return path


def outputs_of(path: str | Path) -> list[str]:
    """What each code cell of an executed notebook printed."""
    notebook = nbformat.read(path, as_version=4)
    return [
        "".join(output["text"] for output in cell.outputs if output.output_type == "stream")
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
