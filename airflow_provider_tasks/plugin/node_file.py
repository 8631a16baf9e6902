"""The nodes of the installation: what the file of ``[worker_tasks] node_file`` holds."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.errors import NodeFormatError
from airflow_provider_tasks.model.node import Node
from airflow_provider_tasks.model.nodes import CountableNodePool, UncountableNodePool
from airflow_provider_tasks.model.pool import Nodes
from airflow_provider_tasks.plugin.nodes import shown
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.settings import NODE_CONFIG, SECTION, Installation, described, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTION = "node_file"

MOST_NODES = 2000

_PLACE = ("backend", "kubernetes_conn_id", "namespace")
"""The settings that say where a worker is."""


def listing() -> dict[str, Any]:
    """Return the nodes of the file, with what is wrong where it can't be read; ``path`` is empty where none is set.

    A node has its name, architecture and properties, and where its workers are: the settings of the node over those
    of ``[worker_tasks]``. What the connection itself says is not looked up.
    """
    from airflow.sdk.configuration import conf

    path = os.path.expanduser(str(conf.get(SECTION, OPTION, fallback="") or ""))
    found: dict[str, Any] = {"path": path, "nodes": [], "more": 0, "notes": []}
    if not path:
        return found
    if not os.path.isabs(path):
        found["notes"].append(f"[{SECTION}] {OPTION} is {path!r}; expected an absolute path.")
        return found
    try:
        nodes = list(_flat(Nodes.from_file(path)))
    except NodeFormatError as error:
        found["notes"].append(str(error))
        return found
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        found["notes"].append(f"{path} can't be read on {platform.node()}, the API server's machine: {reason}.")
        return found
    try:
        installation = Installation.read()
    except ConfigurationError as error:
        found["notes"].append(f"The settings of [{SECTION}] can't be read: {error.summary}")
        installation = None
    found["nodes"] = [_row(node, pool, installation) for node, pool in nodes[:MOST_NODES]]
    found["more"] = max(0, len(nodes) - MOST_NODES)
    return found


def _flat(pool: Nodes | Node) -> Iterator[tuple[Node, UncountableNodePool | None]]:
    """Return the nodes of a pool, and the templates of those inside that make nodes, each with its pool."""
    if isinstance(pool, Node):
        yield pool, None
    elif isinstance(pool, UncountableNodePool):
        for template in pool.templates:
            yield template, pool
    elif isinstance(pool, CountableNodePool):
        for element in pool.nodes:
            yield from _flat(element)


def _row(node: Node, pool: UncountableNodePool | None, installation: Installation | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": node.name,
        "up_to": None if pool is None else pool.soft_limit,
        "architecture": node.architecture.value,
        "properties": shown(node.properties),
        "worker": "",
        "fault": "",
        **dict.fromkeys(_PLACE),
    }
    config = node[NODE_CONFIG]
    if isinstance(config, str):
        row["worker"] = config  # a file, which starts at the folder of the DAG file
        return row
    try:
        own = WorkerConfig.of(config)
        row["worker"] = described({name: value for name, value in own.to_dict().items() if name not in _PLACE})
        if installation is not None:
            settings = resolve(installation, [own])
            row["backend"] = settings.backend
            if settings.backend == "kubernetes":
                row |= {name: getattr(settings.config, name) for name in ("kubernetes_conn_id", "namespace")}
    except ConfigurationError as error:
        row["fault"] = error.summary
    return row
