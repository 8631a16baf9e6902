"""How to reach a cluster: :class:`Cluster`, the fields of an Airflow connection of type ``kubernetes``."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_tasks.workers.failures import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightkube.config.kubeconfig import SingleConfig

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where the kubelet puts the credentials of a pod's service account."""

_OLD_PREFIX = "extra__kubernetes__"
_FLAGS = ("in_cluster", "disable_verify_ssl", "disable_tcp_keepalive")
_TEXTS = ("kube_config_path", "cluster_context", "namespace")
_EXCLUSIVE = ("in_cluster", "kube_config_path", "kube_config")
_OTHERS = (
    "worker_config",
    "xcom_sidecar_container_image",
    "xcom_sidecar_container_resources",
    "xcom_sidecar_container_security_context",
)
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_PATHS = {"cluster": ("certificate-authority",), "user": ("client-certificate", "client-key", "tokenFile")}


class Access(NamedTuple):
    """What a context comes to: lightkube's ``config``, and the kubeconfig's words for what that leaves out."""

    config: SingleConfig
    cluster: Mapping[str, Any]
    user: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """How to reach a cluster; the fields are those of the cncf provider's ``kubernetes`` connection.

    Args:
        in_cluster: with the service account of the pod that this process runs in.
        kube_config_path: with this kubeconfig.
        kube_config: with a kubeconfig's content, a mapping or its JSON or YAML.
        cluster_context: the kubeconfig's context to use, its current one unless set.
        namespace: the namespace, the context's unless set.
        disable_verify_ssl: take any certificate of the API server for good.
        disable_tcp_keepalive: leave quiet connections alone.
        name: what the cluster is called in messages, as ``connection 'kubernetes_default'``.

    With none of the first three it is the cluster that this process runs in, or else what ``KUBECONFIG`` and
    ``~/.kube/config`` name.

    >>> Cluster.from_extra({"extra__kubernetes__in_cluster": "true"}, name="here").in_cluster
    True

    """

    in_cluster: bool = False
    kube_config_path: str | None = None
    kube_config: str | Mapping[str, Any] | None = field(default=None, repr=False)
    cluster_context: str | None = None
    namespace: str | None = None
    disable_verify_ssl: bool = False
    disable_tcp_keepalive: bool = False
    name: str = field(default="the cluster's settings", compare=False)

    def __post_init__(self) -> None:
        if self.kube_config is not None and not isinstance(self.kube_config, str):
            # As text it can be compared and hashed.
            object.__setattr__(self, "kube_config", json.dumps(self.kube_config, sort_keys=True, default=str))
        given = [name for name in _EXCLUSIVE if getattr(self, name)]
        if len(given) > 1:
            raise ConfigurationError(
                f"{self.name}: {' and '.join(given)} exclude each other", "Set the one that is to be used."
            )

    @classmethod
    def from_extra(cls, extra: Mapping[str, Any], *, name: str) -> Cluster:
        """Read the extras of the connection ``name``; the old prefix ``extra__kubernetes__`` is read too.

        Raises:
            ConfigurationError: a field is of the wrong type, misspelt, or excludes another.

        >>> Cluster.from_extra({"in_cluster": True, "kube_config_path": "/c"}, name="k")
        Traceback (most recent call last):
        ...
        airflow_provider_tasks.workers.failures.ConfigurationError: connection 'k': in_cluster and kube_config_path exclude each other
        Set the one that is to be used.

        """  # noqa: E501 - the message is one line
        label = f"connection {name!r}"
        known = (*_FLAGS, *_TEXTS, "kube_config", *_OTHERS)
        values: dict[str, Any] = {}
        for key, value in sorted(extra.items(), reverse=True):  # what has no prefix comes last, and stays
            plain = key.removeprefix(_OLD_PREFIX)
            if plain not in known:
                if nearest := difflib.get_close_matches(plain, known, n=1, cutoff=0.85):
                    raise ConfigurationError(f"{label}: unknown field {key!r}; did you mean {nearest[0]!r}?")
            elif plain not in _OTHERS and (plain == key or plain not in extra):
                values[plain] = _read_field(label, plain, value)
        return cls(name=label, **{key: value for key, value in values.items() if value is not None})

    @property
    def key(self) -> str:
        """A short digest, equal for equal clusters."""
        values = [getattr(self, item.name) for item in fields(self) if item.compare]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]

    def load(self) -> SingleConfig:
        """Return lightkube's configuration of the cluster, its context's namespace replaced by this one's.

        Raises:
            ConfigurationError: there is no such file, context, cluster or user, or it can't be read.

        """
        return self.access().config

    def access(self) -> Access:
        """Return what :meth:`load` does, with what lightkube leaves out of a kubeconfig.

        Raises:
            ConfigurationError: there is no such file, context, cluster or user, or it can't be read.

        """
        from lightkube.config.kubeconfig import SingleConfig
        from lightkube.config.models import Cluster as ClusterModel
        from lightkube.config.models import Context, User
        from msgspec import ValidationError, convert

        if self.in_cluster or (not self.kube_config_path and not self.kube_config and _runs_in_cluster()):
            where, context, cluster, user = self._service_account()
        else:
            where, context, cluster, user = self._kubeconfig()
        if self.disable_verify_ssl:
            cluster["insecure-skip-tls-verify"] = True
        if cluster.get("insecure-skip-tls-verify"):
            cluster = {key: value for key, value in cluster.items() if not key.startswith("certificate-authority")}
        server = cluster.get("server")
        if not isinstance(server, str) or not server.startswith(("https://", "http://")):
            raise ConfigurationError(f"{where}: the cluster's server is no URL, expected one as 'https://host:6443'")
        context["namespace"] = self.namespace or context.get("namespace")
        try:
            config = SingleConfig(
                context_name=context.pop("name"),
                context=convert(context, Context),
                cluster=convert(cluster, ClusterModel),
                user=convert(user, User),
            )
        except ValidationError as error:
            raise ConfigurationError(
                f"{where} can't be read: {error}", "Compare it with one that kubectl writes."
            ) from None
        return Access(config, cluster, user)

    def _service_account(self) -> tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]:
        folder = Path(SERVICE_ACCOUNT)
        if not _runs_in_cluster():
            raise ConfigurationError(
                f"{self.name}: in_cluster is set, and this process runs in no cluster: "
                f"no {folder / 'token'}, or no KUBERNETES_SERVICE_HOST",
                "Set kube_config_path or kube_config, or give the pod of this process a service account.",
            )
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        try:
            namespace = (folder / "namespace").read_text().strip()
        except OSError:
            namespace = ""
        return (
            f"{self.name}, the service account in {folder}",
            {"name": "in cluster", "cluster": "in cluster", "namespace": namespace or None},
            {"server": server, "certificate-authority": str(folder / "ca.crt")},
            {"tokenFile": str(folder / "token")},
        )

    def _kubeconfig(self) -> tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]:
        where, document = self._read_kubeconfig()
        name = self.cluster_context or document.get("current-context")
        if not name:
            raise ConfigurationError(f"{where} has no current context", "Set cluster_context.")
        context = _entry(where, document, "context", name, "cluster_context or current-context")
        by = f"the context {name!r}"
        cluster = _entry(where, document, "cluster", context.get("cluster"), by)
        user = _entry(where, document, "user", context["user"], by) if context.get("user") else {}
        if user.get("auth-provider") and not user.get("exec"):
            raise ConfigurationError(
                f"{where}: the user of {by} has an auth-provider, which Kubernetes has dropped",
                "Use an exec plugin, a token or a client certificate.",
            )
        return where, {**context, "name": name}, cluster, user

    def _read_kubeconfig(self) -> tuple[str, dict[str, Any]]:
        if isinstance(self.kube_config, str) and self.kube_config:
            where = f"{self.name}: kube_config"
            return where, _parse(where, self.kube_config, None)
        if self.kube_config_path:
            paths = [self.kube_config_path]
        else:
            paths = [path for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path] or ["~/.kube/config"]
        files = [Path(path).expanduser() for path in paths]
        there = [file for file in files if file.is_file()]
        where = f"{self.name}: the kubeconfig {os.pathsep.join(map(str, files))}"
        if not there:
            reason = "" if self.kube_config_path else "; this process runs in no cluster either"
            raise ConfigurationError(
                f"{where} is not there{reason}",
                "Set in_cluster, kube_config_path or kube_config in the connection, or the variable KUBECONFIG.",
            )
        merged: dict[str, Any] = {}
        for file in there:
            try:
                text = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{self.name}: the kubeconfig {file} can't be read: {error}") from None
            document = _parse(f"{self.name}: the kubeconfig {file}", text, file.absolute().parent)
            for key, value in document.items():
                # As kubectl merges them: the first that names something says what it is.
                if isinstance(value, list):
                    merged[key] = [*merged.get(key, []), *value]
                else:
                    merged[key] = merged.get(key) or value
        return where, merged


def _read_field(label: str, name: str, value: object) -> object:
    if value is None or value == "":
        return None
    if name in _FLAGS:
        flag = value if isinstance(value, bool) else _BOOLEANS.get(str(value).strip().lower())
        if flag is None:
            raise ConfigurationError(f"{label}: {name} is {value!r}, expected true or false")
        return flag
    if name == "kube_config":
        if not isinstance(value, str) and not hasattr(value, "keys"):
            raise ConfigurationError(
                f"{label}: kube_config is a {type(value).__name__}, expected a kubeconfig as JSON or YAML"
            )
        return value or None
    if not isinstance(value, str):
        raise ConfigurationError(f"{label}: {name} is a {type(value).__name__}, expected text")
    return value.strip() or None


def _runs_in_cluster() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and Path(SERVICE_ACCOUNT, "token").is_file()


def _parse(where: str, text: str, folder: Path | None) -> dict[str, Any]:
    """Return the kubeconfig in ``text`` with its relative paths made absolute; messages show nothing of it."""
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{where} is neither YAML nor JSON{line}: {getattr(error, 'problem', '')}") from None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{where} is a {type(document).__name__}, expected a mapping as kubectl writes it")
    for kind, names in _PATHS.items():
        for entry in _entries(where, document, kind):
            value = entry[kind]
            for name in names:
                if value.get(name):
                    value[name] = _absolute(where, value[name], folder)
            command = (value.get("exec") or {}).get("command") if kind == "user" else None
            if command and "/" in command:
                value["exec"]["command"] = _absolute(where, command, folder)
    return document


def _entries(where: str, document: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    entries = document.get(f"{kind}s") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigurationError(f"{where}: {kind}s is no list of mappings, expected what kubectl writes")
    for entry in entries:
        if not isinstance(entry.setdefault(kind, {}) or {}, dict):
            raise ConfigurationError(f"{where}: the {kind} {entry.get('name')!r} is no mapping")
        entry[kind] = {key: value for key, value in (entry[kind] or {}).items() if value not in (None, "")}
    return entries


def _entry(where: str, document: Mapping[str, Any], kind: str, name: object, named_by: str) -> dict[str, Any]:
    entries = _entries(where, document, kind)
    for entry in entries:
        if entry.get("name") == name:
            value: dict[str, Any] = entry[kind]
            return value
    known = ", ".join(repr(entry.get("name")) for entry in entries) or "none"
    raise ConfigurationError(
        f"{where} has no {kind} {name!r}, which {named_by} names", f"It has these {kind}s: {known}."
    )


def _absolute(where: str, path: object, folder: Path | None) -> str:
    if not isinstance(path, str):
        raise ConfigurationError(f"{where}: a file's path is a {type(path).__name__}, expected text")
    if os.path.isabs(path):
        return path
    if folder is None:
        raise ConfigurationError(
            f"{where} names the file {path!r}, and relative to what is not known",
            "Give an absolute path, or the file's content in the field that ends in -data.",
        )
    return str(folder / path)
