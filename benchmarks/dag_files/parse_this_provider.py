"""A DAG file that uses this provider in each of its ways."""

from airflow.sdk import DAG, task

from airflow_provider_tasks import Node, Task, WorkerConfig, worker
from airflow_provider_tasks.operators import TaskOperator

EDGE = Node("edge", {"ipv4": "10.0.0.1"})


class Ping(Task):
    def __init__(self, address):
        self.address = address

    def run(self):
        return self.address


@worker(node=EDGE, worker_config=WorkerConfig(worker_size="X-Small"))
def typed(path):
    return path


@task.worker(node=EDGE)
def by_name(path):
    return path


with DAG("this_provider"):
    typed("a") >> by_name("b") >> TaskOperator(task_id="ping", task=Ping("10.0.0.1"), node=EDGE)
