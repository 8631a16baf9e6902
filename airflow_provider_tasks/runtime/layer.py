"""A virtual environment on top of another: what it lacks is looked up in the one below.

``pip`` inside a layer installs into the layer and never touches what lies below.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BELOW = "_below.pth"


def create(folder: str, below: Sequence[str] = ()) -> None:
    """Create a layer in ``folder`` for the running Python.

    Args:
        folder: where; it must not exist.
        below: folders of packages to look in before those of the running Python.

    """
    import venv
    from importlib.util import find_spec

    has_pip = find_spec("pip") is not None
    venv.EnvBuilder(symlinks=True, with_pip=not has_pip).create(folder)
    lines = [f"import site; site.addsitedir({path!r})" for path in (*below, *_own_packages())]
    with open(os.path.join(packages(folder), BELOW), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    # Where pip comes from below, its command would install below.
    for name in ("pip", "pip3", "pip{}.{}".format(*sys.version_info[:2])):
        command = os.path.join(folder, "bin", name)
        with open(command, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec "{python(folder)}" -m pip "$@"\n')
        os.chmod(command, 0o700)


def python(folder: str) -> str:
    """Return the Python of the layer in ``folder``."""
    return os.path.join(folder, "bin", "python")


def packages(folder: str) -> str:
    """Return the folder of the packages of a layer made by the running version of Python."""
    return os.path.join(folder, "lib", "python{}.{}".format(*sys.version_info[:2]), "site-packages")


def _own_packages() -> list[str]:
    import site

    found = list(site.getsitepackages())
    if site.ENABLE_USER_SITE:
        found.append(site.getusersitepackages())
    return [path for path in found if os.path.isdir(path)]
