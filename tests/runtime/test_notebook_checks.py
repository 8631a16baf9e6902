"""What is wrong is said before anything runs, with what was found, what was expected and what to do."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import sys
from decimal import Decimal
from enum import Enum

import numpy as np  # noqa: TID253
import pytest

from airflow_provider_tasks import execute_notebook
from airflow_provider_tasks.runtime.notebook_results import (
    NotebookFormatError,
    NotebookKernelError,
    NotebookParameterError,
    notebook_history,
)

from .notebooks import write


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    """A check that no test of this file leaves an output or a run."""
    monkeypatch.chdir(tmp_path)
    runs = len(notebook_history)
    yield
    assert len(notebook_history) == runs
    assert not list(tmp_path.rglob("*_output*"))


@pytest.fixture
def takes_day(tmp_path):
    write(tmp_path / "takes_day.ipynb", ("parameters", "day = None\nlimit: int = 3"), "print(day)")
    return "takes_day"


def test_a_notebook_that_is_not_there(tmp_path):
    write(tmp_path / "report.ipynb", "1")
    with pytest.raises(FileNotFoundError) as caught:
        execute_notebook("repotr")
    assert str(caught.value) == f"there is no notebook {tmp_path / 'repotr.ipynb'}; the folder has report.ipynb"


def test_a_folder_without_notebooks(tmp_path):
    with pytest.raises(FileNotFoundError, match="; the folder has none"):
        execute_notebook("report")


def test_a_folder_is_no_notebook(tmp_path):
    (tmp_path / "folder.ipynb").mkdir()
    with pytest.raises(
        IsADirectoryError, match="is a folder; for all notebooks of a folder there is execute_notebooks"
    ):
        execute_notebook("folder")


CELL = {"cell_type": "code", "source": "1", "metadata": {}, "outputs": [], "execution_count": None}
GOOD = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [CELL]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is not JSON in UTF-8"),
        (b"not a notebook", "it is not JSON in UTF-8"),
        (b'{"cells": [', "it is not JSON in UTF-8"),
        (b"\xff\xfe\x00", "it is not JSON in UTF-8"),
        (b"[" * 100_000, "it is not JSON in UTF-8"),
        (b"[]", "it is JSON without a version"),
        (b'"text"', "it is JSON without a version"),
        (b'{"a": 1}', "it is JSON without a version"),
        ({**GOOD, "nbformat": "4"}, "it is JSON without a version"),
        ({**GOOD, "nbformat": 5}, "of version 5 of the format, expected at most 4"),
        ({**GOOD, "nbformat": 0}, "of version 0 of the format"),
        ({"nbformat": 4}, "is a broken notebook"),
        ({**GOOD, "cells": "x"}, "is a broken notebook"),
        ({**GOOD, "cells": {"a": 1}}, "is a broken notebook"),
        ({**GOOD, "cells": [1]}, "is a broken notebook"),
        ({**GOOD, "cells": [CELL, {**CELL, "source": None}]}, "the source of cell 2 is no text"),
        ({**GOOD, "cells": [CELL, {**CELL, "source": 3}]}, "the source of cell 2 is no text"),
        ({**GOOD, "cells": [{**CELL, "metadata": []}]}, "is a broken notebook"),
        ({**GOOD, "metadata": 1}, "is a broken notebook"),
        ({"nbformat": 3, "worksheets": 3, "metadata": {}}, "is a broken notebook"),
    ],
)
def test_a_file_that_is_no_notebook(tmp_path, content, reason):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (tmp_path / "broken.ipynb").write_bytes(data)
    with pytest.raises(NotebookFormatError) as caught:
        execute_notebook("broken")
    assert str(tmp_path / "broken.ipynb") in str(caught.value)
    assert reason in str(caught.value)


def test_a_kernel_that_is_not_installed(tmp_path):
    write(tmp_path / "mine.ipynb", "1", kernel="my-env")
    with pytest.raises(NotebookKernelError) as caught:
        execute_notebook("mine")
    assert str(caught.value).startswith(
        "the kernel 'my-env' of mine.ipynb is not installed here; install it, or give another kernel_name, known: "
    )
    assert "'python3'" in str(caught.value)


def test_a_notebook_that_names_no_kernel(tmp_path):
    write(tmp_path / "none.ipynb", "1", kernel=None)
    with pytest.raises(NotebookKernelError, match=r"none\.ipynb does not say which kernel it needs; give kernel_name"):
        execute_notebook("none")


def kernel(folder: pathlib.Path, name: str, argv: list[str], language: str = "python") -> None:
    spec = folder / "kernels" / name / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": argv, "display_name": name, "language": language}))


def test_a_kernel_whose_program_is_gone(tmp_path, monkeypatch):
    kernel(tmp_path, "gone", ["/nowhere/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    write(tmp_path / "report.ipynb", "1")
    with pytest.raises(NotebookKernelError, match="is started by '/nowhere/python', which is not there"):
        execute_notebook("report", kernel_name="gone")


def test_a_parameter_that_is_not_declared(takes_day):
    with pytest.raises(NotebookParameterError) as caught:
        execute_notebook(takes_day, {"dya": "2026-01-02"})
    assert str(caught.value) == (
        "takes_day.ipynb does not declare the parameter 'dya'; did you mean 'day'? Known: 'day', 'limit'. "
        "Give it a default in the cell tagged 'parameters'"
    )


def test_parameters_for_a_notebook_that_takes_none(tmp_path):
    write(tmp_path / "plain.ipynb", "day = 1")
    with pytest.raises(NotebookParameterError) as caught:
        execute_notebook("plain", {"day": 1, "limit": 2})
    assert str(caught.value).startswith(
        "plain.ipynb takes no parameters, found 'day', 'limit': none of its cells is tagged 'parameters'. Tag the cell"
    )


class Color(Enum):
    RED = "red"


ENDLESS: list[object] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (datetime.date(2026, 1, 2), "parameters['day'] is of type datetime.date; a notebook takes"),
        (datetime.datetime(2026, 1, 2), "lists and dicts of these: give .isoformat()"),
        ([{"a": (1, 2)}], "parameters['day'][0]['a'] is of type tuple; a notebook takes"),
        ({1}, "lists and dicts of these: give list(…)"),
        (b"x", "parameters['day'] is of type bytes"),
        (Decimal(1), "parameters['day'] is of type decimal.Decimal"),
        (np.int64(3), "parameters['day'] is of type numpy.int64"),
        (Color.RED, "Color; a notebook takes"),
        (float("nan"), "parameters['day'] is nan, which a notebook can't be given"),
        (float("-inf"), "parameters['day'] is -inf, which"),
        ({1: 2}, "parameters['day'] is a dict with keys that are not text"),
        ("\ud800", "parameters['day'] is '\\ud800', which"),
        (ENDLESS, "is nested more than 200 levels deep"),
    ],
)
def test_a_value_that_a_notebook_can_not_be_given(takes_day, value, reason):
    with pytest.raises(NotebookParameterError) as caught:
        execute_notebook(takes_day, {"day": value})
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["a b", "1", "class", "day = __import__('os')", 3])
def test_a_name_that_is_none(takes_day, name):
    with pytest.raises(NotebookParameterError, match="is no name of a parameter: expected the name of a variable"):
        execute_notebook(takes_day, {name: 1})


def test_parameters_in_a_language_that_papermill_does_not_write(tmp_path, monkeypatch):
    kernel(tmp_path, "logo", [sys.executable], language="logo")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    write(tmp_path / "turtle.ipynb", ("parameters", "make"), kernel="logo")
    with pytest.raises(NotebookParameterError, match="can't hand parameters over to a notebook in 'logo', found 'day'"):
        execute_notebook("turtle", {"day": 1})


def test_an_option_that_there_is_not(takes_day):
    with pytest.raises(
        TypeError, match=r"execute_notebook has no option 'exection_timeout'; did you mean 'execution_t"
    ):
        execute_notebook(takes_day, exection_timeout=3)


@pytest.mark.parametrize("name", ["engine_name", "km", "kernel_manager_class", "on_cell_execute", "resources"])
def test_options_that_would_take_the_kernel_away(takes_day, name):
    with pytest.raises(TypeError, match=f"execute_notebook has no option '{name}'"):
        execute_notebook(takes_day, **{name: None})


def test_a_working_directory_that_is_not_there(takes_day, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"the working directory {tmp_path}/nowhere is not a folder"):
        execute_notebook(takes_day, cwd="nowhere")


@pytest.mark.parametrize("output", ["takes_day", "takes_day.ipynb", "./takes_day", "link"])
def test_an_output_over_the_input(takes_day, tmp_path, output):
    os.symlink("takes_day.ipynb", tmp_path / "link.ipynb")
    with pytest.raises(ValueError, match="the executed notebook would overwrite the notebook itself"):
        execute_notebook(takes_day, output_path=output)


@pytest.mark.parametrize("path", ["", "  "])
def test_a_blank_path(path):
    with pytest.raises(ValueError, match="input_path is blank"):
        execute_notebook(path)


@pytest.mark.parametrize("path", [3, None, b"report"])
def test_what_is_no_path(path):
    with pytest.raises(TypeError, match=f"input_path is of type {type(path).__name__}"):
        execute_notebook(path)


def test_a_failed_notebook_is_not_moved_elsewhere(takes_day):
    with pytest.raises(ValueError, match="a failed notebook is moved on this machine only, found s3://bucket/failed/"):
        execute_notebook(takes_day, failed_output_path="s3://bucket/failed/")


def test_papermill_that_is_not_installed(takes_day, monkeypatch):
    monkeypatch.setitem(sys.modules, "papermill", None)
    with pytest.raises(ModuleNotFoundError, match="needs the module 'papermill': pip install papermill ipykernel") as c:
        execute_notebook(takes_day)
    assert c.value.name == "papermill"
