"""What pickles call in a worker."""

from __future__ import annotations

from typing import TypeVar

_T = TypeVar("_T")


def itself(value: _T) -> _T:
    """Return ``value``: for what travels as something else than it is where it comes from."""
    return value
