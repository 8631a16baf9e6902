"""A dispatcher: one task in the DAG, another implementation on each node.

The dispatcher is asked while the DAG is being built, so the graph shows what runs where, and a node that no
implementation is for is an import error instead of a failure at night.
"""

import os
import shutil

from airflow.sdk import dag, task

from airflow_provider_tasks import Architecture, Node, Task, TaskDispatcher
from airflow_provider_tasks.operators import TaskOperator

NODES = [
    Node("rack-1", {"os_family": "linux"}, Architecture.LINUX_AMD64),
    Node("rack-2", {"os_family": "linux"}, Architecture.LINUX_ARM64),
    Node("office-1", {"os_family": "windows"}, Architecture.WINDOWS_AMD64),
]


class DiskOnLinux(Task):
    """How full the root file system is."""

    def run(self) -> dict:
        usage = shutil.disk_usage("/")
        return {"drive": "/", "used_percent": round(100 * usage.used / usage.total)}


class DiskOnWindows(Task):
    """How full the system drive is."""

    def run(self) -> dict:
        drive = os.environ.get("SystemDrive", "/")  # where the local worker stands in for Windows, the root
        usage = shutil.disk_usage(drive)
        return {"drive": drive, "used_percent": round(100 * usage.used / usage.total)}


class Disk(TaskDispatcher):
    """Pick the implementation for the node's operating system."""

    def dispatch(self, node: Node) -> Task:
        if node["os_family"] == "windows":
            return DiskOnWindows()
        if node["os_family"] == "linux":
            return DiskOnLinux()
        raise LookupError(f"no way to look at the disk of a node with os_family {node['os_family']!r}")


@task
def fullest(reports: list[dict]) -> int:
    """A plain Airflow task: it gets plain values."""
    return max(report["used_percent"] for report in reports)


@dag(schedule=None, tags=["example", "worker"])
def example_dispatch():
    reports = [TaskOperator(task_id=f"disk_{node.name}", task=Disk(), node=node) for node in NODES]
    fullest([report.output for report in reports])


example_dispatch()
