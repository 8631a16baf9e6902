"""Results as XComs: what Airflow's own serialization would change or refuse is wrapped, and nothing else.

Airflow keeps most values as they are on the way through its supervisor, its API server and its database, and
those stay untouched, for other DAGs and for the UI. What it would lose (the digits of a Decimal, a dict's integer
keys, a nan) or refuse (bytes, arrays, text with a NUL on PostgreSQL) travels as the JSON text of the worker
protocol inside an `XComValue`, which a task that pulls it never sees: it gets the plain value.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

from airflow.sdk.serde import allow_class

from airflow_provider_tasks.runtime.values import Opaque, decode_json, encode, is_text

if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = 64
"""Levels of JSON that an XCom may have before the rest of it is wrapped; Airflow's parsers end at about 190."""

_REFUSED = frozenset({bytes, bytearray, complex, Decimal, time, Opaque, list, dict, tuple, set, frozenset})
"""Types that Airflow refuses or changes; the containers are those that `_wrap` could not leave as they are."""

_RESERVED = frozenset(
    {"__classname__", "__version__", "__data__", "__id__", "__cache__", "__type", "__source", "__var"}
)


class XComValue:
    """A value as Airflow stores it; `airflow.sdk.serde` makes it and opens it.

    >>> from decimal import Decimal
    >>> XComValue(Decimal("1.10")).serialize()
    '{"__type__": "Decimal", "value": "1.10"}'
    >>> XComValue.deserialize('{"__type__": "Decimal", "value": "1.10"}', 1)
    Decimal('1.10')
    """

    __version__: ClassVar[int] = 1

    def __init__(self, value: object) -> None:
        self.value = value

    def serialize(self) -> str:
        """Give the value's JSON as one text in ASCII, in which neither serde nor a database changes anything."""
        return json.dumps(encode(self.value), allow_nan=False)

    @staticmethod
    def deserialize(data: object, version: int) -> Any:
        """Give the value itself. Raises `ValueDecodeError`, and `TypeError` for what this version can't read."""
        if version > XComValue.__version__:
            raise TypeError(
                f"this XCom was written by a newer airflow-provider-tasks (version {version} of its values, this one "
                f"reads {XComValue.__version__}): update it where the task runs"
            )
        if not isinstance(data, str):
            raise TypeError(f"the XCom of a worker's result is text, not {type(data).__name__}")
        return decode_json(data)

    def __repr__(self) -> str:
        return f"XComValue({self.value!r})"


allow_class(XComValue)


def to_xcom(value: object) -> Any:
    """Give a value that comes back from XCom as it is now, with the smallest possible parts of it wrapped.

    >>> to_xcom({"rows": 3, "total": 0.5, "data": b"abc"})
    {'rows': 3, 'total': 0.5, 'data': XComValue(b'abc')}
    >>> to_xcom({1: "one"})
    XComValue({1: 'one'})
    """
    return _wrap(value, LEVELS)


def _wrap(value: Any, levels: int) -> Any:
    """Wrap what needs it in a value that may have so many levels of JSON."""
    kind = type(value)
    is_safe = _IS_SAFE.get(kind)
    if is_safe is not None:
        return value if is_safe(value) else XComValue(value)
    if kind is list and levels > 1:
        return [_wrap(item, levels - 1) for item in value]
    if kind is dict and levels > 1 and all(map(_is_safe_key, value)):
        return {key: _wrap(item, levels - 1) for key, item in value.items()}
    if kind in (tuple, set, frozenset) and levels > 2:  # each is a dict around a list
        return kind(_wrap(item, levels - 2) for item in value)
    if kind in _REFUSED or kind.__module__.partition(".")[0] in ("numpy", "pandas"):
        return XComValue(value)
    return value  # not from a worker: Airflow may know what to do with it


def _is_safe_key(key: object) -> bool:
    return type(key) is str and key not in _RESERVED and _is_safe_text(key)


def _is_safe_text(value: str) -> bool:
    # JSONB has no NUL, msgpack no lone surrogates.
    return "\0" not in value and is_text(value)


def _is_safe_int(value: int) -> bool:
    return -(2**63) <= value < 2**64  # msgpack


def _is_safe_float(value: float) -> bool:
    # JSON has no nan; JSONB writes 1e16 as the integer that it is, and -0.0 without its sign.
    return -1e16 < value < 1e16 and (value != 0 or math.copysign(1, value) > 0)


def _is_safe_timedelta(value: timedelta) -> bool:
    try:
        return timedelta(seconds=value.total_seconds()) == value
    except OverflowError:
        return False


def _is_safe_datetime(value: datetime) -> bool:
    # Airflow keeps the timestamp as a float and the zone's key. A naive datetime would become one of the zone in
    # which the Airflow worker happens to be, and a fixed offset is lost.
    zone = value.tzinfo
    if zone is not UTC and not (isinstance(zone, ZoneInfo) and zone.key):
        return False
    try:
        again = datetime.fromtimestamp(value.timestamp(), zone)
    except (OverflowError, ValueError, OSError):
        return False
    return again.replace(tzinfo=None) == value.replace(tzinfo=None) and again.fold == value.fold


def _is_safe(value: object) -> bool:
    return True


_IS_SAFE: dict[type, Callable[[Any], bool]] = {
    type(None): _is_safe,
    bool: _is_safe,
    int: _is_safe_int,
    float: _is_safe_float,
    str: _is_safe_text,
    date: _is_safe,
    datetime: _is_safe_datetime,
    timedelta: _is_safe_timedelta,
    UUID: _is_safe,
}
