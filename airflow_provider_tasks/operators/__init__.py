"""Airflow's side: the operators. Each is loaded when it is first used: a DAG file pays for those that it has."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_tasks.operators.base import WorkerOperator
    from airflow_provider_tasks.operators.files import FileOperator, NotebookOperator, ScriptOperator
    from airflow_provider_tasks.operators.pipeline import PipelineOperator, pipeline_results
    from airflow_provider_tasks.operators.retries import WorkerRetryPolicy
    from airflow_provider_tasks.operators.task import TaskOperator

__all__ = [
    "FileOperator",
    "NotebookOperator",
    "PipelineOperator",
    "ScriptOperator",
    "TaskOperator",
    "WorkerOperator",
    "WorkerRetryPolicy",
    "pipeline_results",
]

_HOMES = {
    "FileOperator": "files",
    "NotebookOperator": "files",
    "PipelineOperator": "pipeline",
    "ScriptOperator": "files",
    "TaskOperator": "task",
    "WorkerOperator": "base",
    "WorkerRetryPolicy": "retries",
    "pipeline_results": "pipeline",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
