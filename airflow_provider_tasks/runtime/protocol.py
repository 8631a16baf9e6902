"""The two messages of the worker protocol: a request says what to run, an outcome what came of it.

Both are JSON with a version; pickles stand only inside the request. Their shapes are in
:mod:`airflow_provider_tasks.runtime.messages`; ``docs/schemas`` holds the JSON schemas,
and a test holds the schemas and the code together. This is the worker's end: it reads requests and writes
outcomes. Airflow's end of an outcome is :mod:`airflow_provider_tasks.runtime.outcome`.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow_provider_tasks.runtime.messages import Request

VERSION = 1

REQUEST_LIMIT = 16 * 2**20
"""Bytes that the pickled callable and its arguments may take."""

RESULT_LIMIT = 96 * 2**20
"""Bytes that a result may take as JSON: 64 MiB of anything, base64 included."""

OUTCOME_LIMIT = RESULT_LIMIT + 2**20
"""Bytes that an outcome may take: its result and 1 MiB for the rest."""

CATEGORIES = (
    "task",
    "environment",
    "memory",
    "image",
    "unschedulable",
    "evicted",
    "node_lost",
    "timeout",
    "killed",
    "python_mismatch",
    "value",
    "payload",
    "configuration",
    "cluster",
)
"""Why a task failed; a stable contract."""

STATUSES = ("success", "failure", "skipped")

REPORT = "report"
"""The file, in the runtime's own folder, in which the process of the user's code says what came of it."""

PYTHON = "python"
"""The file, in the same folder, that holds the path of the Python that runs the user's code."""

PHASES = ("scheduled", "image", "started", "environment", "run", "result")
"""The parts of a worker's life, in order; a timeline maps them to seconds."""


class MalformedRequestError(ValueError):
    """A request that this runtime can't read."""


def dump_outcome(head: Mapping[str, Any], result: memoryview | None) -> tuple[bytes | memoryview, ...]:
    """Write an outcome, in parts: ``head`` without its result, ``result`` as JSON already (it may be 64 MiB)."""
    text = json.dumps({**head, "version": VERSION}, ensure_ascii=True, allow_nan=False).encode("ascii")
    return (text,) if result is None else (text[:-1], b',"result":', result, b"}")


def parse_request(data: bytes) -> Request:
    """Read a request that Airflow's side wrote.

    Raises:
        MalformedRequestError: it is no JSON object, or of another version of the protocol.

    """
    try:
        request = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedRequestError(f"the request is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise MalformedRequestError(f"the request is a {type(request).__name__}, expected an object")
    if request.get("version") != VERSION:
        raise MalformedRequestError(
            f"the request has version {request.get('version')!r}, this worker's runtime speaks version {VERSION}"
        )
    return request  # type: ignore[return-value]
