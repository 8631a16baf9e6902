"""What a task in a worker knows of the run it belongs to."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

FILE_VARIABLE = "AIRFLOW_TASK_CONTEXT"
"""Names the file that holds the context for processes that a task starts: scripts, kernels of notebooks."""

_context: dict[str, Any] | None = None
_folder = ""


def get_context() -> dict[str, Any]:
    """Return the context of the running task, inside a worker: in a function, a class, a script, a notebook.

    The keys are Airflow's own (``ds``, ``ts``, ``run_id``, ``params``, ``logical_date``,
    ``data_interval_start``, …) as far as their values can travel, and: ``dag_id``, ``task_id``,
    ``try_number``, ``map_index`` (-1 where the task is not mapped), ``node`` (the node's JSON or None),
    ``connections`` and ``variables`` (those that ``WorkerConfig`` hands over, by id and by key).

    Returns:
        A new dictionary on every call, with the values of the one context that there is.

    Raises:
        RuntimeError: outside a worker.

    >>> get_context()
    Traceback (most recent call last):
    ...
    RuntimeError: get_context() was called outside a worker: only a task that runs in one has a context

    """
    if _context is None:
        set_context(_read())
    return dict(_context or {})


def set_context(context: Mapping[str, Any], folder: str = "") -> None:
    """Make ``context`` what :func:`get_context` returns in this process.

    Args:
        context: the context.
        folder: where :func:`handed_on` may write it: a folder of the current user's alone, which goes with the worker.

    """
    global _context, _folder
    _context, _folder = dict(context), folder


def is_in_a_worker() -> bool:
    """Whether this process is one of a worker's."""
    return _context is not None or FILE_VARIABLE in os.environ


@contextlib.contextmanager
def handed_on() -> Iterator[dict[str, str]]:
    """Give environment variables with which a process that this one starts has the context too, for as long as this.

    There are none where there is no context, or where this process has it from its own environment.
    """
    if _context is None or not _folder:
        yield {}
        return
    import tempfile

    from airflow_provider_tasks.runtime import files, values

    number, path = tempfile.mkstemp(".json", "context-", _folder)  # only this user can read it
    try:
        with open(number, "wb") as file:
            file.write(values.encode_json(_context))
        yield {FILE_VARIABLE: path}
    finally:
        files.remove(path)


def _read() -> dict[str, Any]:
    path = os.environ.get(FILE_VARIABLE)
    if not path:
        raise RuntimeError("get_context() was called outside a worker: only a task that runs in one has a context")
    import json

    from airflow_provider_tasks.runtime import values

    try:
        with open(path, "rb") as file:
            found: dict[str, Any] = values.decode(json.loads(file.read()))
    except FileNotFoundError:
        raise RuntimeError(
            f"get_context() was called after the end of its script or notebook: {path}, which {FILE_VARIABLE} names, "
            "is gone"
        ) from None
    return found
