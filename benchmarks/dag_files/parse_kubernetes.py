"""The same with the provider of Kubernetes."""

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG, task


@task.kubernetes(image="python:3.11-slim")
def first(path):
    return path


@task.kubernetes(image="python:3.11-slim")
def second(path):
    return path


with DAG("kubernetes"):
    first("a") >> second("b") >> KubernetesPodOperator(task_id="ping", image="python:3.11-slim", cmds=["true"])
