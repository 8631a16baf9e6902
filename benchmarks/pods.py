"""What does a task that does nothing take in a pod?"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections import Counter
from functools import partial
from typing import Any

from benchmarks.measuring import Budget, Measured, Row, measure_in_turns
from benchmarks.pods_cluster import Pods, pods, words
from benchmarks.pods_processes import Triggerer, task_process

QUESTION = "no-op in a pod"
ROUNDS = 10

FLOOR = "bare pod"
AIRFLOW = "Airflow alone"
OURS, OURS_DEFERRED = "function", "function, deferrable"
CASES = {
    AIRFLOW: "pods_of_nobody/nothing",
    OURS: "pods_of_this_provider/worker",
    OURS_DEFERRED: "pods_of_this_provider/worker_deferrable",
    "KubernetesPodOperator": "pods_of_kubernetes/pod",
    "KubernetesPodOperator, checked each second": "pods_of_kubernetes/pod_quick",
    "KubernetesPodOperator, XCom": "pods_of_kubernetes/pod_xcom",
    "@task.kubernetes, XCom": "pods_of_kubernetes/function_xcom",
    "@task.kubernetes, XCom, checked each second": "pods_of_kubernetes/function_xcom_quick",
    "KubernetesPodOperator, deferrable": "pods_of_kubernetes/pod_deferrable",
    "KubernetesPodOperator, XCom, deferrable": "pods_of_kubernetes/pod_xcom_deferrable",
    "@task.kubernetes, XCom, deferrable": "pods_of_kubernetes/function_xcom_deferrable",
    "@task.kubernetes, XCom, checked each second, deferrable": "pods_of_kubernetes/function_xcom_quick_deferrable",
}

_FIGURES = (
    ("time beyond a bare pod", "time", "ms", 1000, Budget(500, "figure")),
    ("that, and loading the DAG file", "loaded", "ms", 1000, None),
    ("CPU", "cpu", "ms", 1000, None),
    ("CPU without loading Airflow", "own_cpu", "ms", 1000, None),
    ("peak memory", "peak", "MB", 1e-6, None),
    ("requests", "requests", "", 1, Budget(5, "figure")),
)


def measure(rounds: int) -> list[Row]:
    with pods(QUESTION) as place:
        if place is None:
            return []
        with Triggerer() as triggerer:
            tasks = Tasks(place, triggerer)
            cases = {name: partial(tasks.run, name, task) for name, task in CASES.items()}
            found = measure_in_turns(QUESTION, {FLOOR: partial(bare_pod, place), **cases}, rounds, shuffled=True)
        tasks.tell_requests()
    found = found.beyond(FLOOR, "time").beyond(FLOOR, "loaded", "time")
    rows = [
        found.row(FLOOR, None, "took", "ms", label="a bare pod, from its creation to Succeeded", scale=1000),
        *(
            found.row(AIRFLOW, None, key, unit, label=f"{AIRFLOW}: {what}", scale=scale)
            for what, key, unit, scale, _ in _FIGURES
            if key in ("cpu", "own_cpu", "peak")
        ),
    ]
    for ours, peers in ((OURS, _peers(deferred=False)), (OURS_DEFERRED, _peers(deferred=True))):
        for what, key, unit, scale, budget in _FIGURES:
            rows += [
                found.row(ours, peer, key, unit, label=f"{ours}: {what}", scale=scale, budget=budget) for peer in peers
            ]
        rows += [
            found.row(ours, peer, "triggerer", "ms", label=f"{ours}: CPU of the triggerer", scale=1000)
            for peer in peers
            if ours == OURS_DEFERRED
        ]
    return rows


def _peers(*, deferred: bool) -> list[str]:
    names = [name for name in CASES if name not in (AIRFLOW, OURS, OURS_DEFERRED)]
    return [name for name in names if name.endswith("deferrable") == deferred]


def bare_pod(place: Pods) -> Measured:
    """Create a pod by one request, and watch it until it has succeeded."""
    cluster = place.cluster
    path = f"/api/v1/namespaces/{cluster.namespace}/pods"
    container = {"name": "base", "image": cluster.image, "imagePullPolicy": "IfNotPresent"}
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "bare-"},
        "spec": {**spec, "containers": [{**container, "command": ["python3", "-c", "pass"]}]},
    }
    with place.lock.shared():
        place.wait_until_gone()
        with cluster.client() as client:
            client.get(path).raise_for_status()  # connects
            begun = time.monotonic()
            pod = client.post(path, json=manifest).raise_for_status().json()["metadata"]
            query = {"watch": "1", "fieldSelector": f"metadata.name={pod['name']}"}
            with client.stream("GET", path, params={**query, "resourceVersion": pod["resourceVersion"]}) as watch:
                for line in watch.iter_lines():
                    if json.loads(line)["object"]["status"]["phase"] == "Succeeded":
                        break
            took = time.monotonic() - begun
        cluster.admin.delete("Pod", pod["name"], grace=0)
    return {"time": took, "took": took, "cpu": 0, "peak": 0}


class Tasks:
    """Runs tasks, each in processes of its own, and counts what they ask the API server for."""

    def __init__(self, place: Pods, triggerer: Triggerer) -> None:
        self._place = place
        self._triggerer = triggerer
        self._numbers = itertools.count(1)
        self._requests: dict[str, Counter[str]] = {}

    def run(self, name: str, task: str) -> Measured:
        """Run a task to its end."""
        dag_id, task_id = task.split("/")
        told = {"dag": dag_id, "task": task_id, "run": f"run-{next(self._numbers)}"}
        with self._place.lock.shared():
            self._place.wait_until_gone()
            mark = self._place.cluster.audit_mark()
            measured = self._run(told)
            requests = [words(request) for request in self._place.requests(mark)]
        self._requests[name] = Counter(requests)
        return {**measured, "requests": len(requests)}

    def _run(self, told: dict[str, Any]) -> dict[str, float]:
        """Run a task: one process, and where it is deferred, its trigger, and another process unless that ends it."""
        with task_process(told) as told_back:
            first, deferred = told_back["measured"], told_back["deferred"]
            measured = {**first, "time": first["execute"], "triggerer": 0.0, "processes": 1}
            if deferred is not None:
                # The triggerer does not wait for the process to be gone.
                event, at, cpu = self._triggerer.run({**told, "deferred": deferred})
                measured |= {"time": at - first["begun"], "triggerer": cpu}
        if deferred is not None and "payload" in event:
            arguments = {**deferred["next_kwargs"], "event": event["payload"]}
            with task_process({**told, "next_method": deferred["next_method"], "next_kwargs": arguments}) as told_back:
                last = told_back["measured"]
            measured |= {"peak": max(first["peak"], last["peak"]), "processes": 2}
            measured |= {key: measured[key] + last[key] for key in ("load", "cpu", "own_cpu")}
            measured["time"] += last["execute"]
        return {**measured, "loaded": measured["time"] + measured["load"]}

    def tell_requests(self) -> None:
        """Print what each case asked for in the last round."""
        for name, requests in self._requests.items():
            said = ", ".join(f"{count} {what}" if count > 1 else what for what, count in requests.items())
            print(f"{name}: {said or 'no requests'}", file=sys.stderr)
