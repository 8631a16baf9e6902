"""The pools of nodes: a list of them, and as many as are asked for."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.describe import describe
from airflow_provider_tasks.model.errors import NodeLimitError
from airflow_provider_tasks.model.node import Node
from airflow_provider_tasks.model.pool import Nodes, count_of
from airflow_provider_tasks.model.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from airflow_provider_tasks.model.reading import Source

__all__ = ["DEFAULT_SOFT_LIMIT", "CountableNodePool", "Nodes", "UncountableNodePool", "read_pool"]

DEFAULT_SOFT_LIMIT = 1000


class CountableNodePool(Nodes):  # noqa: PLW1641 - it can change: no hash, like a list
    """A pool of given nodes; pools may stand among them.

    With an uncountable pool inside, what counts from the end (``len``, a negative index) is a ``TypeError``.

    Args:
        nodes: Nodes and pools, in order; kept, not copied, in ``.nodes``.

    Raises:
        TypeError: If something else is among them.

    >>> pool = CountableNodePool([Node("hub"), UncountableNodePool([Node("edge")])])
    >>> pool.take(3)
    [Node('hub'), Node('edge-1'), Node('edge-2')]
    """

    def __init__(self, nodes: Iterable[Node | Nodes]) -> None:
        self.nodes: list[Node | Nodes] = list(nodes)
        for node in self.nodes:
            if not isinstance(node, (Node, Nodes)):
                raise TypeError(f"a pool holds nodes and pools, found {type(node).__name__}: {node!r}")

    def __iter__(self) -> Iterator[Node]:
        for element in self.nodes:
            if isinstance(element, Node):
                yield element
            else:
                yield from element

    def __len__(self) -> int:
        return sum(1 if isinstance(element, Node) else len(element) for element in self.nodes)

    def __eq__(self, other: object) -> bool:
        return self.nodes == other.nodes if isinstance(other, CountableNodePool) else NotImplemented

    def __repr__(self) -> str:
        return f"CountableNodePool({describe(self.nodes)})"

    def skip(self, n: int) -> CountableNodePool:
        """See ``Nodes.skip``."""
        left = count_of(n)
        kept: list[Node | Nodes] = []
        for element in self.nodes:
            if not left:
                kept.append(element)
            elif isinstance(element, Node):
                left -= 1
            elif _is_endless(element):
                kept.append(element.skip(left))
                left = 0
            else:
                if left < len(element):
                    kept.append(element.skip(left))
                left = max(left - len(element), 0)
        return CountableNodePool(kept)

    def filter(self, fn: Callable[[Node], bool]) -> CountableNodePool:
        """See ``Nodes.filter``."""
        kept: list[Node | Nodes] = []
        for element in self.nodes:
            if isinstance(element, Node):
                kept += [element] if fn(element) else []
            elif rest := element.filter(fn):
                kept.append(rest)
        return CountableNodePool(kept)

    def set_property(self, key: str, value: Any) -> Self:
        """See ``Nodes.set_property``."""
        for element in self.nodes:
            if isinstance(element, Node):
                element[key] = value
            else:
                element.set_property(key, value)
        return self

    def pop(self, index: int) -> Node:
        """See ``Nodes.pop``."""
        left = index if index >= 0 else index + len(self)
        for position, element in enumerate(self.nodes if left >= 0 else []):
            if isinstance(element, Node):
                if not left:
                    del self.nodes[position]
                    return element
                left -= 1
            elif _is_endless(element) or left < len(element):
                return element.pop(left)
            else:
                left -= len(element)
        raise IndexError(f"there is no node {index} in {self!r}")

    def to_json(self) -> dict[str, Any]:
        """See ``Nodes.to_json``."""
        return {"type": "countable", "nodes": [element.to_json() for element in self.nodes]}


class UncountableNodePool(Nodes):  # noqa: PLW1641 - as above
    """A pool that makes as many nodes as are asked for, as a cloud does.

    Each node is a copy of a template, the templates taking turns, named after it and numbered: ``edge-1``,
    ``core-2``, ``edge-3``. The same number always gives an equal node; ``skip`` and ``pop`` are the ways to
    go on. There is no ``len``; iteration ends with an error at the soft limit. Without templates no node is
    made.

    Args:
        templates: Nodes to copy; kept in ``.templates``.
        soft_limit: The highest number that a node may get, so that a loop over the pool does not run forever.

    Raises:
        TypeError: If a template is no node, or the limit no int.
        ValueError: If the limit is below 1.

    >>> cloud = UncountableNodePool([Node("edge"), Node("core")], soft_limit=50)
    >>> cloud.take(3)
    [Node('edge-1'), Node('core-2'), Node('edge-3')]
    >>> cloud.take(60)
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.model.errors.NodeLimitError: node 60 is over soft_limit=50; \
take fewer or raise it: UncountableNodePool(templates, soft_limit=60)
    """

    def __init__(self, templates: Iterable[Node], soft_limit: int = DEFAULT_SOFT_LIMIT) -> None:
        self.templates: list[Node] = list(templates)
        for template in self.templates:
            if not isinstance(template, Node):
                raise TypeError(f"templates are nodes, found {type(template).__name__}: {template!r}")
        if not isinstance(soft_limit, int) or isinstance(soft_limit, bool):
            raise TypeError(f"soft_limit is a number of nodes, found {type(soft_limit).__name__}: {soft_limit!r}")
        if soft_limit < 1:
            raise ValueError(f"soft_limit is {soft_limit}; expected at least 1")
        self.soft_limit = soft_limit
        self._skipped = 0

    def __iter__(self) -> Iterator[Node]:
        position = 0
        while self.templates:
            yield self._make(position)
            position += 1

    def __len__(self) -> int:
        raise TypeError("an uncountable pool has no length; take(n) some nodes first, or count its .templates")

    def __bool__(self) -> bool:
        return bool(self.templates)

    def __eq__(self, other: object) -> bool:
        return self.to_json() == other.to_json() if isinstance(other, UncountableNodePool) else NotImplemented

    def __repr__(self) -> str:
        skipped = f".skip({self._skipped})" if self._skipped else ""
        return f"UncountableNodePool({describe(self.templates)}, soft_limit={self.soft_limit}){skipped}"

    def take(self, n: int) -> list[Node]:
        """See ``Nodes.take``."""
        if count_of(n) and self.templates:
            self._check(n - 1)  # before the first is made
        return super().take(n)

    def skip(self, n: int) -> UncountableNodePool:
        """See ``Nodes.skip``."""
        return self._with(self.templates, self._skipped + count_of(n))

    def filter(self, fn: Callable[[Node], bool]) -> UncountableNodePool:
        """See ``Nodes.filter``."""
        return self._with([template for template in self.templates if fn(template)], self._skipped)

    def set_property(self, key: str, value: Any) -> Self:
        """See ``Nodes.set_property``; nodes that were made before keep what they have."""
        for template in self.templates:
            template[key] = value
        return self

    def pop(self, index: int) -> Node:
        """See ``Nodes.pop``."""
        if index != 0 or not self.templates:
            raise IndexError(f"an uncountable pool gives up only its next node, pop(0), not {index}: {self!r}")
        node = self._make(0)
        self._skipped += 1
        return node

    def to_json(self) -> dict[str, Any]:
        """See ``Nodes.to_json``."""
        templates = [template.to_json() for template in self.templates]
        return {
            "type": "uncountable",
            "templates": templates,
            "soft_limit": self.soft_limit,
            "skipped": self._skipped,
        }

    def _make(self, position: int) -> Node:
        number = self._check(position)
        node = deepcopy(self.templates[(number - 1) % len(self.templates)])
        node.name = f"{node.name}-{number}"
        return node

    def _check(self, position: int) -> int:
        number = self._skipped + position + 1
        if number > self.soft_limit:
            raise NodeLimitError(
                f"node {number} is over soft_limit={self.soft_limit}; take fewer or raise it: "
                f"UncountableNodePool(templates, soft_limit={number})"
            )
        return number

    def _with(self, templates: list[Node], skipped: int) -> UncountableNodePool:
        pool = UncountableNodePool(templates, self.soft_limit)
        pool._skipped = skipped
        return pool


def _is_endless(nodes: Nodes) -> bool:
    if isinstance(nodes, CountableNodePool):
        return any(isinstance(element, Nodes) and _is_endless(element) for element in nodes.nodes)
    return isinstance(nodes, UncountableNodePool)


def read_pool(source: Source) -> Nodes:
    """Read a pool from where it stands in a document.

    Args:
        source: The value and its place.

    Returns:
        The pool.

    Raises:
        NodeFormatError: As ``Nodes.from_json``.

    >>> from airflow_provider_tasks.model.reading import Source
    >>> read_pool(Source([{"name": "hub"}], "nodes.yaml"))
    CountableNodePool([Node('hub')])
    """
    if isinstance(source.value, list):
        return CountableNodePool([_read_element(item) for item in source.items()])
    if not isinstance(source.value, dict):
        raise source.error(f"is {type(source.value).__name__}; expected a list of nodes, or a mapping with nodes")
    kind = source.key("type").text() if "type" in source.value else "countable"
    if kind == "countable":
        source.expect_keys(["nodes"], ["type"])
        return CountableNodePool([_read_element(item) for item in source.key("nodes").items()])
    if kind != "uncountable":
        known = ["countable", "uncountable"]
        raise source.key("type").error(f"{kind!r} is unknown; {did_you_mean(kind, known)}")
    source.expect_keys(["type", "templates"], ["soft_limit", "skipped"])
    templates = [Node.read(item) for item in source.key("templates").items()]
    limit = source.key("soft_limit").whole_number(1) if "soft_limit" in source.value else DEFAULT_SOFT_LIMIT
    pool = UncountableNodePool(templates, limit)
    return pool.skip(source.key("skipped").whole_number(0)) if "skipped" in source.value else pool


def _read_element(source: Source) -> Node | Nodes:
    is_pool = isinstance(source.value, dict) and not {"type", "nodes", "templates"}.isdisjoint(source.value)
    return read_pool(source) if is_pool else Node.read(source)
