"""``Node``: where a task is to run."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_tasks.model.describe import describe
from airflow_provider_tasks.model.errors import NodeFormatError
from airflow_provider_tasks.model.reading import Source, decode_json, find_fault, path_text, sorted_copy
from airflow_provider_tasks.model.suggest import did_you_mean

if TYPE_CHECKING:
    from typing import Self


class Architecture(Enum):
    """Operating system and processor of a node.

    >>> Architecture("linux/arm64")
    <Architecture.LINUX_ARM64: 'linux/arm64'>
    """

    LINUX_AMD64 = "linux/amd64"
    LINUX_ARM64 = "linux/arm64"
    WINDOWS_AMD64 = "win/amd64"
    WINDOWS_ARM64 = "win/arm64"
    UNKNOWN = "unknown"


class Node:  # noqa: PLW1641 - it can change: no hash, like a dict
    """A place where tasks run: a name, properties and an architecture.

    A node is equal to another of the same content, can't be hashed (it can change), and is not iterable.

    Args:
        name: What the node is called.
        properties: What is known about it: names to values that JSON can hold. The mapping is copied, its
            values are not.
        architecture: Its operating system and processor.

    Raises:
        TypeError: If an argument, a property's name or its value is of another type.
        ValueError: If the name is blank.

    >>> edge = Node("edge-1", {"ipv4": "10.0.0.5"}, Architecture.LINUX_AMD64)
    >>> edge
    Node('edge-1', linux/amd64, {'ipv4': '10.0.0.5'})
    >>> edge["ipv4"], edge["ipv6"]
    ('10.0.0.5', None)
    >>> edge["rack"] = 7
    >>> edge == Node("edge-1", {"rack": 7, "ipv4": "10.0.0.5"}, Architecture.LINUX_AMD64)
    True
    """

    # None rather than a method that raises: so a node is no Iterable for those who ask before they walk in.
    __iter__: ClassVar[None] = None
    __contains__: ClassVar[None] = None

    def __init__(
        self,
        name: str,
        properties: Mapping[str, Any] | None = None,
        architecture: Architecture = Architecture.UNKNOWN,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a node's name is a string, found {type(name).__name__}: {name!r}")
        if not name.strip():
            raise ValueError(f"a node's name is blank: {name!r}; expected some text")
        if not isinstance(architecture, Architecture):
            raise TypeError(
                f"the architecture of node {name!r} is {architecture!r}; expected one of "
                + ", ".join(map(str, Architecture))
            )
        self.name = name
        self.properties: dict[str, Any] = _checked(name, {} if properties is None else properties)
        self.architecture = architecture

    def __getitem__(self, key: str) -> Any:
        return self.properties.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self.properties.update(_checked(self.name, {key: value}))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        return (self.name, self.architecture, self.properties) == (
            other.name,
            other.architecture,
            other.properties,
        )

    def __repr__(self) -> str:
        parts = [repr(self.name)]
        if self.architecture is not Architecture.UNKNOWN:
            parts.append(self.architecture.value)
        if self.properties:
            parts.append(describe(self.properties))
        return f"Node({', '.join(parts)})"

    def to_json(self) -> dict[str, Any]:
        """Write the node as JSON, the properties sorted by name.

        Returns:
            ``name``, ``properties`` and ``architecture``; it shares nothing with the node.

        Raises:
            TypeError: If a property has been given a value that JSON can't hold.

        >>> Node("edge-1", {"ipv4": "10.0.0.5"}, Architecture.LINUX_AMD64).to_json()
        {'name': 'edge-1', 'properties': {'ipv4': '10.0.0.5'}, 'architecture': 'linux/amd64'}
        """
        properties = sorted_copy(_checked(self.name, self.properties))
        return {"name": self.name, "properties": properties, "architecture": self.architecture.value}

    def serialize(self) -> dict[str, Any]:
        """Return ``to_json()``; Airflow calls this method of a template field's value and shows the result.

        Source: ``airflow.serialization.helpers.serialize_template_field``.

        >>> Node("edge-1").serialize()
        {'name': 'edge-1', 'properties': {}, 'architecture': 'unknown'}
        """
        return self.to_json()

    @classmethod
    def from_json(cls, data: dict[str, Any] | str) -> Self:
        """Read a node from its JSON.

        Args:
            data: What ``to_json`` wrote, as a mapping or as text; ``properties`` and ``architecture`` may be
                missing.

        Returns:
            The node; it shares nothing with ``data``.

        Raises:
            NodeFormatError: If a key is unknown or missing, or a value is of another type or unknown.

        >>> Node.from_json('{"name": "edge-1", "architecture": "linux/arm64"}')
        Node('edge-1', linux/arm64)
        >>> Node.from_json({"name": "edge-1", "architecture": "linux/arm46"})
        Traceback (most recent call last):
        ...
        airflow_provider_tasks.model.errors.NodeFormatError: node: architecture 'linux/arm46' is unknown; \
did you mean 'linux/arm64'? Known: 'linux/amd64', 'linux/arm64', 'unknown', 'win/amd64', 'win/arm64'
        """
        return cls.read(Source(decode_json(data, "node") if isinstance(data, str) else data, "node"))

    @classmethod
    def read(cls, source: Source) -> Self:
        """Read a node from where it stands in a document.

        Args:
            source: The value and its place.

        Returns:
            The node.

        Raises:
            NodeFormatError: As ``from_json``.

        >>> Node.read(Source({"name": "edge-1"}, "nodes.yaml"))
        Node('edge-1')
        """
        source.expect_keys(["name"], ["properties", "architecture"])
        name = source.key("name").text()
        properties = source.key("properties").properties() if "properties" in source.value else {}
        architecture = Architecture.UNKNOWN
        if "architecture" in source.value:
            found = source.key("architecture")
            known = [member.value for member in Architecture]
            if found.text() not in known:
                raise found.error(f"{found.value!r} is unknown; {did_you_mean(found.value, known)}")
            architecture = Architecture(found.value)
        return cls(name, sorted_copy(properties), architecture)


def _checked(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(properties, Mapping):
        raise TypeError(
            f"the properties of node {name!r} are of type {type(properties).__name__}: {properties!r}; "
            "expected a mapping of names to values"
        )
    copied = dict(properties)
    fault = find_fault(copied)
    if fault is not None:
        raise TypeError(f"{path_text(('properties', *fault[0]))} of node {name!r} {fault[1]}")
    return copied


def as_node(node: Any) -> Node | None:
    """Return a node that may be given as its JSON.

    Raises:
        NodeFormatError: it is not a node's JSON.

    >>> as_node({"name": "edge-1"}), as_node(None)
    (Node('edge-1'), None)
    >>> as_node("edge-1")
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.model.errors.NodeFormatError: node='edge-1' is a text, and no node's JSON; \
pass node=Node('edge-1')
    """
    if isinstance(node, str) and not node.lstrip().startswith("{"):
        raise NodeFormatError(f"node={node!r} is a text, and no node's JSON; pass node=Node({node!r})")
    return node if node is None or isinstance(node, Node) else Node.from_json(node)
