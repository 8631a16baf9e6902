"""Pods that users write, and how one is put on another.

Lists are put together as the API server does for a strategic merge patch:
https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime.pod import HOME, MESSAGE_FILE
from airflow_provider_tasks.workers.checks import OWN_VOLUMES, RefusedError, is_own_path, plain
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.kubernetes.identity import is_reserved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTAINER = "worker"
"""The container that runs the task."""

# How a strategic merge patch finds the same item in two lists; a list that is not here replaces the other one.
_KEYS = {
    "containers": "name",
    "env": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_ITEMS_MERGED = ("containers", "initContainers")  # of others two halves can make no whole: a volume has one source


def read_template(path: str) -> dict[str, Any]:
    """Read the pod of a ``pod_template_file``.

    Raises:
        ConfigurationError: it can't be read, is no pod, or says what only the provider can say.

    """
    from airflow_provider_tasks.workers.config import read_data

    return checked_pod(read_data(path), f"pod_template_file {path}")


def check_pod(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pod of the user's ready to be put on another: as plain data, its container called ``worker``.

    Raises:
        RefusedError: it is no pod, or says what only the provider can say; names the key.

    """
    found = plain(pod)
    for key in found:
        if key not in ("apiVersion", "kind", "metadata", "spec", "status"):
            raise RefusedError("…", f"unknown key {key!r}, expected a pod: metadata and spec")
    _expect(found.get("apiVersion"), "v1", "apiVersion")
    _expect(found.get("kind"), "Pod", "kind")
    metadata, spec = _part(found, "metadata", dict), _part(found, "spec", dict)
    worker = _take_base_for_worker(spec)
    merge({}, found)  # finds what has no name
    for key in ("labels", "annotations"):
        for name in _part(metadata, key, dict, "metadata."):
            if is_reserved(name):
                raise RefusedError("…", f"metadata.{key}[{name}] is the provider's own; choose another name")
    _expect(spec.get("restartPolicy"), "Never", "spec.restartPolicy")
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is not None and (not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 1):
        raise RefusedError("…", f"spec.activeDeadlineSeconds is {seconds!r}, expected a whole number from 1")
    for volume in _part(spec, "volumes", list, "spec."):
        if volume["name"] in OWN_VOLUMES:
            raise RefusedError("…", f"spec.volumes[{volume['name']}] is the provider's own; choose another name")
    place = f"spec.containers[{CONTAINER}]"
    for key in ("command", "args"):
        if worker.get(key):
            raise RefusedError("…", f"{place}.{key} is the provider's own: it runs the task; leave it out")
    _expect(worker.get("terminationMessagePath"), MESSAGE_FILE, f"{place}.terminationMessagePath")
    _expect(worker.get("terminationMessagePolicy"), "File", f"{place}.terminationMessagePolicy")
    for mount in _part(worker, "volumeMounts", list, f"{place}."):
        if is_own_path(mount["mountPath"]):
            raise RefusedError("…", f"{place}.volumeMounts[{mount['mountPath']}]: {HOME} is the provider's own")
    # A template has a name because kubectl wants one; a worker's is its own.
    kept = {key: value for key, value in metadata.items() if key not in ("name", "generateName")}
    return {"metadata": kept, "spec": spec}


def checked_pod(pod: Any, what: str) -> dict[str, Any]:
    """Return a pod of the user's as :func:`check_pod` does; ``what`` says for the error where it is from."""
    try:
        if not isinstance(pod, dict):
            raise RefusedError("…", f"is a {type(pod).__name__}, expected a pod")
        return check_pod(pod)
    except RefusedError as error:
        raise ConfigurationError(f"{what}: {error.reason}") from error


def _expect(found: Any, expected: str, place: str) -> None:
    if found is not None and found != expected:
        raise RefusedError("…", f"{place} is {found!r}, expected {expected!r}, which is there if it is left out")


def _part(of: Mapping[str, Any], key: str, kind: type[Any], place: str = "") -> Any:
    """Return a mapping or a list of the user's; an empty one where there is none."""
    found = of.get(key)
    if found is None:
        return kind()
    if not isinstance(found, kind):
        expected = "a mapping" if kind is dict else "a list"
        raise RefusedError("…", f"{place}{key} is a {type(found).__name__}, expected {expected}")
    return found


def _take_base_for_worker(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the worker's container, which is called ``base`` where the pod was one of KubernetesPodOperator."""
    containers = [item for item in _part(spec, "containers", list, "spec.") if isinstance(item, dict)]
    if len(containers) == 1 and containers[0].get("name") == "base":
        containers[0]["name"] = CONTAINER
    return next((item for item in containers if item.get("name") == CONTAINER), {})


def merge(under: Mapping[str, Any], over: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Return ``over`` put on ``under``; None takes away what ``under`` has.

    Raises:
        RefusedError: an item of a list has no name to find it by.

    >>> merge({"env": [{"name": "A", "value": "1"}], "tty": True}, {"env": [{"name": "B", "value": "2"}], "tty": None})
    {'env': [{'name': 'A', 'value': '1'}, {'name': 'B', 'value': '2'}]}
    """
    merged = dict(under)
    for key, value in over.items():
        here = f"{place}.{key}" if place else key
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            weaker = merged.get(key)
            merged[key] = merge(weaker if isinstance(weaker, dict) else {}, value, here)
        elif isinstance(value, list) and key in _KEYS:
            merged[key] = _merge_items(merged.get(key) or [], value, key, here)
        else:
            merged[key] = value
    return merged


def _merge_items(under: Sequence[Any], over: Sequence[Any], list_name: str, place: str) -> list[Any]:
    by = _KEYS[list_name]
    merged = {item[by]: item for item in under}
    for index, item in enumerate(over):
        if not isinstance(item, dict) or not isinstance(item.get(by), str):
            raise RefusedError("…", f"{place}[{index}] has no {by}, expected a mapping with one")
        weaker = merged.get(item[by], {}) if list_name in _ITEMS_MERGED else {}
        merged[item[by]] = merge(weaker, item, f"{place}[{item[by]}]")
    return list(merged.values())
