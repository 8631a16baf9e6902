"""Tasks in pods, each waited for by an Airflow worker and by the triggerer: all that a user may declare."""

import datetime
import decimal
import os
import uuid

import seen
from airflow.sdk import Asset, dag, task

from airflow_provider_tasks import Architecture, FailTask, Failure, Node, SkipTask, Task, TaskDispatcher, get_context
from airflow_provider_tasks.operators import TaskOperator

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

EVERYTHING = {
    "decimal": decimal.Decimal("1.10"),
    "bytes": b"\x00\xff",
    "when": datetime.datetime(2026, 3, 1, 12, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    "day": datetime.date(2026, 3, 1),
    "delta": datetime.timedelta(days=1, microseconds=1),
    "uuid": uuid.UUID(int=7),
    "set": {1, 2},
    "frozenset": frozenset({"a"}),
    "tuple": (1, (2, 3)),
    "keys": {1: "one", (2, 3): "pair"},
    "nul": "a\x00b",
    "plain": [None, True, 1.5, "ü€😀"],
}
WAYS = {"sync": False, "deferred": True}


@task.worker
def day(ds=None, data_interval_start=None, params=None) -> list:
    return [ds, data_interval_start.isoformat(), params["word"], get_context()["dag_id"]]


@dag(schedule="@daily", start_date=START, catchup=False, params={"word": "default"})
def kubernetes_daily():
    for way, deferrable in WAYS.items():
        day.override(task_id=way, deferrable=deferrable)()


kubernetes_daily()


@task.worker
def talks() -> str:
    print("I have begun", flush=True)
    seen.note()
    seen.wait()
    print("I am about to end", flush=True)
    return "said"


@dag(schedule=None, start_date=START)
def kubernetes_talks():
    for way, deferrable in WAYS.items():
        talks.override(task_id=way, deferrable=deferrable)()


kubernetes_talks()


@dag(schedule=None, start_date=START)
def kubernetes_keeps():
    @task.worker(worker_config={"terminate_on_completion": False})
    def stays():
        return "the pod stays"

    stays()


kubernetes_keeps()


class Count(Task):
    """A task as a class."""

    def __init__(self, words):
        self.words = words

    def run(self):
        return len(self.words)


class Where(Task):
    """Tells where it runs, when it is let."""

    def __init__(self, name):
        self.name = name

    def run(self):
        seen.note()
        seen.wait()
        return self.name


class ByNode(TaskDispatcher):
    """Picks by the node's name."""

    def dispatch(self, node):
        return Where(f"picked for {node.name}")


def node(name, **config):
    return Node(name, architecture=Architecture.LINUX_AMD64, properties={"worker_config": config})


NODES = {
    "elsewhere": node("elsewhere", namespace=os.environ.get("TESTS_OTHER_NAMESPACE", "default")),
    "pooled": node("pooled", node_selector={"pool": "default"}, labels={"team": "edge"}),
    "other_image": node("other_image", worker_image=os.environ.get("TESTS_OTHER_IMAGE") or "docker.io/local/none:1"),
}


@dag(schedule=None, start_date=START)
def kubernetes_nodes():
    for deferrable, (name, where) in zip((True, True, False), NODES.items(), strict=True):
        TaskOperator(task_id=name, task=ByNode(), node=where, deferrable=deferrable)


kubernetes_nodes()


@task.worker
def everything():  # no multiple_outputs, so that it may end in the triggerer
    return EVERYTHING


@task.worker(deferrable=True)
def large() -> bytes:
    return bytes(range(256)) * 400


@task.worker(deferrable=True)
def summary(*found: dict) -> list:
    return [differences(each) for each in found]


def differences(found: dict) -> list:
    return [key for key, value in EVERYTHING.items() if found[key] != value or type(found[key]) is not type(value)]


@task
def compare(sync: dict, deferred: dict, long: bytes) -> list:
    return [differences(sync), differences(deferred), long == bytes(range(256)) * 400]


@dag(schedule=None, start_date=START)
def kubernetes_values():
    sync = everything.override(task_id="sync", deferrable=False)()
    deferred = everything.override(task_id="deferred", deferrable=True)()
    compare(sync, deferred, large())
    summary(sync, deferred)


kubernetes_values()


@task.worker
def ends(how: str) -> str:
    if how == "skips":
        raise SkipTask("not today")
    if how == "fails_for_good":
        raise FailTask("the table was dropped")
    if how == "returns_a_failure":
        return Failure("too few")
    raise ValueError("no route")


@task.worker(deferrable=True, multiple_outputs=True)
def parts() -> dict:
    return {"left": 1, "right": [2, 3]}


@task.worker(deferrable=True)
def names() -> list:
    return ["a", "bb", "ccc"]


@task
def put_together(left, right, count, lengths) -> list:
    return [left, right, count, list(lengths)]


@task.worker(deferrable=True)
def length(name: str) -> int:
    return len(name)


@dag(schedule=None, start_date=START)
def kubernetes_ends():
    for way, deferrable in WAYS.items():
        ends.override(task_id=f"skips_{way}", deferrable=deferrable)("skips")
        ends.override(
            task_id=f"fails_for_good_{way}", deferrable=deferrable, retries=3, retry_delay=datetime.timedelta(0)
        )("fails_for_good")
        ends.override(task_id=f"goes_on_{way}", deferrable=deferrable, fail_on_failure=False)("returns_a_failure")
    made = parts()
    count = TaskOperator(task_id="count", task=Count(["a", "b"]), deferrable=True, outlets=[Asset("counted")])
    put_together(made["left"], made["right"], count.output, length.expand(name=names()))


kubernetes_ends()


@task.worker(deferrable=True)
def one_of_many(number: int) -> int:
    seen.note()
    seen.wait()
    print(f"number {number}")
    return number * number


@task
def add(numbers) -> int:
    return sum(numbers)


@dag(schedule=None, start_date=START)
def kubernetes_many():
    add(one_of_many.expand(number=list(range(100))))


kubernetes_many()
