"""What does it take that tasks wait for their pods in a triggerer?"""

from __future__ import annotations

import datetime
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import Measured, Rounds, Row
from benchmarks.pods_cluster import CONNECTION, Pods, pods, words
from benchmarks.pods_processes import Triggerer

if TYPE_CHECKING:
    from collections.abc import Callable

QUESTION = "tasks waiting in a triggerer"
ROUNDS = 1

PENDING = (10, 100, 500)
RUNNING = (10, 100)  # each log that is followed takes one of the node's inotify instances, of which Linux allows 128

PATIENCE = 120.0
"""Seconds for all triggers to start in."""
SETTLE = 25.0
"""Seconds until a trigger does what it goes on doing."""
SECONDS = 60.0
FOR_EVER = 24 * 3600

OURS, PEER = "WorkerTrigger", "KubernetesPodTrigger"
INSTALLATION = "waiting"

_FIGURES = (
    ("CPU", "cpu", "ms/min", 1000),
    ("requests", "requests", "/min", 1),
    ("memory", "memory", "MB", 1e-6),
    ("longest hold-up of the event loop", "held_up", "ms", 1000),
    ("triggers that have started", "started", "", 1),
)


def measure(rounds: int) -> list[Row]:
    rows: list[Row] = []
    with pods(QUESTION) as place:
        if place is None:
            return rows
        for phase, numbers in (("Pending", PENDING), ("Running", RUNNING)):
            made: list[dict[str, Any]] = []
            for number in numbers:
                with place.lock.shared():
                    made += make_pods(place, phase, number - len(made))
                found = [in_any_order(place, made) for _ in range(rounds)]
                what = f"{number} {phase.lower()}"
                print(f"{QUESTION}: {what}", file=sys.stderr)
                measured = Rounds(QUESTION, found)
                rows += [
                    measured.row(OURS, PEER, key, unit, label=f"{what}: {label}", scale=scale)
                    for label, key, unit, scale in _FIGURES
                    # Of interest only where a triggerer could not keep up.
                    if key != "started" or any(side[key] < number for sides in found for side in sides.values())
                ]
            place.cluster.admin.request("DELETE", place.cluster.admin.path("Pod"), gracePeriodSeconds=0)
            place.wait_until_gone()
    return rows


def in_any_order(place: Pods, made: list[dict[str, Any]]) -> dict[str, Measured]:
    """Measure both sides, one after the other, with the same pods."""
    sides: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [(OURS, our_trigger), (PEER, peers_trigger)]
    random.shuffle(sides)
    return {name: measure_side(place, [trigger(pod) for pod in made]) for name, trigger in sides}


def measure_side(place: Pods, triggers: list[Any]) -> Measured:
    """Have the triggers wait in a process of their own."""
    from airflow.sdk.serde import serialize

    deferred = []
    for trigger in triggers:
        classpath, arguments = trigger.serialize()
        deferred.append({"classpath": classpath, "trigger_kwargs": serialize(arguments)})
    with place.lock.shared():
        mark = place.cluster.audit_mark()
        with Triggerer() as triggerer:
            measured = triggerer.wait(deferred, patience=PATIENCE, settle=SETTLE, seconds=SECONDS)
        window = [datetime.datetime.fromtimestamp(measured[end], datetime.UTC) for end in ("begun", "ended")]
        requests = [
            words(request)
            for request in place.requests(mark)
            if window[0] <= datetime.datetime.fromisoformat(request["requestReceivedTimestamp"]) <= window[1]
        ]
    a_minute = 60 / (measured["ended"] - measured["begun"])
    return {**measured, "cpu": measured["cpu"] * a_minute, "requests": len(requests) * a_minute}


def make_pods(place: Pods, phase: str, number: int) -> list[dict[str, Any]]:
    """Make pods that wait: for a scheduler that there is not, or as long as nobody ends them."""
    admin = place.cluster.admin
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(admin.create, [_manifest(place, phase) for _ in range(number)]))
    names = {pod["metadata"]["name"] for pod in made}

    def all_are_there() -> bool:
        found = [pod for pod in admin.pods() if pod["metadata"]["name"] in names and pod["status"]["phase"] == phase]
        return len(found) == number

    admin.wait_until(all_are_there, 900, f"{number} pods to be {phase}")
    return made


def _manifest(place: Pods, phase: str) -> dict[str, Any]:
    from airflow_provider_tasks.workers.kubernetes.identity import Identity

    container = {"name": "worker", "image": place.cluster.image, "imagePullPolicy": "IfNotPresent"}
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0}
    if phase == "Pending":
        # Not one that has no room: the scheduler would look for it again and again, and others' pods would wait.
        spec["schedulerName"] = "nobody"
    labels = Identity(INSTALLATION, "waiting", "run", "task").labels
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "waiting-", "labels": labels},
        "spec": {**spec, "containers": [{**container, "command": ["sleep", str(FOR_EVER)]}]},
    }


def our_trigger(pod: dict[str, Any]) -> Any:
    """Return the trigger of a task whose pod this is."""
    from airflow_provider_tasks.triggers.worker import WorkerTrigger

    metadata = pod["metadata"]
    return WorkerTrigger(
        pod=metadata["name"],
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        kubernetes_conn_id=CONNECTION,
        installation=INSTALLATION,
        startup_timeout=FOR_EVER,
        keep=False,
        deadline=None,
        ends_task=True,
        submitted=0.0,
        handed_over={},
        about={"worker": metadata["name"]},
    )


def peers_trigger(pod: dict[str, Any]) -> Any:
    """Return the trigger as ``KubernetesPodOperator`` makes it, its intervals being the defaults."""
    from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger
    from airflow.sdk import Connection

    return KubernetesPodTrigger(
        pod_name=pod["metadata"]["name"],
        pod_namespace=pod["metadata"]["namespace"],
        trigger_start_time=datetime.datetime.now(datetime.UTC),
        base_container_name="worker",
        kubernetes_conn_id=CONNECTION,
        connection_extras=Connection.get(CONNECTION).extra_dejson,
        startup_timeout=FOR_EVER,
        schedule_timeout=FOR_EVER,
    )
