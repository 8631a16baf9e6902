"""Where the measurements run: an Airflow home of their own, and a Python that has nothing installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

DAG_FILES = Path(__file__).parent / "dag_files"

PROJECT = Path(__file__).parents[1]
"""The folder that ``python -m benchmarks`` is run in."""


def prepare(home: Path) -> None:
    """Make this process, and those that it starts, use an Airflow home in ``home`` and nothing of another one."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    # Imports are measured as they are in an installation: compiled. And a peer hands its environment on.
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH"):
        os.environ.pop(name, None)
    sys.dont_write_bytecode = False
    os.environ["AIRFLOW_HOME"] = str(home / "airflow")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(home / "dags")
    os.environ["AIRFLOW__WORKER_TASKS__CACHE_FOLDER"] = str(home / "cache")
    # What a cached virtualenv of Airflow's asks for: from the environment, it costs no request to an API server.
    os.environ["AIRFLOW_VAR_PYTHON_VIRTUALENV_OPERATOR_CACHE_KEY"] = "benchmark"
    # Airflow makes virtual environments with the command `python`.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    os.environ["BENCHMARK_HOME"] = str(home)
    (home / "dags").mkdir(parents=True)
    for file in DAG_FILES.glob("*.py"):
        shutil.copy(file, home / "dags")


def home() -> Path:
    """Return the folder that ``prepare`` was given."""
    return Path(os.environ["BENCHMARK_HOME"])


@cache
def bare_python() -> Path:
    """Return a Python of this version with nothing installed, made when it is first asked for."""
    folder = home() / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


@cache
def load(module_name: str, file_name: str) -> ModuleType:
    """Return a DAG file as a module of this name, loaded now unless it is already."""
    spec = importlib.util.spec_from_file_location(module_name, home() / "dags" / file_name)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(file_name)
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
