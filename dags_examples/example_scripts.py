"""Scripts and a notebook as tasks: files that were there before there was a DAG.

The folder of each goes along, so that a script finds what lies beside it. A shell script writes its result to a file,
a Python script calls ``set_result``, a notebook hands values out with ``glue``.
"""

from airflow.sdk import dag

from airflow_provider_tasks.operators import NotebookOperator, ScriptOperator


@dag(schedule=None, params={"words": 12}, tags=["example", "worker"])
def example_scripts():
    write = ScriptOperator(
        task_id="write",
        file_name="scripts/write.sh",
        args=["{{ params.words }}"],
        parameters={"word": "worker"},
    )
    count = ScriptOperator(task_id="count", file_name="scripts/count.py", parameters={"text": write.output})
    report = NotebookOperator(
        task_id="report",
        notebook="scripts/report.ipynb",
        parameters={"words": count.output},
        requirements=["pip install papermill ipykernel"],
    )
    write >> count >> report


example_scripts()
