"""What a worker does for ``NotebookOperator``."""

from __future__ import annotations

import os

from airflow_provider_tasks.runtime.notebook import execute_notebook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def run_notebook(
    file: str, parameters: Mapping[str, Any], kernel_name: str | None, options: Mapping[str, Any], send_back: bool
) -> dict[str, Any]:
    """Run a notebook in the working directory, and give all that came of it as plain data, also after a failure.

    Args:
        file: the notebook, relative to the working directory.
        parameters: as for ``execute_notebook``.
        kernel_name: as for ``execute_notebook``.
        options: further options of papermill.
        send_back: whether the executed notebook is part of what is returned.

    Returns:
        ``error`` (text for people, the cell itself is in the output; None after a success), ``results``, and
        ``notebook``, the bytes of the executed one, or None.

    """
    folder = os.path.join(os.getcwd(), ".executed-notebook")
    result = execute_notebook(file, parameters, None, kernel_name, os.path.join(folder, ""), **options)
    failed = result.failed_cell
    content = None
    if send_back:
        with open(result.output_path, "rb") as executed:
            content = executed.read()
    return {
        "error": None if failed is None else f"{result.name}.ipynb failed in cell {failed.number}: {failed.error}",
        "results": result.results,
        "notebook": content,
    }
