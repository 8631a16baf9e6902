"""The shape of the messages of the worker protocol; only type checkers read it, nothing imports it at run time."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, TypedDict


class Environment(TypedDict, total=False):
    """What is to be in place before the task runs."""

    variables: Dict[str, str]
    setup_variables: Dict[str, str]
    startup_script: Optional[str]
    requirements: List[str]
    python_venv_name: Optional[str]
    cache: Optional[str]


class Limits(TypedDict, total=False):
    """What the task may use: ``memory`` in bytes, ``time`` in seconds; None is no limit."""

    memory: Optional[int]
    time: Optional[float]


class ModuleSource(TypedDict):
    """A module that goes along as source."""

    source: str
    package: bool


class Request(TypedDict, total=False):
    """What to run.

    ``payload`` is the base64 of a pickled ``(callable, args, kwargs)``; ``python`` the version that wrote it;
    ``modules`` maps module names to the source of those that the callable imports while it runs, and
    ``sources`` file names to the text that tracebacks show. ``context`` is a value in the form of
    :mod:`airflow_provider_tasks.runtime.values`.
    """

    version: int
    python: str
    payload: str
    modules: Dict[str, ModuleSource]
    sources: Dict[str, str]
    context: Any
    environment: Environment
    limits: Limits
    pickle_results: bool
