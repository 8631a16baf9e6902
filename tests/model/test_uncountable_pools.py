"""An uncountable pool makes numbered nodes from templates, up to its soft limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.model.errors import NodeLimitError
from airflow_provider_tasks.model.node import Node
from airflow_provider_tasks.model.nodes import UncountableNodePool


def names(nodes):
    return [node.name for node in nodes]


def cloud(**arguments):
    return UncountableNodePool([Node("edge", {"ports": [80]}), Node("core")], **arguments)


def test_templates_take_turns_and_nodes_are_numbered():
    assert names(cloud().take(4)) == ["edge-1", "core-2", "edge-3", "core-4"]


def test_the_same_number_gives_an_equal_node():
    pool = cloud()
    assert pool.take(3) == pool.take(3) == pool[:3] == [pool[0], pool[1], pool[2]]


@given(st.integers(0, 20), st.integers(0, 20))
def test_skip_goes_on_counting(first, second):
    pool = cloud()
    assert pool.skip(first).skip(second).take(3) == pool.take(first + second + 3)[-3:]


def test_pop_goes_on_for_good():
    pool = cloud()
    assert names([pool.pop(0), pool.pop(0)]) == ["edge-1", "core-2"]
    assert pool[0].name == "edge-3"
    with pytest.raises(IndexError, match=r"gives up only its next node, pop\(0\), not 1"):
        pool.pop(1)


def test_a_node_is_a_copy_of_its_own():
    pool = cloud()
    node = pool[0]
    node["ports"].append(443)
    assert pool[0]["ports"] == pool.templates[0]["ports"] == [80]


def test_properties_are_set_on_what_is_made_from_then_on():
    pool = cloud()
    before = pool[0]
    assert pool.set_property("rack", 7) is pool
    assert (before["rack"], pool[0]["rack"], pool[1]["rack"]) == (None, 7, 7)


def test_filter_picks_templates():
    assert names(cloud().skip(2).filter(lambda node: node.name == "core").take(2)) == ["core-3", "core-4"]


def test_a_pool_without_templates_makes_nothing():
    pool = cloud().filter(lambda node: False)
    assert not pool
    assert pool.take(5) == list(pool) == []
    with pytest.raises(IndexError):
        pool[0]
    with pytest.raises(IndexError):
        pool.pop(0)


def test_there_is_no_length_to_count_from():
    assert cloud()
    for read in (len, lambda p: p[-1], lambda p: p[3:], lambda p: p[:-1]):
        with pytest.raises(TypeError, match=r"an uncountable pool has no length; take\(n\) some nodes first"):
            read(cloud())


@pytest.mark.parametrize(
    "read",
    [
        list,
        lambda p: p.take(4),
        lambda p: p[3],
        lambda p: p[:4],
        lambda p: p.skip(3).take(1),
        lambda p: p.skip(3).pop(0),
    ],
)
def test_the_soft_limit_is_an_error_that_says_how_to_raise_it(read):
    with pytest.raises(NodeLimitError) as caught:
        read(cloud(soft_limit=3))
    assert str(caught.value) == (
        "node 4 is over soft_limit=3; take fewer or raise it: UncountableNodePool(templates, soft_limit=4)"
    )


def test_up_to_the_soft_limit_all_is_well():
    assert len(cloud(soft_limit=3).take(3)) == 3
    assert len(cloud().take(1000)) == 1000


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), (True, TypeError), (1.5, TypeError), (None, TypeError)])
def test_a_soft_limit_is_a_number_from_one(limit, error):
    with pytest.raises(error, match="soft_limit is"):
        cloud(soft_limit=limit)


def test_templates_are_nodes():
    with pytest.raises(TypeError, match="templates are nodes, found UncountableNodePool"):
        UncountableNodePool([cloud()])


def test_a_pool_reads_well():
    assert (
        repr(UncountableNodePool([Node("edge")]).skip(2))
        == "UncountableNodePool([Node('edge')], soft_limit=1000).skip(2)"
    )
