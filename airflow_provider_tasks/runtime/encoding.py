"""The encoder behind `values.encode`, for values that are not plain JSON."""

from __future__ import annotations

import binascii
import sys
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Callable

from airflow_provider_tasks.runtime.naming import type_name
from airflow_provider_tasks.runtime.values import (
    MAX_DEPTH,
    MAX_INT_BITS,
    TAG,
    Opaque,
    Refused,
    ValueEncodeError,
    decode,
    is_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_tasks.runtime.values import Json

_ADVICE = {
    "pathlib.PurePath": "str(path)",
    "pathlib._local.PurePath": "str(path)",  # Python 3.13
    "mappingproxy": "dict(…)",
    "memoryview": "bytes(…)",
    "BaseException": "str(error)",
    "coroutine": "what awaiting it gives",
    "_io._IOBase": "its content",
    **dict.fromkeys(
        ("generator", "range", "map", "filter", "zip", "dict_keys", "dict_values", "dict_items"), "list(…)"
    ),
    **dict.fromkeys(("collections.deque", "array.array"), "list(…)"),
}


class Encoder:
    """Encodes one value; `frames` uses it for what arrays and frames hold."""

    def __init__(self, *, pickle_results: bool = False) -> None:
        self.pickle_results = pickle_results
        self.open: set[int] = set()  # the containers around the value at hand
        self._hashing = 0  # how many of them need hashable elements
        self._altered = False  # whether a type has changed, so that two elements may have become equal

    def run(self, value: object) -> Json:
        """Encode a whole value."""
        try:
            return self.encode(value)
        except Refused as refusal:
            raise ValueEncodeError(str(refusal)) from refusal.__cause__
        except RecursionError:
            raise ValueEncodeError("result is nested too deeply for the stack that is left") from None

    def encode(self, value: object) -> Json:
        """Encode a value inside another one. Raises `Refused`."""
        kind = type(value)
        encode = _EXACT.get(kind)
        if encode is not None:
            return encode(self, value, kind)
        encode, base = _encoder_of(kind)  # type: ignore[arg-type]  # a type is hashable
        self._altered |= base is not kind
        try:
            return encode(self, value, base)
        except (Refused, RecursionError):
            raise
        except Exception as error:  # reading the value runs the user's code: properties, model_dump, utcoffset
            reason = f"is of type {type_name(kind)}, and reading it raised {type(error).__name__}: {error}"
            raise Refused(reason) from error

    def enter(self, container: object) -> None:
        """Note that the values to come are inside a container."""
        if id(container) in self.open:
            raise Refused(f"is the {type(container).__name__} that holds it: a value can't contain itself")
        if len(self.open) >= MAX_DEPTH:
            raise Refused(f"is nested more than {MAX_DEPTH} levels deep")
        self.open.add(id(container))

    def leave(self, container: object) -> None:
        """Note that a container has ended; after a refusal nobody asks any more."""
        self.open.discard(id(container))

    def items(self, items: Iterable[object]) -> list[Json]:
        """Encode the elements of a sequence."""
        encoded: list[Json] = []
        try:
            for item in items:
                encoded.append(self.encode(item))  # noqa: PERF401 - its length is the index in the path
        except Refused as refusal:
            refusal.segments.append(f"[{len(encoded)}]")
            raise
        return encoded

    def hashables(self, items: Iterable[object], what: str) -> list[Json]:
        """Encode the keys of a dict or the elements of a set, which must still differ when they are read."""
        encoded: list[Json] = []
        outer, self._altered = self._altered, False
        self._hashing += 1
        item: object = None
        try:
            for item in items:
                encoded.append(self.encode(item))
        except Refused as refusal:
            refusal.segments.append(f"<{what} {_short(item)}>")
            raise
        finally:
            self._hashing -= 1
        if self._altered and len(set(map(decode, encoded))) < len(encoded):
            raise Refused(f"has two {what}s whose plain content is the same")
        self._altered |= outer
        return encoded

    def mapping(self, container: object, items: list[tuple[Any, object]]) -> Json:
        """Encode a dict, as a dict where its keys are text and as pairs where they are not."""
        self.refuse_where_hashed(container)
        self.enter(container)
        keys: list[Any] = [key for key, _ in items]
        if set(map(type, keys)) - {str} or TAG in keys or not is_text("".join(keys)):
            keys = self.hashables(keys, "key")
        values: list[Json] = []
        try:
            for _, item in items:
                values.append(self.encode(item))
        except Refused as refusal:
            refusal.segments.append(f"[{_short(items[len(values)][0])}]")
            raise
        self.leave(container)
        if set(map(type, keys)) - {str} or TAG in keys:
            return {TAG: "dict", "value": [[key, item] for key, item in zip(keys, values)]}
        return dict(zip(keys, values))

    def content(self, container: object, names: Iterable[str]) -> Json:
        """Encode an object as the dict of its fields."""
        self.refuse_where_hashed(container)
        self.enter(container)
        encoded: dict[str, Json] = {}
        name = ""
        try:
            for name in names:
                encoded[name] = self.encode(getattr(container, name))
        except Refused as refusal:
            refusal.segments.append(f".{name}")
            raise
        self.leave(container)
        return encoded

    def refuse_where_hashed(self, container: object) -> None:
        """Refuse what arrives as a dict where only a hashable value can be."""
        if self._hashing:
            kind = type_name(type(container))
            raise Refused(f"is of type {kind}: it arrives as a dict, which can't be a key or in a set")

    @property
    def hashing(self) -> bool:
        """Whether the value at hand is a key, in a set, or part of either."""
        return self._hashing > 0

    def opaque(self, value: object) -> Json:
        """Encode a value that has no plain content, if that is allowed."""
        kind = type_name(type(value))
        if not self.pickle_results:
            advice = next((_ADVICE[name] for name in map(type_name, type(value).__mro__) if name in _ADVICE), "")
            raise Refused(
                f"is of type {kind}, which can't travel to Airflow. Return "
                + (f"{advice} instead, " if advice else "plain data instead (numbers, text, lists, dicts, dates, …), ")
                + "or set pickle_results=True, which sends it as an opaque value that only another worker opens."
            )
        import cloudpickle  # type: ignore[import-untyped, unused-ignore]

        try:
            pickled = cloudpickle.dumps(value)
        except Exception as error:  # __reduce__ is the user's
            reason = f"is of type {kind}, which can't be pickled: {type(error).__name__}: {error}"
            raise Refused(reason) from error
        return _opaque(self, Opaque(kind, pickled), Opaque)


def base64(data: Any) -> str:
    """Give bytes as text."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _short(key: object) -> str:
    try:
        text = repr(key)
    except Exception:  # the user's __repr__
        text = f"<{type_name(type(key))}>"
    return text if len(text) <= 60 else f"{text[:57]}..."


# Each of these takes the encoder, the value and the supported type that the value is an instance of. The type comes
# along because its module may not be imported here: it is the value that brings it.
_Encode = Callable[[Encoder, Any, Any], "Json"]


def _same(encoder: Encoder, value: Any, base: type) -> Json:
    return value  # type: ignore[no-any-return]  # None or a boolean


def _int(encoder: Encoder, value: int, base: type) -> Json:
    exact = int.__int__(value)
    return exact if exact.bit_length() <= MAX_INT_BITS else {TAG: "int", "value": format(exact, "x")}


def _float(encoder: Encoder, value: float, base: type) -> Json:
    exact = float.__float__(value)
    return exact if isfinite(exact) else {TAG: "float", "value": repr(exact)}


def _str(encoder: Encoder, value: str, base: type) -> Json:
    exact = str.__str__(value)
    if is_text(exact):
        return exact
    return {TAG: "str", "value": base64(exact.encode("utf-8", "surrogatepass"))}


def _complex(encoder: Encoder, value: complex, base: type) -> Json:
    return {TAG: "complex", "value": [_float(encoder, value.real, float), _float(encoder, value.imag, float)]}


def _bytes(encoder: Encoder, value: bytes, base: type) -> Json:
    return {TAG: "bytes", "value": base64(value)}


def _list(encoder: Encoder, value: list[object], base: type) -> Json:
    encoder.enter(value)
    encoded = encoder.items(value)
    encoder.leave(value)
    return encoded


def _tuple(encoder: Encoder, value: tuple[object, ...], base: type) -> Json:
    fields = getattr(value, "_fields", None)
    if fields is not None and not encoder.hashing:
        return encoder.content(value, fields)
    encoder.enter(value)
    encoded = encoder.items(value)
    encoder.leave(value)
    return {TAG: "tuple", "value": encoded}


def _set(encoder: Encoder, value: set[object], base: type) -> Json:
    encoder.enter(value)
    encoded = encoder.hashables(value, "element")
    encoder.leave(value)
    return {TAG: base.__name__, "value": encoded}


def _dict(encoder: Encoder, value: dict[Any, object], base: type) -> Json:
    return encoder.mapping(value, list(value.items()))


def _opaque(encoder: Encoder, value: Opaque, base: type) -> Json:
    return {
        TAG: "opaque",
        "type": value.type_name,
        "size": len(value.pickled),
        "value": base64(value.pickled),
    }


def _date(encoder: Encoder, value: Any, base: Any) -> Json:
    return {TAG: "date", "value": base.isoformat(value)}


def datetime(encoder: Encoder, value: Any, base: Any) -> Json:
    """Encode a datetime or a time, with the zone's key beside the offset."""
    encoded: dict[str, Json] = {TAG: base.__name__, "value": base.isoformat(value)}
    zone = getattr(value.tzinfo, "key", None) or getattr(value.tzinfo, "zone", None)  # zoneinfo, pendulum; pytz
    if isinstance(zone, str):
        encoded["zone"] = str.__str__(zone)
    if value.fold:
        encoded["fold"] = 1
    return encoded


def timedelta(encoder: Encoder, value: Any, base: Any) -> Json:
    """Encode a timedelta."""
    days, seconds, microseconds = (vars(base)[name].__get__(value) for name in ("days", "seconds", "microseconds"))
    return {TAG: "timedelta", "value": [days, seconds, microseconds]}


def _decimal(encoder: Encoder, value: Any, base: Any) -> Json:
    return {TAG: "Decimal", "value": base.__str__(value)}


def _uuid(encoder: Encoder, value: Any, base: Any) -> Json:
    return {TAG: "UUID", "value": format(value.int, "032x")}


def _enum(encoder: Encoder, value: Any, base: Any) -> Json:
    try:
        return encoder.encode(value.value)
    except Refused as refusal:
        refusal.segments.append(".value")
        raise


def _result(encoder: Encoder, value: Any, base: Any) -> Json:
    encoder.refuse_where_hashed(value)
    encoder.enter(value)
    success = type(value).__name__ == "Success"
    inner = value.unwrap() if success else value.failure()
    if not success and isinstance(inner, Exception):
        inner = str(inner)
    try:
        encoded = encoder.encode(inner)
    except Refused as refusal:
        refusal.segments.append(".unwrap()" if success else ".failure()")
        raise
    encoder.leave(value)
    return {"result_type": "Success" if success else "Failure", "result": encoded}


def _model(encoder: Encoder, value: Any, base: Any) -> Json:
    encoder.enter(value)
    encoded = encoder.encode(value.model_dump() if hasattr(value, "model_dump") else value.dict())
    encoder.leave(value)
    return encoded


def _dataclass(encoder: Encoder, value: Any, base: Any) -> Json:
    return encoder.content(value, [field.name for field in sys.modules["dataclasses"].fields(value)])


def _attrs(encoder: Encoder, value: Any, base: Any) -> Json:
    return encoder.content(value, [attribute.name for attribute in type(value).__attrs_attrs__])


def _frame(encoder: Encoder, value: Any, base: Any) -> Json:
    from airflow_provider_tasks.runtime import frames

    return frames.encode(encoder, value)


def _unsupported(encoder: Encoder, value: object, base: type) -> Json:
    return encoder.opaque(value)


_EXACT: dict[type, _Encode] = {
    type(None): _same,
    bool: _same,
    int: _int,
    float: _float,
    str: _str,
    list: _list,
    dict: _dict,
    tuple: _tuple,
}

# By name, so that looking for a type never imports it; the first that is among the value's classes counts.
_BY_NAME: dict[str, _Encode] = {
    "enum.Enum": _enum,
    "returns.result.Result": _result,
    "pydantic.main.BaseModel": _model,
    "str": _str,
    "int": _int,
    "float": _float,
    "complex": _complex,
    "bytes": _bytes,
    "bytearray": _bytes,
    "list": _list,
    "tuple": _tuple,
    "dict": _dict,
    "set": _set,
    "frozenset": _set,
    "datetime.datetime": datetime,
    "datetime.date": _date,
    "datetime.time": datetime,
    "datetime.timedelta": timedelta,
    "decimal.Decimal": _decimal,
    "uuid.UUID": _uuid,
    f"{Opaque.__module__}.Opaque": _opaque,
}


@lru_cache(maxsize=1024)
def _encoder_of(kind: type) -> tuple[_Encode, type]:
    bases = {type_name(base): base for base in kind.__mro__}
    if any(name.partition(".")[0] in ("numpy", "pandas") for name in bases):
        return _frame, kind
    if "dataclasses" in sys.modules and hasattr(kind, "__dataclass_fields__") and "enum.Enum" not in bases:
        return _dataclass, object
    if hasattr(kind, "__attrs_attrs__") and "enum.Enum" not in bases:
        return _attrs, object
    for name, encode in _BY_NAME.items():
        if name in bases:
            return encode, bases[name]
    return _unsupported, kind
