"""How a request gets into a pod: as immutable Secrets, which the cluster removes together with the pod.

Nothing of it stands in the pod's own description, its command line or its environment. A Secret holds 1 MiB at most
(https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size), so that a request may take several.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime.pod import RUNTIME
from airflow_provider_tasks.workers.archive import archive_digest, build_archive
from airflow_provider_tasks.workers.failures import PayloadError
from airflow_provider_tasks.workers.quantities import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_tasks.runtime.messages import Request

PART_BYTES = 1_000_000
PARTS_LIMIT = 24
"""Secrets of one request: 16 MiB of anything, and the rest of the request."""

UNPACKED_LIMIT = 2**28
"""Bytes of a request that is read again."""


def pack_request(request: Request) -> bytes:
    """Return ``request`` as it travels: JSON, compressed.

    Raises:
        PayloadError: it is too large; names what takes the room.

    """
    data = zlib.compress(json.dumps(request).encode("ascii"), 1)
    if len(data) > PART_BYTES * PARTS_LIMIT:
        sizes = sorted(((len(json.dumps(part)), name) for name, part in request.items()), reverse=True)
        largest = ", ".join(f"{name} {format_bytes(size)}" for size, name in sizes[:3])
        raise PayloadError(
            f"the request takes {format_bytes(len(data))} compressed, expected at most "
            f"{format_bytes(PART_BYTES * PARTS_LIMIT)}; the largest parts: {largest}",
            "Put large data into a storage, and hand over where it is.",
        )
    return data


def count_parts(data: bytes) -> int:
    """Return into how many Secrets ``data`` goes."""
    return max(1, -(-len(data) // PART_BYTES))


def request_secrets(data: bytes, pod: Mapping[str, Any], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the Secrets that hold ``data`` for ``pod``, which owns them."""
    metadata = pod["metadata"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    return [
        _secret(
            f"{metadata['name']}-{number}",
            f"part-{number:03}",
            data[number * PART_BYTES : (number + 1) * PART_BYTES],
            labels=labels,
            ownerReferences=[owner],
        )
        for number in range(count_parts(data))
    ]


def read_request(parts: Iterable[bytes]) -> bytes:
    """Return the request whose compressed parts these are, in order, as JSON.

    Raises:
        PayloadError: they are no request.

    """
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(b"".join(parts), UNPACKED_LIMIT)
    except zlib.error as error:
        raise PayloadError(f"the request can't be unpacked: {error}") from error
    if not unpacker.eof:
        raise PayloadError("the request is not whole, or too large")
    return data


def runtime_name() -> str:
    """Return the name of the Secret with the runtime, by what is in it."""
    return f"airflow-worker-runtime-{archive_digest()}"


def runtime_secret(labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the Secret with the runtime, which all pods of a namespace share."""
    return _secret(runtime_name(), "runtime.pyz", build_archive(RUNTIME), labels=labels)


def _secret(name: str, key: str, content: bytes, *, labels: Mapping[str, str], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": dict(labels), **metadata},
        "type": "Opaque",
        "immutable": True,
        "data": {key: base64.b64encode(content).decode("ascii")},
    }
