"""Whoever installs the package gets its types: an editor completes arguments, and type checkers check them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.release.conftest import REPOSITORY, Installed

DAG_FILE = Path(__file__).with_name("users_dag_file.py")


def mypy(file: Path, installed: Installed) -> str:
    cache, known = file.parent / "cache", REPOSITORY / ".mypy_cache"
    if known.exists():
        shutil.copytree(known, cache)  # `make lint` has read all of Airflow already, which takes half a minute
    options = ["--config-file", REPOSITORY / "pyproject.toml", "--python-executable", installed.python]
    return output_of("mypy", *options, "--cache-dir", cache, file)


def pyright(file: Path, installed: Installed) -> str:
    return output_of("pyright", "--pythonpath", installed.python, file)


def output_of(checker: str, *args: object) -> str:
    command = [sys.executable, "-m", checker, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(str(args[-1])).parent)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("check", [mypy, pyright])
def test_what_is_right_is_accepted_and_what_is_wrong_is_refused(
    check: Callable[[Path, Installed], str], installed: Installed, tmp_path: Path
) -> None:
    file = tmp_path / "dag_file.py"
    shutil.copy(DAG_FILE, file)
    output = check(file, installed)
    found = {int(line) for line in re.findall(r"dag_file\.py:(\d+)(?::\d+)?(?: -|:) error", output)}
    lines = DAG_FILE.read_text(encoding="utf-8").splitlines()
    assert found == {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}, output
