"""What runs notebooks is written in Python 3.9 and, when it is imported, loads nothing but the standard library."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_provider_tasks.runtime
from tests.pythons import python_or_skip

FOLDER = Path(airflow_provider_tasks.runtime.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("notebook*.py"))
IMPORTS = "import sys\n" + "".join(f"import airflow_provider_tasks.runtime.{name}\n" for name in MODULES)


def run(python: str, code: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(FOLDER.parents[1])}
    return subprocess.run([python, "-c", code], env=env, capture_output=True, text=True)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_written_in_python_3_9(name):
    ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 9))


def test_importing_them_loads_nothing_of_jupyter():
    heavy = "{'papermill', 'nbformat', 'nbclient', 'jupyter_client', 'IPython', 'zmq', 'asyncio', 'traitlets'}"
    found = run(sys.executable, IMPORTS + f"print({heavy} & set(sys.modules))")
    assert found.stdout == "set()\n", found.stderr


def test_they_can_be_imported_by_python_3_9_and_say_what_they_need(tmp_path):
    python = python_or_skip("3.9")
    code = IMPORTS + "from airflow_provider_tasks import execute_notebook\nexecute_notebook('report')"
    found = run(python, code)
    assert "ModuleNotFoundError: execute_notebook needs the module 'papermill'" in found.stderr
