"""Values come back as they were sent, and plain JSON is sent as it is."""

from __future__ import annotations

import collections
import copy
import json
import math
import pickle
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from returns.result import Failure, Success  # noqa: TID253

from airflow_provider_tasks.runtime.values import MAX_DEPTH, Opaque, decode, decode_json, encode, encode_json
from tests.pythons import python_or_skip

any_text = st.text(st.characters(exclude_categories=()))
integers = st.integers() | st.integers(-(2**65), 2**65) | st.sampled_from([64, 2048, 20_000]).map(lambda n: 1 << n)
decimals = st.decimals() | st.sampled_from([Decimal("1.10"), Decimal("-0E-7"), Decimal("1E+400"), Decimal("NaN12")])
offsets = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
zones = st.none() | st.just(UTC) | offsets | st.timezones()
folds = st.sampled_from([0, 1])
datetimes = st.builds(lambda moment, fold: moment.replace(fold=fold), st.datetimes(timezones=zones), folds)
times = st.builds(lambda moment, fold: moment.replace(fold=fold), st.times(timezones=zones), folds)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    st.floats(),
    any_text,
    st.complex_numbers(),
    st.binary(),
    datetimes,
    times,
    st.dates(),
    st.timedeltas(),
    decimals,
    st.uuids(),
    st.builds(Opaque, st.text(min_size=1), st.binary()),
)
hashable_scalars = scalars.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan()))
hashables = st.recursive(
    hashable_scalars, lambda inner: st.lists(inner).map(tuple) | st.frozensets(inner), max_leaves=4
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def values_of(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves | st.sets(hashables, max_size=4),
        lambda inner: st.one_of(
            st.lists(inner),
            st.lists(inner).map(tuple),
            st.dictionaries(any_text | st.just("__type__"), inner),
            st.dictionaries(hashables, inner, max_size=4),
        ),
        max_leaves=12,
    )


values = values_of(scalars)


def described(value: Any) -> Any:
    """Give a value in a form in which two are equal only if they are the same in type and in every detail."""
    kind = type(value)
    if kind in (list, tuple):
        return kind, [described(item) for item in value]
    if kind in (set, frozenset):
        return kind, sorted((described(item) for item in value), key=repr)
    if kind is dict:
        return kind, [(described(key), described(item)) for key, item in value.items()]
    if kind is complex:
        return kind, repr(value.real), repr(value.imag)
    if kind in (datetime, time):
        return kind, value.isoformat(), value.fold, getattr(value.tzinfo, "key", None)
    if kind is int:
        return kind, hex(value)
    return kind, value if kind in (bytes, str, Opaque) else repr(value)


def round_trip(value: object) -> Any:
    return decode_json(encode_json(value))


@given(values)
def test_a_value_comes_back_as_it_was_sent(value: object) -> None:
    assert described(round_trip(value)) == described(value)
    assert described(decode(encode(value))) == described(value)


@given(values)
def test_what_is_sent_is_json_for_any_reader(value: object) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = encode_json(value).decode("utf-8")
    assert json.loads(text, parse_constant=refuse) == encode(value)


@given(plain)
def test_plain_json_is_sent_as_it_is(value: object) -> None:
    assert encode_json(value) == json.dumps(value, ensure_ascii=False).encode()
    assert decode(value) is value
    assert encode(value) is value


@pytest.mark.parametrize(
    ("value", "structure"),
    [
        ({"__type__": "bytes", "value": ""}, {"__type__": "dict", "value": [["__type__", "bytes"], ["value", ""]]}),
        ({1: "a", None: "b"}, {"__type__": "dict", "value": [[1, "a"], [None, "b"]]}),
        (math.inf, {"__type__": "float", "value": "inf"}),
        (-0.0, -0.0),
        (True, True),
        (bytearray(b"hi"), {"__type__": "bytes", "value": "aGk="}),
        ("\ud800", {"__type__": "str", "value": "7aCA"}),
        (2**2048, {"__type__": "int", "value": "1" + "0" * 512}),
        (date(2026, 1, 2), {"__type__": "date", "value": "2026-01-02"}),
        (timedelta(-1, 2, 3), {"__type__": "timedelta", "value": [-1, 2, 3]}),
        (Decimal("1.10"), {"__type__": "Decimal", "value": "1.10"}),
        (UUID(int=10), {"__type__": "UUID", "value": f"{10:032x}"}),
        (
            datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
            {"__type__": "datetime", "value": "2026-10-25T02:30:00+01:00", "zone": "Europe/Berlin", "fold": 1},
        ),
        (Opaque("shop.Cart", b"hi"), {"__type__": "opaque", "type": "shop.Cart", "size": 2, "value": "aGk="}),
    ],
)
def test_the_tags_are_those_of_the_table(value: object, structure: object) -> None:
    assert encode(value) == structure


def test_a_zone_that_is_not_known_here_leaves_the_offset() -> None:
    structure = {"__type__": "datetime", "value": "2026-01-01T00:00:00+05:00", "zone": "Moon/Tranquility"}
    assert decode(structure) == datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5)))


def test_a_zone_that_has_another_offset_here_leaves_the_offset() -> None:
    structure = {"__type__": "datetime", "value": "2026-01-01T00:00:00+05:00", "zone": "Europe/Berlin"}
    assert decode(structure).isoformat() == "2026-01-01T00:00:00+05:00"


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Weekday(str, Enum):  # noqa: UP042 - what people have
    MONDAY = "monday"


class Point(NamedTuple):
    x: int
    y: object


@dataclass
class Row:
    SOURCE: ClassVar[str] = "db"
    id: int
    when: date
    point: Point
    tags: set[str] = field(default_factory=set)


class Model(pydantic.BaseModel):
    name: str
    color: Color
    amount: Decimal
    inner: list[Model] = []


@attrs.define
class Sample:
    key: str
    value: object


class Text(str):
    def __str__(self) -> str:
        return "not the content"


class Bag(dict):  # type: ignore[type-arg]
    pass


ROW = {"id": 1, "when": date(2026, 1, 1), "point": {"x": 1, "y": (2, 3)}, "tags": {"a"}}


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (Color.RED, "red"),
        (Level.HIGH, 3),
        ({Weekday.MONDAY: Level.HIGH}, {"monday": 3}),
        (Point(1, Color.RED), {"x": 1, "y": "red"}),
        ({Point(1, 2), (3, 4)}, {(1, 2), (3, 4)}),
        ({Point(1, 2): "a"}, {(1, 2): "a"}),
        (Row(1, date(2026, 1, 1), Point(1, (2, 3)), {"a"}), ROW),
        (
            Model(name="a", color=Color.RED, amount=Decimal("1.10"), inner=[Model(name="b", color="red", amount=2)]),
            {
                "name": "a",
                "color": "red",
                "amount": Decimal("1.10"),
                "inner": [{"name": "b", "color": "red", "amount": Decimal("2"), "inner": []}],
            },
        ),
        (Sample("a", Sample("b", 1)), {"key": "a", "value": {"key": "b", "value": 1}}),
        (Text("content"), "content"),
        (Bag(a=1), {"a": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        ({"result": Success({"rows": (1,)})}, {"result": {"result_type": "Success", "result": {"rows": (1,)}}}),
        ([Failure(ValueError("bad"))], [{"result_type": "Failure", "result": "bad"}]),
    ],
)
def test_classes_arrive_as_their_plain_content(value: object, arrives: object) -> None:
    assert described(round_trip(value)) == described(arrives)


def test_a_pendulum_datetime_arrives_as_a_datetime() -> None:
    pendulum = pytest.importorskip("pendulum")
    value = round_trip(pendulum.datetime(2026, 1, 1, tz="Europe/Berlin", fold=0))
    assert type(value) is datetime
    assert described(value) == described(datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")))


@pytest.mark.parametrize("nest", [lambda inner: [inner], lambda inner: (inner,), lambda inner: {1: inner}])
def test_the_deepest_value_that_is_sent_can_be_read(nest: Any) -> None:
    value: object = b"x"
    for _ in range(MAX_DEPTH):
        value = nest(value)
    assert round_trip(value) == value


def test_a_container_in_two_places_is_sent_twice() -> None:
    shared = [1]
    assert round_trip({"a": shared, "b": shared}) == {"a": [1], "b": [1]}


def test_64_mebibytes_of_bytes_and_of_text_arrive() -> None:
    data = bytes(range(256)) * (1 << 18)
    assert round_trip(data) == data
    text = "aé☃" * (11 << 20)
    assert round_trip([text]) == [text]


def test_an_opaque_value_is_equal_by_content_and_copies_as_itself() -> None:
    opaque = Opaque("a.B", b"pickled")
    assert copy.deepcopy(opaque) == opaque == pickle.loads(pickle.dumps(opaque))
    assert hash(opaque) == hash(Opaque("a.B", opaque.pickled))
    assert opaque != Opaque("a.C", opaque.pickled)
    assert opaque != "a.B"


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (999_999, "1 MB"), (64 << 20, "67.1 MB")]
)
def test_an_opaque_value_shows_its_size_and_not_its_content(size: int, shown: str) -> None:
    assert repr(Opaque("x.Y", b"s" * size)) == f"<opaque value of type 'x.Y', {shown}>"


def test_importing_the_codec_imports_no_types() -> None:
    code = (
        "import sys; from airflow_provider_tasks.runtime import values; values.decode_json(values.encode_json([1]));"
        "print({'datetime', 'decimal', 'uuid', 'zoneinfo', 'dataclasses', 'pickle', 'numpy'} & sys.modules.keys())"
    )
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", PATH + code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


PATH = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "

IN_A_WORKER = """
import collections, datetime as d, decimal, enum, sys, uuid, zoneinfo
from airflow_provider_tasks.runtime.values import decode_json, encode_json, encode, ValueEncodeError
zone = d.timezone(d.timedelta(hours=2))
value = {
    "a": [1, 2.5, None, "é", "\\ud800", 10 ** 5000, float("inf")], ("t", 1): {1, 2}, "__type__": b"x", 3: 2j,
    "when": [d.datetime(2026, 1, 1, tzinfo=zone), d.date(2026, 1, 1), d.time(1, 2, 3), d.timedelta(1, 2, 3)],
    "exact": [decimal.Decimal("1.10"), uuid.UUID(int=5), frozenset([1])],
}
text = encode_json(value)
assert decode_json(text) == value
color = enum.Enum("Color", {"RED": "red"})
assert encode({color.RED: collections.namedtuple("P", "x")(1)}) == {"red": {"x": 1}}
try:
    encode([{"a": object()}])
except ValueEncodeError as error:
    assert str(error).startswith("result[0]['a'] is of type object"), error
deep = ()
for _ in range(199):
    deep = (deep,)
assert decode_json(encode_json(deep)) == deep
sys.stdout.buffer.write(text)
"""


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13", "3.14"])
def test_the_codec_is_the_same_on_the_python_of_a_worker(version: str) -> None:
    python = python_or_skip(version)
    ran = subprocess.run([python, "-I", "-c", PATH + IN_A_WORKER], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    value = decode_json(ran.stdout)
    assert value["when"][0].utcoffset() == timedelta(hours=2)
    assert encode_json(value) == ran.stdout
