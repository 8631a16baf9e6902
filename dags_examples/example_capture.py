"""A capture: start it, cause traffic, stop it, look at what it saw. One worker, one file system, four tasks.

The pipeline is one Airflow task. What is captured are the counters of the loopback interface, which need neither
privileges nor programs that a small image lacks; with ``tcpdump`` the tasks would look the same.
"""

import os
import signal
import socket
import subprocess
import time

from airflow.sdk import dag, task

from airflow_provider_tasks import DockerImage, Node, Pipeline, Task
from airflow_provider_tasks.operators import PipelineOperator, pipeline_results

COUNTERS = "/sys/class/net/lo/statistics/rx_bytes"


class StartCapture(Task):
    """Read the counter ten times a second, into a file, until somebody ends it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def run(self) -> int:
        command = f"while true; do cat {COUNTERS} >> {self.path}; sleep 0.1; done"
        capture = subprocess.Popen(["sh", "-c", command], start_new_session=True)
        while not os.path.exists(self.path):
            time.sleep(0.01)
        return capture.pid


class Send(Task):
    """Send datagrams to this machine, for a moment."""

    def __init__(self, datagrams: int) -> None:
        self.datagrams = datagrams

    def run(self) -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            for _ in range(self.datagrams):
                link.sendto(bytes(1000), ("127.0.0.1", 9))
        time.sleep(0.3)
        return 1000 * self.datagrams


class StopCapture(Task):
    """End what StartCapture has started; its result says which process that is."""

    def run(self) -> None:
        (started,) = self.previous_steps["StartCapture"]
        os.killpg(started.unwrap(), signal.SIGTERM)


class BytesSeen(Task):
    """Say how many bytes went by; a real pipeline would put the file into a storage here."""

    def __init__(self, path: str) -> None:
        self.path = path

    def run(self) -> int:
        with open(self.path) as file:
            counted = [int(line) for line in file]
        return counted[-1] - counted[0]


capture = Pipeline(
    [StartCapture("captures/lo.txt"), Send(200), StopCapture(), BytesSeen("captures/lo.txt")],
    environment_definition=DockerImage(commands=["mkdir -p captures"]),
)


@task
def report(results: dict) -> str:
    """Compare what was sent with what was seen."""
    found = pipeline_results(results)
    return f"sent {found['Send'][0].unwrap()}, saw {found['BytesSeen'][0].unwrap()} bytes or more"


@dag(schedule=None, tags=["example", "worker"])
def example_capture():
    report(PipelineOperator(task_id="capture", pipeline=capture, node=Node("edge-1")).output)


example_capture()
