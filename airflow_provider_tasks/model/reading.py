"""Reading nodes from JSON strictly: every value knows where it stands, and says so when it is wrong."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Callable, Union

from airflow_provider_tasks.model.errors import NodeFormatError
from airflow_provider_tasks.model.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Path = tuple[Union[str, int], ...]
Lines = dict[Path, int]


class DuplicateKeyError(NodeFormatError):
    """A mapping has a key twice."""


_MAX_DEPTH = 50  # levels of lists and dicts within one value; a value that holds itself is stopped here too


@dataclass(frozen=True)
class Source:
    """A value that is being read, and where it stands: in which document, under which keys, on which line.

    Args:
        value: What was found there.
        document: What the whole is called in messages.
        path: The keys and indexes that lead to the value.
        lines: Asked only for a message: the line (from 1) of each path, as far as known.

    >>> Source({"nodes": [{"name": 3}]}, "nodes.json").key("nodes").item(0).key("name").text()
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.model.errors.NodeFormatError: nodes.json: nodes[0].name is int 3; expected a string
    """

    value: Any
    document: str
    path: Path = ()
    lines: Callable[[], Lines] = dict

    def error(self, problem: str, at: Path = ()) -> NodeFormatError:
        """Make the error that says what is wrong here, or further down ``at`` this path."""
        path = self.path + at
        where = f"{self.document}, line {line}" if (line := _nearest(self.lines(), path)) else self.document
        return NodeFormatError(f"{where}: {path_text(path)} {problem}" if path else f"{where}: {problem}")

    def key(self, key: str) -> Source:
        """Step to the value under a key."""
        return Source(self.value[key], self.document, (*self.path, key), self.lines)

    def item(self, index: int) -> Source:
        """Step to an item of a list."""
        return Source(self.value[index], self.document, (*self.path, index), self.lines)

    def items(self) -> Iterator[Source]:
        """Step to each item of what must be a list."""
        if not isinstance(self.value, list):
            raise self.error(f"is {_found(self.value)}; expected a list")
        return (self.item(index) for index in range(len(self.value)))

    def expect_keys(self, required: Collection[str], optional: Collection[str] = ()) -> None:
        """Refuse anything but a mapping with these keys."""
        if not isinstance(self.value, dict):
            raise self.error(f"is {_found(self.value)}; expected a mapping with {', '.join(required)}")
        known = [*required, *optional]
        for key in self.value:
            if key not in known:
                raise self.error(f"is unknown here; {did_you_mean(str(key), known)}", at=(key,))
        for key in required:
            if key not in self.value:
                raise self.error(f"lacks the key {key!r}")

    def text(self) -> str:
        """Return what must be a string with something in it."""
        if not isinstance(self.value, str):
            raise self.error(f"is {_found(self.value)}; expected a string")
        if not self.value.strip():
            raise self.error("is blank; expected some text")
        return self.value

    def whole_number(self, at_least: int) -> int:
        """Return what must be an int that is large enough."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < at_least:
            raise self.error(f"is {_found(self.value)}; expected a whole number of at least {at_least}")
        return self.value

    def properties(self) -> dict[str, Any]:
        """Return what must be a mapping of names to JSON values."""
        if not isinstance(self.value, dict):
            raise self.error(f"is {_found(self.value)}; expected a mapping of names to values")
        fault = find_fault(self.value)
        if fault is not None:
            raise self.error(fault[1], at=fault[0])
        return self.value


def find_fault(value: object, path: Path = ()) -> tuple[Path, str] | None:
    """Find the first thing in a value that JSON can't hold.

    Args:
        value: The value.
        path: Where it stands itself.

    Returns:
        Where the fault is and what it is, or ``None``.

    >>> find_fault({"ports": [80, {443}]})
    (('ports', 1), 'is set {443}; expected what JSON can hold: str, int, float, bool, None, list or dict')
    """
    if len(path) > _MAX_DEPTH:
        return path[:3], f"is nested more than {_MAX_DEPTH} levels deep"
    if isinstance(value, float) and not math.isfinite(value):
        return path, f"is {value!r}, a number that JSON can't hold"
    if value is None or isinstance(value, (str, int, float)):
        return None
    if isinstance(value, list):
        faults = (find_fault(item, (*path, index)) for index, item in enumerate(value))
        return next((fault for fault in faults if fault), None)
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                return path, f"has the key {_found(key)}; expected a string: {str(key)!r}"
            if type(item) in (str, int, bool) and len(path) < _MAX_DEPTH:
                continue  # as most are
            if fault := find_fault(item, (*path, key)):
                return fault
        return None
    return path, f"is {_found(value)}; expected what JSON can hold: str, int, float, bool, None, list or dict"


def sorted_copy(value: Any) -> Any:
    """Copy a JSON value, with the keys of every dict in order.

    >>> sorted_copy({"b": [{"d": 1, "c": 2}], "a": 3})
    {'a': 3, 'b': [{'c': 2, 'd': 1}]}
    """
    if isinstance(value, dict):
        items = sorted(value.items(), key=itemgetter(0))
        return {key: sorted_copy(item) if isinstance(item, (dict, list)) else item for key, item in items}
    return [sorted_copy(item) for item in value] if isinstance(value, list) else value


def decode_json(text: str, document: str) -> Any:
    """Decode JSON, and refuse a key that is there twice.

    Args:
        text: The JSON.
        document: What it is called in messages.

    Returns:
        The value.

    Raises:
        NodeFormatError: If it is not JSON; the message names the line.

    >>> decode_json('[1, 2', "nodes.json")
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.model.errors.NodeFormatError: nodes.json, line 1: not JSON: Expecting ',' delimiter
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, value in pairs:
            if key in mapping:
                raise DuplicateKeyError(f"{document}: the key {key!r} is there twice in one mapping; keep one")
            mapping[key] = value
        return mapping

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise NodeFormatError(f"{document}, line {error.lineno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise NodeFormatError(f"{document}: nested too deeply") from error


def path_text(path: Path) -> str:
    """Write a path as one would write it in Python.

    >>> path_text(("nodes", 3, "properties", "ipv4"))
    'nodes[3].properties.ipv4'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _nearest(lines: Mapping[Path, int], path: Path) -> int | None:
    return next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), None)


def _found(value: object) -> str:
    if value is None:
        return "empty"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:59] + '…'}"
