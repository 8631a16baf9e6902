"""The text of tasks, dispatchers and nodes is the same in every process."""

from __future__ import annotations

import functools
from collections import namedtuple
from dataclasses import dataclass
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.model.describe import describe
from airflow_provider_tasks.model.task import Task
from tests.model.hash_seeds import text_whatever_the_hash_seed


class Ping(Task):
    def __init__(self, *args, **kwargs):
        pass

    def run(self):
        pass


class Color(Enum):
    RED = 1


@dataclass
class Config:
    tags: set
    call: object = len


@dataclass
class Quiet:
    password: str

    def __repr__(self):
        return "Quiet()"


class Broken:
    def __repr__(self):
        raise RuntimeError


class Addressed:
    def __repr__(self):
        return f"Addressed(\n  {object.__repr__(self)})"


Point = namedtuple("Point", "x y")


def nested():
    def helper(): ...

    return helper


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("8.8.8.8", "'8.8.8.8'"),
        (b"a", "b'a'"),
        (1.5, "1.5"),
        (None, "None"),
        (True, "True"),
        (Color.RED, "Color.RED"),
        ([1, (2,), (3, 4), ()], "[1, (2,), (3, 4), ()]"),
        ({"b": 1, "a": {2, 1}}, "{'a': {1, 2}, 'b': 1}"),
        (set(), "set()"),
        (frozenset([1]), "frozenset({1})"),
        (frozenset(), "frozenset()"),
        (Point(1, {2}), "Point(x=1, y={2})"),
        (Config({"b", "a"}), "Config(tags={'a', 'b'}, call=<function len>)"),
        (Quiet("secret"), "Quiet()"),
        (Color, "<class Color>"),
        (nested(), "<function helper>"),
        (lambda: 1, "<function <lambda>>"),
        (Ping.run, "<function Ping.run>"),
        ([].append, "<function list.append>"),
        (functools.partial(nested, 1), "functools.partial(<function nested>, 1)"),
        (object(), "<object>"),
        (Broken(), "<Broken>"),
        (Addressed(), "Addressed( <" + __name__ + ".Addressed object>)"),
        ("x" * 81, "'" + "x" * 80 + "'…"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, …]"),
        ([[[[[1]]]]], "[[[[…]]]]"),
        (set(range(1001)), "<set of 1001 items>"),
        (dict.fromkeys(range(1001)), "<dict of 1001 items>"),
    ],
)
def test_a_value_is_described(value, text):
    assert describe(value) == text


def test_a_number_too_long_for_python_to_write_is_described():
    assert describe(10**5000) == "<int>"


def test_a_value_that_holds_itself_is_described():
    value: list = []
    value.append(value)
    assert describe(value) == "[[[[…]]]]"


@given(
    st.recursive(
        st.integers() | st.text() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_description_is_one_short_line(value):
    assert len(describe(value).splitlines()) == 1
    assert len(describe(value)) <= 400


def test_a_task_shows_how_it_was_made():
    assert repr(Ping("8.8.8.8", count=3)) == str(Ping("8.8.8.8", count=3)) == "Ping('8.8.8.8', count=3)"
    assert repr(Ping(Ping(1), to=[Ping()])) == "Ping(Ping(1), to=[Ping()])"


def test_a_task_shows_how_it_was_made_even_if_the_argument_changes():
    hosts = ["a"]
    ping = Ping(hosts)
    hosts.append("b")
    assert repr(ping) == "Ping(['a'])"


SCRIPT = """
from dataclasses import dataclass
from airflow_provider_tasks.model.node import Node
from airflow_provider_tasks.model.nodes import CountableNodePool
from airflow_provider_tasks.model.task import Task

@dataclass
class Config:
    tags: frozenset

@dataclass
class Ping(Task):
    a: object
    b: object
    def run(self): ...

words = {"alpha", "beta", "gamma", "delta"}
print(Ping(words, {w: object() for w in words}), Ping(Config(frozenset(words)), [print, lambda: 1]))
print(CountableNodePool([Node("edge", {w: {v: 1 for v in words} for w in words})]))
print(Node("edge", {w: 1 for w in words}).serialize())
"""


def test_the_hash_seed_changes_nothing():
    assert "Ping({'alpha', 'beta', 'delta', 'gamma'}, {'alpha': <object>" in text_whatever_the_hash_seed(SCRIPT)
