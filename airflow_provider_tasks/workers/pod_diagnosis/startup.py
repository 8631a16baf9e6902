"""What keeps a pod from starting: the waiting reasons of its containers, the scheduler's message, its events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_tasks.workers.pod_diagnosis.facts import Facts, find, shortened, without_rpc
from airflow_provider_tasks.workers.pod_diagnosis.images import image_of, image_trouble, start_error
from airflow_provider_tasks.workers.pod_diagnosis.records import NOT_THE_WORKERS, Trouble
from airflow_provider_tasks.workers.pod_diagnosis.scheduling import unschedulable

if TYPE_CHECKING:
    from airflow_provider_tasks.workers.pod_diagnosis.facts import Event, State

PATIENCE = 30.0
"""Seconds for which a mount may fail before it is taken for good; the kubelet tries after 0.5, 1, 2, 4 s and so on."""

_TRIES = 7
"""How often it has tried by then, for events without times."""

_OWN_QUIET = 10.0
"""Seconds for which nothing is said of the worker's own Secrets, which are made after the pod."""

_OVERRIDE = "Correct what pod_override, pod_template_file or volumes say; trying again changes nothing."
_WAIT = "Wait: the node tries again."
_PASSING = r"failed to sync|not registered|not yet been read|timed? ?out|deadline exceeded|connection re(?:fused|set)"


def startup_trouble(pod: object, events: object = ()) -> Trouble | None:
    """Say what keeps a pod from starting; None where nothing does, or where it has started.

    Args:
        pod: the pod as the API's JSON has it.
        events: the core/v1 Events of the pod.

    >>> state = {"waiting": {"reason": "ErrImageNeverPull"}}
    >>> status = {"phase": "Pending", "containerStatuses": [{"name": "worker", "state": state}]}
    >>> spec = {"containers": [{"name": "worker", "image": "team/python:3"}]}
    >>> trouble = startup_trouble({"metadata": {"name": "a"}, "spec": spec, "status": status})
    >>> trouble.summary, trouble.final
    ('the image team/python:3 of pod a is not on its node, and imagePullPolicy is Never', True)

    """
    return trouble_of(Facts.read(pod, events))


def trouble_of(facts: Facts) -> Trouble | None:
    """Say what keeps a pod from starting, of what is known of it."""
    if facts.phase in ("Succeeded", "Failed") or facts.has_started:
        return None
    troubles = [_waiting(state, facts) for state in facts.states if state.kind == "waiting"]
    found = [trouble for trouble in troubles if trouble is not None]
    if found:
        return max(found, key=lambda trouble: trouble.final)
    return unschedulable(facts) or _not_mounted(facts) or _no_sandbox(facts) or _node_gone(facts)


def _waiting(state: State, facts: Facts) -> Trouble | None:
    trouble = _waiting_reason(state, facts)
    return trouble._replace(advice=NOT_THE_WORKERS) if trouble and state is not facts.worker else trouble


def _waiting_reason(state: State, facts: Facts) -> Trouble | None:
    match state.reason:
        case "CreateContainerConfigError":
            return _not_configured(state, facts)
        case "CreateContainerError":
            return _not_created(state, facts)
        case "RunContainerError" | "StartError" | "ContainerCannotRun":
            return start_error(state, facts)
    return image_trouble(state, facts)


def _not_configured(state: State, facts: Facts) -> Trouble:
    message = without_rpc(state.message)
    missing = _missing(message)
    if missing:
        summary = f"{facts.pod} takes a variable of {missing[0]}, {missing[1]}"
        return Trouble("configuration", summary, _create_advice(missing[0], "secrets"), final=True, retry=False)
    if re.search(_PASSING, message):
        summary = f"node {facts.node} can't read yet what {facts.pod} needs: {shortened(message)}"
        return Trouble("cluster", summary, _WAIT, final=False, retry=True)
    if re.search(r"non-?root", message, re.IGNORECASE):
        user = find(r"non-numeric user \(([^)]*)\)", message)
        what = f"names its user {user!r} where a number is needed" if user else "runs as root"
        summary = f"the image {image_of(state, facts)} {what}, and {facts.pod} may not run as root"
        advice = "Set run_as_root=True, or a runAsUser above 0 in pod_override, or choose another worker_image."
        return Trouble("configuration", summary, advice, final=True, retry=False)
    summary = f"container {state.name!r} of {facts.pod} can't be made: {shortened(message) or state.reason}"
    return Trouble("configuration", summary, _OVERRIDE, final=True, retry=False)


def _not_created(state: State, facts: Facts) -> Trouble:
    message = without_rpc(state.message)
    if re.search(r"executable file not found|exec format error|OOM-killed", message):
        return start_error(state, facts)
    summary = f"container {state.name!r} of {facts.pod_on_node} can't be made: {shortened(message) or state.reason}"
    if re.search(rf"{_PASSING}|is reserved for|no space left", message):
        advice = "The node is slow or unwell: it tries again by itself."
        return Trouble("cluster", summary, advice, final=False, retry=True)
    return Trouble("configuration", summary, _OVERRIDE, final=True, retry=False)


def _not_mounted(facts: Facts) -> Trouble | None:
    failed = [event for event in _unpassed(facts) if event.reason in ("FailedMount", "FailedAttachVolume")]
    if not failed:
        return None
    event = max(failed, key=lambda event: _telling(event, facts))
    lasted = event.last - event.first
    lasting = lasted >= PATIENCE or (event.times >= _TRIES and not lasted)
    missing = _missing(event.message)
    if missing and _is_own(missing[0], facts):
        if lasted < _OWN_QUIET:
            return None
        summary = f"{facts.pod} waits for its {missing[0]}, {missing[1]}: Airflow makes it right after the pod"
        advice = "The account of the Kubernetes connection must be allowed to create Secrets in the namespace."
        return Trouble("cluster", summary, advice, final=False, retry=True)
    volume = find(r'for volume "([^"]+)"', event.message)
    what = f"volume {volume!r}" if volume else "a volume"
    if missing:
        summary = f"{what} of {facts.pod} needs {missing[0]}, {missing[1]}"
        return Trouble("configuration", summary, _create_advice(missing[0], "volumes"), final=lasting, retry=False)
    summary = f"{what} of {facts.pod_on_node} can't be mounted: {shortened(without_rpc(event.message))}"
    if "Multi-Attach" in event.message or event.reason == "FailedAttachVolume":
        advice = "Wait until the pod that uses the volume has ended, or use one that several nodes can have."
        return Trouble("unschedulable", summary, advice, final=False, retry=True)
    if re.search(_PASSING, event.message):
        return Trouble("cluster", summary, _WAIT, final=False, retry=True)
    advice = "Correct the volume, in volumes of WorkerConfig or pod_override."
    return Trouble("configuration", summary, advice, final=lasting, retry=True)


def _telling(event: Event, facts: Facts) -> int:
    """Return how much an event of a mount tells: a wait for the worker's own Secrets is part of every start."""
    missing = _missing(event.message)
    if missing:
        return 1 if _is_own(missing[0], facts) else 3
    return 0 if re.search(_PASSING, event.message) else 2


def _no_sandbox(facts: Facts) -> Trouble | None:
    event = next((event for event in _unpassed(facts) if event.reason.startswith("FailedCreatePodSandBox")), None)
    if event is None:
        return None
    message = without_rpc(event.message)
    summary = f"node {facts.node} can't make room for {facts.pod}: {shortened(message)}"
    if re.search(r"no runtime for|runtime ?handler", message, re.IGNORECASE):
        return Trouble("configuration", summary, "Correct runtimeClassName in pod_override.", final=True, retry=False)
    advice = "The node's network or container runtime is unwell: it tries again, and a retry may take another node."
    return Trouble("cluster", summary, advice, final=False, retry=True)


def _node_gone(facts: Facts) -> Trouble | None:
    event = facts.last_event("NodeNotReady")
    if event is None or event is not facts.last_event():
        return None
    summary = f"node {facts.node} stopped answering before {facts.pod} had started"
    return Trouble("node_lost", summary, "Wait, or try again: it then runs on another node.", final=False, retry=True)


def _unpassed(facts: Facts) -> list[Event]:
    """Return the events after which the pod has come no further, the newest first."""
    passed = facts.last_event("Pulling", "Pulled", "Created", "Started")
    return [event for event in reversed(facts.events) if passed is None or event.last > passed.last]


_NOT_THERE = "which its namespace does not have"
_MISSING = (
    (r'secret "([^"]+)" not found', "Secret {0!r}", _NOT_THERE),
    (r'configmap "([^"]+)" not found', "ConfigMap {0!r}", _NOT_THERE),
    (r'persistentvolumeclaims? "([^"]+)" not found', "PersistentVolumeClaim {0!r}", _NOT_THERE),
    (r"find key (\S+) in Secret (?:[^/\s]+/)?(\S+)", "Secret {1!r}", "which has no key {0!r}"),
    (r"find key (\S+) in ConfigMap (?:[^/\s]+/)?(\S+)", "ConfigMap {1!r}", "which has no key {0!r}"),
    (r"references non-existent secret key: (\S+)", "a Secret", "which has no key {0!r}"),
    (r"references non-existent config key: (\S+)", "a ConfigMap", "which has no key {0!r}"),
)


def _missing(message: str) -> tuple[str, str] | None:
    """Return what a message says is missing, as ``Secret 'a'``, and what is wrong with it."""
    for pattern, what, wrong in _MISSING:
        match = re.search(pattern, message)
        if match:
            return what.format(*match.groups()), wrong.format(*match.groups())
    return None


def _create_advice(what: str, setting: str) -> str:
    return f"Create or complete {what} in the worker's namespace, or correct {setting} or pod_override, which name it."


def _is_own(what: str, facts: Facts) -> bool:
    own = rf"(?:{re.escape(facts.name)}-\d+|airflow-worker-runtime-.+)"
    return re.fullmatch(rf"Secret '{own}'", what) is not None
