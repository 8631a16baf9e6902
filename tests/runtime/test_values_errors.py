"""What can't be sent is refused with its path, its type and what to do; opaque values are never opened."""

from __future__ import annotations

import asyncio
import decimal
import pathlib
import pickle
import re
import socket
import threading
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import pydantic
import pytest

from airflow_provider_tasks.runtime.values import (
    MAX_DEPTH,
    Opaque,
    ValueEncodeError,
    decode,
    decode_json,
    encode,
    encode_json,
    load_opaque,
)


@dataclass
class Connection:
    name: str
    socket: Any


@dataclass(frozen=True)
class Frozen:
    x: int


class Pair(NamedTuple):
    x: int


class Color(Enum):
    RED = "red"
    TOOL = threading.Lock


class Broken(pydantic.BaseModel):
    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def ratio(self) -> float:
        return 1 / 0


def refusal(value: object, *, pickle_results: bool = False) -> str:
    with pytest.raises(ValueEncodeError) as caught:
        encode_json(value, pickle_results=pickle_results)
    return str(caught.value)


def test_the_message_names_the_path_the_type_and_what_to_do() -> None:
    rows = [1, 2, 3, Connection("db", socket.socket)]
    rows[3].socket = object()
    assert refusal({"rows": rows}) == (
        "result['rows'][3].socket is of type object, which can't travel to Airflow. Return plain data instead "
        "(numbers, text, lists, dicts, dates, …), or set pickle_results=True, which sends it as an opaque value that "
        "only another worker opens."
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pathlib.PurePosixPath("/a"), "result is of type pathlib.PurePosixPath, .* Return str\\(path\\) instead"),
        ([range(3)], "result\\[0\\] is of type range, .* Return list\\(…\\) instead"),
        ({"a": {}.keys()}, "result\\['a'\\] is of type dict_keys, .* Return list\\(…\\) instead"),
        ((i for i in ()), "result is of type generator, .* Return list\\(…\\) instead"),
        ([ValueError("x")], "result\\[0\\] is of type ValueError, .* Return str\\(error\\) instead"),
        (socket.socket, "result is of type type, which can't travel"),
        ({(1, "a"): [object()]}, "result\\[\\(1, 'a'\\)\\]\\[0\\] is of type object"),
        ({frozenset: 1}, "result<key <class 'frozenset'>> is of type type"),
        ({"a": {1, print}}, "result\\['a'\\]<element <built-in function print>> is of type builtin_function"),
        ({Frozen(1): 1}, "result<key Frozen\\(x=1\\)> is of type .*Frozen: it arrives as a dict, which can't be a key"),
        ({Frozen(1)}, "result<element Frozen\\(x=1\\)> is of type .*Frozen: it arrives as a dict"),
        ({Color.RED: 1, "red": 2}, "result has two keys whose plain content is the same"),
        ({Color.RED, "red"}, "result has two elements whose plain content is the same"),
        (Color.TOOL, "result.value is of type builtin_function_or_method"),
        ([Broken()], "result\\[0\\] is of type .*Broken, and reading it raised ZeroDivisionError: division by zero"),
        ({"x" * 100: object()}, "result\\['x{56}\\.\\.\\.\\] is of type object"),
    ],
)
def test_every_kind_of_refusal_says_where_and_what(value: object, message: str) -> None:
    assert re.match(message, refusal(value)), refusal(value)


def test_a_coroutine_is_not_awaited_for_the_user() -> None:
    async def answer() -> int:
        return 42

    coroutine = answer()
    assert "Return what awaiting it gives instead" in refusal({"answer": coroutine})
    assert asyncio.run(coroutine) == 42


def test_a_cycle_is_named_where_it_closes() -> None:
    rows: list[object] = []
    rows.append({"parent": (rows,)})
    assert refusal({"rows": rows}) == (
        "result['rows'][0]['parent'][0] is the list that holds it: a value can't contain itself"
    )
    assert "can't contain itself" in refusal({"rows": rows}, pickle_results=True)
    node = Connection("a", None)
    node.socket = [node]
    assert refusal(node) == "result.socket[0] is the Connection that holds it: a value can't contain itself"


@pytest.mark.parametrize("nest", [lambda inner: [inner], lambda inner: (inner,), lambda inner: {1: inner}])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 100_000])
def test_too_deep_a_value_is_refused_with_its_path(nest: Any, levels: int) -> None:
    value: Any = b"x"
    for _ in range(levels):
        value = nest(value)
    message = refusal(value)
    assert message.startswith("result[")
    assert message.endswith(f"is nested more than {MAX_DEPTH} levels deep")
    while value != b"x":  # or Python itself fails to free it
        value = value[1] if isinstance(value, dict) else value[0]


def test_a_stack_that_is_nearly_full_is_an_error_with_a_message() -> None:
    value: object = {1}
    for _ in range(150):
        value = (value,)

    def deeper() -> str:
        try:
            return deeper()
        except RecursionError:
            return refusal(value)

    with pytest.raises((RecursionError, ValueEncodeError)):
        raise ValueEncodeError(deeper())


class Trap:
    """A pickle that does something when it is opened."""

    opened = 0

    @classmethod
    def open(cls) -> str:
        cls.opened += 1
        return "opened"

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return (Trap.open, ())


def test_only_the_smallest_part_becomes_opaque_and_nothing_opens_it() -> None:
    value = {"rows": [1, (2, Trap())], "when": decimal.Decimal("1.10"), 3: {4}}
    for pass_on in (encode, encode_json):
        text = pass_on(value, pickle_results=True)
        arrived = decode_json(text) if isinstance(text, bytes) else decode(text)
        opaque = arrived["rows"][1][1]
        assert arrived == {"rows": [1, (2, opaque)], "when": decimal.Decimal("1.10"), 3: {4}}
        assert type(opaque) is Opaque
        assert opaque.type_name == f"{__name__}.Trap"
        again = decode_json(encode_json([opaque]))
        assert again == [opaque]
        repr(again)
        hash(opaque)
        assert Trap.opened == 0
    assert load_opaque(opaque) == "opened"
    assert Trap.opened == 1


def test_lambdas_and_local_classes_travel_as_opaque_values() -> None:
    class Local:
        def __init__(self, number: int) -> None:
            self.number = number

    arrived = decode(encode({"f": lambda x: x + 1, "o": Local(3)}, pickle_results=True))
    assert load_opaque(arrived["f"])(1) == 2
    assert load_opaque(arrived["o"]).number == 3


def test_what_cannot_be_pickled_either_says_why() -> None:
    message = refusal({"lock": threading.Lock()}, pickle_results=True)
    assert message.startswith("result['lock'] is of type _thread.lock, which can't be pickled: TypeError: ")


def test_an_opaque_value_can_be_a_key_and_in_a_set() -> None:
    arrived = decode(encode({print: {len}}, pickle_results=True))
    [(key, element)] = arrived.items()
    assert load_opaque(key) is print
    assert {load_opaque(item) for item in element} == {len}


def test_the_errors_survive_pickling() -> None:
    error = ValueEncodeError(refusal(object()))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
