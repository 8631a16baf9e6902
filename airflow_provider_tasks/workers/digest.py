"""A digest of what would run: the same in every process, another one when the code changes.

It goes over the code of functions and classes rather than over their text or their pickle: comments and
positions do not count, the order of a set does not count, and no object's address is in it. Code that a worker
imports counts by its name, code that travels by value by its content, however far away it is defined.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
import sys
import types
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_provider_tasks.workers.bundle import imports, nested_codes

if TYPE_CHECKING:
    from collections.abc import Iterable
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
_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})

_hashes: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def _code_of(part: Any, bundle: Bundle | None) -> Any:
    """Return ``part`` with the digest of its code in the place of its code.

    Hundreds of operators run the same class or function; its code is gone through once.
    """
    if type(part) in _PLAIN:
        return part
    if isinstance(part, Digest):
        return part.serialize()
    if isinstance(part, (type, types.FunctionType)):
        found = _hashes.get(part)
        if found is None:
            found = _hashes[part] = _hash(_Walk(bundle).tokens(part))
        return found
    if _is_ours(type(part)) and hasattr(part, "__dict__"):
        return [_code_of(type(part), bundle), vars(part)]
    return part


def _is_ours(kind: type) -> bool:
    return any(cls.__module__.startswith(_OURS) for cls in kind.__mro__)


def _hash(tokens: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(tokens).encode("utf-8", "surrogatepass")).hexdigest()


class _Walk:
    def __init__(self, bundle: Bundle | None) -> None:
        self._bundle = bundle
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # an id is only good while its object lives
        self._modules: set[str] = set()
        self._found: list[str] = []

    def tokens(self, value: Any) -> list[str]:
        """Return text that stands for ``value`` and tells it from every other."""
        self.add(value)
        return self._found

    def add(self, value: Any) -> None:
        """Add the text that stands for ``value`` to what was found."""
        kind = type(value)
        if kind in _PLAIN:
            self._found.append(f"{kind.__name__}:{value!r}")
            return
        if id(value) in self._seen:
            self._found.append(f"again:{self._seen[id(value)]}")
            return
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        if kind in (list, tuple):
            self._found.append(f"{kind.__name__}:{len(value)}")
            self._add_all(value)
        elif isinstance(value, (set, frozenset)):
            # Each item by itself, for the order of a set is another one in every process.
            self._found.append(f"{kind.__name__}:{len(value)}")
            self._found += sorted("".join(_Walk(self._bundle).tokens(item)) for item in value)
        elif kind is dict or kind is types.MappingProxyType:
            self._found.append(f"dict:{len(value)}")
            self._add_all(itertools.chain.from_iterable(value.items()))
        elif kind is types.CodeType:
            self._code(value)
        elif kind is types.FunctionType:
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.ModuleType):
            self._found.append(f"module:{value.__name__}")
            self._module(value.__name__)
        elif isinstance(value, (staticmethod, classmethod)):
            self._found.append(kind.__name__)
            self.add(value.__func__)
        elif isinstance(value, property):
            self._found.append("property")
            self.add([value.fget, value.fset, value.fdel])
        elif isinstance(value, types.MethodType):
            self._found.append("method")
            self.add([value.__func__, value.__self__])
        elif isinstance(value, partial):
            self._found.append("partial")
            self.add([value.func, value.args, value.keywords])
        elif getattr(kind, "_airflow_is_task_decorator", False):
            self.add(value.function)
        elif isinstance(value, enum.Enum):
            self._found.append(f"enum:{kind.__module__}.{kind.__qualname__}.{value.name}")
        elif isinstance(value, types.BuiltinFunctionType):
            self._found.append(f"builtin:{value.__module__}.{value.__qualname__}")
        else:
            self._instance(value)

    def _add_all(self, values: Iterable[Any]) -> None:
        for value in values:
            kind = type(value)
            if kind in _PLAIN:  # as most are: a call for each takes as long as all else
                self._found.append(f"{kind.__name__}:{value!r}")
            else:
                self.add(value)

    def _instance(self, value: Any) -> None:
        kind = type(value)
        self._found.append(f"instance:{kind.__module__}.{kind.__qualname__}")
        if f"{kind.__module__}.{kind.__qualname__}" == "numpy.ndarray" and value.dtype.kind != "O":
            self._found.append(f"{value.dtype.str}:{value.shape}:{hashlib.sha256(value.tobytes()).hexdigest()}")
        elif kind.__module__ in (
            "datetime",
            "decimal",
            "uuid",
            "pathlib",
            "re",
        ):
            self._found.append(repr(value))
        elif self._by_value(kind.__module__) or _is_ours(kind):
            self._class(kind)
            self._content(value)
        elif kind.__module__.partition(".")[0] in sys.stdlib_module_names:
            self._content(value)

    def _content(self, value: Any) -> None:
        """Add what ``value`` holds, as pickle would take it apart: attributes, slots, items."""
        try:
            _, arguments, *state = value.__reduce_ex__(4)
        except Exception:
            self.add(getattr(value, "__dict__", {}))
            return
        self.add([argument for argument in arguments if argument is not type(value)])
        for part in state:
            self.add(list(part) if hasattr(part, "__next__") else part)

    def _function(self, function: types.FunctionType) -> None:
        if not self._by_value(function.__module__):
            self._found.append(f"function:{function.__module__}.{function.__qualname__}")
            return
        self._found.append(f"function:{function.__qualname__}")
        self._code(function.__code__)
        for name in imports(function.__code__, function.__globals__.get("__package__") or ""):
            self._module(name)
        self.add([function.__defaults__, function.__kwdefaults__])
        for cell in function.__closure__ or ():
            try:
                self.add(cell.cell_contents)
            except ValueError:
                self._found.append("empty cell")
        for name in sorted({name for code in nested_codes(function.__code__) for name in code.co_names}):
            if name in function.__globals__:
                self._found.append(f"global:{name}")
                self.add(function.__globals__[name])

    def _code(self, code: types.CodeType) -> None:
        self._found.append(f"code:{code.co_name}:{code.co_flags}")
        self._found.append(f"{code.co_argcount}:{code.co_posonlyargcount}:{code.co_kwonlyargcount}")
        self._found.append(code.co_code.hex())
        self._found.append(
            ",".join((*code.co_names, "|", *code.co_varnames, "|", *code.co_freevars, "|", *code.co_cellvars))
        )
        for constant in code.co_consts:
            self.add(constant)

    def _class(self, cls: type) -> None:
        if not self._by_value(cls.__module__):
            self._found.append(f"class:{cls.__module__}.{cls.__qualname__}")
            return
        self._found.append(f"class:{cls.__qualname__}")
        for base in cls.__bases__:
            self.add(base)
        for name, value in sorted(vars(cls).items()):
            if name not in _NOT_CODE and not isinstance(
                value, (types.GetSetDescriptorType, types.MemberDescriptorType)
            ):
                self._found.append(f"attribute:{name}")
                self.add(value)

    def _module(self, name: str) -> None:
        """Add the code of a module that goes along as source, and of those of the bundle that it imports."""
        file = None if self._bundle is None or name in self._modules else self._bundle.file_of(name)
        if file is None:
            return
        self._modules.add(name)
        self._found.append(f"source:{name}")
        code = _compiled(file, file.stat().st_mtime_ns)
        self._code(code)
        for inner in imports(code, name if file.name == "__init__.py" else name.rpartition(".")[0]):
            self._module(inner)

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
