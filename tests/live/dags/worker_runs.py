"""Runs, failures, secrets and values."""

import datetime
import decimal
import time
import uuid

from airflow.sdk import dag, task

from airflow_provider_tasks import FailTask, Failure, Task, WorkerConfig, get_context
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


@task.worker
def day(ds=None, data_interval_start=None, params=None) -> list:
    context = get_context()
    assert (context["ds"], context["dag_id"]) == (ds, "worker_daily")
    return [ds, data_interval_start.isoformat(), params["word"]]


@dag(schedule="@daily", start_date=START, catchup=False, params={"word": "default"})
def worker_daily():
    day()


worker_daily()


@task.worker(retries=1, retry_delay=datetime.timedelta(seconds=0))
def fails_first(outer: int = 3) -> str:
    attempt = get_context()["try_number"]
    print(f"this is try {attempt}")
    if attempt == 1:
        nested = {"key": outer}
        raise ValueError(f"try {attempt} fails with {nested}")
    return f"try {attempt}"


@task.worker(retries=3, retry_delay=datetime.timedelta(seconds=0))
def fails_for_good() -> None:
    raise FailTask("the table was dropped")


@task.worker
def returns_a_failure() -> object:
    return Failure({"rows": 0})


@task.worker(worker_config=WorkerConfig(worker_size="X-Small"))
def needs_memory() -> int:
    held = [bytearray(50_000_000) for _ in range(100)]
    return len(held)


@task.worker
def lacks_a_module() -> None:
    import a_package_that_nobody_has  # noqa: F401


class Unprepared(Task):
    requirements = ["echo preparing", "echo the disk is full >&2; exit 4"]

    def run(self) -> None:
        raise AssertionError("never")


@dag(schedule=None, start_date=START)
def worker_failures():
    fails_first()
    fails_for_good()
    returns_a_failure()
    needs_memory()
    lacks_a_module()
    TaskOperator(task_id="unprepared", task=Unprepared())


worker_failures()


@task.worker
def sleeps(seconds: int) -> str:
    import subprocess
    import sys

    # A child that leaves its session, its parent and its environment behind.
    subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"], start_new_session=True, env={})
    print("sleeping", flush=True)
    time.sleep(seconds)
    return "slept"


@dag(schedule=None, start_date=START)
def worker_sleeps():
    sleeps(600)
    sleeps.override(task_id="times_out", execution_timeout=datetime.timedelta(seconds=3))(601)


worker_sleeps()


@task.worker(retries=2, retry_delay=datetime.timedelta(seconds=0))
def is_killed_once() -> int:
    attempt = get_context()["try_number"]
    if attempt == 1:
        print("waiting to be killed", flush=True)
        time.sleep(602)
    return attempt


@dag(schedule=None, start_date=START)
def worker_killed():
    is_killed_once()


worker_killed()


@task.worker(worker_config=WorkerConfig(connections=["worker_secret"], variables=["worker_variable"]))
def knows_secrets(password: str) -> bool:
    import os

    connection = get_context()["connections"]["worker_secret"]
    print("printed:", connection["password"])
    print("argument:", password)
    assert "AIRFLOW__CORE__FERNET_KEY" not in os.environ
    assert not [name for name in os.environ if name.startswith("AIRFLOW__")]
    assert get_context()["variables"]["worker_variable"] == "variable value"
    assert connection["password"] in os.environ["AIRFLOW_CONN_WORKER_SECRET"]
    return connection["password"] == password


@task.worker(fail_on_failure=False, worker_config=WorkerConfig(connections=["worker_secret"]))
def leaks() -> None:
    raise ValueError("no log-in with " + get_context()["connections"]["worker_secret"]["password"])


@dag(schedule=None, start_date=START)
def worker_secrets():
    knows_secrets("{{ conn.worker_secret.password }}")
    leaks()


worker_secrets()


@task.worker
def everything() -> dict:
    return EVERYTHING


@task
def compare_in_airflow(found: dict) -> list:
    return [key for key, value in EVERYTHING.items() if found[key] != value or type(found[key]) is not type(value)]


@task.worker
def compare_in_a_worker(found: dict) -> list:
    return [key for key, value in EVERYTHING.items() if found[key] != value or type(found[key]) is not type(value)]


class Socket:
    """What only a worker can open."""

    def __init__(self) -> None:
        self.words = ["from", "the", "first"]


@task.worker(pickle_results=True)
def opaque() -> dict:
    return {"plain": 1, "socket": Socket()}


@task
def look_at(found: dict) -> str:
    return repr(found["socket"])


@task.worker
def open_it(found: dict) -> str:
    return " ".join(found["socket"].words)


@dag(schedule=None, start_date=START)
def worker_values():
    found = everything()
    compare_in_airflow(found)
    compare_in_a_worker(found)
    closed = opaque()
    look_at(closed)
    open_it(closed)


worker_values()
