"""A countable pool is one flat sequence of nodes, whatever is nested in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.model.node import Node
from airflow_provider_tasks.model.nodes import CountableNodePool, UncountableNodePool
from tests.model import strategies


def names(nodes):
    return [node.name for node in nodes]


def nested():
    return CountableNodePool([Node("a"), CountableNodePool([Node("b"), CountableNodePool([Node("c")])]), Node("d")])


def endless():
    return CountableNodePool([Node("a"), UncountableNodePool([Node("b")])])


@given(strategies.countable, st.integers(0, 12))
def test_take_and_skip_part_the_sequence(pool, n):
    flat = list(pool)
    assert pool.take(n) == flat[:n]
    assert list(pool.skip(n)) == flat[n:]
    assert len(pool) == len(flat)
    assert bool(pool) == bool(flat)


@given(strategies.countable, st.data())
def test_indexes_and_slices_are_those_of_a_list(pool, data):
    flat = list(pool)
    part = data.draw(st.slices(len(flat)))
    assert pool[part] == flat[part]
    for index in range(-len(flat), len(flat)):
        assert pool[index] is flat[index]
    for index in (len(flat), -len(flat) - 1):
        with pytest.raises(IndexError, match=f"there is no node {index} in CountableNodePool"):
            pool[index]


@given(strategies.countable, st.data())
def test_pop_takes_out_as_from_a_list(pool, data):
    flat = list(pool)
    index = data.draw(st.integers(-len(flat) - 1, len(flat)))
    if -len(flat) <= index < len(flat):
        assert pool.pop(index) is flat.pop(index)
    else:
        with pytest.raises(IndexError, match=f"there is no node {index}"):
            pool.pop(index)
    assert list(pool) == flat


def test_filter_keeps_the_nesting_and_drops_what_is_empty():
    pool = nested().filter(lambda node: node.name in "cd")
    assert pool == CountableNodePool([CountableNodePool([CountableNodePool([Node("c")])]), Node("d")])
    assert nested().filter(lambda node: node.name == "a") == CountableNodePool([Node("a")])


def test_nodes_are_shared_between_pools():
    pool = nested()
    pool.skip(1).filter(lambda node: True).set_property("rack", 7)
    assert [node["rack"] for node in pool] == [None, 7, 7, 7]
    assert pool.set_property("rack", 8) is pool
    assert [node["rack"] for node in pool] == [8, 8, 8, 8]


def test_an_endless_pool_inside_is_read_from_the_front():
    pool = endless()
    assert names(pool.take(3)) == names(pool[:3]) == ["a", "b-1", "b-2"]
    assert pool[2].name == "b-2"
    assert names(pool.skip(2).take(2)) == ["b-2", "b-3"]
    assert pool
    assert names([pool.pop(1), pool.pop(0)]) == ["b-1", "a"]
    assert names(pool.take(1)) == ["b-2"]
    assert names(CountableNodePool([endless(), Node("z")]).skip(3).take(1)) == ["b-3"]


@pytest.mark.parametrize("read", [len, lambda p: p[-1], lambda p: p[:-1], lambda p: p[1:], lambda p: p.pop(-1)])
def test_an_endless_pool_inside_has_no_end_to_count_from(read):
    with pytest.raises(TypeError, match="an uncountable pool has no length"):
        read(endless())


@pytest.mark.parametrize("n", [-1, True, "2", 1.0])
def test_only_a_number_of_nodes_is_taken(n):
    for method in (nested().take, nested().skip):
        with pytest.raises((TypeError, ValueError), match="expected a number of nodes"):
            method(n)


def test_a_pool_holds_nodes_and_pools_only():
    with pytest.raises(TypeError, match="a pool holds nodes and pools, found str: 'a'"):
        CountableNodePool(["a"])


def test_a_large_pool_reads_in_a_line():
    assert len(repr(CountableNodePool([Node(f"edge-{n}") for n in range(1000)]))) < 450
