"""An experiment: one pipeline on four nodes of two kinds. Each task is an Airflow task with a worker of its own.

The graph shows a group for each node, and in it the implementation that the dispatcher has picked. The last task
has all results, by node and by stage.
"""

import statistics
import time

from airflow.sdk import dag, task

from airflow_provider_tasks import CountableNodePool, Experiment, Node, Pipeline, Task, TaskDispatcher, experiment_group

NODES = CountableNodePool(
    [
        Node("router-1", {"kind": "router", "mbit": 1000}),
        Node("router-2", {"kind": "router", "mbit": 100}),
        Node("probe-1", {"kind": "probe", "mbit": 10}),
        Node("probe-2", {"kind": "probe", "mbit": 10}),
    ]
)


class Identify(Task):
    """Say what this machine is."""

    def run(self) -> str:
        import platform

        return platform.system()


class TimerOfRouter(Task):
    """How long a sleep of a millisecond takes, many times: a router has the time."""

    def run(self) -> list[float]:
        return [_sleep() for _ in range(50)]


class TimerOfProbe(Task):
    """The same in few steps, for a small machine."""

    def run(self) -> list[float]:
        return [_sleep() for _ in range(5)]


class Timer(TaskDispatcher):
    """Pick the implementation by what kind of node it is."""

    def dispatch(self, node: Node) -> Task:
        return TimerOfRouter() if node["kind"] == "router" else TimerOfProbe()


def _sleep() -> float:
    begun = time.perf_counter()
    time.sleep(0.001)
    return time.perf_counter() - begun


@task
def medians(results: list) -> list[float]:
    """The median of each node; the second stage of each is the list of times."""
    return [statistics.median(stages[1][0]["result"]) for stages in results]


experiment = Experiment().map(Pipeline([Identify(), Timer()]), NODES.take(4))


@dag(schedule=None, tags=["example", "worker"])
def example_experiment():
    measured = experiment_group(experiment, group_id="measure", collect=True)
    medians(measured.get_child_by_label("collect").output)


example_experiment()
