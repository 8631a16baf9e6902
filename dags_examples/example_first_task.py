"""A first task: a function, a class and an instance, each in a worker of its own."""

from airflow.sdk import dag, task

from airflow_provider_tasks import Task, WorkerConfig
from airflow_provider_tasks.operators import TaskOperator


@task.worker(worker_config=WorkerConfig(worker_size="X-Small"))
def primes(limit: int) -> list[int]:
    """Find the primes below ``limit``."""
    found = [number for number in range(2, limit) if all(number % prime for prime in range(2, number))]
    print(f"{len(found)} primes below {limit}")
    return found


@task.worker
class Total(Task):
    """Add up numbers. ``__init__`` runs where the DAG is parsed, ``run`` in the worker."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    def run(self) -> int:
        return sum(self.numbers)


class Greeting(Task):
    """Say hello from where the task runs."""

    def run(self) -> str:
        import platform

        return f"hello from Python {platform.python_version()}"


@dag(schedule=None, tags=["example", "worker"])
def example_first_task():
    greeting = TaskOperator(task_id="greeting", task=Greeting())
    greeting >> Total(primes(limit=50))


example_first_task()
