"""Why a pod ended, where its worker could not say so itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_tasks.runtime.processes import signal_name
from airflow_provider_tasks.workers.pod_diagnosis.facts import find, shortened
from airflow_provider_tasks.workers.pod_diagnosis.images import start_error
from airflow_provider_tasks.workers.pod_diagnosis.records import ADVICE, NOT_THE_WORKERS, Diagnosis
from airflow_provider_tasks.workers.pod_diagnosis.startup import trouble_of
from airflow_provider_tasks.workers.quantities import format_bytes, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_tasks.workers.pod_diagnosis.facts import Facts, State
    from airflow_provider_tasks.workers.pod_diagnosis.records import Trouble
    from airflow_provider_tasks.workers.sizes import WorkerSize

_OTHER_NODE = "Trying again runs it on another node."
_SPOT = f"{_OTHER_NODE} Where nodes come and go (spot, preemptible), node_selector can choose some that stay."
_DRAIN = (
    f"{_OTHER_NODE} Where nodes are drained often, annotations={{'cluster-autoscaler.kubernetes.io/safe-to-evict': "
    "'false'} in WorkerConfig asks the autoscaler to wait."
)
_PRIORITY = "Trying again waits for room; with a priority_class_name of higher priority it keeps its place."
_DELETED = (
    "An administrator, a drain of the node or a controller that removes pods may have done so; "
    "trying again makes a new pod."
)
_DISK = "Let it write less to its disk, or give it more: ephemeral-storage or the volume's sizeLimit, in pod_override."
_CRASHES = {4, 6, 7, 8, 11, 31}  # SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS of Linux

# What the kubelet calls it when it does not take a pod that the scheduler sent it.
_REJECTED = re.compile(
    r"OutOf.+|UnexpectedAdmissionError|Node(?:Affinity|Name|Ports)|TaintToleration|TopologyAffinityError|"
    r"SMTAlignmentError|PodOS\w+|InvalidNodeInfo|GeneralPredicates"
)
# Kubernetes has renamed these: https://github.com/kubernetes/kubernetes/pull/102840
_SHUTDOWN = ("NodeShutdown", "Shutdown", "Terminated")


def end_of_pod(facts: Facts, sizes: Mapping[str, WorkerSize]) -> Diagnosis:
    """Say why a pod ended whose worker reported nothing."""
    return told_end(facts, sizes) or _end_of_worker(facts) or _no_end(facts)


def told_end(facts: Facts, sizes: Mapping[str, WorkerSize]) -> Diagnosis | None:
    """Say why a pod ended where the cluster knows it; None where the end of its containers is all there is."""
    known = (
        _by_status(facts) or _by_disruption(facts) or out_of_memory(facts, sizes) or _by_event(facts) or _deleted(facts)
    )
    if known is None and facts.worker is not None and facts.worker.reason == "ContainerStatusUnknown":
        return _node_lost(facts, "lost sight of it")
    return known


def out_of_memory(facts: Facts, sizes: Mapping[str, WorkerSize]) -> Diagnosis | None:
    """Explain that the kernel ended the worker for want of memory; None where it did not."""
    if facts.worker is None or facts.worker.reason != "OOMKilled":
        return None
    try:
        limit = int(parse_quantity(facts.amount("memory", "limits")))
    except (ValueError, OverflowError):
        summary = (
            f"{facts.pod_on_node} was killed because the node ran out of memory: the worker has no limit of its own"
        )
        advice = "Choose a worker_size, which keeps memory for it, or let it hold less at a time."
        return Diagnosis("memory", summary, advice, retry=True)
    larger = [(size.memory, name) for name, size in sizes.items() if size.memory and size.memory > limit]
    amount, name = min(larger, default=(2 * limit, ""))
    which = f"{name!r} has {format_bytes(amount)}" if name else f"at least {format_bytes(amount)}"
    return Diagnosis(
        "memory",
        f"the worker in {facts.pod_on_node} needed more memory than its limit of {format_bytes(limit)}",
        f"Give it a larger worker_size ({which}), or let it hold less at a time.",
        retry=True,
    )


def _by_status(facts: Facts) -> Diagnosis | None:
    reason, message = facts.reason, facts.message
    if reason == "Evicted":
        return _evicted(facts, message)
    if reason == "Preempting":
        return _preempted(facts, message)
    if reason == "DeadlineExceeded":
        return _timeout(facts)
    if reason == "NodeLost":
        return _node_lost(facts, "stopped answering")
    if reason in _SHUTDOWN:
        return _node_lost(facts, "was shut down")
    if facts.phase == "Failed" and _REJECTED.fullmatch(reason):
        resource = reason.removeprefix("OutOf") if reason.startswith("OutOf") else ""
        why = f"too little {resource} is free" if resource else shortened(message) or reason
        if reason == "NodeAffinity":
            why = "the node has not the labels that node_selector or affinity ask for"
        elif resource == "pods":
            why = "it has as many pods as allowed"
        summary = f"node {facts.node} did not take {facts.pod}: {why}"
        advice = "Trying again may find a better node; check worker_size and node_selector if it does not."
        return Diagnosis("unschedulable", summary, advice, retry=True)
    return None


def _by_disruption(facts: Facts) -> Diagnosis | None:
    # Since v1.26: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
    target = facts.condition("DisruptionTarget", "True")
    if target is None:
        return None
    match target.reason:
        case "PreemptionByScheduler":
            return _preempted(facts, target.message)
        case "EvictionByEvictionAPI":
            summary = f"{facts.pod_on_node} was evicted through the API, as when its node is drained"
            return Diagnosis("evicted", summary, _DRAIN, retry=True)
        case "TerminationByKubelet" if "shutdown" not in target.message:
            return _evicted(facts, target.message)
        case "TerminationByKubelet":
            return _node_lost(facts, "was shut down")
        case "DeletionByTaintManager":
            return _node_lost(facts, "stopped answering, or was closed to it by a NoExecute taint")
        case "DeletionByPodGC":
            return _node_lost(facts, "is gone from the cluster")
    summary = f"the cluster ended {facts.pod_on_node}: {shortened(target.message) or target.reason}"
    return Diagnosis("evicted", summary, _DRAIN, retry=True)


def _by_event(facts: Facts) -> Diagnosis | None:
    """Say what the events tell; before v1.26 nothing else does."""
    event = facts.last_event(
        "Evicted", "Preempted", "Preempting", "DeadlineExceeded", "ScaleDown", "TaintManagerEviction"
    )
    if event is not None and not event.message.startswith("Cancelling"):
        match event.reason:
            case "Evicted":
                return _evicted(facts, event.message)
            case "Preempted" | "Preempting":
                return _preempted(facts, event.message)
            case "DeadlineExceeded":
                return _timeout(facts)
            case "ScaleDown":
                summary = f"{facts.pod_on_node} was evicted: the cluster removed the node"
                return Diagnosis("evicted", summary, _DRAIN, retry=True)
        return _node_lost(facts, "stopped answering, or was closed to it by a NoExecute taint")
    ended = facts.worker is not None and facts.worker.kind == "terminated"
    last = facts.last_event()
    if last is not None and last.reason == "NodeNotReady" and not ended and facts.phase != "Pending":
        return _node_lost(facts, "stopped answering")
    return None


def _deleted(facts: Facts) -> Diagnosis | None:
    if not facts.is_deleted:
        return None
    when = "before its worker had started" if facts.phase == "Pending" else "while its worker ran"
    if facts.phase == "Succeeded" or (facts.worker is not None and facts.worker.exit_code == 0):
        when = "after its worker had ended and before its outcome was read"
    return Diagnosis("killed", f"{facts.pod_on_node} was deleted {when}", _DELETED, retry=True)


def _evicted(facts: Facts, message: str) -> Diagnosis:
    summary = f"{facts.pod_on_node} was evicted: {shortened(message) or 'its node ran short of something'}"
    what = message.lower()
    if re.search(r"exceeds? the (?:total )?limit|exceeded its local", what):
        advice = _DISK
    elif "low on resource: memory" in what:
        advice = "Give it a larger worker_size: the cluster evicts first what uses more than it asked for."
    elif "low on resource: ephemeral-storage" in what:
        advice = f"The node ran short of disk; trying again may find a better one. {_DISK}"
    else:
        advice = ADVICE["evicted"][0]
    return Diagnosis("evicted", summary, advice, retry=True)


def _preempted(facts: Facts, message: str) -> Diagnosis:
    by = find(r"Preempted by (\S+) on node", message)
    whose = f" ({by})" if "/" in by else ""
    summary = f"{facts.pod_on_node} had to make room for a pod of higher priority{whose}"
    return Diagnosis("evicted", summary, _PRIORITY, retry=True)


def _timeout(facts: Facts) -> Diagnosis:
    seconds = facts.spec.get("activeDeadlineSeconds")
    limit = f" of {seconds} s" if type(seconds) is int and seconds < 2**31 else ""
    summary = f"{facts.pod} ran into its time limit{limit}"
    if facts.worker is not None and facts.worker.kind == "waiting":
        summary += f" before its worker had started{_last_event(facts)}"
    return Diagnosis("timeout", summary, *ADVICE["timeout"])


def _node_lost(facts: Facts, what: str) -> Diagnosis:
    node = f"node {facts.node}" if facts.node else "the node"
    return Diagnosis("node_lost", f"{node}, which ran {facts.pod}, {what}", _SPOT, retry=True)


def _end_of_worker(facts: Facts) -> Diagnosis | None:
    worker = facts.worker
    others = [state for state in facts.others if state.has_failed]
    beside = "".join(f"; container {state.name!r} beside it ended with {_how(state)}" for state in others)
    if worker is None or worker.kind != "terminated":
        return _end_of_another(facts, others[0]) if others else None
    if worker.reason in ("StartError", "ContainerCannotRun"):
        return _of_trouble(start_error(worker, facts))
    if worker.exit_code == 0:
        summary = f"the worker in {facts.pod} ended well and reported no outcome{beside}"
        advice = "Something in it, or a command of pod_override, ended the runtime before it could write one."
        return Diagnosis("payload", summary, advice, retry=False)
    summary = f"the worker in {facts.pod_on_node} ended with {_how(worker)} before it reported an outcome{beside}"
    if worker.signal is None and worker.exit_code in (126, 127):
        advice = "Choose a worker_image that has Python 3.9 or newer as python3, and leave its command to Airflow."
        return Diagnosis("image", summary, advice, retry=False)
    if worker.signal in _CRASHES:
        advice = "Its Python crashed: check that the worker_image is sound and made for the node's processor."
        return Diagnosis("killed", summary, advice, retry=True)
    if worker.signal == 9:
        advice = (
            "Look at who sent the signal: a node short of memory (a larger worker_size keeps more for it), "
            "an administrator, or the task itself."
        )
        return Diagnosis("killed", summary, advice, retry=True)
    if worker.signal is None:
        advice = "The last lines of its output say why; a worker_image needs Python 3.9 or newer as python3."
        return Diagnosis("killed", summary, advice, retry=True)
    return Diagnosis("killed", summary, *ADVICE["killed"])


def _end_of_another(facts: Facts, state: State) -> Diagnosis:
    kind = "init container" if state.is_init else "container"
    what = "before the worker could start" if state.is_init else "beside the worker"
    summary = f"{kind} {state.name!r} of {facts.pod_on_node} ended with {_how(state)} {what}"
    if state.reason == "OOMKilled":
        return Diagnosis("memory", summary, "Give that container more memory in pod_override.", retry=True)
    return Diagnosis("configuration", summary, NOT_THE_WORKERS, retry=True)


def _no_end(facts: Facts) -> Diagnosis:
    trouble = trouble_of(facts)
    if trouble is not None:
        return _of_trouble(trouble)
    if facts.phase == "Unknown":
        return _node_lost(facts, "stopped answering")
    if facts.phase == "Succeeded":
        return Diagnosis("payload", f"{facts.pod} ended well and its worker reported no outcome", *ADVICE["payload"])
    if facts.phase == "Failed":
        why = shortened(facts.message) or facts.reason
        summary = f"the cluster ended {facts.pod_on_node}{f': {why}' if why else ''}"
    elif facts.phase == "Running":
        summary = f"{facts.pod_on_node} still runs, as far as the cluster knows, and its worker reported nothing"
    elif facts.phase == "Pending":
        pulling = facts.last_event("Pulling")
        if pulling is not None and pulling is facts.last_event():
            summary = f"{facts.pod_on_node} has not started: its image is still being pulled{_last_event(facts)}"
            advice = "Raise startup_timeout, or choose a smaller worker_image."
            return Diagnosis("image", summary, advice, retry=True)
        summary = f"{facts.pod_on_node} has not started{_last_event(facts)}"
        return Diagnosis("cluster", summary, "Raise startup_timeout where starts are slow.", retry=True)
    else:
        summary = f"{facts.pod} reported nothing, and the cluster does not know it"
    return Diagnosis("cluster", f"{summary}{_last_event(facts)}", *ADVICE["cluster"])


def _of_trouble(trouble: Trouble) -> Diagnosis:
    return Diagnosis(trouble.category, trouble.summary, trouble.advice, trouble.retry)


def _how(state: State) -> str:
    if state.signal is not None:
        name = signal_name(state.signal)
        return name if name.startswith("signal") else f"signal {name}"
    return "an unknown exit code" if state.exit_code is None else f"exit code {state.exit_code}"


def _last_event(facts: Facts) -> str:
    event = facts.last_event()
    return f" (last event: {shortened(event.message, 200) or event.reason})" if event else ""
