"""A node: properties, equality, and what it is not."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable

import pytest

from airflow_provider_tasks.model.node import Architecture, Node


def test_a_property_is_read_or_none():
    node = Node("edge", {"ipv4": "10.0.0.5"})
    assert node["ipv4"] == "10.0.0.5"
    assert node["ipv6"] is None


def test_a_property_is_set():
    properties = {"a": 1}
    node = Node("edge", properties)
    node["b"] = [2]
    assert node.properties == {"a": 1, "b": [2]}
    assert properties == {"a": 1}


def test_nodes_are_equal_by_content():
    node = Node("edge", {"a": 1, "b": 2}, Architecture.LINUX_ARM64)
    assert node == Node("edge", {"b": 2, "a": 1}, Architecture.LINUX_ARM64)
    assert node == copy.deepcopy(node) == pickle.loads(pickle.dumps(node))
    assert node != Node("core", {"a": 1, "b": 2}, Architecture.LINUX_ARM64)
    assert node != Node("edge", {"a": 1}, Architecture.LINUX_ARM64)
    assert node != Node("edge", {"a": 1, "b": 2})
    assert node != "edge"


def test_a_node_is_no_key():
    with pytest.raises(TypeError, match="unhashable type: 'Node'"):
        hash(Node("edge"))


def test_a_node_is_not_iterable():
    node = Node("edge", {"a": 1})
    assert not isinstance(node, Iterable)
    for walk in (list, iter, lambda n: "a" in n, lambda n: [*n]):
        with pytest.raises(TypeError, match=r"'Node' object is not (iterable|a container)|not iterable: Node"):
            walk(node)


def test_a_node_reads_well():
    assert repr(Node("edge")) == "Node('edge')"
    assert (
        str(Node("edge", {"b": 1, "a": 2}, Architecture.WINDOWS_AMD64)) == "Node('edge', win/amd64, {'a': 2, 'b': 1})"
    )


def test_architectures_have_their_names():
    assert {member.name: member.value for member in Architecture} == {
        "LINUX_AMD64": "linux/amd64",
        "LINUX_ARM64": "linux/arm64",
        "WINDOWS_AMD64": "win/amd64",
        "WINDOWS_ARM64": "win/arm64",
        "UNKNOWN": "unknown",
    }


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3,), TypeError, "a node's name is a string, found int: 3"),
        (("",), ValueError, "a node's name is blank"),
        (("edge", [("a", 1)]), TypeError, "the properties of node 'edge' are of type list"),
        (("edge", {1: 2}), TypeError, "properties of node 'edge' has the key int 1; expected a string: '1'"),
        (
            ("edge", {"a": {1}}),
            TypeError,
            r"properties.a of node 'edge' is set \{1\}; expected what JSON can hold",
        ),
        (("edge", {"a": [0, (1,)]}), TypeError, r"properties.a\[1\] of node 'edge' is tuple \(1,\)"),
        (
            ("edge", {"a": float("nan")}),
            TypeError,
            "properties.a of node 'edge' is nan, a number that JSON can't hold",
        ),
        (
            ("edge", {}, "linux/amd64"),
            TypeError,
            "the architecture of node 'edge' is 'linux/amd64'; expected one of Arch",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Node(*arguments)


def test_a_property_that_holds_itself_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(TypeError, match="is nested more than 50 levels deep"):
        Node("edge")["a"] = value


def test_a_wrong_property_is_refused_when_it_is_set():
    node = Node("edge")
    with pytest.raises(TypeError, match=r"properties.a of node 'edge' is object"):
        node["a"] = object()
    assert node.properties == {}
