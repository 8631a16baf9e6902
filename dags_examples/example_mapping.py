"""Mapping: one task for each of many values, or for each of many nodes."""

from airflow.sdk import dag, task

from airflow_provider_tasks import Node, Task
from airflow_provider_tasks.operators import TaskOperator

NODES = [Node(name, {"words": words}) for name, words in (("oslo", 2), ("lima", 3))]


@task.worker
def pages() -> list[str]:
    return ["one", "two words", "and three words"]


@task.worker(map_index_template="{{ task.op_kwargs['text'] }}")
def count_words(text: str, unit: str) -> str:
    return f"{len(text.split())} {unit}"


@task.worker
class Shout(Task):
    def __init__(self, text: str) -> None:
        self.text = text

    def run(self) -> str:
        return self.text.upper()


class NameOfNode(Task):
    """The same instance on every node; what differs is in the context."""

    def run(self) -> str:
        from airflow_provider_tasks import get_context

        return get_context()["node"]["name"]


@task
def total(counts: list[str]) -> list[str]:
    return sorted(counts)


@dag(schedule=None, tags=["example", "worker"])
def example_mapping():
    texts = pages()
    total(count_words.partial(unit="words").expand(text=texts))
    Shout.expand(text=texts)
    TaskOperator.partial(task_id="names", task=NameOfNode()).expand(node=NODES)


example_mapping()
