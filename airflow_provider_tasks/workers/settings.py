"""Which settings a worker gets, from all the places that can give them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.workers.checks import LABEL_VALUE, is_template
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.sizes import SIZES, WorkerSize, find_size, parse_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SECTION = "worker_tasks"
"""The section of airflow.cfg."""

NODE_CONFIG = "worker_config"
"""The property of a node that holds settings of the workers on it."""

INSTALLATION = "airflow"
"""What an installation is called unless it says otherwise."""

STARTUP_TIMEOUT = 600.0
"""Seconds that a pod may take until its container runs."""

KEEP_SECONDS = 8 * 3600.0
"""Seconds that a worker stays which is kept when its task has ended."""

_OPTIONS = ("backend", "kubernetes_conn_id", "namespace", "worker_image", "worker_size")


def read_sizes() -> Mapping[str, WorkerSize]:
    """Read the table of sizes of Airflow's configuration; the built-in one where it has none."""
    from airflow.sdk.configuration import conf

    return parse_sizes(str(conf.get(SECTION, "sizes", fallback="") or ""))


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What airflow.cfg says: the weakest settings, the table of sizes, and the folder of caches.

    ``name`` tells the pods of this Airflow from those of others in the same namespace.
    """

    config: WorkerConfig
    sizes: Mapping[str, WorkerSize]
    cache_folder: Path
    name: str = INSTALLATION

    @classmethod
    def read(cls) -> Installation:
        """Read ``[worker_tasks]`` of Airflow's configuration.

        Raises:
            ConfigurationError: a setting there is wrong.

        """
        from airflow.sdk.configuration import conf

        def option(name: str) -> str:
            return str(conf.get(SECTION, name, fallback="") or "")

        try:
            config = WorkerConfig.from_dict({name: option(name) for name in _OPTIONS if option(name)})
        except ConfigurationError as error:
            raise ConfigurationError(f"airflow.cfg, [{SECTION}]: {error.summary}") from error
        name = option("installation") or INSTALLATION
        if not LABEL_VALUE.fits(name) or is_template(name):
            raise ConfigurationError(
                f"airflow.cfg, [{SECTION}]: installation = {name!r}, expected {LABEL_VALUE.expected}"
            )
        folder = option("cache_folder") or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache"), "airflow-provider-tasks"
        )
        return cls(
            config=config,
            sizes=read_sizes(),
            cache_folder=Path(os.path.expanduser(folder)).absolute(),
            name=name,
        )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one worker gets: the configuration after all merging, its size, and what is the installation's."""

    config: WorkerConfig
    size: WorkerSize
    cache_folder: Path
    installation: str = INSTALLATION
    sizes: Mapping[str, WorkerSize] = field(default_factory=lambda: SIZES, repr=False)

    @property
    def backend(self) -> str:
        """``local`` unless set."""
        return self.config.backend or "local"

    @property
    def time_limit(self) -> float | None:
        """Seconds; None is no limit."""
        limit = _number(self.config.time_limit)
        return limit if limit is not None else self.size.time_limit

    @property
    def startup_timeout(self) -> float:
        """Seconds that a pod may take until its container runs."""
        return _number(self.config.startup_timeout) or STARTUP_TIMEOUT

    @property
    def keep_seconds(self) -> float:
        """Seconds that the worker stays when it is kept."""
        return _number(self.config.keep_seconds) or KEEP_SECONDS

    def __str__(self) -> str:
        """Return the settings for the log: what may hold a secret is told by its names only."""
        return ", ".join(self.lines())

    def lines(self) -> list[str]:
        """Return the settings one by one."""
        return _lines({"backend": self.backend, **self.config.to_dict()})


def described(config: Mapping[str, Any]) -> str:
    """Return a configuration as a line for people: what may hold a secret is told by its names only.

    >>> described({"worker_size": "Small", "env_variables": {"TOKEN": "abc", "LEVEL": "3"}})
    'worker_size=Small, env_variables=(LEVEL, TOKEN)'
    """
    return ", ".join(_lines(config))


def _lines(config: Mapping[str, Any]) -> list[str]:
    shown = dict(config)
    for name, summary in SUMMARIES.items():
        if name in shown:
            told = "template" if isinstance(shown[name], str) and is_template(shown[name]) else summary(shown[name])
            shown[name] = f"({told})"
    return [f"{name}={value}" for name, value in shown.items()]


SUMMARIES: Mapping[str, Callable[[Any], str]] = {
    "env_variables": lambda variables: ", ".join(sorted(variables)),
    "startup_script": lambda script: f"{len(script.splitlines())} lines",
    "volumes": lambda volumes: ", ".join(f"{volume['name']} at {volume['mount_path']}" for volume in volumes),
    "pod_override": lambda pod: ", ".join(sorted(f"{part}.{key}" for part in pod for key in _keys(pod[part]))),
}
"""What is told of settings that are long, or may hold a secret."""


def _keys(part: Any) -> Iterable[str]:
    return part if isinstance(part, dict) else ()


def _number(seconds: object) -> float | None:
    assert seconds is None or isinstance(seconds, (int, float)), seconds  # a template is no more when a worker is made
    return seconds


def resolve(
    installation: Installation,
    layers: list[WorkerConfig],
    connection_settings: Callable[[str], WorkerConfig] | None = None,
    folder: str = "",
) -> Settings:
    """Merge all settings of a worker.

    Args:
        installation: the weakest.
        layers: ``default_args``, the node's and the operator's, from weak to strong.
        connection_settings: gives the settings that a connection carries; they stand between the two. None
            where connections can't be looked up.
        folder: where a relative ``pod_template_file`` starts.

    Raises:
        ConfigurationError: what comes out names an unknown size.

    """
    merged = WorkerConfig()
    for layer in layers:
        merged = layer.over(merged)
    weakest = installation.config
    conn_id = merged.kubernetes_conn_id or weakest.kubernetes_conn_id
    if conn_id and connection_settings is not None:
        weakest = connection_settings(conn_id).over(weakest)
    config = merged.over(weakest)
    if config.pod_template_file:
        path = os.path.join(folder, os.path.expanduser(config.pod_template_file))
        config = replace(config, pod_template_file=path)
    size = find_size(config.worker_size, installation.sizes) if config.worker_size else WorkerSize()
    return Settings(
        config=config,
        size=size,
        cache_folder=installation.cache_folder,
        installation=installation.name,
        sizes=installation.sizes,
    )
