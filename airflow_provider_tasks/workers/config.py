"""What a worker is: :class:`WorkerConfig`, and the sizes that it can name."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.quantities import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BACKENDS = ("local", "kubernetes")


class WorkerSize(NamedTuple):
    """What a worker of a size may use: ``cpu`` in cores, ``memory`` in bytes, ``time_limit`` in seconds."""

    cpu: float | None = None
    memory: int | None = None
    time_limit: float | None = None


SIZES: Mapping[str, WorkerSize] = {
    "X-Small": WorkerSize(cpu=0.5, memory=1 * 2**30),
    "Small": WorkerSize(cpu=1, memory=2 * 2**30),
    "Medium": WorkerSize(cpu=2, memory=8 * 2**30),
    "Large": WorkerSize(cpu=4, memory=16 * 2**30),
    "X-Large": WorkerSize(cpu=8, memory=32 * 2**30),
    "2X-Large": WorkerSize(cpu=16, memory=64 * 2**30),
}
"""The sizes where ``[worker_tasks] sizes`` gives no others."""


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
    time_limit: float | timedelta | None = field(default=None)
    terminate_on_completion: bool | None = None
    connections: Sequence[str] | None = None
    variables: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in _TEXT_FIELDS:
            self._check(name, str, "text")
        self._check("terminate_on_completion", bool, "True or False")
        for name in ("connections", "variables"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, str) or not all(isinstance(item, str) for item in value):
                raise ConfigurationError(f"WorkerConfig({name}={value!r}): expected a list of text")
            object.__setattr__(self, name, tuple(value))
        if self.env_variables is not None:
            self._check_environment(self.env_variables)
            object.__setattr__(self, "env_variables", dict(self.env_variables))
        if isinstance(self.time_limit, timedelta):
            object.__setattr__(self, "time_limit", self.time_limit.total_seconds())
        limit: object = self.time_limit
        if isinstance(limit, str) and "{{" in limit:
            limit = None  # a template: what it comes to is checked when the Airflow task runs
        elif isinstance(limit, str) and limit.strip().replace(".", "", 1).isdigit():
            limit = float(limit)
            object.__setattr__(self, "time_limit", limit)
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, float)) or limit <= 0):
            raise ConfigurationError(f"WorkerConfig(time_limit={limit!r}): expected seconds above 0, or a timedelta")
        if self.backend is not None and self.backend not in BACKENDS and "{{" not in self.backend:
            raise ConfigurationError(f"WorkerConfig(backend={self.backend!r}): expected one of {', '.join(BACKENDS)}")

    def _check(self, name: str, kind: type, expected: str) -> None:
        value = getattr(self, name)
        if value is not None and not isinstance(value, kind):
            raise ConfigurationError(f"WorkerConfig({name}={value!r}): expected {expected}")

    @staticmethod
    def _check_environment(variables: object) -> None:
        if not hasattr(variables, "items"):
            raise ConfigurationError(f"WorkerConfig(env_variables={variables!r}): expected a mapping of text to text")
        for key, value in variables.items():
            if not isinstance(key, str) or not key or "=" in key or "\0" in key:
                raise ConfigurationError(f"WorkerConfig(env_variables=…): {key!r} can't be a variable's name")
            if not isinstance(value, str) or "\0" in value:
                raise ConfigurationError(
                    f"WorkerConfig(env_variables=…): {key} is a {type(value).__name__}, expected text"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return what is set, as plain data."""
        values = ((item.name, getattr(self, item.name)) for item in fields(self))
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values if value is not None}

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
        known = [item.name for item in fields(cls)]
        for key in values:
            if key not in known:
                nearest = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {nearest[0]!r}?" if nearest else f"expected one of {', '.join(known)}"
                raise ConfigurationError(f"unknown key {key!r} for WorkerConfig; {hint}")
        return cls(**values)

    @classmethod
    def from_file(cls, path: str | Path) -> WorkerConfig:
        """Read a configuration from a YAML or JSON file.

        Raises:
            ConfigurationError: the file can't be read, or holds something else.

        """
        path = Path(path).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path} can't be read: {error}") from error
        try:
            if path.suffix == ".json":
                values = json.loads(text)
            else:
                import yaml

                values = yaml.safe_load(text)
        except ValueError as error:
            raise ConfigurationError(f"{path} is no JSON: {error}") from error
        except Exception as error:
            raise ConfigurationError(f"{path} is no YAML: {error}") from error
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

        Environment variables are put together, name by name.

        >>> WorkerConfig(namespace="a").over(WorkerConfig(namespace="b", worker_size="Small")).to_dict()
        {'namespace': 'a', 'worker_size': 'Small'}
        """
        merged = {**weaker.to_dict(), **self.to_dict()}
        if weaker.env_variables and self.env_variables:
            merged["env_variables"] = {**weaker.env_variables, **self.env_variables}
        return WorkerConfig(**merged)


_TEXT_FIELDS = (
    "backend",
    "kubernetes_conn_id",
    "namespace",
    "worker_image",
    "worker_size",
    "startup_script",
    "python_venv_name",
    "python",
)


@lru_cache(maxsize=8)
def parse_sizes(text: str) -> Mapping[str, WorkerSize]:
    """Read the table of ``[worker_tasks] sizes``: JSON, a size's name to ``cpu``, ``memory``, ``time_limit``.

    >>> parse_sizes('{"Tiny": {"cpu": "250m", "memory": "256Mi", "time_limit": 60}}')["Tiny"].memory
    268435456
    """
    if not text.strip():
        return SIZES
    try:
        table = json.loads(text)
        if not isinstance(table, dict) or not table:
            raise ValueError("expected an object with a size for each name")
        return {name: _parse_size(row) for name, row in table.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"[worker_tasks] sizes can't be read: {error}",
            'It is JSON, as {"Small": {"cpu": "1", "memory": "2Gi", "time_limit": 3600}}.',
        ) from error


def _parse_size(row: Mapping[str, Any]) -> WorkerSize:
    unknown = set(row) - set(WorkerSize._fields)
    if unknown:
        raise ValueError(f"unknown keys {', '.join(sorted(unknown))}, expected {', '.join(WorkerSize._fields)}")
    return WorkerSize(
        cpu=parse_quantity(row["cpu"]) if "cpu" in row else None,
        memory=int(parse_quantity(row["memory"])) if "memory" in row else None,
        time_limit=float(row["time_limit"]) if "time_limit" in row else None,
    )


def find_size(name: str, sizes: Mapping[str, WorkerSize]) -> WorkerSize:
    """Return the size called ``name``.

    >>> find_size("Tiny", SIZES)
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.workers.failures.ConfigurationError: unknown worker_size 'Tiny', expected one of X-Small, Small, Medium, Large, X-Large, 2X-Large

    """  # noqa: E501 - the message is one line
    if name not in sizes:
        raise ConfigurationError(f"unknown worker_size {name!r}, expected one of {', '.join(sizes)}")
    return sizes[name]
