"""What `record_statuses` has a cluster do: pods that can't start or end badly, and pods that are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

IMAGE = "docker.io/local/python:3.11"
WITHOUT_PYTHON = "docker.io/local/pause:1"
FOREVER = "import threading; threading.Event().wait()"
WORK = {"name": "work", "emptyDir": {}}
SECRET = {"name": "settings", "key": "password"}
DONGLE = "example.com/dongle"


class Seen(NamedTuple):
    """What a watch has shown of a pod."""

    pod: dict[str, Any] = {}
    events: tuple[dict[str, Any], ...] = ()
    deleted: bool = False

    def waits(self, reason: str) -> bool:
        statuses = [*self._statuses("initContainerStatuses"), *self._statuses("containerStatuses")]
        return any(item["state"].get("waiting", {}).get("reason") == reason for item in statuses)

    def in_phase(self, phase: str) -> bool:
        return self.pod.get("status", {}).get("phase") == phase

    def has_event(self, reason: str, count: int = 1) -> bool:
        return any(event["reason"] == reason and (event.get("count") or 1) >= count for event in self.events)

    def _statuses(self, kind: str) -> list[dict[str, Any]]:
        return self.pod.get("status", {}).get(kind, [])


When = Callable[[Seen], bool]


class Sends(Protocol):
    """What makes a request."""

    def send(self, method: str, path: str, body: Any = None) -> object: ...


class Case(NamedTuple):
    """A pod, and when to write down what became of it."""

    what: str
    until: When
    spec: dict[str, Any] = {}
    container: dict[str, Any] = {}
    then: Callable[[Sends, str], object] | None = None
    """What to do to the pod once it runs."""
    beside: Sequence[dict[str, Any]] = ()
    """Further containers."""
    without: str = ""
    """The part of the cluster that is killed once the pod runs: recorded on request only, see `faults`."""


class Refusal(NamedTuple):
    """A pod that the API server does not take."""

    what: str
    words: str
    """What the refusal says; until it does, whatever stands in the way has not been noticed yet."""
    spec: dict[str, Any] = {}
    container: dict[str, Any] = {}
    first: tuple[str, dict[str, Any]] | None = None
    """A path and what is made there before."""
    namespace: str = ""
    headers: dict[str, str] = {}


def unscheduled(seen: Seen) -> bool:
    return seen.has_event("FailedScheduling") and "conditions" in seen.pod.get("status", {})


def waits(reason: str) -> When:
    return lambda seen: seen.waits(reason) and seen.has_event("Failed")


def ended(seen: Seen) -> bool:
    return seen.in_phase("Failed")


def gone(seen: Seen) -> bool:
    return seen.deleted


def python(code: str) -> dict[str, Any]:
    return {"command": ["python3", "-c", code]}


def limits(**amounts: str) -> dict[str, Any]:
    resources = {name.replace("_", "-"): amount for name, amount in amounts.items()}
    return {"resources": {"requests": resources, "limits": resources}}


def volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [WORK, {"name": "extra", **source}]}


def environment(**source: Any) -> dict[str, Any]:
    return {"env": [{"name": "PASSWORD", "valueFrom": source}]}


def delete(cluster: Sends, path: str) -> None:
    cluster.send("DELETE", path, {"gracePeriodSeconds": 1})


def evict(cluster: Sends, path: str) -> None:
    name, options = path.rpartition("/")[2], {"gracePeriodSeconds": 1}
    body = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": options}
    cluster.send("POST", f"{path}/eviction", body)


def preempt(cluster: Sends, path: str) -> None:
    cluster.send("POST", path.rpartition("/")[0], manifest("more-important", {}, limits(**{DONGLE: "1"})))


BY_SELECTOR = {"nodeSelector": {"pool": "gpu"}}
REQUIRED = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]}
BY_AFFINITY = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": REQUIRED}}}
NO_ROOT = {"securityContext": {"runAsNonRoot": True}}
NO_PROFILE = {"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "none.json"}}}
FILLS_THE_DISK = python("open('/airflow/scratch/big', 'wb').write(bytes(2**25)); " + FOREVER)
SEGFAULT = python("import ctypes; ctypes.string_at(0)")
KILLS_ITSELF = python("import os; os.kill(os.getpid(), 9)")
FAILING = {"name": "prepare", "image": IMAGE, **python("raise SystemExit(4)")}

CASES = {
    "invalid-image-name": Case(
        "an image's name in capitals", waits("InvalidImageName"), {}, {"image": "local/Python:1"}
    ),
    "image-never-pulled": Case(
        "an image that is not there, imagePullPolicy Never",
        waits("ErrImageNeverPull"),
        {},
        {"image": "local/none:1", "imagePullPolicy": "Never"},
    ),
    "image-pull-no-network": Case(
        "an image of a registry that can't be reached", waits("ErrImagePull"), {}, {"image": "docker.io/local/none:1"}
    ),
    "image-pull-backoff": Case(
        "an image of a registry that can't be reached, later",
        lambda seen: seen.waits("ImagePullBackOff") and seen.has_event("BackOff"),
        {},
        {"image": "docker.io/local/none:2"},
    ),
    "unschedulable-selector": Case("no node has the label pool=gpu", unscheduled, BY_SELECTOR),
    "unschedulable-affinity": Case("no node has the label zone", unscheduled, BY_AFFINITY),
    "unschedulable-memory": Case("more memory than the node has", unscheduled, {}, limits(memory="900Gi")),
    "unschedulable-cpu-and-memory": Case("more of two things", unscheduled, {}, limits(cpu="64", memory="900Gi")),
    "unschedulable-gpu": Case("a GPU", unscheduled, {}, limits(**{"nvidia.com/gpu": "1"})),
    "unschedulable-claim": Case(
        "a persistent volume claim that is not there",
        unscheduled,
        volume(persistentVolumeClaim={"claimName": "data"}),
    ),
    "missing-secret": Case(
        "a variable of a Secret that is not there",
        waits("CreateContainerConfigError"),
        {},
        environment(secretKeyRef={**SECRET, "name": "absent"}),
    ),
    "missing-key": Case(
        "a variable of a Secret that lacks the key",
        waits("CreateContainerConfigError"),
        {},
        environment(secretKeyRef=SECRET),
    ),
    "missing-config-map": Case(
        "variables of a ConfigMap that is not there",
        waits("CreateContainerConfigError"),
        {},
        {"envFrom": [{"configMapRef": {"name": "absent"}}]},
    ),
    "root-image": Case("runAsNonRoot with an image of root", waits("CreateContainerConfigError"), NO_ROOT),
    "no-seccomp-profile": Case("a seccomp profile that is not there", waits("CreateContainerError"), NO_PROFILE),
    "no-python": Case("an image without python3", ended, {}, {"image": WITHOUT_PYTHON}),
    "mount-secret-at-first": Case(
        "a volume of a Secret that is not there, at first",
        lambda seen: seen.has_event("FailedMount", 2),
        volume(secret={"secretName": "absent"}),
    ),
    "mount-secret": Case(
        "a volume of a Secret that is not there, half a minute later",
        lambda seen: seen.has_event("FailedMount", 7),
        volume(secret={"secretName": "absent"}),
    ),
    "mount-config-map": Case(
        "a volume of a ConfigMap that is not there",
        lambda seen: seen.has_event("FailedMount", 7),
        volume(configMap={"name": "absent"}),
    ),
    "mount-own-request": Case(
        "the worker's own Secret is not there yet",
        lambda seen: seen.has_event("FailedMount", 7),
        volume(projected={"sources": [{"secret": {"name": "mount-own-request-0"}}]}),
    ),
    "sandbox": Case(
        "a runtime class that the node has no runtime for",
        lambda seen: seen.has_event("FailedCreatePodSandBox"),
        {"runtimeClassName": "statuses-no-runtime"},
    ),
    "out-of-memory-limit": Case(
        "more memory than the limit", ended, {}, {**limits(memory="64Mi"), **python("bytearray(2**28)")}
    ),
    "deadline": Case("activeDeadlineSeconds", ended, {"activeDeadlineSeconds": 2}),
    "deleted": Case("deleted by hand while it ran, the last state", gone, then=delete),
    "deleting": Case(
        "deleted by hand while it runs", lambda seen: "deletionTimestamp" in seen.pod.get("metadata", {}), then=delete
    ),
    "evicted-by-api": Case("the eviction API, as a drain of a node does", gone, then=evict),
    "preempted": Case("a pod of higher priority takes the place", gone, {"priorityClassName": "statuses-low"}, {
        **limits(**{DONGLE: "1"})}, preempt),
    "exit-3": Case("exit code 3", ended, {}, python("raise SystemExit(3)")),
    "sigsegv": Case("a crash", ended, {}, SEGFAULT),
    "sigkill": Case("killed from inside", ended, {"shareProcessNamespace": True}, KILLS_ITSELF),
    "succeeded": Case("ended well, without an outcome", lambda seen: seen.in_phase("Succeeded"), {}, python("pass")),
    "evicted-volume": Case(
        "more in the folder of work than its limit",
        ended,
        {"volumes": [{"name": "work", "emptyDir": {"sizeLimit": "4Mi"}}]},
        FILLS_THE_DISK,
    ),
    "evicted-storage": Case(
        "more on disk than the container's limit", ended, {}, {**limits(ephemeral_storage="4Mi"), **FILLS_THE_DISK}
    ),
    "rejected-memory": Case(
        "sent to the node by name, which has not the memory", ended, {"nodeName": "localhost"}, limits(memory="900Gi")
    ),
    "rejected-labels": Case(
        "sent to the node by name, which has not the label", ended, {"nodeName": "localhost", **BY_SELECTOR}
    ),
    "init-container": Case("a container before the worker fails", ended, {"initContainers": [FAILING]}),
    "other-container": Case(
        "a container beside the worker fails, the worker ends well without an outcome",
        ended,
        {},
        python("pass"),
        beside=[{"name": "proxy", "image": IMAGE, **python("raise SystemExit(5)")}],
    ),
    # Kubernetes evicts nothing from the only node there is, as all nodes lost means that it is itself cut off.
    "lost-node": Case(
        "a node that stopped answering",
        lambda seen: seen.has_event("NodeNotReady"),
        without="kubelet",
    ),
}  # fmt: skip

HARD = {"hard": {"limits.memory": "1Gi", "requests.memory": "1Gi"}}
LARGEST = {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}
NOBODY = {"Impersonate-User": "airflow"}
REFUSALS = {
    "refused-quota": Refusal(
        "more memory than a quota allows", "exceeded quota", {}, limits(memory="2Gi"),
        ("resourcequotas", {"metadata": {"name": "team"}, "spec": HARD}),
    ),
    "refused-no-limit": Refusal(
        "no memory limit where a quota wants one", "failed quota", {}, {},
        ("resourcequotas", {"metadata": {"name": "team"}, "spec": HARD}),
    ),
    "refused-limit-range": Refusal(
        "more memory than a LimitRange allows", "maximum memory usage", {}, limits(memory="2Gi"),
        ("limitranges", {"metadata": {"name": "team"}, "spec": LARGEST}),
    ),
    "refused-priority": Refusal("an unknown priority class", "PriorityClass", {"priorityClassName": "urgent"}),
    "refused-service-account": Refusal("an unknown service account", "service account", {"serviceAccountName": "none"}),
    "refused-role": Refusal("a user without the right", "cannot create", headers=NOBODY),
    "refused-namespace": Refusal("an unknown namespace", "not found", namespace="no-such-team"),
    "refused-invalid": Refusal("a label's value that is none", "invalid", {"nodeSelector": {"pool": "a b"}}),
}  # fmt: skip


def manifest(
    name: str, spec: dict[str, Any], container: dict[str, Any], beside: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """A pod as a worker's, without what it runs."""
    names = [item["name"] for item in spec.get("volumes", [WORK])]
    mounts = [{"name": item, "mountPath": f"/airflow/{item}"} for item in names]
    worker = {"name": "worker", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "volumeMounts": mounts}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "volumes": [WORK],
            "containers": [{**worker, **python(FOREVER), **container}, *beside],
            **spec,
        },
    }
