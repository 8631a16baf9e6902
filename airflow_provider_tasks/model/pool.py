"""``Nodes``: what every pool of nodes can do, and how one is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

from airflow_provider_tasks.model.node_file import open_node_file
from airflow_provider_tasks.model.reading import Source, decode_json

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from typing import Self

    from airflow_provider_tasks.model.node import Node


class Nodes(ABC):
    """A pool of nodes, in order.

    Whatever it is made of, a pool reads as one flat sequence of nodes: iteration, indexes, ``take``,
    ``skip``, ``len`` and ``pop`` count nodes, not the pools inside. Only ``pop`` takes a node out.

    >>> from airflow_provider_tasks.model.node import Node
    >>> from airflow_provider_tasks.model.nodes import CountableNodePool
    >>> pool = CountableNodePool([Node("hub"), CountableNodePool([Node("edge-1"), Node("edge-2")])])
    >>> len(pool), pool[-1], pool[:2]
    (3, Node('edge-2'), [Node('hub'), Node('edge-1')])
    >>> [node.name for node in pool.filter(lambda node: node.name.startswith("edge"))]
    ['edge-1', 'edge-2']
    """

    @abstractmethod
    def __iter__(self) -> Iterator[Node]: ...

    @abstractmethod
    def __len__(self) -> int: ...

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None

    @overload
    def __getitem__(self, index: int) -> Node: ...

    @overload
    def __getitem__(self, index: slice) -> list[Node]: ...

    def __getitem__(self, index: int | slice) -> Node | list[Node]:
        if isinstance(index, slice):
            parts = (index.start or 0, index.stop, index.step or 1)
            if any(part is None or part < 0 for part in parts):
                len(self)  # raises where there is no end to count from
                return list(self)[index]
            return list(islice(self, *parts))
        position = index if index >= 0 else index + len(self)
        node = next(islice(self, position, None), None) if position >= 0 else None
        if node is None:
            raise IndexError(f"there is no node {index} in {self!r}")
        return node

    def take(self, n: int) -> list[Node]:
        """Return the first nodes; the pool keeps them.

        Args:
            n: How many; a pool that has fewer gives those it has.

        Returns:
            Those of the pool itself, or of an uncountable pool new ones.

        Raises:
            ValueError: If ``n`` is negative.
            NodeLimitError: If an uncountable pool would have to go over its soft limit.

        >>> from airflow_provider_tasks.model.node import Node
        >>> from airflow_provider_tasks.model.nodes import UncountableNodePool
        >>> UncountableNodePool([Node("edge")]).take(2)
        [Node('edge-1'), Node('edge-2')]
        """
        return list(islice(self, count_of(n)))

    @abstractmethod
    def skip(self, n: int) -> Nodes:
        """Return the pool without its first nodes.

        Args:
            n: How many.

        Returns:
            A new pool; its nodes are those of this one.

        Raises:
            ValueError: If ``n`` is negative.

        >>> from airflow_provider_tasks.model.node import Node
        >>> from airflow_provider_tasks.model.nodes import UncountableNodePool
        >>> UncountableNodePool([Node("edge")]).skip(2).take(1)
        [Node('edge-3')]
        """

    @abstractmethod
    def filter(self, fn: Callable[[Node], bool]) -> Nodes:
        """Return the pool with only those nodes for which a function is true.

        Args:
            fn: Is given a node; of an uncountable pool, a template.

        Returns:
            A new pool, nested like this one; pools inside that have nothing left are left out.

        >>> from airflow_provider_tasks.model.node import Node
        >>> from airflow_provider_tasks.model.nodes import CountableNodePool
        >>> CountableNodePool([Node("hub"), Node("edge")]).filter(lambda node: node.name == "hub")
        CountableNodePool([Node('hub')])
        """

    @abstractmethod
    def set_property(self, key: str, value: Any) -> Self:
        """Set a property of every node, and of every template.

        Args:
            key: The property's name.
            value: What JSON can hold.

        Returns:
            The pool itself.

        Raises:
            TypeError: If JSON can't hold the value.

        >>> from airflow_provider_tasks.model.node import Node
        >>> from airflow_provider_tasks.model.nodes import CountableNodePool
        >>> CountableNodePool([Node("hub")]).set_property("rack", 7)
        CountableNodePool([Node('hub', {'rack': 7})])
        """

    @abstractmethod
    def pop(self, index: int) -> Node:
        """Take a node out of the pool.

        Args:
            index: Which; of an uncountable pool only 0, the next one.

        Returns:
            The node.

        Raises:
            IndexError: If there is no such node to be taken.

        >>> from airflow_provider_tasks.model.node import Node
        >>> from airflow_provider_tasks.model.nodes import UncountableNodePool
        >>> pool = UncountableNodePool([Node("edge")])
        >>> pool.pop(0), pool.pop(0)
        (Node('edge-1'), Node('edge-2'))
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Write the pool as JSON.

        Returns:
            ``type`` and what such a pool is made of, as ``from_file`` tells; it shares nothing with the pool.

        >>> from airflow_provider_tasks.model.node import Node
        >>> from airflow_provider_tasks.model.nodes import UncountableNodePool
        >>> UncountableNodePool([Node("edge")], soft_limit=5).to_json()["soft_limit"]
        5
        """

    @staticmethod
    def from_json(data: dict[str, Any] | list[Any] | str) -> Nodes:
        """Read a pool from its JSON.

        Args:
            data: What ``to_json`` wrote, or anything that ``from_file`` takes; as a value or as text.

        Returns:
            The pool, of the class that ``type`` names.

        Raises:
            NodeFormatError: If a key is unknown or missing, or a value is of another type or unknown.

        >>> Nodes.from_json([{"name": "hub"}])
        CountableNodePool([Node('hub')])
        """
        from airflow_provider_tasks.model.nodes import read_pool  # here: it imports this class

        return read_pool(Source(decode_json(data, "nodes") if isinstance(data, str) else data, "nodes"))

    @staticmethod
    def from_file(path: str | os.PathLike[str]) -> Nodes:
        r"""Read a pool from a YAML or JSON file.

        The file is a list of nodes, or a mapping with the list under ``nodes``. A node has a ``name`` and may
        have ``properties`` and an ``architecture``; in its place may stand a pool, a mapping itself::

            nodes:
              - name: hub
                architecture: linux/amd64          # or linux/arm64, win/amd64, win/arm64, unknown
                properties: {ipv4: 10.0.0.5, ports: [80, 443]}
              - nodes: [{name: edge-1}, {name: edge-2}]
              - type: uncountable                  # countable, unless it says so
                templates: [{name: cloud}]         # makes cloud-1, cloud-2, …
                soft_limit: 50                     # may be left out, as may skipped: how many are not made

        Plain values read as in JSON: only ``true`` and ``false`` are booleans; ``no``, dates and ``10:20:30``
        are text.

        Args:
            path: ``.yaml``, ``.yml`` or ``.json``. A relative path starts at the folder of the file that
                calls, in a notebook or a shell at the working folder.

        Returns:
            The pool.

        Raises:
            FileNotFoundError: If there is no such file.
            NodeFormatError: If it does not hold nodes; the message names file and line.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "nodes.yaml")
        ...     _ = file.write_text("- name: hub\n  properties: {ipv4: 10.0.0.5}\n")
        ...     Nodes.from_file(file)
        CountableNodePool([Node('hub', {'ipv4': '10.0.0.5'})])
        """
        from airflow_provider_tasks.model.nodes import read_pool

        return read_pool(open_node_file(path, caller_depth=1))


def count_of(n: int) -> int:
    """Refuse anything but a number of nodes.

    >>> count_of(-1)
    Traceback (most recent call last):
    ...
    ValueError: expected a number of nodes from 0, found -1
    """
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"expected a number of nodes, found {type(n).__name__}: {n!r}")
    if n < 0:
        raise ValueError(f"expected a number of nodes from 0, found {n}")
    return n
