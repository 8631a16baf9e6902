"""The same in a worker, which has this package in an archive and no Airflow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_tasks.workers.archive import build_archive
from airflow_provider_tasks.workers.local import LocalWorker
from tests.workers.conftest import run_in

from .notebooks import RAISES, REPORT


@pytest.fixture
def worker(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with LocalWorker(cache_folder=tmp_path / "cache") as worker:
        yield worker


def test_a_task_runs_a_notebook_and_returns_what_came_of_it(worker, tmp_path):
    source = REPORT.read_text()

    def task():
        from pathlib import Path

        from airflow_provider_tasks import execute_notebook

        Path("report.ipynb").write_text(source)
        result = execute_notebook("report", {"day": "2026-02-03"})
        return result, Path(result.output_path).read_bytes()

    ran = run_in(worker, task)
    assert ran.outcome.status == "success", ran.lines
    result, notebook = ran.outcome.result
    assert result["success"] is True
    assert str(result["results"]["day"]) == "2026-02-03"
    assert result["results"]["result"] == {"rows": 3, "half": 1.5}
    assert b"report of 2026-02-03" in notebook
    assert 'cell 3 of 5: print(f"report of {day}")' in ran.lines
    assert "report of 2026-02-03" in ran.lines


def test_a_notebook_that_fails_fails_the_task_and_says_which_cell(worker):
    source = RAISES.read_text()

    def task():
        from pathlib import Path

        from airflow_provider_tasks import execute_notebook

        Path("task_with_notebook.ipynb").write_text(source)
        try:
            execute_notebook("task_with_notebook", raise_on_failure=True)
        finally:
            print(Path("task_with_notebook_output.ipynb").exists())

    ran = run_in(worker, task)
    assert ran.outcome.category == "task"
    assert ran.outcome.message.startswith(
        "NotebookExecutionError: task_with_notebook.ipynb failed in cell 2: SystemError: Simulated error\n"
    )
    assert "----> 5 load()" in ran.outcome.message
    assert ran.lines[-1] == "True"


def test_a_worker_without_papermill_says_what_it_lacks(worker):
    def task():
        import sys

        from airflow_provider_tasks import execute_notebook

        sys.modules["papermill"] = None
        execute_notebook("report")

    outcome = run_in(worker, task).outcome
    assert (outcome.category, outcome.detail["module"]) == ("environment", "papermill")


def test_a_task_that_is_killed_leaves_no_kernel(worker, tmp_path):
    pid_file = tmp_path / "pid"

    def task():
        import os
        import threading
        import time

        import nbformat

        from airflow_provider_tasks import execute_notebook

        def kill():
            while not pid_file.exists():
                time.sleep(0.05)
            os.kill(os.getpid(), 9)

        said = f"import os, pathlib; pathlib.Path('part').write_text(str(os.getpid())); os.rename('part', '{pid_file}')"
        metadata = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
        cells = [nbformat.v4.new_code_cell(f"{said}\nimport time; time.sleep(600)")]
        nbformat.write(nbformat.v4.new_notebook(metadata=metadata, cells=cells), "sleeps.ipynb")
        threading.Thread(target=kill).start()
        execute_notebook("sleeps")

    outcome = run_in(worker, task).outcome
    assert outcome.category == "killed"
    assert not os.path.exists(f"/proc/{pid_file.read_text()}")


def test_a_kernel_finds_this_package_in_an_archive_that_is_not_unpacked(tmp_path):
    archive = tmp_path / "runtime.pyz"
    archive.write_bytes(build_archive())
    (tmp_path / "report.ipynb").write_text(REPORT.read_text())
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n"
        "import airflow_provider_tasks as tasks; assert '.pyz' in tasks.__file__\n"
        "print(tasks.execute_notebook('report').results['day'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "2026-01-01"


def test_the_notebooks_of_these_tests_have_no_outputs():
    for path in Path(REPORT).parent.glob("*.ipynb"):
        assert '"output_type"' not in path.read_text()
