"""Nodes and pools for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from airflow_provider_tasks.model.node import Architecture, Node
from airflow_provider_tasks.model.nodes import CountableNodePool, UncountableNodePool

names = st.text(min_size=1, max_size=8).filter(str.strip)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
nodes = st.builds(
    Node, names, st.dictionaries(st.text(max_size=8), json_values, max_size=4), st.sampled_from(Architecture)
)
uncountable = st.builds(
    lambda templates, limit, skipped: UncountableNodePool(templates, limit).skip(skipped),
    st.lists(nodes, max_size=3),
    st.integers(1, 10_000),
    st.integers(0, 50),
)
countable = st.recursive(
    st.builds(CountableNodePool, st.lists(nodes, max_size=3)),
    lambda inner: st.builds(CountableNodePool, st.lists(nodes | inner, max_size=4)),
    max_leaves=4,
)
pools = countable | uncountable | st.builds(CountableNodePool, st.lists(nodes | countable | uncountable, max_size=4))
