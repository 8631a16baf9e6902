"""Where each setting of a worker comes from: the strongest of all places that give it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_tasks.workers.config import PUT_TOGETHER
from airflow_provider_tasks.workers.settings import SUMMARIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_tasks.workers.config import WorkerConfig


class Origin(NamedTuple):
    """A setting's value, for people: without what may be secret; and the place that gives it."""

    value: Any
    source: str


def origins(layers: Iterable[tuple[str, WorkerConfig]]) -> dict[str, Origin]:
    """Return what settings come to, and why.

    Args:
        layers: places and their settings, from weak to strong.

    >>> from airflow_provider_tasks.workers.config import WorkerConfig
    >>> weak, strong = WorkerConfig(worker_size="Small"), WorkerConfig(worker_size="Large", env_variables={"A": "x"})
    >>> found = origins([("airflow.cfg", weak), ("the node", strong)])
    >>> found["worker_size"]
    Origin(value='Large', source='the node')
    >>> found["env_variables A"]
    Origin(value=None, source='the node')
    """
    found: dict[str, Origin] = {}
    for source, config in layers:
        for name, value in config.to_dict().items():
            if name in PUT_TOGETHER and isinstance(value, dict):
                for key, item in value.items():
                    found[f"{name} {key}"] = Origin(None if name == "env_variables" else item, source)
            elif name in SUMMARIES and (name == "startup_script" or not isinstance(value, str)):
                found[name] = Origin(f"({SUMMARIES[name](value)})", source)
            else:
                found[name] = Origin(value, source)
    return found
