"""The manifest of a worker's pod.

It is put together from weak to strong: the provider's defaults, ``pod_template_file``, the settings, ``pod_override``.
What a worker can't do without goes in last, and whoever says otherwise is told so.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.node import Architecture
from airflow_provider_tasks.runtime.pod import MESSAGE_FILE, PARTS, RUNTIME, WORK
from airflow_provider_tasks.workers.checks import IMAGE
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.kubernetes.identity import PREFIX
from airflow_provider_tasks.workers.kubernetes.patch import CONTAINER, checked_pod, merge, read_template
from airflow_provider_tasks.workers.quantities import format_cores, format_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.workers.config import WorkerConfig
    from airflow_provider_tasks.workers.kubernetes.identity import Identity
    from airflow_provider_tasks.workers.settings import Settings
    from airflow_provider_tasks.workers.sizes import WorkerSize

KEEP = f"{PREFIX}keep"
"""The annotation of a pod that stays when its task has ended."""

DEFAULT_IMAGE = f"python:{sys.version_info[0]}.{sys.version_info[1]}-slim"
"""The image where nothing names one: Python of Airflow's own minor version, from Docker Hub."""

USER = 50_000
"""The user and the group that a worker runs as, unless ``run_as_root`` says otherwise; no image need know them."""

# What apt-get and dpkg do as root: give files to others, become others (_apt), end them.
_CAPABILITIES_OF_ROOT = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETFCAP", "SETGID", "SETUID"]

_TEMPORARY = os.path.join(WORK, "tmp")

_READ_BY_ALL = 0o444


def pod_manifest(
    settings: Settings,
    *,
    node: Node | None,
    identity: Identity,
    command: Sequence[str],
    request_parts: int,
    runtime_secret: str,
    active_deadline: int | None,
    keep: bool,
) -> dict[str, Any]:
    """Return the manifest of a pod.

    Args:
        settings: what the worker is.
        node: where the task is to run; its architecture steers the pod's placement.
        identity: whose pod it is.
        command: what the container runs.
        request_parts: how many Secrets the request takes.
        runtime_secret: the name of the Secret with the runtime.
        active_deadline: seconds after which the cluster ends the pod; a template or an override can only lower it.
        keep: mark it as one that stays when its task has ended.

    Raises:
        ConfigurationError: a template or an override is wrong, or says what only the provider can say.

    """
    config = settings.config
    pod = _defaults()
    if config.pod_template_file:
        pod = merge(pod, read_template(config.pod_template_file))
    pod = merge(pod, _from_settings(config, settings.size, node))
    if config.pod_override:
        pod = merge(pod, checked_pod(config.pod_override, "pod_override"))
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    worker, others = _containers(spec)
    namespace = metadata.pop("namespace", None)
    if namespace not in (None, config.namespace):
        raise ConfigurationError(
            f"metadata.namespace of the pod is {namespace!r}, the settings have {config.namespace!r}",
            "Say it once, as namespace of WorkerConfig, the connection or [worker_tasks].",
        )
    if not IMAGE.fits(worker.get("image")):
        raise ConfigurationError(
            f"worker_image: the image of container {CONTAINER!r} is {worker.get('image')!r}, expected {IMAGE.expected}"
        )
    volumes = _own_volumes(identity.name, runtime_secret, request_parts)
    deadlines = [seconds for seconds in (active_deadline, spec.pop("activeDeadlineSeconds", None)) if seconds]
    kept = {KEEP: "true"} if keep else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **metadata,
            "name": identity.name,
            "labels": {**(metadata.get("labels") or {}), **identity.labels},
            "annotations": {**(metadata.get("annotations") or {}), **identity.annotations, **kept},
        },
        "spec": {
            **spec,
            "restartPolicy": "Never",
            **({"activeDeadlineSeconds": min(deadlines)} if deadlines else {}),
            "containers": [
                {
                    **worker,
                    "command": list(command),
                    "terminationMessagePath": MESSAGE_FILE,
                    "terminationMessagePolicy": "File",
                    "volumeMounts": [*_own_mounts(), *(worker.get("volumeMounts") or ())],
                },
                *others,
            ],
            "volumes": [*volumes, *(spec.get("volumes") or ())],
        },
    }


def _containers(spec: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    containers = spec.get("containers") or []
    worker = next((item for item in containers if item["name"] == CONTAINER), {"name": CONTAINER})
    return worker, [item for item in containers if item["name"] != CONTAINER]


def _defaults() -> dict[str, Any]:
    """Return what a pod is where nobody says anything: nothing in it that its task does not need."""
    return {
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",  # a large volume is not walked through at each start
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": CONTAINER,
                    "image": DEFAULT_IMAGE,
                    "workingDir": WORK,
                    "env": _as_env({"HOME": WORK, "TMPDIR": _TEMPORARY, "USER": "worker", "LOGNAME": "worker"}),
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        }
    }


def _from_settings(config: WorkerConfig, size: WorkerSize, node: Node | None) -> dict[str, Any]:
    """Return what the settings say; None, which takes away, is not in it."""
    mounts: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    for item in config.volumes or ():
        volume = dict(item)
        mount = {
            "name": volume["name"],
            "mountPath": volume.pop("mount_path"),
            "subPath": volume.pop("sub_path", None),
            "readOnly": volume.pop("read_only", None),
        }
        mounts.append(_without_none(mount))
        volumes.append(volume)
    references = {
        variable: {"secretKeyRef": dict(zip(("name", "key"), reference.split("/", 1), strict=True))}
        for variable, reference in (config.secrets or {}).items()
    }
    env = [{"name": name, "valueFrom": source} for name, source in references.items()]
    if config.run_as_root is not None:
        name = "root" if config.run_as_root else "worker"
        env = [*_as_env({"USER": name, "LOGNAME": name}), *env]
    container = {
        "name": CONTAINER,
        "image": config.worker_image,
        "imagePullPolicy": config.image_pull_policy,
        "resources": _resources(size),
        "env": env,
        "volumeMounts": mounts,
        "securityContext": None if config.run_as_root is None else _user(root=config.run_as_root),
    }
    spec = {
        "containers": [_without_none(container)],
        "volumes": volumes,
        "serviceAccountName": config.service_account_name,
        "imagePullSecrets": [{"name": name} for name in config.image_pull_secrets or ()],
        "priorityClassName": config.priority_class_name,
        "nodeSelector": {**_selector_of(node), **(config.node_selector or {})},
        "tolerations": config.tolerations and list(config.tolerations),
        "affinity": config.affinity,
    }
    metadata = {"labels": config.labels, "annotations": config.annotations}
    return {"metadata": _without_none(metadata), "spec": _without_none(spec)}


def _resources(size: WorkerSize) -> dict[str, Any]:
    """Return requests and limits, which are the same: what a worker may use is there for it."""
    amounts = {
        "cpu": None if size.cpu is None else format_cores(size.cpu),
        "memory": None if size.memory is None else format_memory(size.memory),
        size.gpu_resource: None if size.gpu is None else str(size.gpu),
    }
    amounts = _without_none(amounts)
    return {"requests": amounts, "limits": dict(amounts)} if amounts else {}


def _user(*, root: bool) -> dict[str, Any]:
    if not root:
        return {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER}
    return {
        "runAsNonRoot": False,
        "runAsUser": 0,
        "runAsGroup": 0,
        "capabilities": {"drop": ["ALL"], "add": list(_CAPABILITIES_OF_ROOT)},
    }


def _selector_of(node: Node | None) -> dict[str, str]:
    if node is None or node.architecture is Architecture.UNKNOWN:
        return {}
    system, processor = node.architecture.value.split("/")
    return {"kubernetes.io/os": {"win": "windows"}.get(system, system), "kubernetes.io/arch": processor}


def _own_volumes(pod_name: str, runtime_secret: str, request_parts: int) -> list[dict[str, Any]]:
    parts = [
        {"secret": {"name": f"{pod_name}-{number}", "items": [{"key": key, "path": key}]}}
        for number in range(request_parts)
        for key in (f"part-{number:03}",)
    ]
    return [
        {"name": "runtime", "secret": {"secretName": runtime_secret, "defaultMode": _READ_BY_ALL}},
        {"name": "request", "projected": {"sources": parts, "defaultMode": _READ_BY_ALL}},
        {"name": "work", "emptyDir": {}},
    ]


def _own_mounts() -> list[dict[str, Any]]:
    return [
        {"name": "runtime", "mountPath": RUNTIME.rpartition("/")[0], "readOnly": True},
        {"name": "request", "mountPath": PARTS, "readOnly": True},
        {"name": "work", "mountPath": WORK},
    ]


def _as_env(variables: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in variables.items()]


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is None or empty, which says nothing."""
    return {name: value for name, value in values.items() if value not in (None, {}, [], ())}
