"""``execute_notebook``: run a notebook with parameters, in a worker or anywhere else.

papermill runs it; what is added is that everything is checked before anything runs, that a failure explains itself,
that values come out, and that the kernel ends when the call does.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime import notebook_paths as paths
from airflow_provider_tasks.runtime.notebook_results import (
    FailedCell,
    NotebookExecutionError,
    NotebookKernelError,
    NotebookResult,
    check_all,
    notebook_history,
    plain_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_tasks.runtime.notebook_kernel import Kernel
    from airflow_provider_tasks.runtime.notebook_paths import Path
    from airflow_provider_tasks.runtime.notebook_progress import Console, Progress


@dataclass(frozen=True)
class _Plan:
    """A notebook that has passed all checks."""

    input_path: str
    output_path: str
    failed_path: str | None
    parameters: dict[str, Any]
    cwd: str | None
    kernel_name: str
    language: str
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        return paths.name_of(self.input_path)


def execute_notebook(  # noqa: PLR0917 - its order is the documented one
    input_path: Path,
    parameters: Mapping[str, Any] | None = None,
    cwd: Path | None = None,
    kernel_name: str | None = None,
    output_path: Path | None = None,
    failed_output_path: Path | None = None,
    raise_on_failure: bool = False,
    **papermill: Any,
) -> NotebookResult:
    """Run a notebook, cell by cell, and keep it with its outputs.

    What cells print goes to standard output as it comes, with a line before each cell. The executed notebook is kept
    after a failure as well. The kernel ends when this call does.

    Paths are taken as they are. Those with ``://`` in them are papermill's (``s3://…``, ``gs://…``, …); for the others
    ``~`` is expanded and ``.ipynb`` added.

    Args:
        input_path: The notebook.
        parameters: Values for names that the cell tagged ``parameters`` sets: text, numbers, booleans, None, lists
            and dicts. They stay in the executed notebook, so no passwords.
        cwd: The notebook's working directory; the caller's unless given.
        kernel_name: The kernel; the one that the notebook names unless given.
        output_path: Where the executed notebook goes: a file, or a folder that is there or ends in ``/``. Unless
            given, ``NAME_output.ipynb`` in the folder of `configure_notebooks`, else beside the input.
        failed_output_path: Where it is moved to after a failure, a file or a folder; where it is unless given.
        raise_on_failure: Whether a cell that fails is an exception; otherwise the result tells of it.
        papermill: Further options of ``papermill.execute_notebook`` and of its client, such as
            ``execution_timeout`` (seconds for a cell) and ``start_timeout`` (for the kernel).

    Returns:
        Where the executed notebook is, whether all cells succeeded, which one did not, and the values that the
        notebook handed out with `glue` or from the cell tagged ``result``.

    Raises:
        NotebookExecutionError: If a cell failed and ``raise_on_failure`` is set. All of the following are raised
            in any case, before a cell runs.
        FileNotFoundError: If the notebook or ``cwd`` is not there.
        NotebookFormatError: If the file is no notebook.
        NotebookParameterError: If the notebook does not declare one of the parameters, or can't be given its value.
        NotebookKernelError: If its kernel is not there, or does not start.
        ValueError: If the output would overwrite the input, or a path is blank.
        TypeError: For an option that papermill does not have.
        ModuleNotFoundError: If papermill is not installed.

    >>> execute_notebook("/data/report", {"day": "2026-01-02"})
    Traceback (most recent call last):
    ...
    FileNotFoundError: there is no notebook /data/report.ipynb: the folder /data does not exist
    """
    plan = _plan(
        paths.input_file(input_path),
        parameters,
        cwd,
        kernel_name,
        papermill,
        output=(output_path, None),
        failed=(failed_output_path, None),
    )
    result = _run(plan)
    if raise_on_failure and not result.success:
        raise NotebookExecutionError(result)
    return result


def execute_notebooks(  # noqa: PLR0917 - as for one
    patterns: Path | Iterable[Path],
    parameters: Mapping[str, Any] | None = None,
    cwd: Path | None = None,
    kernel_name: str | None = None,
    output_folder: Path | None = None,
    failed_output_folder: Path | None = None,
    raise_on_failure: bool = False,
    **papermill: Any,
) -> list[NotebookResult]:
    """Run the notebooks of a folder or of patterns, one after the other, in the order of their names.

    All are checked before the first one runs. One that fails does not keep the others from running. Outputs of
    earlier runs that match are left out.

    Args:
        patterns: ``"reports"``, ``"reports/*.ipynb"``, ``"reports/**/*.ipynb"``, notebooks, or several of these.
        parameters: As for `execute_notebook`; each notebook has to declare all of them.
        cwd: As for `execute_notebook`.
        kernel_name: As for `execute_notebook`.
        output_folder: A folder for the executed notebooks; as `configure_notebooks` says unless given.
        failed_output_folder: A folder that those which failed are moved to.
        raise_on_failure: Whether it is an exception, after the last one, if any failed.
        papermill: As for `execute_notebook`.

    Returns:
        What came of each, in the order in which they ran.

    Raises:
        NotebooksFailedError: If any failed and ``raise_on_failure`` is set; it names them.
        FileNotFoundError: If nothing matches a pattern.
        ValueError: If two outputs would be the same file, and as for `execute_notebook`, like all others.

    >>> execute_notebooks("/data/*.ipynb")
    Traceback (most recent call last):
    ...
    FileNotFoundError: no notebook matches /data/*.ipynb; expected a pattern such as "reports/*.ipynb", ...
    """
    plans = [
        _plan(
            notebook,
            parameters,
            cwd,
            kernel_name,
            papermill,
            output=(None, output_folder),
            failed=(None, failed_output_folder),
        )
        for notebook in paths.find(patterns)
    ]
    outputs: dict[str, str] = {}
    for plan in plans:
        other = outputs.setdefault(plan.output_path, plan.input_path)
        if other != plan.input_path:
            raise ValueError(
                f"{other} and {plan.input_path} would both be written to {plan.output_path}; "
                "run them in two calls with an output_folder each"
            )
    results = [_run(plan) for plan in plans]
    if raise_on_failure:
        check_all(results)
    return results


def _plan(
    notebook_file: str,
    parameters: Mapping[str, Any] | None,
    cwd: Path | None,
    kernel_name: str | None,
    options: Mapping[str, Any],
    *,
    output: tuple[Path | None, Path | None],
    failed: tuple[Path | None, Path | None],
) -> _Plan:
    """Check all there is to check, and give what to run."""
    try:
        import papermill  # type: ignore[import-untyped, unused-ignore]  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"execute_notebook needs the module {error.name!r}: pip install papermill ipykernel", name=error.name
        ) from error
    from airflow_provider_tasks.runtime import notebook_checks as checks

    checks.check_options(options)
    folder = None if cwd is None else os.path.abspath(os.path.expanduser(os.fspath(cwd)))
    if folder is not None and not os.path.isdir(folder):
        raise FileNotFoundError(f"the working directory {folder} is not a folder that is there")
    notebook = checks.read(notebook_file)
    name = os.path.basename(notebook_file)
    kernel, language = checks.kernel_of(notebook, name, kernel_name)
    output_path = paths.output_file(notebook_file, *output)
    return _Plan(
        input_path=notebook_file,
        output_path=output_path,
        failed_path=paths.failed_file(output_path, *failed),
        parameters=checks.check_parameters(parameters, notebook, name, kernel, language) if parameters else {},
        cwd=folder,
        kernel_name=kernel,
        language=language,
        options=options,
    )


def _run(plan: _Plan) -> NotebookResult:
    """Run a notebook that has passed all checks, say how it went, and put it into the history."""
    from airflow_provider_tasks.runtime.notebook_progress import Console

    started = time.monotonic()
    console = Console()
    console.line(f"{plan.name}.ipynb starts, its output goes to {plan.output_path}")
    failed, results = _execute(plan, console)
    result = NotebookResult(
        name=plan.name,
        success=failed is None,
        seconds=time.monotonic() - started,
        output_path=plan.output_path,
        failed_cell=failed,
        results=results,
    )
    if failed is None:
        console.line(f"{plan.name}.ipynb succeeded in {result.seconds:.1f} s")
    else:
        result = replace(result, output_path=_move(plan, console))
        console.line(str(NotebookExecutionError(result)))
    notebook_history.add(result.without_results())
    return result


def _execute(plan: _Plan, console: Console) -> tuple[FailedCell | None, dict[str, Any]]:
    """Run a notebook; give the cell that failed, if one did, and what was handed out."""
    from airflow_provider_tasks.runtime.notebook_checks import is_python
    from airflow_provider_tasks.runtime.notebook_kernel import Kernel, apart
    from airflow_provider_tasks.runtime.notebook_progress import Progress
    from airflow_provider_tasks.runtime.notebook_values import collect

    if paths.is_local(plan.output_path):
        os.makedirs(os.path.dirname(plan.output_path), exist_ok=True)
    kernel = Kernel(plan.kernel_name)
    progress = Progress(
        console,
        kernel,
        is_python=is_python(plan.language),
        skip_tag=plan.options.get("skip_cells_with_tag", "skip-execution"),
    )
    failed = apart(lambda: _run_cells(plan, progress, console, kernel), kernel.stop)
    results, unreadable = collect(progress.notebook["cells"] if progress.notebook else ())
    if unreadable is not None and failed is None:
        failed = FailedCell(
            number=unreadable.cell.get("execution_count") or progress.number,
            source=plain_text(unreadable.cell["source"]),
            error_type="ValueError",
            message=plain_text(unreadable),
        )
    return failed, results


def _run_cells(plan: _Plan, progress: Progress, console: Console, kernel: Kernel) -> FailedCell | None:
    """Run the cells; give the one that failed, if one did."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    try:
        with kernel.managed() as manager:
            return _run_in(manager, plan, progress, console)
    except (CellTimeoutError, DeadKernelError, RuntimeError) as error:
        kernel.check()
        if progress.cell is None:
            raise NotebookKernelError(
                f"the kernel {plan.kernel_name!r} of {plan.name}.ipynb did not start: {error}. "
                "What it printed is above; is ipykernel installed where it runs?"
            ) from error
        if not isinstance(error, (CellTimeoutError, DeadKernelError)):
            raise
        return _stopped(plan, progress, error)


def _run_in(manager: Any, plan: _Plan, progress: Progress, console: Console) -> FailedCell | None:
    import papermill  # type: ignore[import-untyped, unused-ignore]

    options = {
        "language": plan.language,
        "progress_bar": False,  # each of its steps would be a line of a log
        "stdout_file": console,
        "stderr_file": console,
        **plan.options,
    }
    if plan.cwd is not None:
        # papermill's own cwd would change the directory of this process.
        options["resources"] = {"metadata": {"path": plan.cwd}}
    try:
        papermill.execute_notebook(
            _literal(plan.input_path),
            _literal(plan.output_path),
            parameters=plan.parameters,
            kernel_name=plan.kernel_name,
            km=manager,
            on_notebook_start=progress.on_notebook_start,
            on_cell_execute=progress.on_cell_execute,
            **options,
        )
    except papermill.PapermillExecutionError as error:
        return FailedCell(
            number=error.exec_count or progress.number,
            source=plain_text(error.source),
            error_type=plain_text(error.ename),
            message=plain_text(error.evalue),
            traceback=plain_text("\n".join(error.traceback)),
        )
    return None


def _literal(path: str) -> str:
    """Have papermill, which fills parameters into paths, take this one as it is."""
    return path.replace("{", "{{").replace("}", "}}")


def _stopped(plan: _Plan, progress: Progress, error: Exception) -> FailedCell:
    """Tell of a cell whose kernel died or that ran for too long, also in the executed notebook, where it looks fine."""
    import nbformat
    from papermill.iorw import write_ipynb  # type: ignore[import-untyped, unused-ignore]

    if isinstance(error, TimeoutError):
        message = " ".join(str(error).splitlines()[:2])
    else:
        message = "the kernel died while it ran this cell; often that is for want of memory"
    kind = type(error).__name__
    progress.cell["outputs"].append(nbformat.v4.new_output("error", ename=kind, evalue=message, traceback=[message]))  # type: ignore[no-untyped-call]
    write_ipynb(progress.notebook, plan.output_path)
    return FailedCell(progress.number, plain_text(progress.cell["source"]), kind, message)


def _move(plan: _Plan, console: Console) -> str:
    """Move the notebook that failed to where those go; give where it is then."""
    if plan.failed_path is None or plan.failed_path == plan.output_path:
        return plan.output_path
    try:
        os.makedirs(os.path.dirname(plan.failed_path), exist_ok=True)
        shutil.move(plan.output_path, plan.failed_path)
    except OSError as error:
        # What the notebook failed of matters more.
        console.line(f"the notebook that failed can't be moved to {plan.failed_path}: {error}")
        return plan.output_path
    return plan.failed_path
