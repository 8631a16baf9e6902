"""The notebook whose execution is measured; it is written before this file is loaded."""

import os

from airflow.sdk import DAG

from airflow_provider_tasks.operators import NotebookOperator

with DAG("notebook_to_execute") as dag:
    NotebookOperator(
        task_id="notebook",
        notebook="notebooks/cells.ipynb",
        parameters={"day": "2026-01-01"},
        output_path=os.environ["BENCHMARK_HOME"] + "/executed/",
    )
