"""The shape of the messages of the worker protocol; only type checkers read it, nothing imports it at run time."""

from __future__ import annotations

from typing import Any, TypedDict


class Environment(TypedDict, total=False):
    """What is to be in place before the task runs.

    ``grouped`` says that the log is to fold what the startup script and the requirements print.
    """

    variables: dict[str, str]
    setup_variables: dict[str, str]
    startup_script: str | None
    requirements: list[str]
    python_venv_name: str | None
    cache: str | None
    grouped: bool


class Limits(TypedDict, total=False):
    """What the task may use: ``memory`` in bytes, ``time`` in seconds; None is no limit.

    ``memory_ends`` says what goes when there is too much: ``all``, as it is without, or ``largest``, the largest
    process that the task has started.
    """

    memory: int | None
    memory_ends: str
    time: float | None


class ModuleSource(TypedDict):
    """A module that goes along as source."""

    source: str
    package: bool


class Request(TypedDict, total=False):
    """What to run.

    Either ``payload``, the base64 of a pickled ``(callable, args, kwargs)``, and ``python``, the version that wrote it;
    or ``call``, the name of something that the runtime itself does (``script``, ``notebook``), and ``arguments``, a
    value. ``files`` is the base64 of an archive that is unpacked in the working directory before.
    ``modules`` maps module names to the source of those that the callable imports while it runs, and
    ``sources`` file names to the text that tracebacks show. ``context`` is a value in the form of
    :mod:`airflow_provider_tasks.runtime.values`.
    """

    version: int
    python: str
    payload: str
    call: str
    arguments: Any
    files: str
    modules: dict[str, ModuleSource]
    sources: dict[str, str]
    context: Any
    environment: Environment
    limits: Limits
    pickle_results: bool
