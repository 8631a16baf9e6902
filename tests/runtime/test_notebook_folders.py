"""Many notebooks: where their outputs go, which ones a pattern means, what the history keeps."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from airflow_provider_tasks import (
    NotebookError,
    configure_notebooks,
    execute_notebook,
    execute_notebooks,
    notebook_history,
)
from airflow_provider_tasks.runtime.notebook_paths import failed_file, find, output_file
from airflow_provider_tasks.runtime.notebook_results import NotebookParameterError, NotebooksFailedError

from .notebooks import RAISES, write


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook_history.clear()
    yield
    notebook_history.clear()
    configure_notebooks()


def names(results):
    return [result.name for result in results]


def test_all_notebooks_of_a_folder_run_in_order_and_one_that_fails_stops_none(tmp_path, capsys):
    write(tmp_path / "folder" / "b.ipynb", "print('b')")
    write(tmp_path / "folder" / "c.ipynb", ("result", "3"))
    shutil.copy(RAISES, tmp_path / "folder" / "a.ipynb")
    results = execute_notebooks("folder", output_folder="out", failed_output_folder="failed")
    assert [(result.name, result.success) for result in results] == [("a", False), ("b", True), ("c", True)]
    assert results[2].results == {"result": 3}
    assert sorted(os.listdir("out")) == ["b_output.ipynb", "c_output.ipynb"]
    assert os.listdir("failed") == ["a_output.ipynb"]
    assert results[0].output_path == str(tmp_path / "failed" / "a_output.ipynb")
    assert names(notebook_history) == ["a", "b", "c"]


def test_several_that_fail_are_one_exception_that_names_them(tmp_path):
    for name in "ac":
        shutil.copy(RAISES, tmp_path / f"{name}.ipynb")
    write(tmp_path / "b.ipynb", "1")
    with pytest.raises(NotebooksFailedError) as caught:
        execute_notebooks("*.ipynb", raise_on_failure=True)
    assert str(caught.value).splitlines() == [
        "2 of 3 notebooks failed:",
        f"a.ipynb in cell 2: SystemError: Simulated error ({tmp_path / 'a_output.ipynb'})",
        f"c.ipynb in cell 2: SystemError: Simulated error ({tmp_path / 'c_output.ipynb'})",
    ]
    assert isinstance(caught.value, NotebookError)


def test_all_are_checked_before_the_first_one_runs(tmp_path):
    write(tmp_path / "a.ipynb", ("parameters", "day = 1"))
    write(tmp_path / "b.ipynb", "1")
    with pytest.raises(NotebookParameterError, match=r"b\.ipynb takes no parameters"):
        execute_notebooks("*.ipynb", {"day": 2})
    assert sorted(os.listdir()) == ["a.ipynb", "b.ipynb"]


def test_two_outputs_in_one_file_are_refused(tmp_path):
    write(tmp_path / "one" / "a.ipynb", "1")
    write(tmp_path / "two" / "a.ipynb", "1")
    with pytest.raises(
        ValueError, match=r"one/a.ipynb and .*two/a.ipynb would both be written to .*out/a_output.ipynb"
    ):
        execute_notebooks(["one", "two"], output_folder="out")


def test_the_history_tells_what_ran_and_its_check_what_failed(tmp_path):
    write(tmp_path / "good.ipynb", ("result", "'large'"))
    good = execute_notebook("good")
    notebook_history.check()
    bad = execute_notebook(shutil.copy(RAISES, tmp_path / "bad.ipynb"))
    assert list(notebook_history) == [good.without_results(), bad.without_results()]
    assert notebook_history[1].failed_cell == bad.failed_cell
    assert notebook_history[1].output_path == bad.output_path
    assert not hasattr(notebook_history[0], "results")
    with pytest.raises(NotebooksFailedError, match=r"1 of 2 notebooks failed:\nbad\.ipynb in cell 2: SystemError"):
        notebook_history.check()


def test_defaults_hold_for_calls_that_say_nothing_else(tmp_path):
    write(tmp_path / "good.ipynb", "1")
    shutil.copy(RAISES, tmp_path / "bad.ipynb")
    configure_notebooks("out", "failed", add_time_stamp_to_output=True)
    good, bad = execute_notebook("good"), execute_notebook("bad")
    assert re.fullmatch(r"out/good_output_\d{8}_\d{6}_\d{3}\.ipynb", os.path.relpath(good.output_path))
    assert re.fullmatch(r"failed/bad_output_\d{8}_\d{6}_\d{3}\.ipynb", os.path.relpath(bad.output_path))
    assert os.listdir("out") == [os.path.basename(good.output_path)]
    said = execute_notebook("good", output_path="said")
    assert os.path.relpath(said.output_path) == "said.ipynb"


def test_outputs_of_earlier_runs_are_left_out(tmp_path):
    write(tmp_path / "good.ipynb", "1")
    write(tmp_path / "my_output.ipynb", "1")
    execute_notebook("good")
    configure_notebooks(add_time_stamp_to_output=True)
    execute_notebook("good")
    assert len(os.listdir()) == 4
    assert [os.path.basename(path) for path in find("*.ipynb")] == ["good.ipynb", "my_output.ipynb"]


@pytest.fixture
def tree(tmp_path):
    for name in ("b", "a", "deep/er/c", ".ipynb_checkpoints/a-checkpoint", "x[1]", "~"):
        write(tmp_path / f"{name}.ipynb", "1")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.ipynb").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ("*.ipynb", ["a", "b", "x[1]", "~"]),
        (".", ["a", "b", "x[1]", "~"]),
        (Path("deep") / "er", ["deep/er/c"]),
        ("**/*.ipynb", ["a", "b", "deep/er/c", "x[1]", "~"]),
        ("[ab].ipynb", ["a", "b"]),
        ("x[1].ipynb", ["x[1]"]),
        ("x[1]", ["x[1]"]),
        (["b", "*.ipynb", "deep/er/c.ipynb"], ["b", "a", "x[1]", "~", "deep/er/c"]),
        ("s3://bucket/a.ipynb", ["s3://bucket/a"]),
        ("missing", ["missing"]),
    ],
)
def test_patterns(tree, patterns, found):
    shown = [path if "://" in path else os.path.relpath(path) for path in find(patterns)]
    assert [path.removesuffix(".ipynb") for path in shown] == found


@pytest.mark.parametrize("pattern", ["*.txt", "nothing/*.ipynb", "fol*"])
def test_a_pattern_that_nothing_matches(tree, pattern):
    with pytest.raises(FileNotFoundError, match="no notebook matches"):
        find(pattern)


def test_a_pattern_that_only_outputs_match(tmp_path):
    write(tmp_path / "good.ipynb", "1")
    execute_notebook("good")
    with pytest.raises(
        FileNotFoundError, match="; 1 that match are outputs of earlier runs; expected a pattern such as"
    ):
        find("*_output.ipynb")


@pytest.mark.parametrize(
    ("path", "folder", "output"),
    [
        (None, None, "/in/a_output.ipynb"),
        ("/out/b", None, "/out/b.ipynb"),
        ("/out/b.ipynb", None, "/out/b.ipynb"),
        ("/out/", None, "/out/a_output.ipynb"),
        ("/", None, "/a_output.ipynb"),
        (None, "/out", "/out/a_output.ipynb"),
        (None, "~/out", f"{Path.home()}/out/a_output.ipynb"),
        (None, "s3://bucket/out/", "s3://bucket/out/a_output.ipynb"),
        ("s3://bucket/out/", None, "s3://bucket/out/a_output.ipynb"),
        ("s3://bucket/b", None, "s3://bucket/b"),
        ("gs://bucket/~b.ipynb", "/out", "gs://bucket/~b.ipynb"),
    ],
)
def test_where_an_output_goes(path, folder, output):
    assert output_file("/in/a.ipynb", path, folder) == output


def test_an_existing_folder_is_one_without_a_slash_too(tmp_path):
    (tmp_path / "out").mkdir()
    assert output_file("/in/a.ipynb", "out") == str(tmp_path / "out" / "a_output.ipynb")
    assert failed_file("/in/a_output.ipynb", "out") == str(tmp_path / "out" / "a_output.ipynb")


def test_the_output_of_a_notebook_from_elsewhere_has_to_be_said():
    with pytest.raises(ValueError, match=r"s3://bucket/a\.ipynb is not on this machine: say with output_path where"):
        output_file("s3://bucket/a.ipynb")
    assert output_file("s3://bucket/a.ipynb", folder="/out") == "/out/a_output.ipynb"


@pytest.mark.parametrize("folder", ["", 3])
def test_what_is_no_folder_is_refused(folder):
    with pytest.raises((TypeError, ValueError), match="default_output_folder is"):
        configure_notebooks(folder)
