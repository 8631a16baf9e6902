"""The nodes of a cluster as nodes that dispatchers know: what they are, and how a worker gets there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.node import Architecture, Node
from airflow_provider_tasks.workers.settings import NODE_CONFIG

if TYPE_CHECKING:
    from collections.abc import Mapping

HOSTNAME = "kubernetes.io/hostname"

_OF_THE_CLUSTER = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Taints that say how a node is at the moment: not ready, cordoned, short of memory."""

_KINDS = {"InternalIP": "", "ExternalIP": "external_"}
_FACTS = {"osImage": "os_image", "kernelVersion": "kernel", "containerRuntimeVersion": "container_runtime"}
_AMOUNTS = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "storage", "pods": "pods"}


def node_of(found: Mapping[str, Any]) -> Node:
    """Return a node of a cluster as a :class:`Node`: a worker on it is placed there by its ``worker_config``.

    >>> node = node_of({"metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "a", "rack": "7"}}})
    >>> node["labels"]["rack"], node["worker_config"]
    ('7', {'node_selector': {'kubernetes.io/hostname': 'a'}})
    """
    metadata, spec, status = found.get("metadata") or {}, found.get("spec") or {}, found.get("status") or {}
    labels = metadata.get("labels") or {}
    facts = status.get("nodeInfo") or {}
    name = str(metadata.get("name"))
    properties = {
        **_addresses(status.get("addresses") or ()),
        **{ours: facts[theirs] for theirs, ours in _FACTS.items() if facts.get(theirs)},
        "capacity": _amounts(status.get("capacity") or {}),
        "labels": dict(sorted(labels.items())),
        "taints": [_without_time(taint) for taint in spec.get("taints") or ()],
        NODE_CONFIG: _placement(name, labels, spec.get("taints") or ()),
    }
    kept = {key: value for key, value in properties.items() if value not in ("", None, {}, [])}
    return Node(name, kept, _architecture(facts, labels))


def _addresses(addresses: Any) -> dict[str, str]:
    """Return the first address of each kind and family, and the host's name."""
    found: dict[str, str] = {}
    for address in addresses:
        kind, text = address.get("type"), str(address.get("address"))
        if kind == "Hostname":
            found.setdefault("hostname", text)
        elif kind in _KINDS:
            found.setdefault(f"{_KINDS[kind]}{'ipv6' if ':' in text else 'ipv4'}", text)
    return dict(sorted(found.items(), key=lambda item: ("external" in item[0], item[0])))


def _amounts(capacity: Mapping[str, Any]) -> dict[str, str]:
    """Return what there is of CPU, memory and devices, as Kubernetes writes it."""
    plain = {ours: str(capacity[theirs]) for theirs, ours in _AMOUNTS.items() if theirs in capacity}
    # Devices have a domain in their name; an amount of 0 is a device plugin that found none.
    devices = {name: str(amount) for name, amount in sorted(capacity.items()) if "/" in name and str(amount) != "0"}
    return {**plain, **devices}


def _without_time(taint: Mapping[str, Any]) -> dict[str, Any]:
    return {key: taint[key] for key in ("key", "value", "effect") if taint.get(key)}


def _placement(name: str, labels: Mapping[str, str], taints: Any) -> dict[str, Any]:
    """Return the settings with which a pod comes to be on this node, whatever keeps others away."""
    tolerated = [
        {**_without_time(taint), "operator": "Equal" if taint.get("value") else "Exists"}
        for taint in taints
        if not str(taint.get("key")).startswith(_OF_THE_CLUSTER) and taint.get("effect") != "PreferNoSchedule"
    ]
    config: dict[str, Any] = {"node_selector": {HOSTNAME: labels.get(HOSTNAME, name)}}
    return {**config, "tolerations": tolerated} if tolerated else config


def _architecture(facts: Mapping[str, Any], labels: Mapping[str, str]) -> Architecture:
    system = str(facts.get("operatingSystem") or labels.get("kubernetes.io/os"))
    processor = str(facts.get("architecture") or labels.get("kubernetes.io/arch"))
    try:
        return Architecture(f"{ {'windows': 'win'}.get(system, system) }/{processor}")
    except ValueError:
        return Architecture.UNKNOWN
