"""What a worker is: :class:`WorkerConfig`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.workers import checks
from airflow_provider_tasks.workers.failures import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

BACKENDS = ("local", "kubernetes")


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """What a worker is; what is left out comes from the node, ``default_args``, the connection and airflow.cfg.

    Args:
        backend: ``local`` (a process on this machine) or ``kubernetes`` (a pod).
        kubernetes_conn_id: the Airflow connection of type ``kubernetes`` that says which cluster.
        namespace: the namespace of the cluster.
        worker_image: the container image; it needs nothing but Python.
        worker_size: a name of the table of sizes, as ``X-Small``; it limits memory and time.
        startup_script: shell commands (or a script with its own ``#!`` line) that run before anything else.
        env_variables: environment variables of the task.
        python_venv_name: run with the virtual environment ``~/.venv/NAME`` of the worker.
        python: the worker's Python, a path or a command; Airflow's own on the local backend unless set.
        time_limit: seconds (or a ``timedelta``) that the worker may take; stronger than that of its size.
        terminate_on_completion: False keeps the worker when the task has ended, to look at it.
        connections: ids of the Airflow connections that the worker is given.
        variables: keys of the Airflow variables that the worker is given.

        service_account_name: the service account of the pod, whose token is not mounted. This and all that follow
            are for pods. What is an object to Kubernetes is a mapping here, as Kubernetes writes it, or the object of
            its Python client.
        image_pull_policy: ``Always``, ``IfNotPresent`` or ``Never``.
        image_pull_secrets: names of the Secrets that open the image's registry.
        secrets: environment variables out of Secrets of the cluster, which Airflow never sees: the variable's name to
            ``"secret-name/key"``, as ``{"DB_PASSWORD": "database/password"}``.
        volumes: Kubernetes volumes (``name`` and one source), each with the ``mount_path`` in the worker, and
            ``sub_path`` and ``read_only`` where wanted, as
            ``[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}, "mount_path": "/data"}]``.
        labels: labels of the pod.
        annotations: annotations of the pod.
        node_selector: labels that the cluster's node must have.
        tolerations: taints of nodes that the pod puts up with.
        affinity: which nodes and which neighbours the pod would like.
        priority_class_name: the pod's priority class.
        pod_template_file: a YAML or JSON file with a pod, on which all other settings are put; a relative path starts
            at the folder of the DAG file. The container of the worker is called ``worker`` (or ``base``).
        pod_override: a pod that is put on all other settings: a mapping, or a ``V1Pod`` of the Kubernetes client.
            Mappings and named containers are merged, other lists by their names, None takes away.
        run_as_root: True runs the worker as root, with what ``apt-get`` needs and no more.
        startup_timeout: seconds (or a ``timedelta``) until the container has to run; 600 unless set.
        keep_seconds: seconds (or a ``timedelta``) that a worker is kept where ``terminate_on_completion`` is False;
            8 hours unless set.

    Raises:
        ConfigurationError: a value is of the wrong type or unknown.

    >>> WorkerConfig(worker_size="X-Small", env_variables={"LEVEL": "3"}).to_dict()
    {'worker_size': 'X-Small', 'env_variables': {'LEVEL': '3'}}

    """

    backend: str | None = None
    kubernetes_conn_id: str | None = None
    namespace: str | None = None
    worker_image: str | None = None
    worker_size: str | None = None
    startup_script: str | None = None
    env_variables: Mapping[str, str] | None = None
    python_venv_name: str | None = None
    python: str | None = None
    time_limit: float | timedelta | None = None
    terminate_on_completion: bool | None = None
    connections: Sequence[str] | None = None
    variables: Sequence[str] | None = None
    service_account_name: str | None = None
    image_pull_policy: str | None = None
    image_pull_secrets: Sequence[str] | None = None
    secrets: Mapping[str, str] | None = None
    volumes: Sequence[Mapping[str, Any]] | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    node_selector: Mapping[str, str] | None = None
    tolerations: Sequence[Mapping[str, Any] | checks.ClientObject] | None = None
    affinity: Mapping[str, Any] | checks.ClientObject | None = None
    priority_class_name: str | None = None
    pod_template_file: str | None = None
    pod_override: Mapping[str, Any] | checks.ClientObject | None = None
    run_as_root: bool | None = None
    startup_timeout: float | timedelta | None = None
    keep_seconds: float | timedelta | None = None

    def __post_init__(self) -> None:
        values = vars(self)
        for name, value in values.items():
            if value is None:
                continue
            try:
                # Beside the frozen class's own __setattr__, which is for others.
                values[name] = _CHECKS[name](value)
            except checks.RefusedError as error:
                raise ConfigurationError(f"WorkerConfig({name}={error.shown}): {error.reason}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return what is set, as plain data."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
            if value is not None
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WorkerConfig:
        """Make a configuration of plain data.

        Raises:
            ConfigurationError: a key is unknown; names the nearest that is known.

        >>> WorkerConfig.from_dict({"worker_sise": "Small"})
        Traceback (most recent call last):
        ...
        airflow_provider_tasks.workers.failures.ConfigurationError: unknown key 'worker_sise' for WorkerConfig; did you mean 'worker_size'?

        """  # noqa: E501 - the message is one line
        if not hasattr(values, "keys"):
            raise ConfigurationError(
                f"a worker configuration is a {type(values).__name__}, expected a WorkerConfig or a mapping of its keys"
            )
        for key in values:
            if key not in _CHECKS:
                import difflib

                nearest = difflib.get_close_matches(str(key), _CHECKS, n=1)
                hint = f"did you mean {nearest[0]!r}?" if nearest else f"expected one of {', '.join(_CHECKS)}"
                raise ConfigurationError(f"unknown key {key!r} for WorkerConfig; {hint}")
        return cls(**values)

    @classmethod
    def from_file(cls, path: str | Path) -> WorkerConfig:
        """Read a configuration from a YAML or JSON file.

        Raises:
            ConfigurationError: the file can't be read, or holds something else.

        """
        values = read_data(path)
        try:
            return cls.from_dict({} if values is None else values)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error.summary}") from error

    @classmethod
    def of(cls, value: WorkerConfig | Mapping[str, Any] | str | Path | None) -> WorkerConfig:
        """Return ``value`` as a configuration: an object, a mapping, a file's path, or None for an empty one."""
        if isinstance(value, WorkerConfig):
            return value
        if isinstance(value, (str, Path)):
            return cls.from_file(value)
        return cls() if value is None else cls.from_dict(value)

    def over(self, weaker: WorkerConfig) -> WorkerConfig:
        """Return this configuration with what it leaves out taken from ``weaker``.

        Environment variables, secrets, labels, annotations and node selectors are put together, name by name.

        >>> WorkerConfig(namespace="a").over(WorkerConfig(namespace="b", worker_size="Small")).to_dict()
        {'namespace': 'a', 'worker_size': 'Small'}
        """
        under, over = weaker.to_dict(), self.to_dict()
        for name in PUT_TOGETHER:
            if isinstance(under.get(name), dict) and isinstance(over.get(name), dict):
                over[name] = {**under[name], **over[name]}
        return WorkerConfig(**{**under, **over})


def read_data(path: str | Path) -> Any:
    """Read a YAML or JSON file.

    Raises:
        ConfigurationError: it can't be read, or holds something else.

    """
    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from error
    try:
        if path.suffix == ".json":
            return json.loads(text)
        import yaml

        return yaml.safe_load(text)
    except ValueError as error:
        raise ConfigurationError(f"{path} is no JSON: {error}") from error
    except Exception as error:
        raise ConfigurationError(f"{path} is no YAML: {error}") from error


PUT_TOGETHER = ("env_variables", "secrets", "labels", "annotations", "node_selector")
"""Settings that are put together, name by name, where several places give them."""


def _pod_override(value: Any) -> Any:
    found = checks.plain(value)
    if isinstance(found, dict):
        from airflow_provider_tasks.workers.kubernetes.patch import check_pod

        check_pod(found)
    elif not isinstance(found, str) or not checks.is_template(found):
        raise checks.RefusedError(repr(value), "expected a mapping, or a V1Pod of the Kubernetes client")
    return found


_CHECKS: Mapping[str, checks.Check] = {
    "backend": checks.one_of(*BACKENDS),
    "kubernetes_conn_id": checks.text,
    "namespace": checks.formatted(checks.LABEL_NAME),
    "worker_image": checks.formatted(checks.IMAGE),
    "worker_size": checks.text,
    "startup_script": checks.text,
    "env_variables": checks.variables,
    "python_venv_name": checks.text,
    "python": checks.text,
    "time_limit": checks.seconds,
    "terminate_on_completion": checks.flag,
    "connections": checks.texts(),
    "variables": checks.texts(),
    "service_account_name": checks.formatted(checks.SUBDOMAIN),
    "image_pull_policy": checks.one_of("Always", "IfNotPresent", "Never"),
    "image_pull_secrets": checks.texts(checks.SUBDOMAIN),
    "secrets": checks.by_name(checks.VARIABLE, checks.SECRET_KEY, confidential=True),
    "volumes": checks.volumes,
    "labels": checks.by_name(checks.LABEL_KEY, checks.LABEL_VALUE, refuse=checks.is_own_key),
    "annotations": checks.by_name(checks.LABEL_KEY, refuse=checks.is_own_key),
    "node_selector": checks.by_name(checks.LABEL_KEY, checks.LABEL_VALUE),
    "tolerations": checks.rows("key", "operator", "value", "effect", "tolerationSeconds"),
    "affinity": checks.keyed("nodeAffinity", "podAffinity", "podAntiAffinity"),
    "priority_class_name": checks.formatted(checks.SUBDOMAIN),
    "pod_template_file": checks.text,
    "pod_override": _pod_override,
    "run_as_root": checks.flag,
    "startup_timeout": checks.seconds,
    "keep_seconds": checks.seconds,
}
"""What each setting may be; the names of all settings too."""
