"""A function that does nothing, in a pod of ours."""

from airflow.sdk import DAG, task


def nothing():
    return None


with DAG("pods_of_this_provider"):
    task.worker(task_id="worker", deferrable=False)(nothing)()
    task.worker(task_id="worker_deferrable", deferrable=True)(nothing)()
