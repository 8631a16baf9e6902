"""A result comes out of Airflow's XCom as it went in, and what Airflow keeps by itself stays readable for everyone."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import numpy as np  # noqa: TID253
import pandas as pd  # noqa: TID253
import pendulum
import pytest
from airflow.sdk import serde
from airflow.sdk._shared.serialization import FORBIDDEN_XCOM_KEYS
from airflow.sdk.execution_time.comms import SetXCom, XComResult, _RequestFrame
from airflow.serialization.stringify import stringify
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_tasks.operators import xcom
from airflow_provider_tasks.operators.xcom import XComValue, to_xcom
from airflow_provider_tasks.runtime.values import Opaque, ValueDecodeError, decode, encode
from tests.runtime import test_values

BERLIN = ZoneInfo("Europe/Berlin")


def stored(value: object) -> Any:
    """Give what the database holds: from the task through its supervisor and the API server, as Airflow does it."""
    message = SetXCom(key="k", value=serde.serialize(value), dag_id="d", run_id="r", task_id="t")
    frame = _RequestFrame(id=1, body=message.model_dump()).as_bytes()
    body = msgspec.msgpack.decode(memoryview(frame)[4:])[1]
    text = json.dumps(SetXCom.model_validate(body).value, allow_nan=False)
    assert "\\u0000" not in text.replace("\\\\", ""), "PostgreSQL's JSONB refuses a NUL"
    return as_jsonb(json.loads(text))


def as_jsonb(value: Any) -> Any:
    """Change a value as PostgreSQL's JSONB does: numbers are decimal, so that 1e16 comes back without its point."""
    if isinstance(value, float):
        return json.loads(format(Decimal(repr(value)) + 0, "f"))
    if isinstance(value, dict):
        return {key: as_jsonb(item) for key, item in value.items()}
    return [as_jsonb(item) for item in value] if isinstance(value, list) else value


def pulled(value: Any) -> Any:
    """Give what a task gets that pulls it."""
    text = json.dumps({"key": "k", "value": value})
    return serde.deserialize(XComResult.model_validate_json(text).value)


def described(value: Any) -> Any:
    """As for values, and with Airflow's time zones taken for those of the standard library."""
    kind = type(value)
    if kind is datetime:
        return (*test_values.described(value)[:3], getattr(value.tzinfo, "key", None) or value.tzname())
    if kind in (list, tuple):
        return kind, [described(item) for item in value]
    if kind in (set, frozenset):
        return kind, sorted((described(item) for item in value), key=repr)
    if kind is dict:
        return kind, [(described(key), described(item)) for key, item in value.items()]
    return test_values.described(value)


def arrives(value: object) -> Any:
    return pulled(stored(to_xcom(value)))


odd_text = st.sampled_from([*FORBIDDEN_XCOM_KEYS, "a\0b", "\ud800", "é", "dict", "builtins.eval"])
values = test_values.values_of(test_values.scalars | odd_text | st.floats(1e15, 1e17) | st.just(-0.0))


@given(values)
@example({"__classname__": "builtins.eval", "__version__": 1, "__data__": "1"})
@example({"__type": "dict", "__var": {"a": 1}})
@example({"__id__": 1})
@example([{"a": {"__classname__": 1, "b": [Decimal("1.1")]}}, 2**64, -(2**63) - 1])
@example([datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN), datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN)])
@example([datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=BERLIN), timedelta.max, timedelta.min])
def test_a_value_arrives_as_it_was_pushed(value: object) -> None:
    assert described(arrives(value)) == described(value)


@pytest.mark.parametrize("container", [lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: (inner,)])
@pytest.mark.parametrize("levels", [10, 63, 64, 65, 200])
def test_a_deep_value_arrives(container: Any, levels: int) -> None:
    value: object = 1
    for _ in range(levels):
        value = container(value)
    assert arrives(value) == value


def test_arrays_and_frames_arrive() -> None:
    frame = pd.DataFrame(
        {"a": [1, 2], "b": pd.Categorical(["x", None])}, index=pd.date_range("2026", periods=2, freq="D")
    )
    value = arrives(
        {"frame": frame, "series": frame["a"], "array": np.eye(2), "scalars": [np.float32(0.1), np.complex64(1j)]}
    )
    pd.testing.assert_frame_equal(value["frame"], frame)
    pd.testing.assert_series_equal(value["series"], frame["a"])
    np.testing.assert_array_equal(value["array"], np.eye(2))
    assert [type(item) for item in value["scalars"]] == [np.float32, np.complex64]
    assert value["scalars"] == [np.float32(0.1), np.complex64(1j)]


UNTOUCHED: list[object] = [
    None,
    True,
    1,
    -(2**63),
    2**64 - 1,
    1.5,
    0.0,
    1e-300,
    9.9e15,
    "é",
    [],
    {},
    (),
    set(),
    frozenset([1]),
    date(1, 1, 1),
    timedelta(days=-1, microseconds=1),
    UUID(int=1),
    datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=BERLIN),
    {"rows": [{"id": 1, "tags": ("a", {"b"})}]},
    [datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=BERLIN) for fold in (0, 1)],
    pendulum.datetime(2026, 1, 1, tz="Europe/Berlin"),
    pendulum.duration(hours=1),
]


@pytest.mark.parametrize("value", UNTOUCHED, ids=repr)
def test_what_airflow_keeps_by_itself_is_left_to_it(value: object) -> None:
    assert repr(to_xcom(value)) == repr(value)
    assert "XComValue" not in repr(to_xcom(value))


@pytest.mark.parametrize("value", [item for item in UNTOUCHED if not isinstance(item, pendulum.Duration)], ids=repr)
def test_airflow_does_keep_by_itself_what_is_left_to_it(value: object) -> None:
    assert described(pulled(stored(value))) == described(value)


WRAPPED: list[object] = [
    Decimal("1.10"),
    b"a",
    1j,
    float("nan"),
    float("-inf"),
    -0.0,
    1e16,
    2**64,
    "a\0",
    "\ud800",
    time(1),
    {1: 2},
    {"__type": 1},
    datetime(2026, 1, 1),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))),
    datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN),
    timedelta.max,
    Opaque("a.B", b"x"),
    np.int64(1),
    np.arange(2),
    pd.Series([1]),
    pd.NaT,
]


@pytest.mark.parametrize("value", WRAPPED, ids=repr)
def test_only_the_smallest_part_is_wrapped(value: Any) -> None:
    wrapped = to_xcom({"plain": [1, "a"], "part": [value, 2]})
    assert wrapped["plain"] == [1, "a"]
    assert type(wrapped["part"][0]) is XComValue
    assert wrapped["part"][0].value is value
    assert wrapped["part"][1] == 2


def test_elements_of_sets_and_tuples_are_wrapped_one_by_one() -> None:
    assert {type(item) for item in to_xcom({1, b"a"})} == {int, XComValue}
    assert arrives({1, b"a", (2, Decimal(3))}) == {1, b"a", (2, Decimal(3))}


def test_the_reserved_keys_are_all_of_airflows() -> None:
    assert xcom._RESERVED >= FORBIDDEN_XCOM_KEYS


@given(values)
def test_the_view_in_the_ui_never_fails(value: object) -> None:
    database = stored(to_xcom(value))
    stringify(database)
    serde.deserialize(database, full=False)


def test_the_view_in_the_ui_can_be_read() -> None:
    database = stored(to_xcom({"total": Decimal("1.10"), "raw": [b"abc"], "rows": {1: "a"}}))
    name = "airflow_provider_tasks.operators.xcom.XComValue@version=1"
    assert stringify(database) == {
        "total": f'{name}({{"__type__": "Decimal", "value": "1.10"}})',
        "raw": [f'{name}({{"__type__": "bytes", "value": "YWJj"}})'],
        "rows": f'{name}({{"__type__": "dict", "value": [[1, "a"]]}})',
    }


def test_an_opaque_value_stays_closed_on_its_way() -> None:
    opened = []

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (opened.append, (1,))

    opaque = decode(encode(Trap(), pickle_results=True))
    assert arrives({"model": opaque}) == {"model": opaque}
    assert not opened


@pytest.mark.parametrize(
    ("data", "version", "error", "message"),
    [
        ("{}", 2, TypeError, "written by a newer airflow-provider-tasks"),
        ({"a": 1}, 1, TypeError, "is text, not dict"),
        ('{"__type__": "os.system", "value": "id"}', 1, ValueDecodeError, "unknown type 'os.system'"),
        ("{", 1, ValueDecodeError, "is not JSON"),
    ],
)
def test_a_damaged_xcom_is_a_clear_error(data: object, version: int, error: type[Exception], message: str) -> None:
    database = {
        "__classname__": "airflow_provider_tasks.operators.xcom.XComValue",
        "__version__": version,
        "__data__": data,
    }
    with pytest.raises(error, match=message):
        serde.deserialize(database)
