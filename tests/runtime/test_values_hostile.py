"""Whatever a worker sends, decoding gives a value or a ValueDecodeError: nothing runs, nothing hangs."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import pickle
import random
import sys
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np  # noqa: TID253
import pandas as pd  # noqa: TID253
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_tasks.runtime import decoding
from airflow_provider_tasks.runtime.values import Opaque, ValueDecodeError, decode, decode_json, encode

TAGS = sorted(decoding._BY_TAG)
KEYS = [
    "__type__",
    "value",
    "zone",
    "fold",
    "dtype",
    "shape",
    "order",
    "type",
    "size",
    "index",
    "columns",
    "name",
    "names",
    "kind",
    "mask",
    "codes",
    "categories",
    "ordered",
    "freq",
]
JUNK: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**63,
    2**70,
    10**18,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "a",
    "nan",
    "C",
    "F",
    "\ud800",
    "\0",
    "AAAA",
    "AAAA=",
    "=",
    "é",
    "2026-01-01",
    "2026-01-01T00:00:00+02:00",
    "24:00",
    "Europe/Berlin",
    "../../etc/passwd",
    "Europe",
    "/etc/localtime",
    "1E+999999999",
    "sNaN",
    "-",
    "<i8",
    "|O",
    "object",
    "<U999999999",
    "<M8[ns]",
    "|b1",
    "|S8",
    ">f2",
    "pandas.NaT",
    "multi",
    "range",
    "flat",
    "numpy",
    "zoned",
    "category",
    "masked",
    "string",
    "str",
    "os.system",
    "__import__",
    [],
    [[]],
    [[1, 2]],
    [[[], 1]],
    [0],
    [2**62, 2**62],
    [0, 2**62],
    [-1],
    {},
    {"__type__": "tuple", "value": [{}]},
    {"__type__": []},
    {"__type__": None},
    {"__type__": "float", "value": []},
]

MAY_BE_IMPORTED = {"numpy", "pandas", "zoneinfo", "tzdata", "airflow_provider_tasks"}

SAMPLES: list[object] = [
    {"a": [1, 2.5, None, "x"], "__type__": 1},
    {1: (2, {3, frozenset([4])}), (5, "a"): b"bytes"},
    [float("nan"), 2**3000, "\ud800", 1j, Decimal("1.10"), UUID(int=1), timedelta(1, 2, 3)],
    [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 3, fold=1), pd.Timestamp("2026", tz="Asia/Tokyo")],
    [datetime(2026, 1, 1).time(), datetime(2026, 1, 1).date(), Opaque("a.B", b"cos\nsystem\n")],
    [np.arange(6).reshape(2, 3), np.array(["a", "b"]), np.array([True, False]), np.array([None, (1,)], dtype=object)],
    [np.float32(1), np.str_("a"), np.bytes_(b"a"), np.datetime64("2026-01-01"), pd.NaT, pd.NA],
    pd.DataFrame(
        {
            "a": [1, 2],
            "b": ["x", None],
            "c": pd.Categorical(["u", "v"]),
            "d": pd.date_range("2026", periods=2, tz="UTC"),
        }
    ),
    pd.DataFrame(
        {"n": pd.array([1, None], dtype="Int64"), "s": pd.array(["a", None], dtype="string")},
        index=[("a", 1), ("b", 2)],
    ),
    pd.Series([1, 2], index=pd.MultiIndex.from_arrays([[1, 2], ["a", "b"]], names=["x", "y"]), name=("s", 1)),
    pd.Series([1.5, 2.5], index=pd.date_range("2026", periods=2, freq="D")),
]


def judged(structure: object) -> str:
    """Decode, and give what came of it; any other exception fails the test."""
    try:
        decode(structure)
    except ValueDecodeError as error:
        return "refused" if len(str(error)) < 2_000 else "refused at length"
    return "accepted"


def nodes(structure: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    for key, child in structure.items() if isinstance(structure, dict) else enumerate(structure):
        found.append((structure, key))
        if isinstance(child, (dict, list)):
            nodes(child, found)
    return found


def mutate(chance: random.Random, structure: Any) -> None:
    container, key = chance.choice(nodes(structure, []) or [([0], 0)])
    action = chance.randrange(8)
    if action == 0 and isinstance(container, dict):
        del container[key]
    elif action == 1 and isinstance(container, dict):
        container[chance.choice(KEYS)] = container.pop(key)
    elif action == 2 and isinstance(container, dict) and "__type__" in container:
        container["__type__"] = chance.choice(TAGS)
    elif action == 3 and isinstance(container, list):
        container.insert(chance.randrange(len(container) + 1), copy.deepcopy(chance.choice(JUNK)))
    elif action == 4 and isinstance(container[key], str) and container[key]:
        text = container[key]
        position = chance.randrange(len(text))
        container[key] = (
            text[:position] + chance.choice(["", "A", "=", "\0", "é", "9", "\ud800"]) + text[position + 1 :]
        )
    elif action == 5 and isinstance(container[key], int):
        container[key] = chance.choice([-1, 0, container[key] + 1, 2**31, 2**64, True])
    elif action == 6:
        container[key] = {"__type__": chance.choice(TAGS), chance.choice(KEYS): container[key]}
    else:
        container[key] = copy.deepcopy(chance.choice(JUNK))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sample", range(len(SAMPLES)))
def test_damaged_values_are_refused_and_nothing_else(sample: int) -> None:
    good = json.loads(json.dumps(encode(SAMPLES[sample])))
    decode(good)
    loaded = set(sys.modules)
    chance = random.Random(sample)
    results = {"accepted": 0, "refused": 0}
    for _ in range(2_000):
        structure = copy.deepcopy(good)
        for _ in range(chance.randrange(1, 5)):
            mutate(chance, structure)
        results[judged(structure)] += 1
    assert results["refused"] > 200, results
    assert not {name for name in set(sys.modules) - loaded if name.partition(".")[0] not in MAY_BE_IMPORTED}


json_like = st.recursive(
    st.sampled_from(JUNK) | st.text() | st.integers() | st.floats(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=5),
        st.builds(
            lambda tag, rest: {**rest, "__type__": tag},
            st.sampled_from(TAGS),
            st.dictionaries(st.sampled_from(KEYS), inner),
        ),
        st.builds(lambda tag, value: {"__type__": tag, "value": value}, st.sampled_from(TAGS), inner),
    ),
    max_leaves=20,
)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=1_000)
@given(json_like)
@example({"__type__": "time", "value": "00:00", "zone": "Europe"})
@example({"__type__": "complex", "value": [1, 2]})
def test_any_json_is_a_value_or_refused(structure: object) -> None:
    judged(structure)


@given(st.binary() | st.text())
@example(b"\xff\xfe")
@example("[" * 100_000)
@example('{"a":' * 100_000)
@example("1" * 5_000)
@example('"\\ud800"')
@example("")
def test_any_text_is_a_value_or_refused(text: bytes | str) -> None:
    with contextlib.suppress(ValueDecodeError):
        decode_json(text)


@pytest.mark.parametrize("value", [(1,), {1}, object(), b"x", [print], {"a": {1: 2}}, {("a",): 1}])
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(ValueDecodeError, match=r"is a Python |is at a key of type "):
        decode(value)


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        ([{"__type__": "os.system", "value": "id"}], "result[0] has the unknown type 'os.system'"),
        ({"a": {"__type__": ["x"]}}, "result['a'] has a type that is no name but a list"),
        ({"__type__": "bytes"}, "result is no bytes: its keys are none"),
        ({"__type__": "bytes", "value": "", "eval": ""}, "result is no bytes: its keys are eval, value"),
        ({"__type__": "bytes", "value": "AAAA!!!!"}, "result is no bytes: the Base64 is damaged"),
        ({"__type__": "bytes", "value": "AA==AAAA"}, "result is no bytes: "),
        ({"__type__": "bytes", "value": "é"}, "result is no bytes: "),
        ({"__type__": "float", "value": "1e5"}, "result is no float: '1e5'"),
        ({"__type__": "int", "value": "0x1_0"}, "result is no int: the digits are not hexadecimal"),
        ({"__type__": "set", "value": [1, [2]]}, "result is no set: unhashable type: 'list'"),
        ({"__type__": "set", "value": [1, 1.0]}, "result is no set: two elements are the same"),
        ({"__type__": "dict", "value": [[1, 2], [True, 3]]}, "result is no dict: two elements are the same"),
        ({"__type__": "dict", "value": [[1, 2, 3]]}, "result is no dict: a list of pairs is expected"),
        ({"__type__": "tuple", "value": "abc"}, "result is no tuple: a list is expected, not str"),
        ({"__type__": "datetime", "value": "x" * 65}, "result is no datetime: 'value' is not text, or too long"),
        (
            {"__type__": "datetime", "value": "2026-01-01", "fold": 2},
            "result is no datetime: fold must be either 0 or 1",
        ),
        (
            {"__type__": "datetime", "value": "2026-01-01", "zone": "../x"},
            "result is no datetime: the zone is not an IANA key",
        ),
        (
            {"__type__": "time", "value": "00:00", "zone": "No/Where"},
            "result is no time: the time zone 'No/Where' is not known",
        ),
        ({"__type__": "timedelta", "value": [10**9, 0, 0]}, "result is no timedelta: days=1000000000; must have"),
        ({"__type__": "timedelta", "value": [0.5, 0, 0]}, "result is no timedelta: its parts are not integers"),
        (
            {"__type__": "opaque", "type": "a", "size": 9, "value": ""},
            "result is no opaque: its size is not what it says",
        ),
        ({"a\n\x1b[31m": {"__type__": "\x1b]0;x"}}, "result['a??[31m'] has the unknown type '?]0;x'"),
    ],
)
def test_the_message_names_the_place_and_the_fault(structure: object, message: str) -> None:
    with pytest.raises(ValueDecodeError) as caught:
        decode(structure)
    assert str(caught.value).startswith(message)


def test_deep_nesting_is_refused_whatever_it_is_made_of() -> None:
    for wrap in (
        lambda inner: [inner],
        lambda inner: {"a": inner},
        lambda inner: {"__type__": "tuple", "value": [inner]},
        lambda inner: {"__type__": "dict", "value": [[1, inner]]},
        lambda inner: {"__type__": "frozenset", "value": [inner]},
    ):
        levels: list[Any] = [{"__type__": "float", "value": "nan"}]
        for _ in range(50_000):
            levels.append(wrap(levels[-1]))
        with pytest.raises(ValueDecodeError, match="is nested more than 200 levels deep"):
            decode(levels[-1])
        while levels:  # from the outside in: Python's own recursion has an end
            levels.pop()


def test_elements_that_are_made_to_collide_are_refused_at_once() -> None:
    prime = (1 << 61) - 1  # what a hash of an integer is reduced by
    numbers = [prime * number for number in range(200_000)]
    started = time.process_time()
    for structure in (
        {"__type__": "set", "value": numbers},
        {"__type__": "dict", "value": [[number, 0] for number in numbers]},
    ):
        with pytest.raises(ValueDecodeError, match="too many elements have the same hash"):
            decode(structure)
    assert time.process_time() - started < 5


def test_a_small_message_never_takes_much_memory() -> None:
    structures: list[object] = [
        {"__type__": "numpy.ndarray", "dtype": "<f8", "shape": [1 << 40], "order": "C", "value": ""},
        {"__type__": "numpy.ndarray", "dtype": "<U900000000", "shape": [0], "order": "C", "value": ""},
        {"__type__": "numpy.ndarray", "dtype": "object", "shape": [1 << 40], "order": "C", "value": []},
        {"__type__": "Decimal", "value": "1E+999999999999999999"},
    ]
    decode(encode(np.arange(2)))
    tracemalloc.start()
    try:
        for structure in structures:
            judged(structure)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


class Trap:
    opened = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (setattr, (Trap, "opened", True))


def test_no_tag_opens_a_pickle() -> None:
    pickled = pickle.dumps(Trap())
    text = base64.b64encode(pickled).decode()
    for tag in TAGS:
        for structure in (
            {"__type__": tag, "value": text},
            {"__type__": tag, "type": "a.B", "size": len(pickled), "value": text},
            {"__type__": tag, "dtype": "object", "shape": [1], "order": "C", "value": text},
            {"__type__": tag, "dtype": f"|S{len(pickled)}", "shape": [1], "order": "C", "value": text},
            {"__type__": tag, "dtype": f"|S{len(pickled)}", "value": text},
        ):
            judged(structure)
    assert not Trap.opened
