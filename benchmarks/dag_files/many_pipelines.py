"""Pipelines and experiments as Airflow tasks, and the same graphs made of Airflow's own operators."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup

from airflow_provider_tasks import Experiment, Node, Pipeline, Task, TaskDispatcher, experiment_group, pipeline_group
from airflow_provider_tasks.operators import PipelineOperator

STAGE = 10


class Ping(Task):
    def __init__(self, address, count):
        self.address = address
        self.count = count

    def run(self):
        return f"ping -c {self.count} {self.address}"


class PingWindows(Ping):
    def run(self):
        return f"ping -n {self.count} {self.address}"


class PingDispatcher(TaskDispatcher):
    def __init__(self, count):
        self.count = count

    def dispatch(self, node):
        ping = Ping if node["os"] == "linux" else PingWindows
        return ping(node["ipv4"], self.count)


def make_pipeline(tasks):
    pings = [Ping("10.0.0.1", n) for n in range(tasks)]
    return Pipeline([pings[n : n + STAGE] for n in range(0, tasks, STAGE)])


def make_nodes(count):
    return [Node(f"node-{n}", {"ipv4": f"10.0.0.{n}", "os": ("linux", "windows")[n % 2]}) for n in range(count)]


def in_one_worker(tasks):
    with DAG("in_one_worker") as dag:
        PipelineOperator(task_id="all", pipeline=make_pipeline(tasks))
    return dag


def as_group(tasks):
    with DAG("as_group") as dag:
        pipeline_group(make_pipeline(tasks))
    return dag


def as_bash_operators(tasks):
    with DAG("as_bash_operators") as dag, TaskGroup("pipeline"):
        before = None
        for first in range(0, tasks, STAGE):
            stage = [
                BashOperator(task_id=f"ping_{n}", bash_command=f"ping -c {n} 10.0.0.1", env={"NODE": "none"})
                for n in range(first, min(first + STAGE, tasks))
            ]
            after = EmptyOperator(task_id=f"after_{first}")
            if before:
                before >> stage
            stage >> after
            before = after
    return dag


def experiment(nodes):
    with DAG("experiment") as dag:
        pipeline = Pipeline([PingDispatcher(1), PingDispatcher(2), PingDispatcher(3)])
        experiment_group(Experiment().map(pipeline, make_nodes(nodes)))
    return dag


def experiment_of_bash_operators(nodes):
    with DAG("experiment_of_bash_operators") as dag, TaskGroup("experiment"):
        for node in make_nodes(nodes):
            option = "-c" if node["os"] == "linux" else "-n"
            with TaskGroup(node.name):
                first, second, third = (
                    BashOperator(
                        task_id=f"ping_{n}", bash_command=f"ping {option} {n} {node['ipv4']}", env={"NODE": node.name}
                    )
                    for n in (1, 2, 3)
                )
                first >> second >> third
    return dag
