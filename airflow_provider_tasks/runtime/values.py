"""Values on their way between a worker and Airflow: plain JSON, and a tag where JSON has no word for a type.

``None``, booleans, numbers, text, lists and dicts with text keys go as themselves. Anything else is a JSON object
with the key ``__type__``, which names the type; a dict of the user's that has that key is written as pairs, so
that nothing a user returns is taken for a tag.

========================  ===========================================================================
``__type__``              the other keys
========================  ===========================================================================
``float``                 ``value``: ``"nan"``, ``"inf"`` or ``"-inf"``
``int``                   ``value``: hexadecimal digits; for integers of more than 616 decimal digits
``str``                   ``value``: UTF-8 in Base64; for text with lone surrogates
``complex``               ``value``: [real part, imaginary part]
``bytes``                 ``value``: Base64; a ``bytearray`` as well
``tuple``                 ``value``: list
``set``, ``frozenset``    ``value``: list, in no order
``dict``                  ``value``: list of [key, value]; keys that are not text, or ``__type__``
``datetime``              ``value``: ISO 8601; ``zone``: IANA key, ``fold``: 1, where there is one
``time``                  like ``datetime``
``date``                  ``value``: ISO 8601
``timedelta``             ``value``: [days, seconds, microseconds]
``Decimal``               ``value``: text
``UUID``                  ``value``: 32 hexadecimal digits
``numpy.ndarray``         ``dtype``, ``shape``, ``order``: ``"C"`` or ``"F"``, ``value``: Base64, or a list for objects
``numpy.scalar``          ``dtype``, ``value``: Base64, or text or ``bytes`` for ``"str"`` and ``"bytes"``
``pandas.DataFrame``      ``index``, ``columns``, ``value``: the columns
``pandas.Series``         ``index``, ``name``, ``value``: the column
``pandas.NaT``, ``.NA``   none
``opaque``                ``type``, ``size`` in bytes, ``value``: the pickle in Base64, which Airflow never opens
========================  ===========================================================================

Dataclasses, named tuples, Enums, pydantic models and attrs classes are sent as their plain content, a subclass of
a supported type as that type. What comes from a worker is decoded as hostile input: nothing in it is executed,
unpickled or imported by its name, and whatever is wrong with it is a `ValueDecodeError`.
"""

from __future__ import annotations

import json
from itertools import chain
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeAlias

    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

TAG = "__type__"
MAX_DEPTH = 200
"""Levels of containers in a value, for a plain list and for a tagged one alike."""
MAX_INT_BITS = 2_048
"""Longer integers are tagged: decimal text of 640 digits is what every Python reads, whatever its limit is set to."""

_SCALARS = frozenset({type(None), bool, int, float, str})
_PLAIN = _SCALARS | {list, dict}
_UNEXAMINED_BY_JSON = frozenset({int})
"""`json.dumps` itself stops at nan, inf and lone surrogates."""


class ValueEncodeError(TypeError):
    """A value can't travel; the message names its place, its type and what to do."""


class ValueDecodeError(ValueError):
    """What came from a worker is not a value; the message names the place."""


class Refused(Exception):  # noqa: N818 - never leaves the codec: it becomes one of the errors above
    """A value that can't be encoded or decoded; each container on the way out adds its part of the path."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.segments: list[str] = []

    def __str__(self) -> str:
        return f"result{''.join(reversed(self.segments))} {self.reason}"


class Opaque:
    """A value that only a worker can open; Airflow hands it on, and never looks inside.

    >>> Opaque("shop.Cart", b"0123456789")
    <opaque value of type 'shop.Cart', 10 B>
    """

    __slots__ = ("_pickled", "_type_name")

    def __init__(self, type_name: str, pickled: bytes) -> None:
        self._type_name = type_name
        self._pickled = pickled

    @property
    def type_name(self) -> str:
        """The type's full name, as the worker that made the value reported it."""
        return self._type_name

    @property
    def pickled(self) -> bytes:
        """The pickle, for `load_opaque` in a worker."""
        return self._pickled

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Opaque):
            return NotImplemented
        return (self._type_name, self._pickled) == (other._type_name, other._pickled)

    def __hash__(self) -> int:
        return hash((self._type_name, self._pickled))

    def __repr__(self) -> str:
        size = float(len(self._pickled))
        units = iter(("B", "kB", "MB", "GB"))
        unit = next(units)
        while size >= 999.5 and unit != "GB":
            size, unit = size / 1000, next(units)
        return f"<opaque value of type {self._type_name!r}, {size:.3g} {unit}>"


def load_opaque(opaque: Opaque) -> Any:
    """Open an opaque value. For workers only: this runs code that another worker sent.

    >>> import pickle
    >>> load_opaque(Opaque("builtins.range", pickle.dumps(range(3))))
    range(0, 3)
    """
    import pickle

    return pickle.loads(opaque.pickled)  # noqa: S301 - a worker trusts the workers before it, Airflow does not call this


def encode(value: object, *, pickle_results: bool = False) -> Json:
    """Give the JSON structure for a value; a value that is plain JSON is returned as it is, uncopied.

    With `pickle_results`, what has no plain content becomes an opaque value instead of an error.
    Raises `ValueEncodeError`.

    >>> encode({"id": 7, "tags": ("a", "b")})
    {'id': 7, 'tags': {'__type__': 'tuple', 'value': ['a', 'b']}}
    >>> encode({"rows": [1, object()]})
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.runtime.values.ValueEncodeError: result['rows'][1] is of type object, which ...
    """
    if is_plain(value):
        return value  # type: ignore[return-value]  # is_plain says so
    from airflow_provider_tasks.runtime.encoding import Encoder

    return Encoder(pickle_results=pickle_results).run(value)


def encode_json(value: object, *, pickle_results: bool = False) -> bytes:
    """Give the JSON text of `encode`, in UTF-8. Raises `ValueEncodeError`.

    >>> encode_json([1, "a", 2.5])
    b'[1, "a", 2.5]'
    """
    if is_plain(value, examine=_UNEXAMINED_BY_JSON):
        try:
            return _to_json(value)
        except ValueError:  # nan, inf or lone surrogates
            pass
    return _to_json(encode(value, pickle_results=pickle_results))


def _to_json(structure: object) -> bytes:
    # The structure has no cycles and no deep nesting, so the encoder need not look for them.
    try:
        return json.dumps(structure, ensure_ascii=False, allow_nan=False, check_circular=False).encode()
    except RecursionError:
        raise ValueEncodeError("result is nested too deeply for the stack that is left") from None


def decode(structure: object) -> Any:
    """Give the value for what `encode` made; plain JSON is returned as it is, uncopied.

    The structure may come from anyone. Raises `ValueDecodeError`, and nothing else.

    >>> decode({"id": 7, "tags": {"__type__": "tuple", "value": ["a", "b"]}})
    {'id': 7, 'tags': ('a', 'b')}
    >>> decode([{"__type__": "module", "value": "os"}])
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.runtime.values.ValueDecodeError: result[0] has the unknown type 'module'
    """
    if is_plain(structure, examine=frozenset()):
        return structure
    from airflow_provider_tasks.runtime.decoding import decode_tagged

    return decode_tagged(structure)


def decode_json(text: bytes | str) -> Any:
    """Give the value for what `encode_json` made. Raises `ValueDecodeError`, and nothing else.

    >>> decode_json(b'{"__type__": "bytes", "value": "aGk="}')
    b'hi'
    >>> decode_json(b'{"a": ')
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.runtime.values.ValueDecodeError: the value is not JSON: Expecting value: line 1 ...
    """
    try:
        structure = json.loads(text)
    except RecursionError:
        raise ValueDecodeError("the value is nested too deeply to be read") from None
    except ValueError as error:
        raise ValueDecodeError(f"the value is not JSON: {error}") from error
    return decode(structure)


def is_text(text: str) -> bool:
    """Whether text has a UTF-8 form, which lone surrogates have not."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_plain(value: object, examine: frozenset[type] = _SCALARS) -> bool:
    """Whether a value is its own JSON structure; `False` may also mean that a closer look is needed.

    `examine` names the scalar types whose content is to be looked at as well: text for lone surrogates, floats for
    nan and inf, integers for their length.

    Goes level by level rather than value by value, so that each step over a million values is one call into C.
    """
    layer: list[Any] = [value]
    seen: set[int] = set()
    for _ in range(MAX_DEPTH + 1):
        kinds = set(map(type, layer))
        if not kinds <= _PLAIN or not _has_plain_content(layer, kinds, examine):
            return False
        lists = _of_type(list, layer, kinds)
        dicts = _of_type(dict, layer, kinds)
        if not lists and not dicts:
            return True
        found = set(map(id, chain(lists, dicts)))
        if len(found) < len(lists) + len(dicts) or not seen.isdisjoint(found):
            return False  # a cycle, or a container that is in two places
        seen |= found
        if dicts:
            keys = list(chain.from_iterable(dicts))
            if set(map(type, keys)) - {str}:
                return False
            names = set(keys)
            if TAG in names or (str in examine and not is_text("".join(names))):
                return False
        if len(lists) == 1 and not dicts:
            layer = lists[0]
        else:
            layer = list(chain(chain.from_iterable(lists), chain.from_iterable(map(dict.values, dicts))))
    return False


def _has_plain_content(layer: list[Any], kinds: set[type], examine: frozenset[type]) -> bool:
    kinds_to_examine = kinds & examine
    if str in kinds_to_examine and not is_text("".join(_of_type(str, layer, kinds))):
        return False
    if float in kinds_to_examine:
        floats = _of_type(float, layer, kinds)
        # A sum is finite unless one of its terms is not, or it overflows.
        if not isfinite(sum(floats)) and not all(map(isfinite, floats)):
            return False
    if int in kinds_to_examine:
        ints = _of_type(int, layer, kinds)
        longest: int = max(max(ints), -min(ints))  # noqa: PLW3301 - unpacking a million integers takes longer
        return longest.bit_length() <= MAX_INT_BITS
    return True


def _of_type(kind: type, layer: list[Any], kinds: set[type]) -> list[Any]:
    if kind not in kinds:
        return []
    return layer if len(kinds) == 1 else [item for item in layer if type(item) is kind]
