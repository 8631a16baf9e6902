"""The other Pythons of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def python_or_skip(version: str) -> str:
    """Return the path of a Python of ``version``, however it was installed; skip the test where there is none."""
    folders = [*sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin")), *map(Path, os.get_exec_path())]
    for folder in folders:
        # What pyenv puts on the PATH starts another Python than it says.
        if (folder / f"python{version}").exists() and "shims" not in folder.parts:
            return str(folder / f"python{version}")
    pytest.skip(f"there is no Python {version} on this machine")
