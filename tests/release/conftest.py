"""The package as people get it: built, and installed from its wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.workers.conftest import made_once

REPOSITORY = Path(__file__).parents[2]

collect_ignore = ["users_dag_file.py"]  # it is read by type checkers, and not run


class Built(NamedTuple):
    wheel: Path
    sdist: Path


class Installed:
    """A virtual environment that has the wheel, and from this one's environment all that it needs."""

    def __init__(self, folder: Path) -> None:
        self.python = python_of(folder)

    def run(self, *args: object) -> str:
        """Run Python with these arguments, away from the checkout, and give what it printed."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [self.python, *map(str, args)],
            capture_output=True,
            text=True,
            cwd=self.python.parent,
            env=environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def install(folder: Path, wheel: Path) -> None:
    """Make the virtual environment of `Installed`."""
    venv.create(folder)
    uv("pip", "install", "--no-deps", "--offline", "--python", python_of(folder), wheel)
    packages = next(folder.glob("lib/*/site-packages"))
    # As a line of a .pth file it gives its packages, and not those that its own .pth files name: the checkout.
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))


def uv(*args: object) -> None:
    """Run uv, which ``make`` has put beside this Python."""
    command = [Path(sys.executable).with_name("uv"), *args]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build as ``make build`` does: an sdist, and the wheel from the sdist."""
    folder = made_once(tmp_path_factory, "dist", lambda folder: uv("build", "--out-dir", folder))
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel."""
    return Installed(made_once(tmp_path_factory, "installed", lambda folder: install(folder, built.wheel)))
