"""A failure path: what runs when something fails is part of the graph.

The mirror is tried where the first source fails, and the notice goes out whatever came of it. The same graph is here
once in one worker and once as a group of Airflow tasks, where the edges are trigger rules.
"""

from airflow.sdk import dag

from airflow_provider_tasks import ExecutionGraph, Task, pipeline_group
from airflow_provider_tasks.operators import PipelineOperator


class Fetch(Task):
    """Read a file that may not be there."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(name)
        self.path = path

    def run(self) -> int:
        with open(self.path) as file:
            return len(file.readlines())


class Notice(Task):
    """Say which sources answered."""

    def run(self) -> str:
        return ", ".join(f"{name}: {results[-1]}" for name, results in self.previous_steps.items())


def with_a_mirror() -> ExecutionGraph:
    source, mirror = Fetch("/no/such/file", name="source"), Fetch("/etc/hostname", name="mirror")
    notice = Notice()
    work = ExecutionGraph()
    work.graph.add_edge("root", source)
    work.graph.add_edge(source, mirror, traverse_on="failure")
    work.graph.add_edge(mirror, notice, traverse_on="any")
    return work


@dag(schedule=None, tags=["example", "worker"])
def example_failure_path():
    PipelineOperator(task_id="in_one_worker", pipeline=with_a_mirror(), fail_on_failure=False)
    pipeline_group(with_a_mirror(), group_id="as_a_group")


example_failure_path()
