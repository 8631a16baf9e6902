"""numpy arrays and pandas frames as JSON structures, without pickle.

Encoding works with the modules that the value itself has brought along; decoding imports numpy or pandas, and
nothing else, and only for a structure that names them.
"""

from __future__ import annotations

import importlib
import re
import sys
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime.decoding import Decoder, text, unbase64, zone_of
from airflow_provider_tasks.runtime.encoding import Encoder, base64, datetime, timedelta
from airflow_provider_tasks.runtime.naming import type_name
from airflow_provider_tasks.runtime.values import TAG, Refused

if TYPE_CHECKING:
    from airflow_provider_tasks.runtime.values import Json

# Extended floats (f12, f16, c32) are left out: their bytes differ between the architectures of workers.
_DTYPE = re.compile(
    r"[|<>][biu]1|[<>][iu][248]|[<>]f[248]|[<>]c(8|16)|\|S[1-9]\d{0,8}|[<>]U[1-9]\d{0,8}"
    r"|[<>][mM]8(\[\d{0,6}(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?"
)
_FREQUENCY = re.compile(r"[A-Za-z0-9:-]{1,32}")
_MAX_EMPTY_ITEM = 1 << 20
"""numpy allocates one item for an empty array, of any size that its dtype claims."""
_ADVICE = {
    "numpy.ndarray": "array.tolist()",
    "numpy.scalar": "number.item()",
    "pandas.DataFrame": "frame.to_dict('records')",
    "pandas.Series": "series.to_dict()",
    "pandas.NaT": "None",
    "pandas.NA": "None",
}


def encode(encoder: Encoder, value: Any) -> Json:
    """Encode a value whose type comes from numpy or pandas. Raises `Refused`."""
    around = set(encoder.open)
    try:
        return _encode(encoder, value)
    except Refused:
        if not encoder.pickle_results:
            raise
        encoder.open = around
        return encoder.opaque(value)


def _encode(encoder: Encoder, value: Any) -> Json:
    numpy: Any = sys.modules["numpy"]
    if type(value) in (numpy.ndarray, numpy.memmap):
        return _encode_array(encoder, value)
    if isinstance(value, numpy.generic):
        return _encode_scalar(encoder, value)
    pandas: Any = sys.modules.get("pandas")
    if pandas is None:
        return encoder.opaque(value)
    if value is pandas.NaT:
        return {TAG: "pandas.NaT"}
    if value is pandas.NA:
        return {TAG: "pandas.NA"}
    if isinstance(value, (pandas.Timestamp, pandas.Timedelta)):
        return _encode_moment(value)
    if type(value) is pandas.Series:
        return _encode_series(encoder, value)
    if type(value) is pandas.DataFrame:
        return _encode_frame(encoder, value)
    return encoder.opaque(value)


def decode(decoder: Decoder, structure: dict[str, Any]) -> Any:
    """Decode a structure whose tag names numpy or pandas. Any exception means that it is malformed."""
    library, _, name = structure[TAG].partition(".")
    try:
        module: Any = importlib.import_module(library)  # one of the two, see decoding._BY_TAG
    except Exception as error:
        raise Refused(
            f"is a {structure[TAG]}, and {library} can't be imported by the Python of {sys.prefix} ({error}). Install "
            f"{library} there, or let the task return plain data, like {_ADVICE[structure[TAG]]}"
        ) from error
    if name == "ndarray":
        return _decode_array(decoder, structure)
    if name == "scalar":
        return _decode_scalar(module, structure)
    if name == "Series":
        index = _decode_index(decoder, structure["index"])
        return _series(module, _decode_column(decoder, structure["value"]), index, decoder.decode(structure["name"]))
    if name == "DataFrame":
        return _decode_frame(decoder, module, structure)
    return getattr(module, name)  # NaT or NA


# numpy


def _encode_array(encoder: Encoder, array: Any) -> Json:
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    encoded: dict[str, Json] = {
        TAG: "numpy.ndarray",
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "order": order,
    }
    if array.dtype.str == "|O":
        encoder.enter(array)
        encoded.update(dtype="object", value=encoder.items(array.ravel(order=order)))
        encoder.leave(array)
    else:
        _check_dtype(array.dtype)
        encoded["value"] = base64(array.tobytes(order=order))
    return encoded


def _encode_scalar(encoder: Encoder, scalar: Any) -> Json:
    if scalar.dtype.kind == "U":
        return {TAG: "numpy.scalar", "dtype": "str", "value": encoder.encode(str(scalar))}
    if scalar.dtype.kind == "S":
        return {TAG: "numpy.scalar", "dtype": "bytes", "value": encoder.encode(bytes(scalar))}
    _check_dtype(scalar.dtype)
    return {TAG: "numpy.scalar", "dtype": scalar.dtype.str, "value": base64(scalar.tobytes())}


def _check_dtype(dtype: Any) -> None:
    if _DTYPE.fullmatch(dtype.str):
        return
    if dtype.names:
        advice = "return each field by itself, like {name: array[name] for name in array.dtype.names}"
    elif dtype.kind in "fc":
        advice = "its bytes differ from machine to machine, use float64 or complex128"
    else:
        advice = "convert it with astype first"
    raise Refused(f"has the numpy dtype {dtype}, which can't travel to Airflow: {advice}")


def _decode_array(decoder: Decoder, structure: object) -> Any:
    numpy: Any = importlib.import_module("numpy")
    if not isinstance(structure, dict) or structure.keys() != {TAG, "dtype", "shape", "order", "value"}:
        raise TypeError("an array is expected")
    shape, order = structure["shape"], structure["order"]
    if not isinstance(shape, list) or len(shape) > 32 or any(type(size) is not int or size < 0 for size in shape):
        raise ValueError("its shape is not a list of sizes")
    if order not in ("C", "F"):
        raise ValueError("its order is neither C nor F")
    if structure["dtype"] == "object":
        items = decoder.items(structure["value"])
        if len(items) != prod(shape):
            raise ValueError(f"it has {len(items)} items, and its shape asks for {prod(shape)}")
        array = numpy.empty(len(items), dtype=object)
        for position, item in enumerate(items):
            array[position] = item
        return array.reshape(shape, order=order)
    dtype, data = _decode_dtype(numpy, structure), unbase64(structure["value"])
    if len(data) != prod(shape) * dtype.itemsize:
        raise ValueError(f"it has {len(data)} bytes, and its shape asks for {prod(shape) * dtype.itemsize}")
    if not data and dtype.itemsize > _MAX_EMPTY_ITEM:
        raise ValueError("its items are too large")
    return _checked(numpy, numpy.ndarray(shape, dtype, data, order=order)).copy(order=order)


def _decode_scalar(numpy: Any, structure: dict[str, Any]) -> Any:
    value = structure["value"]
    if structure["dtype"] == "str":
        return numpy.str_(_exactly(str, Decoder().decode(value)))
    if structure["dtype"] == "bytes":
        return numpy.bytes_(_exactly(bytes, Decoder().decode(value)))
    dtype, data = _decode_dtype(numpy, structure), unbase64(value)
    if len(data) != dtype.itemsize or not data:
        raise ValueError(f"it has {len(data)} bytes, and its dtype asks for {dtype.itemsize}")
    return _checked(numpy, numpy.ndarray((), dtype, data))[()]


def _decode_dtype(numpy: Any, structure: dict[str, Any]) -> Any:
    name = text(structure, "dtype", 32)
    if not _DTYPE.fullmatch(name):
        raise ValueError("its dtype is unknown")
    return numpy.dtype(name)


def _checked(numpy: Any, array: Any) -> Any:
    # numpy takes the bytes as they are, and other code relies on them: a boolean is 0 or 1, a character is in Unicode.
    if array.dtype.kind == "b" and array.size and array.view(numpy.uint8).max() > 1:
        raise ValueError("its booleans are neither 0 nor 1")
    if array.dtype.kind == "U" and array.nbytes:
        codes = numpy.ndarray(array.nbytes // 4, array.dtype.byteorder + "u4", array.base)
        if codes.max() > sys.maxunicode:
            raise ValueError("its characters are not in Unicode")
    return array


def _exactly(kind: type, value: object) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} is expected, not {type(value).__name__}")
    return value


# pandas


def _encode_moment(value: Any) -> Json:
    if value.nanosecond if hasattr(value, "nanosecond") else value.nanoseconds:
        raise Refused(f"is a {type_name(type(value))} with nanoseconds, which datetime has not: floor it to 'us' first")
    if hasattr(value, "fold"):
        return datetime(Encoder(), value, sys.modules["datetime"].datetime)
    return timedelta(Encoder(), value, sys.modules["datetime"].timedelta)


def _encode_series(encoder: Encoder, series: Any) -> Json:
    encoder.enter(series)
    encoded: Json = {
        TAG: "pandas.Series",
        "index": _encode_index(encoder, series.index),
        "name": _labelled(encoder, series.name),
        "value": _encode_column(encoder, series),
    }
    encoder.leave(series)
    return encoded


def _encode_frame(encoder: Encoder, frame: Any) -> Json:
    encoder.enter(frame)
    columns: list[Json] = []
    try:
        for position in range(frame.shape[1]):
            columns.append(_encode_column(encoder, frame.iloc[:, position]))  # noqa: PERF401 - its length is the position
    except Refused as refusal:
        refusal.segments.append(f"[{frame.columns[len(columns)]!r}]")
        raise
    encoded: Json = {
        TAG: "pandas.DataFrame",
        "index": _encode_index(encoder, frame.index),
        "columns": _encode_index(encoder, frame.columns),
        "value": columns,
    }
    encoder.leave(frame)
    return encoded


def _labelled(encoder: Encoder, label: object) -> Json:
    return encoder.hashables([label], "label")[0]


def _encode_index(encoder: Encoder, index: Any) -> Json:
    pandas: Any = sys.modules["pandas"]
    try:
        names = [_labelled(encoder, name) for name in index.names]
        if isinstance(index, pandas.MultiIndex):
            levels = [_encode_column(encoder, index.get_level_values(level)) for level in range(index.nlevels)]
            return {"kind": "multi", "names": names, "value": levels}
        if isinstance(index, pandas.RangeIndex):
            return {"kind": "range", "names": names, "value": [index.start, index.stop, index.step]}
        encoded: dict[str, Json] = {"kind": "flat", "names": names, "value": _encode_column(encoder, index)}
        if getattr(index, "freq", None) is not None:
            encoded["freq"] = index.freqstr
        return encoded
    except Refused as refusal:
        refusal.segments.append("<label>")
        raise


def _encode_column(encoder: Encoder, column: Any) -> Json:
    pandas: Any = sys.modules["pandas"]
    array, dtype = column.array, column.dtype  # `column` is a Series or an Index
    if isinstance(dtype, pandas.DatetimeTZDtype):
        zone = getattr(dtype.tz, "key", None) or getattr(dtype.tz, "zone", None)
        if zone is None:
            offset = dtype.tz.utcoffset(None)
            if offset is None:
                raise Refused(f"has the dtype {dtype}, whose time zone has no IANA key: use tz_convert first")
            zone = offset.total_seconds()
        instants = array.tz_convert("UTC").tz_localize(None).to_numpy()
        return {"kind": "zoned", "zone": zone, "value": _encode_array(encoder, instants)}
    if isinstance(dtype, pandas.CategoricalDtype):
        categories = _encode_column(encoder, array.categories)
        codes = _encode_array(encoder, array.codes)
        return {"kind": "category", "ordered": bool(array.ordered), "categories": categories, "value": codes}
    if isinstance(dtype, pandas.StringDtype):
        missing = array.isna()
        texts: list[object] = [None if gone else str(item) for item, gone in zip(array, missing)]
        name = "string" if getattr(dtype, "na_value", pandas.NA) is pandas.NA else "str"
        return {"kind": name, "value": encoder.items(texts)}
    arrays = pandas.arrays
    if isinstance(array, (arrays.IntegerArray, arrays.FloatingArray, arrays.BooleanArray)):
        missing = array.isna()
        data = array.to_numpy(dtype=getattr(dtype, "numpy_dtype", bool), na_value=0)
        return {"kind": "masked", "mask": _encode_array(encoder, missing), "value": _encode_array(encoder, data)}
    numpy: Any = sys.modules["numpy"]
    if isinstance(dtype, numpy.dtype):
        return {"kind": "numpy", "value": _encode_array(encoder, column.to_numpy())}
    raise Refused(f"has the pandas dtype {dtype}, which can't travel to Airflow: convert it with astype first")


def _decode_frame(decoder: Decoder, pandas: Any, structure: dict[str, Any]) -> Any:
    index = _decode_index(decoder, structure["index"])
    columns = _decode_index(decoder, structure["columns"])
    encoded = structure["value"]
    if not isinstance(encoded, list) or len(encoded) != len(columns):
        raise ValueError("it has not as many columns as labels")
    # Without the index at first: pandas would align by it.
    arrays = {number: _series(pandas, _decode_column(decoder, column)) for number, column in enumerate(encoded)}
    frame = pandas.DataFrame(arrays, index=None if arrays else index)
    if arrays:
        frame.index = index
    frame.columns = columns
    return frame


def _series(pandas: Any, column: Any, index: Any = None, name: Any = None) -> Any:
    return pandas.Series(column, index=index, name=name, dtype=_dtype(column))


def _dtype(column: Any) -> Any:
    # Said for objects only, which pandas would take for text; of others it takes what it has, at its own precision.
    return object if column.dtype == object else None


def _decode_index(decoder: Decoder, structure: object) -> Any:
    pandas: Any = importlib.import_module("pandas")
    if not isinstance(structure, dict) or not {"kind", "names", "value"} <= structure.keys():
        raise TypeError("an index is expected")
    kind, value, names = structure["kind"], structure["value"], decoder.items(structure["names"])
    if kind == "range":
        start, stop, step = (_exactly(int, number) for number in value)
        index = pandas.RangeIndex(start, stop, step)
    elif kind == "multi":
        index = pandas.MultiIndex.from_arrays([_decode_column(decoder, level) for level in value])
    elif kind == "flat":
        column = _decode_column(decoder, value)
        index = pandas.Index(column, dtype=_dtype(column), tupleize_cols=False)
    else:
        raise ValueError("its index is of an unknown kind")
    index.names = names
    if "freq" in structure and hasattr(index, "freq"):
        if not _FREQUENCY.fullmatch(text(structure, "freq", 32)):
            raise ValueError("its frequency is malformed")
        with suppress(ValueError):  # pandas has renamed some; the index is complete without
            index.freq = structure["freq"]
    return index


def _decode_column(decoder: Decoder, structure: object) -> Any:
    pandas: Any = importlib.import_module("pandas")
    if not isinstance(structure, dict) or not {"kind", "value"} <= structure.keys():
        raise TypeError("a column is expected")
    kind, value = structure["kind"], structure["value"]
    if kind in ("str", "string"):
        return _decode_texts(decoder, value, kind)
    array = _decode_array(decoder, value)
    if array.ndim != 1:
        raise ValueError("its columns are not one-dimensional")
    if kind == "numpy":
        return array
    if kind == "masked":
        masked = {"b": pandas.arrays.BooleanArray, "f": pandas.arrays.FloatingArray}
        mask = _decode_array(decoder, structure["mask"])
        return masked.get(array.dtype.kind, pandas.arrays.IntegerArray)(array, mask)
    if kind == "category":
        categories = _decode_column(decoder, structure["categories"])
        return pandas.Categorical.from_codes(
            array, pandas.Index(categories, dtype=_dtype(categories)), ordered=_exactly(bool, structure["ordered"])
        )
    if kind == "zoned":
        return pandas.DatetimeIndex(array).tz_localize("UTC").tz_convert(_column_zone(structure["zone"])).array
    raise ValueError("its column is of an unknown kind")


def _decode_texts(decoder: Decoder, value: object, kind: str) -> Any:
    pandas: Any = importlib.import_module("pandas")
    texts = [item if item is None else _exactly(str, item) for item in decoder.items(value)]
    if kind == "string":
        return pandas.array(texts, dtype="string")
    nan = importlib.import_module("numpy").nan
    try:
        return pandas.array(texts, dtype=pandas.StringDtype(na_value=nan))
    except TypeError:  # pandas before 2.3, whose `str` is object
        return pandas.Series([nan if item is None else item for item in texts], dtype=object).array


def _column_zone(zone: object) -> Any:
    from datetime import timedelta, timezone

    if type(zone) is float:
        return timezone(timedelta(seconds=zone))
    if zone_of(zone) is None:
        raise ValueError(f"the time zone {zone!r} is not known here, install tzdata")
    return zone  # pandas makes of it what it makes of any key: pytz before 3.0, zoneinfo since
