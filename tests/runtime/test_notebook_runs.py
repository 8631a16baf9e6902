"""A notebook runs with its parameters, says how far it is, and is kept with its outputs."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from airflow_provider_tasks import NotebookResult, execute_notebook
from airflow_provider_tasks.runtime import values
from airflow_provider_tasks.runtime.home import python_environment
from airflow_provider_tasks.runtime.notebook_progress import Console

from .notebooks import REPORT, outputs_of, write


@pytest.fixture
def report(tmp_path, monkeypatch):
    """A notebook in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(REPORT, tmp_path))


def test_a_notebook_runs_with_its_parameters_and_is_kept_beside_the_input(report, tmp_path):
    result = execute_notebook("report", {"day": "2026-02-03"})
    assert result.success
    assert result.output_path == str(tmp_path / "report_output.ipynb")
    assert "report of 2026-02-03\n" in outputs_of(result.output_path)
    assert result.results["result"] == {"rows": 3, "half": 1.5}
    assert (result.name, result.failed_cell, result.error) == ("report", None, None)
    assert 0 < result.seconds < 60


def test_the_input_is_not_touched(report):
    before = report.read_text()
    execute_notebook(report, {"rows": 1})
    assert report.read_text() == before


def test_progress_and_output_are_lines_of_standard_output(report, capsys):
    result = execute_notebook("report", {"day": "2026-02-03"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"report.ipynb starts, its output goes to {result.output_path}"
    assert lines[1:7] == [
        'cell 1 of 5: day = "2026-01-01"',
        "cell 2 of 5: # Parameters",
        'cell 3 of 5: print(f"report of {day}")',
        "report of 2026-02-03",
        "cell 4 of 5: from datetime import date",
        'cell 5 of 5: {"rows": rows, "half": rows / 2}',
    ]
    assert lines[7].startswith("report.ipynb succeeded in ")
    assert len(lines) == 8


def test_output_comes_while_the_cell_runs_and_a_line_of_ours_is_on_its_own(tmp_path):
    heard = tmp_path / "heard"
    write(
        tmp_path / "slow.ipynb",
        "import os, sys, time\nprint('first', flush=True)\n"
        f"while not os.path.exists({str(heard)!r}): time.sleep(0.01)\nprint('no end', end='')",
        "print('to standard error', file=sys.stderr)",
    )
    code = "from airflow_provider_tasks import execute_notebook; execute_notebook('slow')"
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "first\n":
                heard.touch()
    assert process.returncode == 0
    assert [line for line in lines if not line.startswith("slow.ipynb")] == [
        "cell 1 of 2: import os, sys, time\n",
        "first\n",
        "no end\n",
        "cell 2 of 2: print('to standard error', file=sys.stderr)\n",
        "to standard error\n",
    ]


def test_cells_that_do_not_run_are_not_counted(tmp_path, capsys):
    write(tmp_path / "mixed.ipynb", "", ("skip-execution", "1 / 0"), "print('one')", "  \n", "print('two')")
    assert execute_notebook(tmp_path / "mixed").success
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("cell")] == [
        "cell 1 of 2: print('one')",
        "cell 2 of 2: print('two')",
    ]


def test_the_number_of_a_cell_is_what_stands_beside_it(tmp_path, capsys):
    write(tmp_path / "numbers.ipynb", "", "1", ("result", "2"), "3", "4")
    result = execute_notebook(tmp_path / "numbers")
    notebook = nbformat.read(result.output_path, as_version=4)
    assert [cell.execution_count for cell in notebook.cells] == [None, 1, 2, 3, 4]
    assert "cell 4 of 4: 4" in capsys.readouterr().out


def test_parameters_arrive_as_they_were_given(tmp_path):
    given = {
        "text": "text with 'quotes' \"and\" \\ ü 🛰\n\ttwo lines",
        "number": 3,
        "half": 0.5,
        "yes": True,
        "nothing": None,
        "items": ["a", [1, {"b": None}]],
        "table": {"a'": [1.5], "": {}},
    }
    declared = "\n".join(f"{name} = ..." for name in given)
    collected = ", ".join(f"{name!r}: {name}" for name in given)
    write(tmp_path / "echo.ipynb", ("parameters", declared), ("result", f"{{{collected}}}"))
    assert execute_notebook(tmp_path / "echo", given).results == {"result": given}


def test_a_notebook_runs_in_the_caller_s_folder_or_in_another_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "notebooks" / "where.ipynb", ("result", "import os; os.getcwd()"))
    (tmp_path / "other").mkdir()
    here = execute_notebook("notebooks/where")
    there = execute_notebook("notebooks/where", cwd="other")
    assert (here.results["result"], there.results["result"]) == (str(tmp_path), str(tmp_path / "other"))
    assert os.getcwd() == str(tmp_path)


def test_home_and_missing_folders_of_outputs_are_fine(report, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    # What a user's own IPython sets up is not the notebook's.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    result = execute_notebook("~/report", output_path="~/a/b/today")
    assert result.output_path == str(tmp_path / "a" / "b" / "today.ipynb")
    assert os.path.isfile(result.output_path)


def test_braces_spaces_and_emoji_in_paths_are_just_that(tmp_path):
    notebook = write(tmp_path / "{day} of 🛰" / "the {name}.ipynb", ("parameters", "name = 1"), "print(name)")
    result = execute_notebook(notebook, {"name": 2}, output_path=tmp_path / "out {name}.ipynb")
    assert outputs_of(tmp_path / "out {name}.ipynb")[-1] == "2\n"
    metadata = nbformat.read(result.output_path, as_version=4).metadata.papermill
    assert (metadata.input_path, metadata.output_path) == (str(notebook), result.output_path)


def test_options_go_on_to_papermill(report):
    shown = io.StringIO()
    result = execute_notebook("report", stdout_file=shown, report_mode=True, autosave_cell_every=0)
    assert "report of" in shown.getvalue()
    cells = nbformat.read(result.output_path, as_version=4).cells
    assert cells[1].metadata.jupyter.source_hidden is True


def test_a_notebook_that_is_only_prepared_does_not_run(report):
    result = execute_notebook("report", {"day": "2026-02-03"}, prepare_only=True)
    assert result.success
    assert result.results == {}
    assert "2026-02-03" in Path(result.output_path).read_text()
    assert not any(outputs_of(result.output_path))


def test_a_notebook_may_end_early(tmp_path):
    write(tmp_path / "early.ipynb", ("result", "'seen'"), "import sys; sys.exit()", "raise ValueError")
    result = execute_notebook(tmp_path / "early")
    assert (result.success, result.results) == (True, {"result": "seen"})


def test_a_notebook_of_an_old_format_runs(tmp_path):
    cell = {"cell_type": "code", "language": "python", "input": ["print('old')"], "outputs": [], "metadata": {}}
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [cell]}]}
    (tmp_path / "old.ipynb").write_text(json.dumps(old))
    result = execute_notebook(tmp_path / "old", kernel_name="python3")
    assert outputs_of(result.output_path) == ["old\n"]


def test_an_executed_notebook_can_be_executed_again(report):
    first = execute_notebook("report", {"day": "2026-02-03"})
    second = execute_notebook(first.output_path, {"day": "2026-02-04"}, output_path="again")
    assert [text for text in outputs_of(second.output_path) if text] == ["report of 2026-02-04\n"]


def test_it_runs_inside_a_running_event_loop(report):
    import asyncio

    async def run() -> NotebookResult:
        return execute_notebook("report", {"rows": 5})

    assert asyncio.run(run()).results["result"]["rows"] == 5


def test_a_result_can_be_returned_by_a_task(report):
    result = execute_notebook("report")
    assert values.decode_json(values.encode_json(result)) == {
        "name": "report",
        "success": True,
        "seconds": result.seconds,
        "output_path": result.output_path,
        "failed_cell": None,
        "results": result.results,
    }


def test_where_folders_have_long_names_the_kernel_is_reached_all_the_same(report, tmp_path, monkeypatch):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert execute_notebook("report").success
    assert os.listdir(folder) == []


def test_a_home_that_can_not_be_written_to_is_enough(report, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    assert execute_notebook("report").success


def test_a_kernel_finds_this_package_before_others(monkeypatch):
    home = python_environment({})["PYTHONPATH"]
    assert os.path.isdir(os.path.join(home, "airflow_provider_tasks"))
    assert python_environment({"PYTHONPATH": "/a", "B": "c"}) == {"PYTHONPATH": f"{home}{os.pathsep}/a", "B": "c"}
    monkeypatch.setattr("site.getsitepackages", lambda: [home])
    assert python_environment({"B": "c"}) == {"B": "c"}


def test_the_console_takes_what_its_encoding_has_not(monkeypatch):
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="")
    monkeypatch.setattr(sys, "stdout", ascii_only)
    console = Console()
    console.write("ü\ud800")
    console.line("next")
    assert ascii_only.buffer.getvalue() == b"\\xfc\\ud800\nnext\n"


def test_no_standard_output_is_fine(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    Console().line("unheard")
