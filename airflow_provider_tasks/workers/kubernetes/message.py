"""What a pod left behind in its termination message; a worker may write anything there."""

from __future__ import annotations

import base64
import zlib
from typing import NamedTuple

from airflow_provider_tasks.runtime.outcome import MalformedOutcomeError, Outcome, parse_outcome
from airflow_provider_tasks.runtime.pod import MESSAGE_LIMIT, MESSAGE_MARK

_UNPACKED_LIMIT = 64 * MESSAGE_LIMIT


class Message(NamedTuple):
    """A termination message: how many ``lines`` of output there were, and the outcome where it holds one."""

    lines: int
    outcome: Outcome | None

    @property
    def is_success(self) -> bool:
        """Whether the task succeeded or skipped itself."""
        return self.outcome is not None and self.outcome.status in ("success", "skipped")


def parse_message(text: str | None) -> Message | None:
    r"""Read a termination message; None where it is none of a worker's.

    Raises:
        MalformedOutcomeError: it is one, and its outcome can't be read.

    >>> parse_message("out of memory") is None
    True
    >>> parse_message('airflow-worker 1 3 plain\n{"version": 1, "status": "success"}').lines
    3

    """
    data = (text or "").encode("utf-8", "surrogatepass")
    head, _, body = data.partition(b"\n")
    words = head.removeprefix(MESSAGE_MARK).split()
    if not head.startswith(MESSAGE_MARK) or len(words) != 2 or not words[0].isdigit() or len(words[0]) > 15:
        return None
    lines = int(words[0])
    if words[1] == b"plain":
        return Message(lines, parse_outcome(body))
    if words[1] == b"zlib":
        return Message(lines, parse_outcome(_unpack(body)))
    return Message(lines, None)


def _unpack(body: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(base64.b85decode(body), _UNPACKED_LIMIT)
    except (ValueError, zlib.error) as error:
        raise MalformedOutcomeError(f"the termination message can't be unpacked: {error}") from error
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise MalformedOutcomeError("the termination message is cut off, or holds more than one can")
    return data
