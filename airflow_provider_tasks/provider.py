"""What Airflow learns about this provider when it starts.

Every process of Airflow calls this, and an exception here would stop all of them: it imports nothing and
computes nothing. The decorator is named, not imported, so that a fault in it stays with ``@task.worker``.
"""

from __future__ import annotations

from typing import Any

_SINCE = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as ``airflow/provider_info.schema.json`` describes it.

    >>> get_provider_info()["task-decorators"][0]["name"]
    'worker'
    """
    return {
        "package-name": "airflow-provider-tasks",
        "name": "Tasks",
        "description": "Run tasks in isolated workers: a class, a function, a script or a notebook, "
        "picked for each node by a dispatcher.",
        "task-decorators": [
            {"name": "worker", "class-name": "airflow_provider_tasks.decorators.worker.worker_task"},
        ],
        "cli": ["airflow_provider_tasks.cli.in_airflow.commands"],
        "config": {
            "worker_tasks": {
                "description": "The settings of workers where nothing stronger gives them: the connection, "
                "``default_args``,\nthe node and the operator do, in this order.",
                "options": {
                    "backend": _option(
                        "Where workers run: ``local``, a process on the machine of the Airflow worker, or\n"
                        "``kubernetes``, a pod.",
                        default="local",
                        example="kubernetes",
                    ),
                    "kubernetes_conn_id": _option(
                        "The connection of type ``kubernetes`` that says which cluster the workers run in.",
                        example="kubernetes_default",
                    ),
                    "namespace": _option(
                        "The namespace of the cluster that worker pods are made in.",
                        example="airflow-workers",
                    ),
                    "worker_image": _option(
                        "The container image of worker pods. It needs nothing but Python. Empty:\n"
                        "``python:3.X-slim`` of Docker Hub, with the minor version of Airflow's own Python.",
                        example="python:3.12-slim",
                    ),
                    "worker_size": _option(
                        "How much CPU, memory and time a worker may take: a name out of ``sizes``.",
                        example="X-Small",
                    ),
                    "sizes": _option(
                        "The sizes that a worker can have, as JSON: a name for each, with ``cpu`` and\n"
                        "``memory`` as Kubernetes writes quantities, ``time_limit`` in seconds, and ``gpu``, a\n"
                        "number of devices of the resource ``gpu_resource`` (``nvidia.com/gpu`` unless given).\n"
                        "Each can be left out. Empty: the provider's own sizes, ``X-Small`` to ``2X-Large``, none\n"
                        "of which has a GPU: what there is of them, only you know.",
                        example='{"Small": {"cpu": "500m", "memory": "1Gi", "time_limit": 3600}, '
                        '"GPU": {"cpu": "4", "memory": "16Gi", "gpu": 1, "gpu_resource": "amd.com/gpu"}}',
                    ),
                    "installation": _option(
                        "What tells the worker pods of this Airflow from those of another one that uses the same\n"
                        "namespace: the value of a label, at most 63 letters, digits, ``-``, ``_`` and ``.``.",
                        default="airflow",
                        example="airflow-staging",
                    ),
                    "cache_folder": _option(
                        "Where the local backend keeps the environments that it made for requirements, so\n"
                        "that the next task finds them. Empty: ``airflow-provider-tasks`` in\n"
                        "``$XDG_CACHE_HOME``, or in ``~/.cache``.",
                        example="/var/cache/airflow-provider-tasks",
                    ),
                    "node_file": _option(
                        "The file of nodes that the page *Nodes* in Airflow's UI shows: an absolute path of the API\n"
                        "server's machine, of YAML or JSON. DAGs name their node files themselves.",
                        example="/opt/airflow/dags/nodes.yaml",
                    ),
                },
            }
        },
    }


def _option(description: str, *, example: str, default: str = "") -> dict[str, str]:
    return {
        "description": description,
        "version_added": _SINCE,
        "type": "string",
        "example": example,
        "default": default,
    }
