"""Values as short, stable text: the same in every process, under every ``PYTHONHASHSEED``."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_MAX_DEPTH = 4
_MAX_ITEMS = 8
_MAX_LENGTH = 80
_MAX_TOTAL = 400
_PLAIN_BITS = 64  # of a number that is short as text
_MAX_SORTED = 1000  # sets and dicts above it are only counted: sorting them for eight items is not worth it


def describe(value: object) -> str:
    """Write a value as short text that does not change from one process to the next.

    Sets and dicts are sorted, addresses are left out, long values end in ``…``. A custom ``__repr__`` is used
    as it is; what such a method does with a set inside is beyond reach here.

    Args:
        value: Anything.

    Returns:
        One line of at most 400 characters.

    >>> describe({"b": {3, 1, 2}, "a": len})
    "{'a': <function len>, 'b': {1, 2, 3}}"
    >>> describe([object(), "x" * 100])[:40]
    "[<object>, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    """
    return _cut(_text(value, 0), _MAX_TOTAL)


def describe_arguments(args: Iterable[object], kwargs: Mapping[str, object]) -> str:
    """Write the arguments of a call, as they stand between the parentheses.

    Args:
        args: The positional arguments.
        kwargs: The keyword arguments, in the order of the call.

    Returns:
        One line of at most 400 characters.

    >>> describe_arguments(["8.8.8.8"], {"count": 3})
    "'8.8.8.8', count=3"
    """
    parts = [_text(value, 0) for value in args]
    parts += [f"{key}={_text(value, 0)}" for key, value in kwargs.items()]
    return _cut(", ".join(parts), _MAX_TOTAL)


def _text(value: object, depth: int) -> str:
    if value is None or type(value) in (bool, float):
        return repr(value)
    if (type(value) is int and value.bit_length() < _PLAIN_BITS) or (type(value) is str and len(value) <= _MAX_LENGTH):
        return repr(value)  # most arguments are such; what follows asks a lot
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, (str, bytes)):
        return repr(value) if len(value) <= _MAX_LENGTH else f"{value[:_MAX_LENGTH]!r}…"
    if isinstance(value, (dict, set, frozenset, list, tuple)) or _is_plain_dataclass(value):
        return "…" if depth >= _MAX_DEPTH else _nested(value, depth + 1)
    if isinstance(value, type):
        return f"<class {value.__name__}>"
    if inspect.isroutine(value):
        name = str(getattr(value, "__qualname__", ""))
        return f"<function {name.rpartition('<locals>.')[2]}>"
    return _other(value)


def _nested(value: object, depth: int) -> str:
    kind = type(value).__name__
    if isinstance(value, (dict, set, frozenset)):
        if len(value) > _MAX_SORTED:
            return f"<{kind} of {len(value)} items>"
        if isinstance(value, dict):
            pairs = sorted(((_text(key, depth), item) for key, item in value.items()), key=lambda pair: pair[0])
            return "{" + _joined(f"{key}: {_text(item, depth)}" for key, item in pairs) + "}"
        body = "{" + _joined(sorted(_text(item, depth) for item in value)) + "}"
        return body if kind == "set" and value else f"{kind}({body if value else ''})"
    if isinstance(value, list):
        return f"[{_joined(_text(item, depth) for item in value)}]"
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        if names is not None:
            return f"{kind}({_joined(f'{n}={_text(v, depth)}' for n, v in zip(names, value))})"
        return f"({_text(value[0], depth)},)" if len(value) == 1 else f"({_joined(_text(v, depth) for v in value)})"
    fields = [field.name for field in dataclasses.fields(value) if field.repr]  # type: ignore[arg-type]
    return f"{kind}({_joined(f'{name}={_text(getattr(value, name), depth)}' for name in fields)})"


def _joined(texts: Iterable[str]) -> str:
    shown: list[str] = []
    for text in texts:
        if len(shown) == _MAX_ITEMS:
            shown.append("…")
            break
        shown.append(text)
    return ", ".join(shown)


def _is_plain_dataclass(value: object) -> bool:
    # The __repr__ that @dataclass writes shows sets in the order of their hashes; a user's own is kept.
    return dataclasses.is_dataclass(type(value)) and hasattr(type(value).__repr__, "__wrapped__")


def _other(value: object) -> str:
    fallback = f"<{type(value).__name__}>"
    if type(value).__repr__ is object.__repr__:
        return fallback
    try:
        text = repr(value)
    except Exception:  # a repr that fails must not keep anyone from making a task
        return fallback
    return _cut(" ".join(_ADDRESS.sub("", text).split()), _MAX_LENGTH)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
