"""A Python script, a shell script and a notebook, of one folder, for each day."""

import datetime
import os

from airflow.sdk import dag

from airflow_provider_tasks.operators import NotebookOperator, ScriptOperator

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dag(schedule="@daily", start_date=START, catchup=False)
def worker_files():
    folder = "worker_file_folder"
    count = ScriptOperator(task_id="count", file_name="count.py", files_path=folder)
    clean = ScriptOperator(task_id="clean", file_name="clean.sh", files_path=folder, args=["{{ ds }}", count.output])
    clean >> NotebookOperator(
        task_id="report",
        notebook="report",
        files_path=folder,
        parameters={"day": "{{ ds }}"},
        output_path=os.environ["AIRFLOW_HOME"] + "/reports/{{ ds }}/",
    )


worker_files()
