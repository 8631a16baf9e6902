"""What goes between Airflow and a pod that runs: long outcomes one way, further requests the other."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from airflow_provider_tasks.runtime import pod as runtime
from airflow_provider_tasks.runtime.outcome import MalformedOutcomeError, Outcome, parse_outcome
from airflow_provider_tasks.runtime.protocol import OUTCOME_LIMIT
from airflow_provider_tasks.workers.failures import ClusterError, KilledError, PayloadError
from airflow_provider_tasks.workers.kubernetes.answers import RefusedError, StreamCutError

if TYPE_CHECKING:
    from airflow_provider_tasks.workers.kubernetes.api import Api

ENTRY = ["python3", "-I", "-S", runtime.RUNTIME]
"""How the runtime is started in a pod."""

_ATTEMPTS = 8
_DELETED = "Look for who deletes pods of the worker's namespace; trying again runs the task anew."
_HEAD_LIMIT = 200


async def fetch_outcome(api: Api, name: str, number: int) -> Outcome:
    """Return the outcome of request ``number`` of the pod ``name``, whole.

    Raises:
        PayloadError: it can't be read.
        KilledError: the pod is gone.
        ClusterError: it does not come through.

    """
    error: Exception | None = None
    for attempt in range(_ATTEMPTS):
        fetched = Limited()
        try:
            ran = await api.exec(name, [*ENTRY, "outcome", str(number)], stdin=None, stdout=fetched.take)
        except (StreamCutError, RefusedError, OSError) as failed:
            if isinstance(failed, RefusedError) and failed.status == 404 and await api.get_pod(name) is None:
                raise KilledError(f"pod {name} was deleted before its outcome was read", _DELETED) from None
            error = failed
        else:
            outcome = fetched.checked()
            if outcome is not None:
                try:
                    return parse_outcome(outcome)
                except MalformedOutcomeError as malformed:
                    raise PayloadError(f"the worker's outcome can't be read: {malformed}") from malformed
            error = ClusterError(f"only {len(fetched.data):,} bytes came through {ran.stderr.strip()[-500:]}")
        await asyncio.sleep(min(0.2 * 2**attempt, 5.0))
    raise ClusterError(f"the worker's outcome can't be fetched: {error}")


async def send_request(api: Api, name: str, number: int, data: bytes) -> None:
    """Have the pod ``name`` run one more request.

    Raises:
        ClusterError: it does not get through.

    """
    ran = await api.exec(name, [*ENTRY, "request", str(number), str(len(data))], stdin=data, stdout=lambda _: None)
    if ran.exit_code != 0:
        raise ClusterError(f"the worker did not take the request: {ran.stderr.strip()[-500:]}")


class Limited:
    """What a worker sends: a line with size and digest, and then no more than an outcome can have."""

    def __init__(self, what: str = "outcome") -> None:
        self._what = what
        self.data = bytearray()

    def take(self, data: bytes) -> None:
        """Take what comes next."""
        if len(self.data) + len(data) > OUTCOME_LIMIT + _HEAD_LIMIT:
            raise PayloadError(f"the worker's {self._what} has more than {OUTCOME_LIMIT:,} bytes")
        self.data += data

    def checked(self) -> bytes | None:
        """Return what came after the first line, if it is all there."""
        end = self.data.find(b"\n", 0, _HEAD_LIMIT)
        size, _, digest = bytes(self.data[: max(0, end)]).partition(b" ")
        body = bytes(self.data[end + 1 :])
        is_whole = size.isdigit() and int(size) == len(body)
        return body if is_whole and hashlib.sha256(body).hexdigest().encode("ascii") == digest else None
