"""The decoder behind `values.decode`: a parser of hostile input.

Nothing here trusts a type, a length or a name that the structure claims. Whatever fails while a tag is read is
`Refused`, with the path to it.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from airflow_provider_tasks.runtime.values import MAX_DEPTH, TAG, Opaque, Refused, ValueDecodeError

if TYPE_CHECKING:
    from collections.abc import Sized

_Collection = TypeVar("_Collection", bound="Sized")
_SCALARS = frozenset({type(None), bool, int, float, str})
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,3}")
_MAX_EQUAL_HASHES = 1_000
_FLOATS = {"nan": "nan", "inf": "inf", "-inf": "-inf"}


def decode_tagged(structure: object) -> Any:
    """Decode a structure that holds tags, or that is no JSON at all. Raises `ValueDecodeError`."""
    try:
        return Decoder().decode(structure)
    except Refused as refusal:
        raise ValueDecodeError(str(refusal)) from refusal.__cause__
    except RecursionError:
        raise ValueDecodeError("result is nested too deeply for the stack that is left") from None


class Decoder:
    """Decodes one structure; `frames` uses it for what arrays and frames hold."""

    def __init__(self) -> None:
        self._depth = 0

    def decode(self, structure: object) -> Any:
        """Decode a structure inside another one. Raises `Refused`."""
        kind = type(structure)
        if kind in _SCALARS:
            return structure
        if self._depth > MAX_DEPTH:  # a tagged scalar may be one level below the last container
            raise Refused(f"is nested more than {MAX_DEPTH} levels deep")
        self._depth += 1
        if isinstance(structure, list):
            value: Any = self.items(structure)
        elif not isinstance(structure, dict):
            raise Refused(f"is a Python {kind.__name__}, not JSON")
        elif TAG not in structure:
            value = self._dict(structure)
        else:
            tag, decode = _decoder_of(structure)
            try:
                value = decode(self, structure)
            except (Refused, RecursionError):
                raise
            except Exception as error:  # any error in hostile input is the input's
                raise Refused(f"is no {tag}: {printable(str(error))}") from error
        self._depth -= 1
        return value

    def items(self, items: object) -> list[Any]:
        """Decode the elements of a list."""
        if not isinstance(items, list):
            raise TypeError(f"a list is expected, not {type(items).__name__}")
        values: list[Any] = []
        try:
            for item in items:
                values.append(item if type(item) in _SCALARS else self.decode(item))  # noqa: PERF401 - its length is the index
        except Refused as refusal:
            refusal.segments.append(f"[{len(values)}]")
            raise
        return values

    def _dict(self, structure: dict[Any, object]) -> dict[str, Any]:
        value: dict[str, Any] = {}
        key: Any = None
        try:
            for key, item in structure.items():
                if type(key) is not str:
                    raise Refused(f"is at a key of type {type(key).__name__}, which JSON has not")
                value[key] = item if type(item) in _SCALARS else self.decode(item)
        except Refused as refusal:
            refusal.segments.append(f"['{printable(str(key))}']")
            raise
        return value


def _decoder_of(structure: dict[Any, object]) -> tuple[str, _Decode]:
    tag = structure[TAG]
    if not isinstance(tag, str):
        raise Refused(f"has a type that is no name but a {type(tag).__name__}")
    if tag not in _BY_TAG:
        raise Refused(f"has the unknown type '{printable(tag)}'")
    decode, required, optional = _BY_TAG[tag]
    fields = structure.keys() - {TAG}
    if not required <= fields <= required | optional:
        names = ", ".join(sorted(map(str, fields))) or "none"
        raise Refused(f"is no {tag}: its keys are {printable(names)}")
    return tag, decode


def printable(text: str) -> str:
    """Cut text that came from a worker to what a message can show."""
    shown = "".join(char if char.isprintable() else "?" for char in text[:200])
    return shown if len(text) <= 200 else f"{shown}…"


def unbase64(text: object) -> bytes:
    """Give the bytes of Base64 text, strictly: what `binascii` skips is an error."""
    if not isinstance(text, str):
        raise TypeError(f"Base64 is expected, not {type(text).__name__}")
    data = binascii.a2b_base64(text)
    if len(text) % 4 or len(data) != len(text) // 4 * 3 - text[-2:].count("="):
        raise ValueError("the Base64 is damaged")
    return data


def text(structure: dict[str, Any], key: str, limit: int = 1_000_000_000) -> str:
    """Give a field that must be text."""
    value = structure[key]
    if not isinstance(value, str) or len(value) > limit:
        raise TypeError(f"{key!r} is not text, or too long")
    return value


def zone_of(key: object) -> Any:
    """Give the time zone of an IANA key, or None where this machine does not know it."""
    if not isinstance(key, str) or len(key) > 64 or not _ZONE.fullmatch(key):
        raise ValueError("the zone is not an IANA key")
    try:
        from zoneinfo import ZoneInfo

        return ZoneInfo(key)
    except Exception:  # a missing zone, a folder's name, a damaged database: all the same here
        return None


def hashables(values: list[Any]) -> list[Any]:
    """Give values that are to be keys or elements, if a hash table of them is no trap."""
    if len(values) - len(set(map(hash, values))) > _MAX_EQUAL_HASHES:
        raise ValueError("too many elements have the same hash")
    return values


def _float(decoder: Decoder, structure: dict[str, Any]) -> float:
    return float(_FLOATS[structure["value"]])


def _int(decoder: Decoder, structure: dict[str, Any]) -> int:
    digits = text(structure, "value")
    if not re.fullmatch("-?[0-9a-f]+", digits):
        raise ValueError("the digits are not hexadecimal")
    return int(digits, 16)


def _str(decoder: Decoder, structure: dict[str, Any]) -> str:
    return unbase64(structure["value"]).decode("utf-8", "surrogatepass")


def _complex(decoder: Decoder, structure: dict[str, Any]) -> complex:
    real, imaginary = decoder.items(structure["value"])
    if type(real) is not float or type(imaginary) is not float:
        raise TypeError("its parts are not floats")
    return complex(real, imaginary)


def _bytes(decoder: Decoder, structure: dict[str, Any]) -> bytes:
    return unbase64(structure["value"])


def _tuple(decoder: Decoder, structure: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(decoder.items(structure["value"]))


def _set(decoder: Decoder, structure: dict[str, Any]) -> set[Any]:
    items = hashables(decoder.items(structure["value"]))
    return _all_of(items, set(items))


def _frozenset(decoder: Decoder, structure: dict[str, Any]) -> frozenset[Any]:
    items = hashables(decoder.items(structure["value"]))
    return _all_of(items, frozenset(items))


def _dict(decoder: Decoder, structure: dict[str, Any]) -> dict[Any, Any]:
    pairs = structure["value"]
    if not isinstance(pairs, list) or any(type(pair) is not list or len(pair) != 2 for pair in pairs):
        raise TypeError("a list of pairs is expected")
    keys = hashables(decoder.items([key for key, _ in pairs]))
    values = decoder.items([item for _, item in pairs])
    return _all_of(keys, dict(zip(keys, values)))


def _all_of(items: list[Any], made: _Collection) -> _Collection:
    if len(made) < len(items):
        raise ValueError("two elements are the same")
    return made


def _datetime(decoder: Decoder, structure: dict[str, Any]) -> Any:
    from datetime import datetime

    value = datetime.fromisoformat(text(structure, "value", 64))
    value = value.replace(fold=_fold(structure))
    if "zone" in structure:
        zoned = value.replace(tzinfo=zone_of(structure["zone"]))
        # The offset says which instant it is, and other machines' zone data may say otherwise.
        if value.tzinfo is not None and zoned.utcoffset() == value.utcoffset():
            return zoned
    return value


def _time(decoder: Decoder, structure: dict[str, Any]) -> Any:
    from datetime import time

    value = time.fromisoformat(text(structure, "value", 64)).replace(fold=_fold(structure))
    if "zone" in structure:
        zone = zone_of(structure["zone"])
        if zone is not None:
            return value.replace(tzinfo=zone)
        if value.tzinfo is None:
            raise ValueError(f"the time zone {structure['zone']!r} is not known here, install tzdata")
    return value


def _fold(structure: dict[str, Any]) -> int:
    fold = structure.get("fold", 0)
    if type(fold) is not int:
        raise TypeError("'fold' is not an integer")
    return fold


def _date(decoder: Decoder, structure: dict[str, Any]) -> Any:
    from datetime import date

    return date.fromisoformat(text(structure, "value", 10))


def _timedelta(decoder: Decoder, structure: dict[str, Any]) -> Any:
    from datetime import timedelta

    days, seconds, microseconds = structure["value"]
    if {type(days), type(seconds), type(microseconds)} != {int}:
        raise TypeError("its parts are not integers")
    return timedelta(days, seconds, microseconds)


def _decimal(decoder: Decoder, structure: dict[str, Any]) -> Any:
    from decimal import Decimal

    return Decimal(text(structure, "value"))


def _uuid(decoder: Decoder, structure: dict[str, Any]) -> Any:
    from uuid import UUID

    digits = text(structure, "value", 32)
    if not re.fullmatch("[0-9a-f]{32}", digits):
        raise ValueError("32 hexadecimal digits are expected")
    return UUID(digits)


def _opaque(decoder: Decoder, structure: dict[str, Any]) -> Opaque:
    pickled = unbase64(structure["value"])
    if type(structure["size"]) is not int or structure["size"] != len(pickled):
        raise ValueError("its size is not what it says")
    return Opaque(text(structure, "type", 1000), pickled)


def _frame(decoder: Decoder, structure: dict[str, Any]) -> Any:
    from airflow_provider_tasks.runtime import frames

    return frames.decode(decoder, structure)


_Decode = Callable[[Decoder, "dict[str, Any]"], Any]
_NONE: frozenset[str] = frozenset()
_VALUE = frozenset({"value"})
_BY_TAG: dict[str, tuple[_Decode, frozenset[str], frozenset[str]]] = {
    "float": (_float, _VALUE, _NONE),
    "int": (_int, _VALUE, _NONE),
    "str": (_str, _VALUE, _NONE),
    "complex": (_complex, _VALUE, _NONE),
    "bytes": (_bytes, _VALUE, _NONE),
    "tuple": (_tuple, _VALUE, _NONE),
    "set": (_set, _VALUE, _NONE),
    "frozenset": (_frozenset, _VALUE, _NONE),
    "dict": (_dict, _VALUE, _NONE),
    "datetime": (_datetime, _VALUE, frozenset({"zone", "fold"})),
    "time": (_time, _VALUE, frozenset({"zone", "fold"})),
    "date": (_date, _VALUE, _NONE),
    "timedelta": (_timedelta, _VALUE, _NONE),
    "Decimal": (_decimal, _VALUE, _NONE),
    "UUID": (_uuid, _VALUE, _NONE),
    "numpy.ndarray": (_frame, frozenset({"dtype", "shape", "order", "value"}), _NONE),
    "numpy.scalar": (_frame, frozenset({"dtype", "value"}), _NONE),
    "pandas.DataFrame": (_frame, frozenset({"index", "columns", "value"}), _NONE),
    "pandas.Series": (_frame, frozenset({"index", "name", "value"}), _NONE),
    "pandas.NaT": (_frame, _NONE, _NONE),
    "pandas.NA": (_frame, _NONE, _NONE),
    "opaque": (_opaque, _VALUE | {"type", "size"}, _NONE),
}
