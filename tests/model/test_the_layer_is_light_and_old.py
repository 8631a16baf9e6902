"""The model runs on Python 3.9 and, when it is imported, loads nothing but the standard library."""

from __future__ import annotations

import ast
import os
import pathlib
import subprocess
import sys

import pytest

import airflow_provider_tasks.model
from tests.pythons import python_or_skip

FOLDER = pathlib.Path(airflow_provider_tasks.model.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
PROJECT = FOLDER.parents[1]


def run(python: str, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-c", code], env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True
    )


def imports(modules: list[str]) -> str:
    return "import sys\n" + "".join(f"import airflow_provider_tasks.model.{name}\n" for name in modules)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_written_in_python_3_9(name):
    ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 9))


def test_importing_the_model_loads_neither_returns_nor_yaml():
    code = imports([name for name in MODULES if name != "results"])
    found = run(sys.executable, code + "print({'returns', 'yaml', 'difflib', 'typing_extensions'} & set(sys.modules))")
    assert found.stdout == "set()\n", found.stderr


def test_the_model_runs_on_python_3_9_and_results_say_what_they_need():
    python = python_or_skip("3.9")
    code = imports([name for name in MODULES if name != "results"])
    code += "from airflow_provider_tasks.model.task import Task\n"
    code += "print(type('Ping', (Task,), {'run': lambda self: 42})()())"
    found = run(python, code)
    assert found.stdout == "42\n", found.stderr
    found = run(python, "from airflow_provider_tasks import Result")
    assert (
        "ImportError: Result, Success and Failure come from the library returns, which needs Python 3.11"
        in found.stderr
    )
    assert "this is Python 3.9. Plain values and exceptions need neither" in found.stderr
