"""Two DAG files with a class and a helper of the same name."""

from airflow.sdk import DAG

from airflow_provider_tasks import Task
from airflow_provider_tasks.operators import TaskOperator


def word():
    return "a"


class Same(Task):
    def run(self):
        return word()


with DAG("worker_same_name_a", schedule=None):
    TaskOperator(task_id="same", task=Same())
