"""Files of nodes: what they may hold, and that what is wrong is named with its line."""

from __future__ import annotations

import json
import runpy

import pytest
from hypothesis import HealthCheck, assume, given, settings

from airflow_provider_tasks.model.errors import NodeFormatError
from airflow_provider_tasks.model.node import Architecture, Node
from airflow_provider_tasks.model.nodes import CountableNodePool, Nodes, UncountableNodePool
from tests.model import strategies


@pytest.fixture
def read(tmp_path):
    def read(text: str, name: str = "nodes.yaml") -> Nodes:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return Nodes.from_file(tmp_path / name)

    return read


@pytest.fixture
def fault(read, tmp_path):
    def fault(text: str, name: str = "nodes.yaml") -> str:
        with pytest.raises(NodeFormatError) as caught:
            read(text, name)
        message = str(caught.value)
        assert message.startswith(str(tmp_path / name))
        return message[len(str(tmp_path)) + 1 :]

    return fault


FILE = """
nodes:
  - name: hub
    architecture: linux/amd64
    properties: {ipv4: 10.0.0.5, ports: [80, 443]}
  - nodes: [{name: edge-1}, {name: edge-2}]
  - type: uncountable
    templates: [{name: cloud}]
    soft_limit: 50
"""
POOL = CountableNodePool(
    [
        Node("hub", {"ipv4": "10.0.0.5", "ports": [80, 443]}, Architecture.LINUX_AMD64),
        CountableNodePool([Node("edge-1"), Node("edge-2")]),
        UncountableNodePool([Node("cloud")], soft_limit=50),
    ]
)


def test_a_yaml_file_becomes_a_pool(read):
    assert read(FILE) == read(FILE, "nodes.yml") == POOL
    assert read("- name: hub\n") == CountableNodePool([Node("hub")])
    assert read("type: uncountable\ntemplates: [{name: a}]\n") == UncountableNodePool([Node("a")])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.pools)
def test_a_json_file_becomes_the_pool_it_was_written_from(read, pool):
    assert read(json.dumps(pool.to_json(), indent="\t"), "nodes.json") == pool


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.pools)
def test_json_is_yaml(read, pool):
    text = json.dumps(pool.to_json(), indent=1)
    assume("\\ud" not in text)  # beyond the first 65,536 characters JSON writes two escapes, YAML one
    assert read(text) == pool


def test_a_byte_order_mark_is_no_matter(read):
    assert read("\ufeff- name: hub\n") == read('\ufeff[{"name": "hub"}]', "nodes.json")


def test_plain_yaml_values_read_as_in_json(read):
    text = "[no, 10:20:30, 2026-01-31, 010, 0x1f, 1_000, e5, 1e5, -1.5E-3, .5, 2., -7, true, False, ~, null]"
    words, values = (
        ["no", "10:20:30", "2026-01-31", "010", "0x1f", "1_000", "e5"],
        [1e5, -1.5e-3, 0.5, 2.0, -7],
    )
    found = read(f"- name: a\n  properties: {{a: {text}}}\n")[0]["a"]
    assert repr(found) == repr([*words, *values, True, False, None, None])


def test_anchors_and_merges_work(read):
    text = "- &a {name: a, properties: {rack: 7}}\n- {<<: *a, name: b}\n"
    assert read(text) == CountableNodePool([Node("a", {"rack": 7}), Node("b", {"rack": 7})])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- name: a\n- name: 3\n", "nodes.yaml, line 2: [1].name is int 3; expected a string"),
        (
            "nodes:\n\n  - name: a\n    architecture: linux/arm46\n",
            "nodes.yaml, line 4: nodes[0].architecture 'linux/arm46' is unknown; did you mean 'linux/arm64'?",
        ),
        (
            "- name: a\n  properties:\n    deep:\n      - 1\n      - .inf\n      - !!set {x}\n",
            "nodes.yaml, line 6: [0].properties.deep[2] is set {'x'}",
        ),
        ("- name: a\n  nmae: b\n", "nodes.yaml, line 2: [0].nmae is unknown here; did you mean 'name'?"),
        ("- name: a\n-\n  properties: {}\n", "nodes.yaml, line 3: [1] lacks the key 'name'"),
        (
            "- name: a\n  properties:\n    80: http\n",
            "nodes.yaml, line 2: [0].properties has the key int 80; expected a string: '80'",
        ),
        ("- name: a\n  properties:\n", "nodes.yaml, line 2: [0].properties is empty; expected a mapping"),
        ("- name: a\n  name: b\n", "nodes.yaml, line 2: [0].name is there twice; keep one"),
        ("- name: a\n b: c\n", "nodes.yaml, line 2: not YAML: "),
        ("- name: 'a\n", "nodes.yaml, line 2: not YAML: found unexpected end of stream"),
        ("- name: a\n---\n- name: b\n", "nodes.yaml, line 2: not YAML: but found another document"),
        (
            "- !!python/object:os.system {}\n",
            "nodes.yaml, line 1: not YAML: could not determine a constructor",
        ),
        (
            "- &a\n  name: x\n  properties: {b: *a}\n",
            "nodes.yaml, line 1: [0].properties.b holds itself, by an alias",
        ),
        ("", "nodes.yaml: the file is empty; expected a list of nodes"),
        ("# nothing\n", "nodes.yaml: the file is empty"),
        ("hello\n", "nodes.yaml, line 1: is str; expected a list of nodes, or a mapping with nodes"),
        ("- hello\n", "nodes.yaml, line 1: [0] is str 'hello'; expected a mapping with name"),
        ("- name: \x07\n", "nodes.yaml: not YAML: "),
    ],
)
def test_what_is_wrong_in_yaml_is_named_with_its_line(fault, text, message):
    assert fault(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[\n\t{"name": "a"},\n\t{"name": 3}\n]', "nodes.json, line 3: [1].name is int 3; expected a string"),
        ('[\n  {"name": "a",}\n]', "nodes.json, line 2: not JSON: "),
        ('[\n\t{"name": "a",\n\t "name": "b"}\n]', "nodes.json, line 3: [0].name is there twice; keep one"),
        ('[{"name": "a",\n"properties": {"x": NaN}}]', "nodes.json, line 2: [0].properties.x is nan"),
        ('[{"name": "\\ud83d\\ude00"},\n{"name": 3}]', "nodes.json, line 2: [1].name is int 3"),
        ("", "nodes.json, line 1: not JSON: Expecting value"),
        ('{"nodes": 3, "' + "k" * 2000 + '": 1}', "nodes.json: kkk"),
        ("[" * 100_000, "nodes.json: nested too deeply"),
    ],
)
def test_what_is_wrong_in_json_is_named_with_its_line(fault, text, message):
    assert fault(text, "nodes.json").startswith(message)


def test_the_slow_yaml_loader_reads_the_same(read, monkeypatch):
    import yaml

    from airflow_provider_tasks.model import node_file

    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    node_file._loader_class.cache_clear()
    try:
        assert read(FILE) == POOL
    finally:
        node_file._loader_class.cache_clear()


def test_a_file_of_another_kind_is_refused(fault):
    assert fault("", "nodes.toml") == "nodes.toml: nodes are read from .yaml, .yml and .json, not from '.toml'"


def test_a_file_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / "nodes.yaml").write_bytes(b"- name: a\n- name: \xff\n")
    with pytest.raises(NodeFormatError, match=r"nodes.yaml, line 2: not UTF-8"):
        Nodes.from_file(tmp_path / "nodes.yaml")


def test_a_relative_path_starts_at_the_file_that_calls(tmp_path, monkeypatch):
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "nodes.yaml").write_text("- name: hub\n")
    (folder / "dag.py").write_text(
        "from airflow_provider_tasks.model.nodes import Nodes\nnodes = Nodes.from_file('nodes.yaml')\n"
    )
    monkeypatch.chdir(tmp_path)
    assert runpy.run_path(str(folder / "dag.py"))["nodes"] == CountableNodePool([Node("hub")])


def test_without_a_file_that_calls_a_relative_path_starts_at_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "nodes.yaml").write_text("- name: hub\n")
    monkeypatch.chdir(tmp_path)
    assert eval("Nodes.from_file('nodes.yaml')", {"Nodes": Nodes}) == CountableNodePool([Node("hub")])


def test_a_missing_file_is_named_with_its_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file of nodes .*/nowhere/nodes\.yaml"):
        Nodes.from_file(tmp_path / "nowhere" / "nodes.yaml")
