"""Nodes and pools survive JSON, and JSON that is none of theirs is refused with its place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from airflow_provider_tasks.model.errors import NodeFormatError
from airflow_provider_tasks.model.node import Architecture, Node
from airflow_provider_tasks.model.nodes import CountableNodePool, Nodes, UncountableNodePool
from tests.model import strategies


@given(strategies.nodes)
def test_a_node_survives_json(node):
    assert Node.from_json(node.to_json()) == node
    assert Node.from_json(json.dumps(node.to_json())) == node
    assert node.serialize() == node.to_json()


@given(strategies.pools)
def test_a_pool_survives_json(pool):
    assert Nodes.from_json(pool.to_json()) == pool
    again = Nodes.from_json(json.dumps(pool.to_json()))
    assert again == pool
    assert json.dumps(again.to_json()) == json.dumps(pool.to_json())


def test_json_has_the_order_of_names_at_every_depth():
    node = Node("edge", {"b": {"d": 1, "c": 2}, "a": 3})
    assert json.dumps(node.to_json()["properties"]) == '{"a": 3, "b": {"c": 2, "d": 1}}'


def test_json_shares_nothing_with_the_node():
    node = Node("edge", {"ports": [80]})
    written = node.to_json()
    read = Node.from_json(written)
    written["properties"]["ports"].append(443)
    assert node["ports"] == read["ports"] == [80]


def test_a_property_spoilt_behind_the_nodes_back_is_named():
    node = Node("edge")
    node.properties["a"] = {1}
    with pytest.raises(TypeError, match=r"properties.a of node 'edge' is set"):
        node.to_json()


def test_the_form_of_pools():
    pool = CountableNodePool([Node("hub", {}, Architecture.LINUX_AMD64), UncountableNodePool([Node("edge")]).skip(2)])
    hub = {"name": "hub", "properties": {}, "architecture": "linux/amd64"}
    edge = {"name": "edge", "properties": {}, "architecture": "unknown"}
    cloud = {"type": "uncountable", "templates": [edge], "soft_limit": 1000, "skipped": 2}
    assert pool.to_json() == {"type": "countable", "nodes": [hub, cloud]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"nmae": "edge"},
            "node: nmae is unknown here; did you mean 'name'? Known: 'architecture', 'name', 'properties'",
        ),
        ({}, "node: lacks the key 'name'"),
        ([], "node: is list []; expected a mapping with name"),
        ({"name": 3}, "node: name is int 3; expected a string"),
        ({"name": " "}, "node: name is blank; expected some text"),
        (
            {"name": "e", "properties": None},
            "node: properties is empty; expected a mapping of names to values",
        ),
        (
            {"name": "e", "properties": {"a": [1, (2,)]}},
            "node: properties.a[1] is tuple (2,); expected what JSON can",
        ),
        (
            {"name": "e", "properties": {"a": {3: 1}}},
            "node: properties.a has the key int 3; expected a string: '3'",
        ),
        ({"name": "e", "architecture": "linux"}, "node: architecture 'linux' is unknown; "),
        (
            {"name": "e", "architecture": "linux/arm46"},
            "'linux/arm46' is unknown; did you mean 'linux/arm64'? Known: ",
        ),
        ({"name": "e", "architecture": ["x"]}, "node: architecture is list ['x']; expected a string"),
        ("{", "node, line 1: not JSON: Expecting property name"),
        ('{"name": "a", "name": "b"}', "node: the key 'name' is there twice in one mapping; keep one"),
        (
            '{"name": "a", "properties": {"x": NaN}}',
            "node: properties.x is nan, a number that JSON can't hold",
        ),
        ("[" * 100_000, "node: nested too deeply"),
    ],
)
def test_json_that_is_no_node_is_refused(data, message):
    with pytest.raises(NodeFormatError) as caught:
        Node.from_json(data)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "nodes: is int; expected a list of nodes, or a mapping with nodes"),
        ({}, "nodes: lacks the key 'nodes'"),
        ({"nodes": {}}, "nodes: nodes is dict {}; expected a list"),
        ({"nodes": [], "tpye": 1}, "nodes: tpye is unknown here; did you mean 'type'?"),
        ({"type": "uncountabel"}, "nodes: type 'uncountabel' is unknown; did you mean 'uncountable'?"),
        ({"type": "uncountable", "nodes": []}, "nodes: nodes is unknown here; "),
        (
            {"type": "uncountable", "templates": [], "soft_limit": True},
            "soft_limit is bool True; expected a whole number of",
        ),
        (
            {"type": "uncountable", "templates": [], "soft_limit": 0},
            "soft_limit is int 0; expected a whole number of at lea",
        ),
        ({"type": "uncountable", "templates": [], "skipped": -1}, "skipped is int -1"),
        ({"type": "uncountable", "templates": [{"nodes": []}]}, "nodes: templates[0].nodes is unknown here"),
        (
            [{"name": "a"}, {"nodes": [{"name": "b"}, "c"]}],
            "nodes: [1].nodes[1] is str 'c'; expected a mapping with name",
        ),
    ],
)
def test_json_that_is_no_pool_is_refused(data, message):
    with pytest.raises(NodeFormatError) as caught:
        Nodes.from_json(data)
    assert message in str(caught.value)
