"""Which settings a worker gets, from all the places that can give them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_tasks.workers.config import WorkerConfig, WorkerSize, find_size, parse_sizes
from airflow_provider_tasks.workers.failures import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SECTION = "worker_tasks"
"""The section of airflow.cfg."""

_OPTIONS = ("backend", "kubernetes_conn_id", "namespace", "worker_image", "worker_size")


def read_sizes() -> Mapping[str, WorkerSize]:
    """Read the table of sizes of Airflow's configuration; the built-in one where it has none."""
    from airflow.sdk.configuration import conf

    return parse_sizes(str(conf.get(SECTION, "sizes", fallback="") or ""))


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What airflow.cfg says: the weakest settings, the table of sizes, and the folder of caches."""

    config: WorkerConfig
    sizes: Mapping[str, WorkerSize]
    cache_folder: Path

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
        folder = option("cache_folder") or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache"), "airflow-provider-tasks"
        )
        return cls(
            config=config,
            sizes=read_sizes(),
            cache_folder=Path(os.path.expanduser(folder)).absolute(),
        )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one worker gets: the configuration after all merging, and its size."""

    config: WorkerConfig
    size: WorkerSize
    cache_folder: Path

    @property
    def backend(self) -> str:
        """``local`` unless set."""
        return self.config.backend or "local"

    @property
    def time_limit(self) -> float | None:
        """Seconds; None is no limit."""
        limit = self.config.time_limit
        assert limit is None or isinstance(limit, (int, float))
        return limit if limit is not None else self.size.time_limit

    def __str__(self) -> str:
        """Return the settings for the log: no value of an environment variable is in it."""
        shown = {"backend": self.backend, **self.config.to_dict()}
        if "env_variables" in shown:
            shown["env_variables"] = f"({', '.join(sorted(shown['env_variables']))})"
        if "startup_script" in shown:
            shown["startup_script"] = f"({len(shown['startup_script'].splitlines())} lines)"
        return ", ".join(f"{name}={value}" for name, value in shown.items())


def resolve(
    installation: Installation,
    layers: list[WorkerConfig],
    connection_settings: Callable[[str], WorkerConfig] | None = None,
) -> Settings:
    """Merge all settings of a worker.

    Args:
        installation: the weakest.
        layers: ``default_args``, the node's and the operator's, from weak to strong.
        connection_settings: gives the settings that a connection carries; they stand between the two. None
            where connections can't be looked up.

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
    size = find_size(config.worker_size, installation.sizes) if config.worker_size else WorkerSize()
    return Settings(config=config, size=size, cache_folder=installation.cache_folder)
