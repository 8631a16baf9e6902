"""A dispatcher that looks at a node's address, and nodes that come from a pool."""

import ipaddress

from airflow.sdk import dag, task

from airflow_provider_tasks import CountableNodePool, Node, Task, TaskDispatcher

POOL = CountableNodePool(
    [
        Node("campus", {"ipv4": "10.20.0.7"}),
        Node("lab", {"ipv4": "192.168.4.2"}),
        Node("exchange", {"ipv4": "198.51.100.9"}),
    ]
)


class MeasureDirectly(Task):
    """Reach the address from inside."""

    def __init__(self, address: str) -> None:
        self.address = address

    def run(self) -> str:
        return f"{self.address} directly"


class MeasureThroughGateway(Task):
    """Reach the address from outside."""

    def __init__(self, address: str, gateway: str) -> None:
        self.address = address
        self.gateway = gateway

    def run(self) -> str:
        return f"{self.address} through {self.gateway}"


class Measure(TaskDispatcher):
    """Private addresses are measured directly, all others through the gateway."""

    def __init__(self, gateway: str) -> None:
        self.gateway = gateway

    def dispatch(self, node: Node) -> Task:
        address = ipaddress.ip_address(node["ipv4"])
        if any(address in network for network in PRIVATE):
            return MeasureDirectly(str(address))
        return MeasureThroughGateway(str(address), self.gateway)


PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


@dag(schedule=None, tags=["example", "worker"])
def example_dispatch_by_address():
    for node in POOL:
        measure = task.worker(node=node, task_id=f"measure_{node.name}")(Measure)
        measure("gateway-1")


example_dispatch_by_address()
