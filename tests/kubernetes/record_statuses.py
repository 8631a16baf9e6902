"""Have the cluster of TEST_KUBECONFIG produce the recorded files of `statuses/` once more.

    TEST_KUBECONFIG=… python -m tests.kubernetes.record_statuses [NAME…]

It works in a namespace of its own, which it removes. Nothing that it does touches another pod of the cluster, but for
the cases that kill a part of it: they run where they are named, while no test uses the cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from tests.kubernetes.cluster import Admin, client_of
from tests.kubernetes.faults import ClusterLock, Faults
from tests.kubernetes.provoked_statuses import CASES, DONGLE, REFUSALS, Seen, manifest

FOLDER = Path(__file__).parent / "statuses"
AT_MOST = 240
"""Seconds for all pods together; what did not happen by then is told and not recorded."""


class Cluster:
    """The requests that recording takes."""

    def __init__(self, kubeconfig: str) -> None:
        self._client = client_of(kubeconfig)
        version = self.send("GET", "/version")[1]["gitVersion"]
        self._node = self.send("GET", "/api/v1/nodes")[1]["items"][0]
        runtime = self._node["status"]["nodeInfo"]["containerRuntimeVersion"]
        self.about = f"Kubernetes {version}, {runtime.replace('://', ' ')}"

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        reply = self._client.request(method, path, content=body and json.dumps(body), headers=all_headers)
        return reply.status_code, reply.json()

    def make(self, path: str, body: dict[str, Any]) -> str:
        code, reply = self.send("POST", path, body)
        if code not in (200, 201, 202):
            raise RuntimeError(f"POST {path}: {code} {reply.get('message')}")
        return f"{path}/{body['metadata']['name']}"

    def give_dongles(self, amount: str | None) -> None:
        """Let the node have something that only these pods ask for, or take it away again (None)."""
        change = {"status": {kind: {DONGLE: amount} for kind in ("capacity", "allocatable")}}
        path = f"/api/v1/nodes/{self._node['metadata']['name']}/status"
        self.send("PATCH", path, change, {"Content-Type": "application/merge-patch+json"})

    def watch(self, path: str) -> Iterator[dict[str, Any]]:
        with self._client.stream("GET", path, params={"watch": "1"}, timeout=httpx2.Timeout(30, read=None)) as reply:
            yield from map(json.loads, reply.iter_lines())


class Recorder:
    """Follows the pods and events of a namespace until every case has shown what it is to show."""

    def __init__(self, cluster: Cluster, namespace: str, faults: Faults) -> None:
        self._cluster = cluster
        self._faults = faults
        self._path = f"/api/v1/namespaces/{namespace}"
        self._news: queue.Queue[dict[str, Any]] = queue.Queue()
        self._seen: dict[str, Seen] = {}

    def record(self, names: list[str]) -> Iterator[tuple[str, Seen]]:
        for kind in ("pods", "events"):
            threading.Thread(target=self._follow, args=(kind,), daemon=True).start()
        for name in names:
            case = CASES[name]
            self._cluster.make(f"{self._path}/pods", manifest(name, case.spec, case.container, case.beside))
        waiting, to_do = list(names), [name for name in names if CASES[name].then]
        lost = [name for name in names if CASES[name].without]
        end = time.monotonic() + AT_MOST
        while waiting and time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                self._take(self._news.get(timeout=1))
            if lost and all(self._seen.get(name, Seen()).in_phase("Running") for name in lost):
                for part in {CASES[name].without for name in lost}:
                    self._faults.kill(part)
                lost = []
            for name in list(waiting):
                seen, then = self._seen.get(name, Seen()), CASES[name].then
                if then and name in to_do and seen.in_phase("Running"):
                    to_do.remove(name)
                    then(self._cluster, f"{self._path}/pods/{name}")
                if seen.pod and CASES[name].until(seen):
                    waiting.remove(name)
                    yield name, seen
        for name in waiting:
            print(f"never seen: {name}\n{json.dumps(trimmed(self._seen[name]))}", file=sys.stderr)

    def _follow(self, kind: str) -> None:
        for change in self._cluster.watch(f"{self._path}/{kind}"):
            self._news.put(change)

    def _take(self, change: dict[str, Any]) -> None:
        found = change["object"]
        about = found["metadata"] if found["kind"] == "Pod" else found["involvedObject"]
        seen = self._seen.get(about["name"], Seen())
        if found["kind"] == "Pod":
            self._seen[about["name"]] = seen._replace(pod=found, deleted=change["type"] == "DELETED")
        elif about["kind"] == "Pod":
            others = [event for event in seen.events if event["metadata"]["name"] != found["metadata"]["name"]]
            self._seen[about["name"]] = seen._replace(events=(*others, found))


def picked(found: dict[str, Any], keys: str) -> dict[str, Any]:
    return {key: found[key] for key in keys.split() if found.get(key)}


def trimmed(seen: Seen) -> dict[str, Any]:
    """What of a pod a diagnosis can be made of."""
    pod, about = seen.pod, "nodeName nodeSelector affinity activeDeadlineSeconds priorityClassName volumes"
    spec = picked(pod["spec"], about)
    status = picked(pod["status"], "phase reason message conditions startTime nominatedNodeName")
    for kind in ("initContainers", "containers"):
        if kind in pod["spec"]:
            spec[kind] = [picked(item, "name image command resources env envFrom") for item in pod["spec"][kind]]
        statuses = pod["status"].get(f"{kind[:-1]}Statuses", [])
        for item in statuses:
            item["state"].get("terminated", {}).pop("containerID", None)
        if statuses:
            status[f"{kind[:-1]}Statuses"] = [picked(item, "name image ready started state") for item in statuses]
    keys = "type reason message count firstTimestamp lastTimestamp eventTime series reportingComponent source"
    events = [picked(event, keys) for event in seen.events if event["reason"] != "MissingClusterDNS"]
    metadata = picked(pod["metadata"], "name deletionTimestamp")
    return {"deleted": seen.deleted, "pod": {"metadata": metadata, "spec": spec, "status": status}, "events": events}


def write(name: str, what: str, source: str, namespace: str, content: dict[str, Any]) -> None:
    record = {"what": what, "recorded": True, "from": source, **content}
    text = json.dumps(record, indent=1, ensure_ascii=False).replace(namespace, "team-a")
    (FOLDER / f"{name}.json").write_text(f"{text}\n")
    print(f"recorded: {name}", file=sys.stderr)


def refuse(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    """Have a pod refused; whatever is in its way is gone afterwards."""
    refusal = REFUSALS[name]
    path = f"/api/v1/namespaces/{refusal.namespace or namespace}"
    made = cluster.make(f"{path}/{refusal.first[0]}", refusal.first[1]) if refusal.first else None
    pod, end = manifest(name, refusal.spec, refusal.container), time.monotonic() + 30
    try:
        while True:
            code, reply = cluster.send("POST", f"{path}/pods", pod, refusal.headers)
            if refusal.words in reply.get("message", "") or time.monotonic() > end:
                return {"refusal": {"code": code, "message": reply["message"]}}
            cluster.send("DELETE", f"{path}/pods/{name}")
    finally:
        if made:
            cluster.send("DELETE", made)


def record(kubeconfig: str, refused: list[str], wanted: list[str]) -> None:
    cluster = Cluster(kubeconfig)
    faults = Faults(Path(kubeconfig).parent, Admin(kubeconfig, "default"))
    namespace, low = f"statuses-{uuid.uuid4().hex[:8]}", {"metadata": {"name": "statuses-low"}, "value": -10}
    made = [cluster.make("/api/v1/namespaces", {"metadata": {"name": namespace}})]
    try:
        next(
            item
            for item in cluster.watch(f"{made[0]}/serviceaccounts")
            if item["object"]["metadata"]["name"] == "default"
        )
        cluster.make(f"{made[0]}/secrets", {"metadata": {"name": "settings"}, "data": {"user": "YQ=="}})
        made.append(cluster.make("/apis/scheduling.k8s.io/v1/priorityclasses", low))
        runtime = {"metadata": {"name": "statuses-no-runtime"}, "handler": "none"}
        made.append(cluster.make("/apis/node.k8s.io/v1/runtimeclasses", runtime))
        cluster.give_dongles("1")
        for name in refused:
            write(name, REFUSALS[name].what, cluster.about, namespace, refuse(cluster, namespace, name))
        for name, seen in Recorder(cluster, namespace, faults).record(wanted):
            write(name, CASES[name].what, cluster.about, namespace, trimmed(seen))
    finally:
        faults.mend()
        cluster.give_dongles(None)
        for path in reversed(made):
            cluster.send("DELETE", path)


def main(names: list[str]) -> None:
    kubeconfig = os.environ["TEST_KUBECONFIG"]
    refused = [name for name in REFUSALS if not names or name in names]
    wanted = [name for name, case in CASES.items() if name in names or not (names or case.without)]
    lock = ClusterLock(kubeconfig)
    with lock.exclusive() if any(CASES[name].without for name in wanted) else lock.shared():
        record(kubeconfig, refused, wanted)


if __name__ == "__main__":
    main(sys.argv[1:])
