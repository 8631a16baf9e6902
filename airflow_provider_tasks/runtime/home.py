"""Where this package is, for the processes of Python that it starts."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The folder, or in a worker the archive, that this package is imported from."""


def python_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Give environment variables with which a Python finds this package: ``inherited``, and where it is."""
    import site

    environment = dict(inherited)
    folders = [*site.getsitepackages(), site.getusersitepackages()]
    # It may be another Python: what is installed for this one is not for it.
    if _HOME not in folders:
        places = [_HOME, environment.get("PYTHONPATH")]
        if os.path.isfile(_HOME) or os.path.isdir(os.path.join(_HOME, "fallback")):
            places.append(os.path.join(_HOME, "fallback"))  # what the archive brings along where it is not installed
        environment["PYTHONPATH"] = os.pathsep.join(place for place in places if place)
    return environment
