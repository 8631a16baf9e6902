"""DAGs of many tasks, made of this provider's operators and of Airflow's own."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task

from airflow_provider_tasks import Node, Task, TaskDispatcher, WorkerConfig
from airflow_provider_tasks.operators import TaskOperator

NODES = [Node(f"node-{n}", {"ipv4": f"10.0.0.{n}", "os": ("linux", "windows")[n % 2]}) for n in range(10)]
X_SMALL = WorkerConfig(worker_size="X-Small")


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


def dispatched(tasks):
    with DAG("dispatched") as dag:
        for n in range(tasks):
            TaskOperator(task_id=f"ping_{n}", task=PingDispatcher(n), node=NODES[n % 10])
    return dag


def dispatched_with_size(tasks):
    with DAG("dispatched_with_size") as dag:
        for n in range(tasks):
            TaskOperator(task_id=f"ping_{n}", task=PingDispatcher(n), node=NODES[n % 10], worker_config=X_SMALL)
    return dag


def functions(tasks):
    with DAG("functions") as dag:

        @task.worker
        def ping(address, count):
            return f"ping -c {count} {address}"

        for n in range(tasks):
            ping.override(task_id=f"ping_{n}", node=NODES[n % 10])(NODES[n % 10]["ipv4"], n)
    return dag


def bash_operators(tasks):
    with DAG("bash_operators") as dag:
        for n in range(tasks):
            node = NODES[n % 10]
            BashOperator(task_id=f"ping_{n}", bash_command=f"ping -c {n} {node['ipv4']}", env={"NODE": node.name})
    return dag


def bash_functions(tasks):
    with DAG("bash_functions") as dag:

        @task.bash
        def ping(address, count):
            return f"ping -c {count} {address}"

        for n in range(tasks):
            ping.override(task_id=f"ping_{n}", env={"NODE": NODES[n % 10].name})(NODES[n % 10]["ipv4"], n)
    return dag
