"""Why no node takes a pod: the scheduler's message, translated into causes and fixes.

The scheduler counts its nodes by what they lack: ``0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match
Pod's node affinity/selector.``; newer ones append what preemption would change. The words have changed over the years:
what is not known here is told as it stands.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_tasks.workers.pod_diagnosis.facts import find, items, mapping, shortened, text
from airflow_provider_tasks.workers.pod_diagnosis.records import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_tasks.workers.pod_diagnosis.facts import Facts

_WAIT = "Wait, or have the cluster's administrator add nodes."
_SIZE = "Choose a smaller worker_size, or have larger nodes added."
_CLAIM = (
    "Create the PersistentVolumeClaim in the worker's namespace, or correct volumes in WorkerConfig or pod_override."
)
_VOLUME = "Choose nodes of the volume's zone with node_selector, or another volume."
_OTHER_PODS = "Loosen affinity, in WorkerConfig or pod_override."
_UNWELL = "A node has to get well first: trying again later may find it so."

_NODE_TAINTS = {
    "not-ready": "not ready",
    "unreachable": "not answering",
    "unschedulable": "closed for new pods",
    "disk-pressure": "short of disk",
    "memory-pressure": "short of memory",
    "pid-pressure": "short of processes",
    "network-unavailable": "without network",
    "out-of-service": "out of service",
    "uninitialized": "not set up yet",
}

_OPERATORS = {"In": "in", "NotIn": "not in", "Exists": "set", "DoesNotExist": "not set", "Gt": ">", "Lt": "<"}


class _Cause(NamedTuple):
    what: str
    fix: str


def unschedulable(facts: Facts) -> Trouble | None:
    """Say why no node takes the pod; None where the scheduler has not said so."""
    scheduled = facts.condition("PodScheduled", "False")
    event = facts.last_event("FailedScheduling")
    if facts.node or (scheduled is None and event is None):
        return None
    if scheduled is not None and scheduled.reason == "SchedulingGated":
        return _trouble(
            f"{facts.pod} waits for whoever holds it back from being scheduled (schedulingGates)",
            "A queue of the cluster (as Kueue) or its administrator lets it go; pod_override can leave the gate out.",
        )
    message = (scheduled.message if scheduled else "") or (event.message if event else "")
    claim = find(r'persistentvolumeclaim "([^"]+)" not found', message)
    if claim:
        summary = f"{facts.pod} waits for the PersistentVolumeClaim {claim!r}, which its namespace does not have"
        return Trouble("configuration", summary, _CLAIM, final=False, retry=False)
    if "no nodes available to schedule pods" in message:
        return _trouble(f"no node can take {facts.pod}: the cluster has none", _WAIT)
    causes = list(_causes(message, facts))
    told = ", ".join(cause.what for cause in causes) or shortened(message) or "the scheduler does not say why"
    summary = f"no node can take {facts.pod}: {told}{_prospects(facts)}"
    fixes = list(dict.fromkeys(cause.fix for cause in causes)) or [
        "Check node_selector, tolerations, affinity and worker_size, in WorkerConfig and the node's worker_config."
    ]
    return _trouble(summary, " ".join(fixes))


def _trouble(summary: str, advice: str) -> Trouble:
    # A cluster may grow, and what holds its room may end.
    return Trouble("unschedulable", summary, advice, final=False, retry=True)


def _prospects(facts: Facts) -> str:
    if facts.nominated_node:
        return f"; pods of a lower priority are leaving node {facts.nominated_node} for it"
    scaling = facts.last_event("TriggeredScaleUp", "NotTriggerScaleUp")
    if scaling is None:
        return ""
    if scaling.reason == "TriggeredScaleUp":
        return "; the cluster is adding a node"
    return f"; the cluster adds none ({shortened(scaling.message, 200)})"


def _causes(message: str, facts: Facts) -> Iterator[_Cause]:
    nodes = find(r"\d+/(\d+) nodes are available", message)
    of_nodes = f" of {nodes}" if nodes else ""
    # What preemption could not change repeats the causes in other words.
    reasons = re.split(r"\.? (?:preemption:|no new claims to deallocate)", message)[0].partition("are available:")[2]
    if reasons and not re.match(r" *\d", reasons):
        cause = _cause(reasons.strip(" ."), facts)
        yield cause._replace(what=f"{nodes}{of_nodes} {cause.what}")
    for count, reason in re.findall(r"(\d+) (.+?)(?=, \d+ |\.? *$)", reasons):
        cause = _cause(reason, facts)
        yield cause._replace(what=f"{count}{of_nodes} {cause.what}")


def _cause(reason: str, facts: Facts) -> _Cause:
    resource = find(r"Insufficient (\S+)", reason)
    if resource:
        return _insufficient(resource, facts)
    if "Too many pods" in reason:
        return _Cause("with as many pods as allowed", _WAIT)
    if re.search(r"node selector|node affinity|NodeAffinity", reason) and "volume" not in reason:
        return _labels(facts)
    if re.search(r"requested (host|node )name", reason):
        return _Cause("of another name than the one asked for", "Leave nodeName out of pod_override.")
    if "taint" in reason:
        return _taint(find(r"\{([^}]*)\}", reason))
    if "were unschedulable" in reason:
        return _Cause("closed for new pods", _WAIT)
    if re.search(r"not ready|out of disk|unreachable", reason):
        return _Cause("not ready", _UNWELL)
    if re.search(r"volume node affinity conflict|available volume zone", reason):
        return _Cause("out of reach of a volume of the pod", _VOLUME)
    if re.search(r"volume count|volume limits", reason):
        return _Cause("with as many volumes as allowed", _WAIT)
    if re.search(r"persistent volumes to bind|unbound immediate", reason):
        fix = "Have the PersistentVolumeClaim of the pod bound: its storage class must be able to make a volume."
        return _Cause("without a volume for a PersistentVolumeClaim of the pod", fix)
    if "topology spread" in reason:
        return _Cause("against the pod's topologySpreadConstraints", "Loosen them in pod_override.")
    if re.search(r"pod affinity|anti-affinity", reason):
        return _Cause("without the pods beside it that affinity asks for", _OTHER_PODS)
    if "free ports" in reason:
        return _Cause("with a port taken that the pod asks for", "Leave hostPort out of pod_override.")
    return _Cause(
        shortened(reason, 200), "Check node_selector, tolerations, affinity and worker_size against the cluster."
    )


def _insufficient(resource: str, facts: Facts) -> _Cause:
    amount = facts.amount(resource) or facts.amount(resource, "limits")
    asked = f" ({amount} asked for)" if amount else ""
    if resource in ("cpu", "memory"):
        return _Cause(f"with too little {resource} free{asked}", _SIZE)
    if resource == "ephemeral-storage":
        return _Cause(f"with too little disk free{asked}", "Ask for less ephemeral-storage in pod_override.")
    fix = f"Choose a worker_size with less {resource}, or node_selector and tolerations of nodes that have it."
    return _Cause(f"with too little {resource} free{asked}", fix)


def _labels(facts: Facts) -> _Cause:
    labels = [f"{text(key)}={text(value)}" for key, value in mapping(facts.spec.get("nodeSelector")).items()]
    affinity = mapping(mapping(facts.spec.get("affinity")).get("nodeAffinity"))
    required = mapping(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))
    terms = [
        " and ".join(
            _expression(expression)
            for key in ("matchExpressions", "matchFields")
            for expression in items(term.get(key))
        )
        for term in items(required.get("nodeSelectorTerms"))
    ]
    settings = [name for name, found in (("node_selector", labels), ("affinity", terms)) if found]
    asked = ", ".join(filter(None, [*labels, " or ".join(filter(None, terms))]))
    fix = (
        f"Change {' or '.join(settings) or 'node_selector'}, in WorkerConfig or the node's property worker_config, "
        "to labels that nodes of the cluster have."
    )
    if any(re.search(r"kubernetes\.io/(arch|os)", label) for label in (*labels, *terms)):
        fix = (
            f"Give the Node an architecture that the cluster has. {fix}"
            if len(labels) > 1 or terms
            else ("Give the Node an architecture that the cluster has.")
        )
    return _Cause(f"without the labels asked for{f' ({shortened(asked)})' if asked else ''}", fix)


def _expression(found: object) -> str:
    expression = mapping(found)
    values = expression.get("values")
    listed = [text(value) for value in values] if isinstance(values, list) else []
    operator = text(expression.get("operator"))
    parts = (text(expression.get("key")), _OPERATORS.get(operator, operator), "/".join(listed))
    return " ".join(part for part in parts if part)


def _taint(taint: str) -> _Cause:
    name = find(r"^node\.(?:cloudprovider\.)?kubernetes\.io/([\w-]+)", taint)
    if name in _NODE_TAINTS:
        return _Cause(_NODE_TAINTS[name], _WAIT if name == "unschedulable" else _UNWELL)
    shown = taint.replace(": ", "=", 1).rstrip("= ")
    which = f"the taint {shown}" if shown else "a taint"
    fix = "Add the taint to tolerations, in WorkerConfig or the node's property worker_config, or choose other nodes."
    return _Cause(f"with {which}, which the pod does not tolerate", fix)
