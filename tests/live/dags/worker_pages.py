"""What the pages in Airflow's UI are looked at with: a notebook, a failure, a worker that is kept, one that runs."""

from __future__ import annotations

import time

from airflow.sdk import DAG, Param, task

from airflow_provider_tasks import Architecture, Node, Task, TaskDispatcher
from airflow_provider_tasks.operators import NotebookOperator, TaskOperator

EDGE = Node("edge-1", {"city": "Oslo", "link": "fibre"}, Architecture.LINUX_AMD64)
CORE = Node("core", {"city": "Bergen", "link": "radio"}, Architecture.LINUX_ARM64)


class Probe(Task):
    """Measure the line of a node.

    The *fibre* one is quick.
    """

    def __init__(self, link: str) -> None:
        self.link = link

    def run(self) -> str:
        print("measured", self.link)
        return self.link


class RadioProbe(Probe):
    """Measure a radio link."""


class ByLink(TaskDispatcher):
    def dispatch(self, node: Node) -> Task:
        return (RadioProbe if node["link"] == "radio" else Probe)(node["link"])


@task.worker(node=EDGE)
def fails(address: str) -> None:
    """Look an address up."""
    raise ValueError(f"no route to {address}")


@task.worker(node=CORE, worker_config={"worker_size": "X-Small"})
def waits(seconds: int) -> None:
    """Run for a while."""
    print("waiting", seconds, flush=True)
    time.sleep(int(seconds))


@task.worker(node=EDGE, worker_config={"terminate_on_completion": False, "env_variables": {"TOKEN": "not-shown"}})
def keeps() -> str:
    """Leave its worker behind, to be looked at."""
    return "kept"


with DAG(
    "worker_pages",
    schedule=None,
    tags=["worker"],
    params={
        "address": Param("10.0.0.1", type="string", title="Address"),
        "seconds": Param(0, type="integer", minimum=0, maximum=600, title="Seconds to wait"),
        "reports": Param("", type="string", title="Folder of the reports"),
    },
):
    TaskOperator.partial(task_id="probe", task=ByLink()).expand(node=[EDGE, CORE])
    TaskOperator(task_id="probe_edge", task=ByLink(), node=EDGE)
    NotebookOperator(
        task_id="report",
        notebook="reports/traffic.ipynb",
        parameters={"day": "2026-01-31"},
        output_path="{{ params.reports or '/nowhere' }}/",
        node=CORE,
    )
    fails("{{ params.address }}")
    waits("{{ params.seconds }}")
    keeps()
