"""A digest of what would run: the same in every process, another one when the code changes.

It goes over the code of functions and classes rather than over their text or their pickle: comments and
positions do not count, the order of a set does not count, and no object's address is in it. Code that a worker
imports counts by its name, code that travels by value by its content, however far away it is defined.
"""

from __future__ import annotations

import enum
import hashlib
import sys
import types
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_provider_tasks.workers.bundle import imports, nested_codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from airflow_provider_tasks.workers.bundle import Bundle


class Digest:
    """The digest of ``parts``, after a ``name`` for people, worked out when it is first asked for.

    A DAG file goes on after it has made an operator: what the operator's code refers to may be defined below it.
    So the digest is taken when Airflow serializes the DAG, which asks for :meth:`serialize` or ``str``. A part may be
    a digest itself.

    >>> str(Digest([len, 1])) == str(Digest([len, 1])) != str(Digest([len, 2]))
    True
    """

    def __init__(self, parts: Iterable[Any], bundle: Bundle | None = None, name: str = "") -> None:
        self._parts = list(parts)
        self._bundle = bundle
        self._name = name
        self._text: str | None = None

    def serialize(self) -> str:
        """Return the digest; the name is the one that Airflow's serialization of template fields looks for."""
        if self._text is None:
            parts = [_code_of(part, self._bundle) for part in self._parts]
            self._text = f"{self._name} {_hash(_Walk(self._bundle).tokens(parts))[:16]}".strip()
        return self._text

    def __str__(self) -> str:
        return self.serialize()

    def __repr__(self) -> str:
        return f"Digest({self.serialize()!r})"


_OURS = __name__.partition(".")[0] + "."

_hashes: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def _code_of(part: Any, bundle: Bundle | None) -> Any:
    """Return ``part`` with the digest of its code in the place of its code.

    Hundreds of operators run the same class or function; its code is gone through once.
    """
    if isinstance(part, Digest):
        return part.serialize()
    if isinstance(part, (type, types.FunctionType)):
        if part not in _hashes:
            _hashes[part] = _hash(_Walk(bundle).tokens(part))
        return _hashes[part]
    if any(cls.__module__.startswith(_OURS) for cls in type(part).__mro__) and hasattr(part, "__dict__"):
        return [_code_of(type(part), bundle), vars(part)]
    return part


def _hash(tokens: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(tokens).encode("utf-8", "surrogatepass")).hexdigest()


class _Walk:
    def __init__(self, bundle: Bundle | None) -> None:
        self._bundle = bundle
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # an id is only good while its object lives
        self._modules: set[str] = set()

    def tokens(self, value: Any) -> Iterator[str]:
        """Yield text that stands for ``value`` and tells it from every other."""
        kind = type(value)
        if value is None or kind in (bool, int, float, complex, str, bytes):
            yield f"{kind.__name__}:{value!r}"
            return
        if id(value) in self._seen:
            yield f"again:{self._seen[id(value)]}"
            return
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        if kind in (list, tuple):
            yield f"{kind.__name__}:{len(value)}"
            for item in value:
                yield from self.tokens(item)
        elif isinstance(value, (set, frozenset)):
            # Each item by itself, for the order of a set is another one in every process.
            yield f"{kind.__name__}:{len(value)}"
            yield from sorted("".join(_Walk(self._bundle).tokens(item)) for item in value)
        elif kind is dict or kind is types.MappingProxyType:
            yield f"dict:{len(value)}"
            for key, item in value.items():
                yield from self.tokens(key)
                yield from self.tokens(item)
        elif kind is types.CodeType:
            yield from self._code(value)
        elif kind is types.FunctionType:
            yield from self._function(value)
        elif isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, types.ModuleType):
            yield f"module:{value.__name__}"
            yield from self._module(value.__name__)
        elif isinstance(value, (staticmethod, classmethod)):
            yield kind.__name__
            yield from self.tokens(value.__func__)
        elif isinstance(value, property):
            yield "property"
            yield from self.tokens([value.fget, value.fset, value.fdel])
        elif isinstance(value, types.MethodType):
            yield "method"
            yield from self.tokens([value.__func__, value.__self__])
        elif isinstance(value, partial):
            yield "partial"
            yield from self.tokens([value.func, value.args, value.keywords])
        elif getattr(kind, "_airflow_is_task_decorator", False):
            yield from self.tokens(value.function)
        elif isinstance(value, enum.Enum):
            yield f"enum:{kind.__module__}.{kind.__qualname__}.{value.name}"
        elif isinstance(value, types.BuiltinFunctionType):
            yield f"builtin:{value.__module__}.{value.__qualname__}"
        else:
            yield from self._instance(value)

    def _instance(self, value: Any) -> Iterator[str]:
        kind = type(value)
        yield f"instance:{kind.__module__}.{kind.__qualname__}"
        if f"{kind.__module__}.{kind.__qualname__}" == "numpy.ndarray" and value.dtype.kind != "O":
            yield f"{value.dtype.str}:{value.shape}:{hashlib.sha256(value.tobytes()).hexdigest()}"
        elif kind.__module__ in (
            "datetime",
            "decimal",
            "uuid",
            "pathlib",
            "re",
        ):
            yield repr(value)
        elif self._by_value(kind.__module__) or any(cls.__module__.startswith(_OURS) for cls in kind.__mro__):
            yield from self._class(kind)
            yield from self._content(value)
        elif kind.__module__.partition(".")[0] in sys.stdlib_module_names:
            yield from self._content(value)

    def _content(self, value: Any) -> Iterator[str]:
        """Yield what ``value`` holds, as pickle would take it apart: attributes, slots, items."""
        try:
            _, arguments, *state = value.__reduce_ex__(4)
        except Exception:
            yield from self.tokens(getattr(value, "__dict__", {}))
            return
        yield from self.tokens([argument for argument in arguments if argument is not type(value)])
        for part in state:
            yield from self.tokens(list(part) if hasattr(part, "__next__") else part)

    def _function(self, function: types.FunctionType) -> Iterator[str]:
        if not self._by_value(function.__module__):
            yield f"function:{function.__module__}.{function.__qualname__}"
            return
        yield f"function:{function.__qualname__}"
        yield from self._code(function.__code__)
        for name in imports(function.__code__, function.__globals__.get("__package__") or ""):
            yield from self._module(name)
        yield from self.tokens([function.__defaults__, function.__kwdefaults__])
        for cell in function.__closure__ or ():
            try:
                yield from self.tokens(cell.cell_contents)
            except ValueError:
                yield "empty cell"
        for name in sorted({name for code in nested_codes(function.__code__) for name in code.co_names}):
            if name in function.__globals__:
                yield f"global:{name}"
                yield from self.tokens(function.__globals__[name])

    def _code(self, code: types.CodeType) -> Iterator[str]:
        yield f"code:{code.co_name}:{code.co_flags}"
        yield f"{code.co_argcount}:{code.co_posonlyargcount}:{code.co_kwonlyargcount}"
        yield code.co_code.hex()
        yield ",".join((*code.co_names, "|", *code.co_varnames, "|", *code.co_freevars, "|", *code.co_cellvars))
        for constant in code.co_consts:
            yield from self.tokens(constant)

    def _class(self, cls: type) -> Iterator[str]:
        if not self._by_value(cls.__module__):
            yield f"class:{cls.__module__}.{cls.__qualname__}"
            return
        yield f"class:{cls.__qualname__}"
        for base in cls.__bases__:
            yield from self.tokens(base)
        for name, value in sorted(vars(cls).items()):
            if name not in _NOT_CODE and not isinstance(
                value, (types.GetSetDescriptorType, types.MemberDescriptorType)
            ):
                yield f"attribute:{name}"
                yield from self.tokens(value)

    def _module(self, name: str) -> Iterator[str]:
        """Yield the code of a module that goes along as source, and of those of the bundle that it imports."""
        file = None if self._bundle is None or name in self._modules else self._bundle.file_of(name)
        if file is None:
            return
        self._modules.add(name)
        yield f"source:{name}"
        code = _compiled(file, file.stat().st_mtime_ns)
        yield from self._code(code)
        for inner in imports(code, name if file.name == "__init__.py" else name.rpartition(".")[0]):
            yield from self._module(inner)

    def _by_value(self, module_name: str | None) -> bool:
        module = sys.modules.get(module_name or "")
        if module is None or module_name == "__main__":
            return True
        return self._bundle is not None and self._bundle.holds(module)


@lru_cache(maxsize=256)
def _compiled(file: Path, modified: int) -> types.CodeType:
    """Return the code of a file as it was at a time of modification."""
    return compile(file.read_bytes(), file.name, "exec", dont_inherit=True)


_NOT_CODE = {
    "__module__",
    "__dict__",
    "__weakref__",
    "__doc__",
    "__abstractmethods__",
    "_abc_impl",
    "__firstlineno__",
    "__static_attributes__",
    "__annotations__",
    "__annotate_func__",
    "__annotations_cache__",
    "__parameters__",
    "__orig_bases__",
}
