"""What Airflow's connections and variables are to workers: the way to a cluster, settings, and what is handed over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_tasks.workers.kubernetes.connection import Cluster


def connection_settings(conn_id: str) -> WorkerConfig:
    """Return the settings that a connection of type ``kubernetes`` carries.

    They are its namespace and the object ``worker_config`` among its extras.
    """
    from airflow.sdk import Connection

    extra = Connection.get(conn_id).extra_dejson
    try:
        config = WorkerConfig.of(extra.get("worker_config"))
    except ConfigurationError as error:
        raise ConfigurationError(f"connection {conn_id!r}, worker_config: {error.summary}") from error
    namespace = extra.get("namespace")
    return config.over(WorkerConfig(namespace=namespace)) if namespace else config


def connected_cluster(conn_id: str | None) -> Cluster:
    """Return the cluster of a connection; where None is named, the one that this process finds itself in."""
    from airflow.sdk import Connection

    return cluster_of(Connection.get(conn_id) if conn_id else None)


def cluster_of(connection: Any) -> Cluster:
    """Return the cluster that an Airflow connection of type ``kubernetes`` leads to.

    Raises:
        ConfigurationError: it is of another type, or its fields are wrong.

    """
    from airflow_provider_tasks.workers.kubernetes.connection import Cluster

    if connection is None:
        return Cluster()
    if connection.conn_type != "kubernetes":
        raise ConfigurationError(
            f"connection {connection.conn_id!r} is of type {connection.conn_type!r}, expected 'kubernetes'",
            "Name a connection of type kubernetes in kubernetes_conn_id.",
        )
    return Cluster.from_extra(connection.extra_dejson, name=connection.conn_id)


def handed_over(config: WorkerConfig) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the connections and variables that ``config`` hands over, for the context and as environment.

    The environment variables are Airflow's own (``AIRFLOW_CONN_ID``, ``AIRFLOW_VAR_KEY``), so that code which
    uses Airflow's hooks in an image that has Airflow finds them:
    https://airflow.apache.org/docs/apache-airflow/stable/howto/connection.html#storing-connections-in-environment-variables
    """
    connections: dict[str, dict[str, Any]] = {}
    variables: dict[str, Any] = {}
    environment: dict[str, str] = {}
    for conn_id in config.connections or ():
        connections[conn_id] = _connection(conn_id)
        environment[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(
            {key: value for key, value in connections[conn_id].items() if value not in (None, {}, "")}
        )
    if config.variables:
        from airflow.sdk import Variable

        for key in config.variables:
            variables[key] = Variable.get(key)
            environment[f"AIRFLOW_VAR_{key.upper()}"] = str(variables[key])
    return {"connections": connections, "variables": variables}, environment


def _connection(conn_id: str) -> dict[str, Any]:
    from airflow.sdk import Connection

    found = Connection.get(conn_id)
    names = ("conn_type", "host", "schema", "login", "password", "port")
    return {**{name: getattr(found, name) for name in names}, "extra": found.extra_dejson}
