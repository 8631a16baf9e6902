"""A notebook that fails says which cell, what it was and why, and is kept."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import nbformat
import pytest

from airflow_provider_tasks import NotebookError, NotebookExecutionError, execute_notebook
from airflow_provider_tasks.runtime import values
from airflow_provider_tasks.runtime.notebook_results import plain_text

from .notebooks import RAISES, outputs_of, write

SOURCE = 'def load():\n    raise SystemError("Simulated error")\n\n\nload()'


@pytest.fixture
def raises(tmp_path, monkeypatch):
    """A notebook in the current folder whose second cell fails."""
    monkeypatch.chdir(tmp_path)
    return shutil.copy(RAISES, tmp_path)


def test_a_failure_is_told_by_the_result(raises):
    result = execute_notebook("raises")
    assert not result.success
    assert result.error == "SystemError: Simulated error"
    cell = result.failed_cell
    assert (cell.number, cell.source, cell.error_type, cell.message) == (2, SOURCE, "SystemError", "Simulated error")
    assert cell.traceback.endswith("SystemError: Simulated error")
    assert "----> 2     raise SystemError" in cell.traceback
    assert "\x1b" not in cell.traceback


def test_a_failure_is_an_exception_where_that_is_asked_for(raises, tmp_path, capsys):
    with pytest.raises(NotebookExecutionError) as caught:
        execute_notebook("raises", raise_on_failure=True)
    message = str(caught.value)
    assert message.splitlines()[:3] == [
        "raises.ipynb failed in cell 2: SystemError: Simulated error",
        "----- cell 2 -----",
        "def load():",
    ]
    assert SOURCE in message
    assert message.endswith(f"The executed notebook is {tmp_path / 'raises_output.ipynb'}")
    assert capsys.readouterr().out.endswith(f"{message}\n")
    assert isinstance(caught.value, NotebookError)
    assert caught.value.__cause__ is None


def test_the_exception_survives_pickling(raises):
    with pytest.raises(NotebookExecutionError) as caught:
        execute_notebook("raises", raise_on_failure=True)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.result == caught.value.result


def test_the_executed_notebook_is_kept_with_what_it_did(raises):
    result = execute_notebook("raises")
    assert outputs_of(result.output_path) == ["so far, so good\n", "", ""]
    assert "Simulated error" in Path(result.output_path).read_text()


def test_a_failed_notebook_is_moved(raises, tmp_path, capsys):
    result = execute_notebook("raises", failed_output_path="failed/")
    assert result.output_path == str(tmp_path / "failed" / "raises_output.ipynb")
    assert os.path.isfile(result.output_path)
    assert not (tmp_path / "raises_output.ipynb").exists()
    assert f"The executed notebook is {result.output_path}" in capsys.readouterr().out


def test_a_failed_notebook_that_can_not_be_moved_stays(raises, tmp_path, capsys):
    (tmp_path / "taken").touch()
    result = execute_notebook("raises", failed_output_path="taken/failed.ipynb")
    assert result.output_path == str(tmp_path / "raises_output.ipynb")
    assert result.error == "SystemError: Simulated error"
    assert "the notebook that failed can't be moved to" in capsys.readouterr().out


def test_a_notebook_that_succeeds_is_not_moved(tmp_path):
    write(tmp_path / "good.ipynb", "1")
    result = execute_notebook(tmp_path / "good", failed_output_path=tmp_path / "failed" / "")
    assert result.output_path == str(tmp_path / "good_output.ipynb")
    assert not (tmp_path / "failed").exists()


def test_what_a_cell_handed_out_before_the_failure_is_there(tmp_path):
    write(tmp_path / "half.ipynb", "from airflow_provider_tasks import glue; glue('rows', 3)", "1 / 0", "glue('b', 1)")
    result = execute_notebook(tmp_path / "half")
    assert (result.success, result.results) == (False, {"rows": 3})


def test_a_kernel_that_dies_is_a_failure_of_its_cell(tmp_path):
    write(tmp_path / "dies.ipynb", "print('alive')", "import os\nos._exit(3)", "print('never')")
    result = execute_notebook(tmp_path / "dies")
    cell = result.failed_cell
    assert (cell.number, cell.error_type, cell.source) == (2, "DeadKernelError", "import os\nos._exit(3)")
    assert cell.message == "the kernel died while it ran this cell; often that is for want of memory"
    executed = nbformat.read(result.output_path, as_version=4)
    assert executed.cells[0].outputs[0].text == "alive\n"
    assert executed.cells[1].outputs[0].ename == "DeadKernelError"


def test_a_cell_that_takes_too_long_is_a_failure(tmp_path):
    write(tmp_path / "slow.ipynb", "import time\ntime.sleep(600)")
    result = execute_notebook(tmp_path / "slow", execution_timeout=1)
    assert result.failed_cell.number == 1
    assert result.failed_cell.error_type == "CellTimeoutError"
    assert "after 1 seconds" in result.failed_cell.message
    assert "CellTimeoutError" in Path(result.output_path).read_text()


def test_a_syntax_error_is_a_failure_like_any_other(tmp_path):
    write(tmp_path / "wrong.ipynb", "1", "x = = 1")
    cell = execute_notebook(tmp_path / "wrong").failed_cell
    assert (cell.number, cell.error_type) == (2, "SyntaxError")


def test_an_error_that_no_text_can_hold_is_a_failure_all_the_same(tmp_path):
    write(tmp_path / "odd.ipynb", "raise ValueError('\\ud800')")
    cell = execute_notebook(tmp_path / "odd", execution_timeout=60).failed_cell
    assert cell.number == 1
    values.encode_json(cell)


def test_an_endless_error_is_cut(tmp_path):
    write(tmp_path / "long.ipynb", "raise ValueError('x' * 10_000_000)")
    result = execute_notebook(tmp_path / "long")
    assert "characters left out" in result.failed_cell.message
    assert len(str(NotebookExecutionError(result))) < 200_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("broken \x1b[", "broken ["),
        ("lone \ud800", "lone \\ud800"),
        ("kept\r\n\ttoo", "kept\r\n\ttoo"),
    ],
)
def test_text_is_plain(text, shown):
    assert plain_text(text) == shown


def test_an_allowed_error_is_one_all_the_same_as_papermill_has_it(tmp_path):
    write(tmp_path / "allowed.ipynb", ("raises-exception", "1 / 0"), "print('went on')")
    result = execute_notebook(tmp_path / "allowed")
    assert result.failed_cell.number == 1
    assert outputs_of(result.output_path)[1] == "went on\n"
