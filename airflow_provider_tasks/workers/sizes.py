"""The sizes that a worker can have."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_tasks.workers.checks import EXTENDED_RESOURCE
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.quantities import format_bytes, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping


class WorkerSize(NamedTuple):
    """What a worker of a size may use.

    ``cpu`` is in cores, ``memory`` in bytes, ``time_limit`` in seconds; ``gpu`` counts devices of the resource
    ``gpu_resource``, under which the cluster's device plugin offers them.
    """

    cpu: float | None = None
    memory: int | None = None
    time_limit: float | None = None
    gpu: int | None = None
    gpu_resource: str = "nvidia.com/gpu"


SIZES: Mapping[str, WorkerSize] = {
    "X-Small": WorkerSize(cpu=0.5, memory=1 * 2**30),
    "Small": WorkerSize(cpu=1, memory=2 * 2**30),
    "Medium": WorkerSize(cpu=2, memory=8 * 2**30),
    "Large": WorkerSize(cpu=4, memory=16 * 2**30),
    "X-Large": WorkerSize(cpu=8, memory=32 * 2**30),
    "2X-Large": WorkerSize(cpu=16, memory=64 * 2**30),
}
"""The sizes where ``[worker_tasks] sizes`` gives no others."""


@lru_cache(maxsize=8)
def parse_sizes(text: str) -> Mapping[str, WorkerSize]:
    """Read the table of ``[worker_tasks] sizes``: JSON, a size's name to the fields of :class:`WorkerSize`.

    Raises:
        ConfigurationError: it can't be read, or holds something else.

    >>> parse_sizes('{"Tiny": {"cpu": "250m", "memory": "256Mi", "time_limit": 60}}')["Tiny"].memory
    268435456
    >>> parse_sizes('{"GPU": {"memory": "16Gi", "gpu": 1, "gpu_resource": "amd.com/gpu"}}')["GPU"].gpu_resource
    'amd.com/gpu'
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
    return WorkerSize(**{key: _READ[key](value) for key, value in row.items()})


def _read_gpu(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"gpu is {value!r}, expected a whole number of devices, from 1")
    return value


def _read_gpu_resource(value: Any) -> str:
    if not EXTENDED_RESOURCE.fits(value):
        raise ValueError(f"gpu_resource is {value!r}, expected {EXTENDED_RESOURCE.expected}")
    return str(value)


_READ: Mapping[str, Any] = {
    "cpu": parse_quantity,
    "memory": lambda value: int(parse_quantity(value)),
    "time_limit": float,
    "gpu": _read_gpu,
    "gpu_resource": _read_gpu_resource,
}


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


def describe_size(name: str | None, size: WorkerSize) -> str:
    """Return a size for people.

    >>> describe_size("X-Small", SIZES["X-Small"]), describe_size(None, WorkerSize())
    ('X-Small (0.5 CPU, 1 GiB)', 'none')
    """
    if name is None:
        return "none"
    amounts = [
        f"{size.cpu:g} CPU" if size.cpu is not None else "",
        format_bytes(size.memory) if size.memory is not None else "",
        f"{size.gpu} {size.gpu_resource}" if size.gpu is not None else "",
        f"{size.time_limit:g} s" if size.time_limit is not None else "",
    ]
    return f"{name} ({', '.join(filter(None, amounts))})"
