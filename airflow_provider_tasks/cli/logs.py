"""Airflow's own log, which goes to standard output, kept apart from what a command is asked for."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

_HANDLER = "default"
"""What Airflow calls its handler of the standard library's log."""


@contextlib.contextmanager
def log_apart(least: int = logging.ERROR) -> Iterator[None]:
    """Have Airflow's log go to standard error, and only what is as bad as ``least``."""
    import structlog

    def pass_on(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        level = "ERROR" if method == "exception" else method.upper()
        if logging.getLevelNamesMapping().get(level, logging.ERROR) >= least:
            text, values = str(event.get("event")), event.get("positional_args")
            with contextlib.suppress(TypeError, ValueError):
                text = text % values if values else text
            print(text, file=sys.stderr)
        raise structlog.DropEvent

    # In place: loggers that have been used already hold the same list.
    processors = structlog.get_config()["processors"]
    processors.insert(0, pass_on)
    root = logging.getLogger()
    theirs = [handler for handler in root.handlers if handler.get_name() == _HANDLER]
    ours = logging.StreamHandler()
    ours.set_name(_HANDLER)
    ours.setLevel(least)
    root.handlers = [ours, *(handler for handler in root.handlers if handler not in theirs)]
    try:
        yield
    finally:
        processors.remove(pass_on)
        root.handlers = [*theirs, *(handler for handler in root.handlers if handler is not ours)]
