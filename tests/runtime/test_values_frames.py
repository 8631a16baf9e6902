"""numpy arrays and pandas frames come back as they were, without pickle, and only where the library is."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np  # noqa: TID253
import pandas as pd  # noqa: TID253
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from airflow_provider_tasks.runtime.values import (
    Opaque,
    ValueDecodeError,
    ValueEncodeError,
    decode,
    decode_json,
    encode,
    encode_json,
    load_opaque,
)
from tests.runtime.test_values import PATH, described, values

dtypes = st.one_of(
    nps.boolean_dtypes(),
    nps.integer_dtypes(),
    nps.unsigned_integer_dtypes(),
    nps.floating_dtypes(),
    nps.complex_number_dtypes(sizes=(64, 128)),
    nps.datetime64_dtypes(),
    nps.timedelta64_dtypes(),
    nps.byte_string_dtypes(max_len=5),
    nps.unicode_string_dtypes(max_len=5),
)
arrays = nps.arrays(dtypes, nps.array_shapes(min_dims=0, min_side=0, max_dims=4, max_side=4))
layouts = st.sampled_from(
    [
        lambda a: a,
        lambda a: a.T,
        np.asfortranarray,
        lambda a: a[..., ::2] if a.ndim else a,
        lambda a: a[::-1] if a.ndim else a,
    ]
)


def round_trip(value: object) -> Any:
    text = encode_json(value)
    assert b"pickle" not in text
    return decode_json(text)


def assert_same_array(arrived: Any, sent: Any) -> None:
    assert type(arrived) is np.ndarray
    assert arrived.dtype.str == sent.dtype.str
    assert arrived.shape == sent.shape
    assert arrived.tobytes() == sent.tobytes()
    assert arrived.flags.writeable
    assert arrived.flags.owndata


@given(arrays, layouts)
def test_an_array_comes_back_with_its_dtype_shape_and_bytes(array: Any, layout: Any) -> None:
    array = layout(array)
    arrived = round_trip({"array": [array]})["array"][0]
    assert_same_array(arrived, array)
    if array.flags.f_contiguous:
        assert arrived.flags.f_contiguous


@given(arrays)
def test_a_scalar_comes_back_as_a_numpy_scalar(array: Any) -> None:
    assume(array.size)
    scalar = array.ravel()[0]
    arrived = round_trip({"x": scalar})["x"]
    assert type(arrived) is type(scalar)
    assert arrived.dtype == scalar.dtype
    assert arrived.tobytes() == scalar.tobytes()


@given(st.lists(values, max_size=4))
def test_an_array_of_objects_comes_back_with_its_objects(items: list[Any]) -> None:
    array = np.empty(len(items), dtype=object)
    for position, item in enumerate(items):
        array[position] = item
    arrived = round_trip(array)
    assert arrived.dtype == object
    assert described(list(arrived)) == described(items)


def test_an_array_of_objects_keeps_its_shape_and_what_is_in_it() -> None:
    array = np.array([[1, "a", None], [b"x", (1, 2), np.arange(3)]], dtype=object)
    arrived = round_trip(array.T)
    assert arrived.shape == (3, 2)
    assert arrived[1, 1] == (1, 2)
    assert_same_array(arrived[2, 1], np.arange(3))


def test_numpy_scalars_can_be_keys_and_in_sets() -> None:
    arrived = round_trip({np.int64(1): {np.float32(0.5), np.str_("a")}})
    assert {type(key) for key in arrived} == {np.int64}
    assert {type(item) for item in arrived[1]} == {np.float32, np.str_}


def test_a_file_that_is_mapped_into_memory_comes_back_as_an_array(tmp_path: Any) -> None:
    mapped = np.memmap(tmp_path / "data", dtype=">i2", mode="w+", shape=(2, 3))
    assert_same_array(round_trip(mapped), np.zeros((2, 3), dtype=">i2"))


def index_of(kind: str, size: int) -> pd.Index:
    return {
        "range": lambda: pd.RangeIndex(2, 2 + 3 * size, 3, name="r"),
        "text": lambda: pd.Index([f"row {n}" for n in range(size)], name=("a", 1)),
        "mixed": lambda: pd.Index([n if n % 2 else (n, "x") for n in range(size)], dtype=object, tupleize_cols=False),
        "dates": lambda: pd.date_range("2026-01-01", periods=size, freq="D", name="day"),
        "zoned": lambda: pd.date_range("2026-01-01", periods=size, freq="h", tz="Europe/Berlin"),
        "deltas": lambda: pd.timedelta_range("1h", periods=size, freq="2h"),
        "category": lambda: pd.CategoricalIndex(["a"] * size, categories=["b", "a"], ordered=True),
        "multi": lambda: pd.MultiIndex.from_arrays(
            [list(range(size)), pd.Categorical(["a"] * size), [f"{n}" for n in range(size)]], names=["n", None, "t"]
        ),
        "duplicates": lambda: pd.Index([1.5] * size),
        "nullable": lambda: pd.Index(pd.array([None] * size, dtype="Int64")),
    }[kind]()


INDEXES = ["range", "text", "mixed", "dates", "zoned", "deltas", "category", "multi", "duplicates", "nullable"]

COLUMNS: dict[str, Any] = {
    "int8": lambda n: np.arange(n, dtype="i1"),
    "float": lambda n: np.where(np.arange(n) % 2, np.nan, 0.1),
    "bool": lambda n: np.arange(n) % 2 == 0,
    "complex": lambda n: np.arange(n) * 1j,
    "object": lambda n: pd.Series(
        [[b"x", None, {"a": (1,)}, pd.NA, pd.NaT, 1.5][i % 6] for i in range(n)], dtype=object
    ),
    "str": lambda n: pd.Series([["a", "é", None][i % 3] for i in range(n)], dtype="str"),
    "string": lambda n: pd.array([["a", "☃", None][i % 3] for i in range(n)], dtype="string"),
    "Int64": lambda n: pd.array([[1, None, 2**62][i % 3] for i in range(n)], dtype="Int64"),
    "UInt8": lambda n: pd.array([[1, None][i % 2] for i in range(n)], dtype="UInt8"),
    "Float32": lambda n: pd.array([[1.5, None][i % 2] for i in range(n)], dtype="Float32"),
    "boolean": lambda n: pd.array([[True, None, False][i % 3] for i in range(n)], dtype="boolean"),
    "datetime": lambda n: pd.Series(pd.to_datetime(["2026-01-01 00:00:00.123456789", None] * n)[:n]),
    "seconds": lambda n: np.arange(n).astype("M8[s]"),
    "zoned": lambda n: pd.date_range("2026-10-25", periods=n, freq="h", tz="Europe/Berlin"),
    "offset": lambda n: pd.date_range("2026-10-25", periods=n, freq="h", tz="+02:00"),
    "timedelta": lambda n: pd.to_timedelta(np.arange(n), unit="ms"),
    "category": lambda n: pd.Categorical([["a", None, "c"][i % 3] for i in range(n)], categories=["c", "b", "a"]),
    "ordered": lambda n: pd.Categorical([[2, 1][i % 2] for i in range(n)], categories=[2, 1], ordered=True),
}


@given(
    st.lists(st.sampled_from(sorted(COLUMNS)), max_size=6),
    st.integers(0, 7),
    st.sampled_from(INDEXES),
    st.sampled_from(INDEXES),
)
def test_a_frame_comes_back(kinds: list[str], size: int, index: str, columns: str) -> None:
    frame = pd.DataFrame({n: pd.Series(COLUMNS[kind](size)) for n, kind in enumerate(kinds)}, index=range(size))
    frame.index = index_of(index, size)
    frame.columns = index_of(columns, len(kinds))
    arrived = round_trip({"frame": frame})["frame"]
    pd.testing.assert_frame_equal(arrived, frame)
    assert type(arrived.index) is type(frame.index)
    for position in range(len(kinds)):
        pd.testing.assert_series_equal(round_trip(frame.iloc[:, position]), frame.iloc[:, position])


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame(index=[1, 2]), pd.DataFrame(columns=["a", "b"])])
def test_an_empty_frame_comes_back(frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(round_trip(frame), frame)


def test_an_arrived_frame_can_be_changed() -> None:
    frame = round_trip(pd.DataFrame({"a": [1, 2]}))
    frame.loc[0, "a"] = 5
    assert frame["a"].tolist() == [5, 2]


def test_a_timestamp_arrives_as_a_datetime_and_missing_values_as_themselves() -> None:
    arrived = round_trip([pd.Timestamp("2026-01-01", tz="Europe/Berlin"), pd.Timedelta("1h"), pd.NaT, pd.NA])
    assert described(arrived[0])[1:] == ("2026-01-01T00:00:00+01:00", 0, "Europe/Berlin")
    assert repr(arrived[1]) == "datetime.timedelta(seconds=3600)"
    assert arrived[2] is pd.NaT
    assert arrived[3] is pd.NA


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(2, dtype=[("a", "i4")]), "result['x'] has the numpy dtype [('a', '<i4')], which can't travel to"),
        (np.longdouble(1), "result['x'] has the numpy dtype float128, which can't travel to Airflow: its bytes differ"),
        (np.array([1, object], dtype=object), "result['x'][1] is of type type, which can't travel to Airflow"),
        (np.ma.array([1], mask=[True]), "result['x'] is of type numpy.ma.MaskedArray, which can't travel"),
        (
            pd.DataFrame({"p": pd.period_range("2026", periods=1)}),
            "result['x']['p'] has the pandas dtype period[D], which",
        ),
        (pd.Series([object()]), "result['x'][0] is of type object, which can't travel to Airflow"),
        (pd.Series([1], index=[object()]), "result['x']<label>[0] is of type object, which can't travel to Airflow"),
        (pd.Timestamp(1), "result['x'] is a pandas.Timestamp with nanoseconds, which datetime has not: floor it"),
        (pd.Timedelta(1), "result['x'] is a pandas.Timedelta with nanoseconds, which datetime has not: floor it"),
        (pd.Period("2026"), "result['x'] is of type pandas.Period, which can't travel to Airflow"),
    ],
)
def test_what_cannot_travel_is_named_and_can_go_as_an_opaque_value(value: Any, message: str) -> None:
    with pytest.raises(ValueEncodeError) as caught:
        encode({"x": value})
    assert str(caught.value).startswith(message)
    arrived = decode(encode({"x": value}, pickle_results=True))["x"]
    if isinstance(arrived, Opaque):
        assert repr(load_opaque(arrived)) == repr(value)
    else:  # what it holds is opaque, not all of it
        assert any(isinstance(item, Opaque) for item in [*arrived, *getattr(arrived, "index", [])])


@pytest.mark.parametrize(
    ("value", "kind", "instead"),
    [
        (np.arange(2), "numpy.ndarray", "array.tolist()"),
        (np.float64(0.5), "numpy.scalar", "number.item()"),
        (pd.DataFrame(), "pandas.DataFrame", "frame.to_dict('records')"),
    ],
)
def test_without_the_library_the_error_says_what_to_install_and_how_to_do_without(
    value: object, kind: str, instead: str
) -> None:
    text, library = encode_json({"x": value}).decode(), kind.partition(".")[0]
    code = f"""
from airflow_provider_tasks.runtime.values import ValueDecodeError, decode_json
try:
    decode_json({text!r})
except ValueDecodeError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", PATH + code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(f"result['x'] is a {kind}, and {library} can't be imported by the Python of ")
    assert f"Install {library} there, or let the task return plain data, like {instead}" in ran.stdout


def array(**changes: object) -> dict[str, object]:
    return {"__type__": "numpy.ndarray", "dtype": "<i8", "shape": [1], "order": "C", "value": "AAAAAAAAAAA=", **changes}


def frame(**changes: object) -> dict[str, object]:
    structure: Any = encode(pd.DataFrame({"a": [1]}))
    return {**structure, **changes}


@pytest.mark.parametrize(
    ("structure", "problem"),
    [
        (array(dtype="O"), "its dtype is unknown"),
        (array(dtype="<i8,<i8"), "its dtype is unknown"),
        (array(dtype="<f16"), "its dtype is unknown"),
        (array(dtype="<U0"), "its dtype is unknown"),
        (array(dtype="|V8"), "its dtype is unknown"),
        (array(dtype=["a"]), "'dtype' is not text, or too long"),
        (array(shape=[2**60]), "it has 8 bytes, and its shape asks for 9223372036854775808"),
        (array(shape=[1 << 30, 1 << 30, 1 << 30]), "it has 8 bytes, and its shape asks for"),
        (array(shape=[-1]), "its shape is not a list of sizes"),
        (array(shape=[True]), "its shape is not a list of sizes"),
        (array(shape=1), "its shape is not a list of sizes"),
        (array(shape=[1] * 33), "its shape is not a list of sizes"),
        (array(shape=[0, 2**62, 2**62], value=""), ""),
        (array(shape=[0], value="", dtype="<U500000000"), "its items are too large"),
        (array(order="K"), "its order is neither C nor F"),
        (array(value="AAAA"), "it has 3 bytes"),
        (array(value="AAAAAAAA*AAA="), "the Base64 is damaged"),
        (array(value=None), "Base64 is expected, not NoneType"),
        (array(dtype="|b1", shape=[8], value="AAAAAAACAAA="), "its booleans are neither 0 nor 1"),
        (array(dtype="<U2", value="/////wAAAAA="), "its characters are not in Unicode"),
        (array(dtype="object", shape=[10**9], value=[1]), "it has 1 items, and its shape asks for 1000000000"),
        (array(dtype="object", value="abc"), "a list is expected, not str"),
        ({"__type__": "numpy.scalar", "dtype": "<i8", "value": "AAAA"}, "it has 3 bytes, and its dtype asks for 8"),
        ({"__type__": "numpy.scalar", "dtype": "str", "value": [1]}, "str is expected, not list"),
        (frame(value=[]), "it has not as many columns as labels"),
        (frame(index=None), "an index is expected"),
        (frame(index={"kind": "range", "names": [None], "value": [0, 10**15, 1]}), "Length mismatch"),
        (frame(index={"kind": "range", "names": [None], "value": [0, 1, 0]}), "Step must not be zero"),
        (frame(index={"kind": "range", "names": [None], "value": [0, 1.5, 1]}), "int is expected, not float"),
        (frame(index={"kind": "hash", "names": [None], "value": 1}), "its index is of an unknown kind"),
        (frame(value=[{"kind": "numpy", "value": array(shape=[1, 1])}]), "its columns are not one-dimensional"),
        (frame(value=[{"kind": "arrow", "value": array()}]), "its column is of an unknown kind"),
        (frame(value=[{"kind": "zoned", "zone": "../../etc", "value": array(dtype="<M8[ns]")}]), "not an IANA key"),
        (frame(value=[{"kind": "zoned", "zone": "No/Where", "value": array(dtype="<M8[ns]")}]), "install tzdata"),
        (frame(value=[{"kind": "str", "value": [1]}]), "str is expected, not int"),
        (frame(value=[{"kind": "masked", "value": array(), "mask": array()}]), "mask should be boolean"),
        (
            frame(
                value=[
                    {"kind": "category", "ordered": True, "categories": {"kind": "str", "value": []}, "value": array()}
                ]
            ),
            "codes need to be between -1 and",
        ),
    ],
)
def test_a_hostile_array_or_frame_is_refused_before_anything_is_made_of_it(structure: Any, problem: str) -> None:
    with pytest.raises(ValueDecodeError) as caught:
        decode({"x": [structure]})
    assert str(caught.value).startswith(f"result['x'][0] is no {structure['__type__']}: ")
    assert problem in str(caught.value)
