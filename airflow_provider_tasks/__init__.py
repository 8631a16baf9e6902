"""Run Airflow tasks in isolated workers; see ``README.md`` for the tour.

The names below are the public face of the package. Each is loaded when it is first used, so that importing
the package costs a DAG file next to nothing, and so that the same import works inside a worker, where there is
no Airflow.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # typing would be most of what importing this package costs in a worker
if TYPE_CHECKING:
    from airflow_provider_tasks.decorators.worker import worker
    from airflow_provider_tasks.model.deployment import Deployment
    from airflow_provider_tasks.model.environment_definition import DockerImage, ShellExecution
    from airflow_provider_tasks.model.experiment import Experiment
    from airflow_provider_tasks.model.graph import ExecutionGraph
    from airflow_provider_tasks.model.node import Architecture, Node
    from airflow_provider_tasks.model.nodes import CountableNodePool, Nodes, UncountableNodePool
    from airflow_provider_tasks.model.pipeline import CyclePipeline, Pipeline
    from airflow_provider_tasks.model.results import Failure, Result, Success, is_successful
    from airflow_provider_tasks.model.task import Task, TaskDispatcher
    from airflow_provider_tasks.operators.groups import experiment_group, pipeline_group
    from airflow_provider_tasks.runtime.context import get_context
    from airflow_provider_tasks.runtime.notebook import execute_notebook, execute_notebooks
    from airflow_provider_tasks.runtime.notebook_paths import configure_notebooks
    from airflow_provider_tasks.runtime.notebook_results import (
        NotebookError,
        NotebookExecutionError,
        NotebookResult,
        notebook_history,
    )
    from airflow_provider_tasks.runtime.notebook_values import glue
    from airflow_provider_tasks.runtime.script import set_result
    from airflow_provider_tasks.runtime.signals import FailTask, SkipTask
    from airflow_provider_tasks.workers.by_hand import Worker, run_task
    from airflow_provider_tasks.workers.config import WorkerConfig
    from airflow_provider_tasks.workers.direct import run_pipeline
    from airflow_provider_tasks.workers.region import get_default_region

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "CountableNodePool",
    "CyclePipeline",
    "Deployment",
    "DockerImage",
    "ExecutionGraph",
    "Experiment",
    "FailTask",
    "Failure",
    "Node",
    "Nodes",
    "NotebookError",
    "NotebookExecutionError",
    "NotebookResult",
    "Pipeline",
    "Result",
    "ShellExecution",
    "SkipTask",
    "Success",
    "Task",
    "TaskDispatcher",
    "UncountableNodePool",
    "Worker",
    "WorkerConfig",
    "configure_notebooks",
    "execute_notebook",
    "execute_notebooks",
    "experiment_group",
    "get_context",
    "get_default_region",
    "glue",
    "is_successful",
    "notebook_history",
    "pipeline_group",
    "run_pipeline",
    "run_task",
    "set_result",
    "worker",
]

_HOMES = {
    "Architecture": "model.node",
    "CountableNodePool": "model.nodes",
    "CyclePipeline": "model.pipeline",
    "Deployment": "model.deployment",
    "DockerImage": "model.environment_definition",
    "ExecutionGraph": "model.graph",
    "Experiment": "model.experiment",
    "FailTask": "runtime.signals",
    "Failure": "model.results",
    "Node": "model.node",
    "Nodes": "model.nodes",
    "NotebookError": "runtime.notebook_results",
    "NotebookExecutionError": "runtime.notebook_results",
    "NotebookResult": "runtime.notebook_results",
    "Pipeline": "model.pipeline",
    "Result": "model.results",
    "ShellExecution": "model.environment_definition",
    "SkipTask": "runtime.signals",
    "Success": "model.results",
    "Task": "model.task",
    "TaskDispatcher": "model.task",
    "UncountableNodePool": "model.nodes",
    "Worker": "workers.by_hand",
    "WorkerConfig": "workers.config",
    "configure_notebooks": "runtime.notebook_paths",
    "execute_notebook": "runtime.notebook",
    "execute_notebooks": "runtime.notebook",
    "experiment_group": "operators.groups",
    "get_context": "runtime.context",
    "get_default_region": "workers.region",
    "glue": "runtime.notebook_values",
    "is_successful": "model.results",
    "notebook_history": "runtime.notebook_results",
    "pipeline_group": "operators.groups",
    "run_pipeline": "workers.direct",
    "run_task": "workers.by_hand",
    "set_result": "runtime.script",
    "worker": "decorators.worker",
}


_HOMES_IN_WORKERS = {"get_default_region": "runtime.region"}
"""Where the names are that a worker has something else for."""


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{home}")
    except ModuleNotFoundError as error:
        # Only what workers have no use for is left out of the runtime archive.
        if error.name is not None and error.name.startswith(__name__):
            if name in _HOMES_IN_WORKERS:
                return getattr(importlib.import_module(f"{__name__}.{_HOMES_IN_WORKERS[name]}"), name)
            raise AttributeError(
                f"{__name__}.{name} is for DAG files and for the machine that starts workers; "
                "a worker has no Airflow and does not carry it"
            ) from error
        raise
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
