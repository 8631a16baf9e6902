"""Airflow's side: the operators."""

from airflow_provider_tasks.operators.base import WorkerOperator
from airflow_provider_tasks.operators.files import FileOperator, NotebookOperator, ScriptOperator
from airflow_provider_tasks.operators.task import TaskOperator

__all__ = ["FileOperator", "NotebookOperator", "ScriptOperator", "TaskOperator", "WorkerOperator"]
