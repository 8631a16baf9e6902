"""Notebooks in workers: parameters in, values out, the executed notebook kept, the failing cell told."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import nbformat
import pytest

from tests.runtime.notebooks import RAISES, outputs_of, write


@pytest.fixture
def notebook(dags_folder):
    folder = dags_folder / "work"
    yield lambda *cells, **options: write(folder / "report.ipynb", *cells, **options)
    shutil.rmtree(folder, ignore_errors=True)


def test_parameters_go_in_and_values_come_out_and_the_executed_notebook_is_kept(run, notebook, tmp_path):
    notebook(
        ("parameters", "day = None\nlimit = 1"),
        "from airflow_provider_tasks import glue\nimport helper\nglue('rows', helper.rows(limit))\nglue('day', day)",
    )
    (notebook("1").parent / "helper.py").write_text("def rows(limit):\n    return list(range(limit))\n")
    notebook(
        ("parameters", "day = None\nlimit = 1"),
        "from airflow_provider_tasks import glue\nimport helper\nglue('rows', helper.rows(limit))\nglue('day', day)",
    )
    done = run(f"""
        with DAG("notebooks", params={{"day": "2026-01-02"}}):
            NotebookOperator(
                task_id="report", notebook="work/report", parameters={{"day": "{{{{ params.day }}}}", "limit": 3}},
                output_path="{tmp_path}/{{{{ params.day }}}}/",
            )
        """)
    assert done.states == {"report": "success"}
    assert done.xcom("report") == {"rows": [0, 1, 2], "day": "2026-01-02"}
    executed = nbformat.read(tmp_path / "2026-01-02" / "report_output.ipynb", 4)
    assert any("2026-01-02" in cell.source for cell in executed.cells)


def test_a_tagged_cell_is_the_result_by_itself(run, notebook):
    notebook(("result", "{'rows': 3}"))
    done = run("""
        with DAG("notebooks"):
            NotebookOperator(task_id="report", notebook="work/report.ipynb")
        """)
    assert done.xcom("report") == {"rows": 3}


def test_a_cell_that_fails_is_told_and_the_notebook_kept(run, notebook, tmp_path, capfd):
    notebook("print('before')", "1 / 0", "print('after')")
    done = run(f"""
        with DAG("notebooks"):
            NotebookOperator(task_id="report", notebook="work/report", output_path="{tmp_path}/failed.ipynb")
        """)
    assert done.states == {"report": "failed"}
    outcome = done.xcom("report", "outcome")
    assert (outcome["status"], outcome["category"]) == ("failure", "task")
    assert outcome["message"] == "report.ipynb failed in cell 2: ZeroDivisionError: division by zero"
    log = capfd.readouterr().out
    last = log[log.rindex("TaskRaisedError") :]
    assert "os._exit" not in last
    for text in ("before", "----- cell 2 -----", "1 / 0", "ZeroDivisionError", f"is {tmp_path}/failed.ipynb"):
        assert text in log
    assert "before\n" in outputs_of(tmp_path / "failed.ipynb")


def test_a_notebook_that_a_script_runs_fails_as_one_of_its_own_does(run, notebook, dags_folder, tmp_path, capfd):
    folder = notebook("1").parent
    shutil.copy(RAISES, folder / "task_with_notebook.ipynb")
    (folder / "task_with_notebook.py").write_text(
        "from airflow_provider_tasks import execute_notebook\n"
        "execute_notebook('task_with_notebook', raise_on_failure=True)\n"
    )
    done = run(f"""
        with DAG("notebooks"):
            script = ScriptOperator(task_id="script", file_name="work/task_with_notebook.py")
            NotebookOperator(task_id="own", notebook="work/task_with_notebook", output_path="{tmp_path}/")
        """)
    assert done.states == {"script": "failed", "own": "failed"}
    assert done.xcom("script", "outcome")["message"] == "task_with_notebook.py ended with exit code 1"
    failed = "task_with_notebook.ipynb failed in cell 2: SystemError: Simulated error"
    assert done.xcom("own", "outcome")["message"] == failed
    log = capfd.readouterr().out
    assert f"NotebookExecutionError: {failed}" in log
    assert "The executed notebook is " in log
    assert "Simulated error" in (tmp_path / "task_with_notebook_output.ipynb").read_text()


def test_a_notebook_has_the_context_of_its_airflow_task(run, notebook):
    notebook(
        "from airflow_provider_tasks import get_context", ("result", "[get_context()['task_id'], get_context()['ds']]")
    )
    done = run(
        """
        with DAG("notebooks"):
            NotebookOperator(task_id="report", notebook="work/report")
        """,
        logical_date=datetime(2026, 1, 2, tzinfo=UTC),
    )
    assert done.xcom("report") == ["report", "2026-01-02"]


def test_a_file_that_is_no_notebook_is_told(run, notebook):
    notebook("1").write_text('{"cells": [')
    done = run("""
        with DAG("notebooks"):
            NotebookOperator(task_id="report", notebook="work/report")
        """)
    assert "report.ipynb is not a notebook: it is not JSON" in done.xcom("report", "outcome")["message"]


def test_a_failure_may_be_a_value(run, notebook):
    notebook("raise ValueError('no rows')")
    done = run("""
        with DAG("notebooks"):
            NotebookOperator(task_id="report", notebook="work/report", fail_on_failure=False)
        """)
    assert done.states == {"report": "success"}
    assert done.xcom("report") == {
        "result_type": "Failure",
        "result": "report.ipynb failed in cell 1: ValueError: no rows",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("parameters={'month': 1}", "month"),
        ("kernel_name='cobol'", "cobol"),
        ("papermill_options={'execution_timeut': 1}", "execution_timeut"),
    ],
)
def test_what_is_wrong_is_told_before_a_cell_runs(run, notebook, options, message):
    notebook(("parameters", "day = 1"))
    done = run(f"""
        with DAG("notebooks"):
            NotebookOperator(task_id="report", notebook="work/report", {options})
        """)
    assert done.states == {"report": "failed"}
    assert message in done.xcom("report", "outcome")["message"]
