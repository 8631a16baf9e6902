"""What came of a request, as Airflow's side reads it.

Whoever reads an outcome treats it as hostile: :func:`parse_outcome` returns an :class:`Outcome` or raises
:class:`MalformedOutcomeError`, whatever the bytes are. Nothing in it is imported, evaluated or unpickled.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_tasks.runtime import values
from airflow_provider_tasks.runtime.protocol import CATEGORIES, OUTCOME_LIMIT, PHASES, STATUSES, VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping


class MalformedOutcomeError(ValueError):
    """Bytes that are no outcome."""


@dataclass(frozen=True)
class Frame:
    """One line of a remote traceback."""

    file: str
    line: int
    function: str
    source: str = ""


@dataclass(frozen=True)
class ExceptionInfo:
    """One exception of a chain; ``relation`` says what it is to the one after it: ``cause``, ``context`` or nothing."""

    type: str
    message: str
    frames: tuple[Frame, ...] = ()
    relation: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of a request.

    ``result`` is a plain value for a success and the failure's value for a failure. ``exceptions`` is the
    chain as Python prints it: the oldest first, the one that ended the task last. ``detail`` holds what the
    category needs to explain itself (``command``, ``output``, ``module``, …), all of it text.
    ``timeline`` is in seconds, ``peak_memory`` in bytes.
    """

    status: str
    category: str | None = None
    message: str = ""
    retry: bool = True
    has_result: bool = False
    result: Any = None
    exceptions: tuple[ExceptionInfo, ...] = ()
    detail: Mapping[str, str] = field(default_factory=dict)
    timeline: Mapping[str, float] = field(default_factory=dict)
    peak_memory: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    python: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the task succeeded."""
        return self.status == "success"


CONTAINER_LIMIT = 5_000_000
"""Lists and objects that an outcome may hold: an empty one is 2 bytes of JSON, and more than 50 of memory."""


def parse_outcome(data: bytes, *, limit: int = OUTCOME_LIMIT) -> Outcome:
    """Read an outcome that a worker wrote; the worker may have written anything.

    Args:
        data: the bytes, as they came.
        limit: how many of them are acceptable.

    Raises:
        MalformedOutcomeError: they are no outcome; says which field, what was found and what was expected.

    >>> parse_outcome(b'{"version": 1, "status": "success", "result": 3}').result
    3
    >>> parse_outcome(b'{"version": 2, "status": "success"}')
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.runtime.outcome.MalformedOutcomeError: version is 2, expected 1

    """
    if len(data) > limit:
        raise MalformedOutcomeError(f"the outcome has {len(data):,} bytes, expected at most {limit:,}")
    if _containers(data) > CONTAINER_LIMIT:
        raise MalformedOutcomeError(f"the outcome has more lists and objects than {CONTAINER_LIMIT:,}")
    try:
        head = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError, MemoryError) as error:
        raise MalformedOutcomeError(f"the outcome is not JSON: {_short(str(error))}") from error
    if not isinstance(head, dict):
        raise MalformedOutcomeError(f"the outcome is a {type(head).__name__}, expected an object")
    if type(head.get("version")) is not int or head["version"] != VERSION:
        raise MalformedOutcomeError(f"version is {_short(repr(head.get('version')))}, expected {VERSION}")
    unknown = sorted(set(head) - _FIELDS)
    if unknown:
        raise MalformedOutcomeError(f"unknown fields {_short(', '.join(unknown))}")
    status = _one_of(head, "status", STATUSES)
    category = None if head.get("category") is None else _one_of(head, "category", CATEGORIES)
    if (category is None) != (status != "failure"):
        raise MalformedOutcomeError(f"status is {status!r} with category {category!r}")
    try:
        result = values.decode(head["result"]) if "result" in head else None
    except values.ValueDecodeError as error:
        raise MalformedOutcomeError(f"the result can't be read: {error}") from error
    return Outcome(
        status=status,
        category=category,
        message=_text(head, "message"),
        retry=_typed(head, "retry", bool, default=True),
        has_result="result" in head,
        result=result,
        exceptions=tuple(_exception(item) for item in _list(head, "exceptions", 50)),
        detail={_storable(_short(key)): _text(_object(head, "detail"), key) for key in _object(head, "detail")},
        timeline=_timeline(_object(head, "timeline")),
        peak_memory=_number(head, "peak_memory"),
        exit_code=_number(head, "exit_code"),
        signal=_number(head, "signal"),
        python=_text(head, "python", 100),
    )


_FIELDS = {
    "version",
    "status",
    "category",
    "message",
    "retry",
    "result",
    "exceptions",
    "detail",
    "timeline",
    "peak_memory",
    "exit_code",
    "signal",
    "python",
}


def _containers(data: bytes) -> int:
    """Count the lists and objects of JSON; exact only where there may be too many, as brackets in text look alike."""
    brackets = data.count(b"[") + data.count(b"{")
    if brackets <= CONTAINER_LIMIT:
        return brackets
    # Possessive (Python 3.11, which whoever reads outcomes has): no way back means no memory for it.
    without_text = re.sub(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', b"", data, flags=re.DOTALL)
    return without_text.count(b"[") + without_text.count(b"{")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _short(text: str, length: int = 200) -> str:
    return text if len(text) <= length else text[:length] + "…"


def _typed(head: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = head.get(key, default)
    if type(value) is not kind:
        raise MalformedOutcomeError(f"{key} is a {type(value).__name__}, expected {kind.__name__}")
    return value


def _text(head: Mapping[str, Any], key: str, length: int = 2**18) -> str:
    return _storable(_short(_typed(head, key, str, ""), length))


def _storable(text: str) -> str:
    """Show what no database and no log takes: lone surrogates and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _number(head: Mapping[str, Any], key: str) -> int | None:
    if head.get(key) is None:
        return None
    value: int = _typed(head, key, int, 0)
    if not -(2**63) <= value < 2**63:
        raise MalformedOutcomeError(f"{key} is out of range")
    return value


def _one_of(head: Mapping[str, Any], key: str, known: tuple[str, ...]) -> str:
    value = head.get(key)
    if not isinstance(value, str) or value not in known:
        raise MalformedOutcomeError(f"{key} is {_short(repr(value))}, expected one of {', '.join(known)}")
    return value


def _object(head: Mapping[str, Any], key: str) -> dict[str, Any]:
    return cast("dict[str, Any]", _typed(head, key, dict, {}))


def _list(head: Mapping[str, Any], key: str, length: int) -> list[Any]:
    items = cast("list[Any]", _typed(head, key, list, []))
    if len(items) > length:
        raise MalformedOutcomeError(f"{key} has {len(items)} items, expected at most {length}")
    return items


def _timeline(found: dict[str, Any]) -> dict[str, float]:
    timeline = {}
    for phase in PHASES:
        seconds = found.get(phase)
        if seconds is None:
            continue
        if type(seconds) not in (int, float) or not 0 <= seconds < 1e9:
            raise MalformedOutcomeError(f"timeline.{phase} is {_short(repr(seconds))}, expected seconds")
        timeline[phase] = float(seconds)
    return timeline


def _exception(item: Any) -> ExceptionInfo:
    if not isinstance(item, dict):
        raise MalformedOutcomeError(f"an exception is a {type(item).__name__}, expected an object")
    frames = []
    for found in _list(item, "frames", 500):
        if not isinstance(found, dict):
            raise MalformedOutcomeError(f"a frame is a {type(found).__name__}, expected an object")
        frames.append(
            Frame(
                file=_text(found, "file", 1000),
                line=_number(found, "line") or 0,
                function=_text(found, "function", 1000),
                source=_text(found, "source", 2000),
            )
        )
    notes = _list(item, "notes", 50)
    if not all(isinstance(note, str) for note in notes):
        raise MalformedOutcomeError("notes has items that are no text")
    return ExceptionInfo(
        type=_text(item, "type", 1000),
        message=_text(item, "message"),
        frames=tuple(frames),
        relation=_text(item, "relation", 100),
        notes=tuple(_storable(_short(note, 10_000)) for note in notes),
    )
