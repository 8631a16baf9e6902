"""What does a notebook of 200 cells take beyond what papermill takes for it?"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import installation
from benchmarks.execution import execute_in_a_fork
from benchmarks.measuring import Budget, Measured, Row, measure_in_turns

if TYPE_CHECKING:
    from collections.abc import Callable

QUESTION = "notebook of 200 cells"
ROUNDS = 7
CELLS = 200
DAG_FILE = "notebook_to_execute.py"

PAPERMILL = "papermill.execute_notebook"
OURS = "execute_notebook"
OPERATOR = "NotebookOperator"

CALLS = {
    PAPERMILL: "import papermill; papermill.execute_notebook('cells.ipynb', {output!r}, {{'day': '2026-01-01'}})",
    OURS: (
        "from airflow_provider_tasks import execute_notebook; "
        "execute_notebook('cells.ipynb', {{'day': '2026-01-01'}}, output_path={output!r})"
    ),
}


def measure(rounds: int) -> list[Row]:
    write_notebook()
    cases = {name: partial(run_in_a_process, name) for name in CALLS}
    found = measure_in_turns(QUESTION, {**cases, OPERATOR: run_as_a_task}, rounds, shuffled=True)
    rows = []
    for name in (OURS, OPERATOR):
        rows += [
            found.row(name, PAPERMILL, "seconds", "ms", label=f"{name}: time", scale=1000, budget=Budget(1.1)),
            found.row(name, PAPERMILL, "cpu", "ms", label=f"{name}: CPU", scale=1000),
        ]
        for key, what in (("seconds", "time"), ("cpu", "CPU")):
            beyond = found.beyond(PAPERMILL, key)
            rows.append(beyond.row(name, None, key, "ms", label=f"{name}: {what} beyond papermill", scale=1000))
    return rows


def write_notebook() -> None:
    """Write the notebook into the DAGs folder: a cell for parameters, and 200 that calculate and print."""
    import nbformat

    parameters = nbformat.v4.new_code_cell("day = None", metadata={"tags": ["parameters"]})
    cells = [nbformat.v4.new_code_cell(f"print(day, {number}, sum(range(1000)))") for number in range(CELLS)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(metadata=metadata, cells=[parameters, *cells])
    folder = installation.home() / "dags" / "notebooks"
    folder.mkdir()
    nbformat.write(notebook, folder / "cells.ipynb")


def run_in_a_process(name: str) -> Measured:
    """Start a Python that runs the notebook; its output goes into a file, as that of a task does."""
    folder = installation.home() / "dags" / "notebooks"
    code = CALLS[name].format(output=str(installation.home() / "executed.ipynb"))

    def run() -> float:
        with (installation.home() / "output").open("wb") as output:
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], cwd=folder, stdout=output, stderr=output, check=True)
            return time.perf_counter() - begun

    return with_cpu(run)


def run_as_a_task() -> Measured:
    """Execute a ``NotebookOperator``, its worker and the executed notebook included."""
    return with_cpu(lambda: execute_in_a_fork("notebook", DAG_FILE, again=False)["first"])


def with_cpu(run: Callable[[], float]) -> Measured:
    """Add the seconds of CPU of all processes that ``run`` starts, which have ended when it returns."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"seconds": seconds, "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}
