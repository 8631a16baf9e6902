"""The modules that a worker can't import, and how their code gets there.

A module's functions and classes go by value, inside the pickle, unless the module itself is needed: because code
imports it while it runs, or names it as an object. Then its source goes along, and all of it by reference, so that
no class is there twice.
"""

from __future__ import annotations

import dis
import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
import types
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.foreign import NETUNICORN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from airflow_provider_tasks.runtime.messages import ModuleSource

_PACKAGE = __name__.partition(".")[0]
_STDLIB = tuple({sysconfig.get_path(name) + "/" for name in ("stdlib", "platstdlib")})


class Bundle:
    """The modules that a worker can't import.

    Args:
        roots: folders whose modules these are: the DAG bundle's.
        modules: names of single modules: the DAG file's.
        by_value: names of packages of which all goes by value wherever they are installed.

    """

    def __init__(self, roots: Iterable[Path], modules: Iterable[str], by_value: frozenset[str] = frozenset()) -> None:
        found = [Path(root).absolute() for root in roots]
        self._roots = tuple(sorted({f"{path}/" for root in found for path in (root, root.resolve())}))
        self._names = {name for name in modules if name in sys.modules}
        self._always = by_value

    @classmethod
    def around(cls, *objects: Any, file: str | None = None) -> Bundle:
        """Return the bundle that ``objects`` (functions, classes) and the DAG ``file`` belong to.

        Its roots are the folders on ``sys.path`` that hold them, as Airflow puts a bundle's there.
        """
        names = frozenset(getattr(obj, "__module__", None) or "" for obj in objects)
        return _around(names, file, tuple(sys.path), _registered() | _foreign())

    def holds(self, module: types.ModuleType) -> bool:
        """Whether ``module`` is one of them."""
        if module.__name__ in self._names:
            return True
        if self._goes_always(module.__name__):
            return True
        return module.__name__.partition(".")[0] != _PACKAGE and self._holds_file(_file(module))

    def sends_source_of(self, module: types.ModuleType) -> bool:
        """Whether ``module``, named as an object, goes as source."""
        name = module.__name__
        if name in self._names or self._goes_always(name):
            return False
        return self.holds(module) and self.file_of(name) is not None

    @contextmanager
    def by_value(self, but: Collection[str] = ()) -> Iterator[None]:
        """Let cloudpickle take them by value for as long as this lasts, ``but`` those."""
        import cloudpickle

        registered = _registered()
        mine = [
            module
            for name, module in sorted(sys.modules.items())
            if isinstance(module, types.ModuleType)
            and name == module.__name__
            and name not in registered
            and (name not in but or name in self._names)
            and self.holds(module)
        ]
        for module in mine:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in mine:
                cloudpickle.unregister_pickle_by_value(module)

    def file_of(self, name: str) -> Path | None:
        """Return the file of one of their modules, loaded or not; None for a name that is none of them."""
        top, *_ = parts = name.split(".")
        if not top or top in sys.stdlib_module_names or top == _PACKAGE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(top)
        places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
        if places and not any(place and self._holds_file(place) for place in places):
            return None
        for root in self._roots:
            for path in (Path(root, *parts, "__init__.py"), Path(root, *parts[:-1], parts[-1] + ".py")):
                if path.is_file():
                    return path
        return None

    def sources(self, modules: Iterable[str], codes: Iterable[types.CodeType]) -> dict[str, ModuleSource]:
        """Return the source of ``modules``, of those that ``codes`` import when they run, and of what those import."""
        packages = {_file(module): module.__package__ or "" for module in self._loaded()}
        pending = [*modules, *(name for code in codes for name in imports(code, packages.get(code.co_filename, "")))]
        found: dict[str, ModuleSource] = {}
        while pending:
            name = pending.pop()
            file = None if name in found else self.file_of(name)
            if file is None:
                continue
            source = importlib.util.decode_source(file.read_bytes())
            is_package = file.name == "__init__.py"
            found[name] = {"source": source, "package": is_package}
            parent = name.rpartition(".")[0]
            pending.extend([parent] if parent else [])
            try:
                code = compile(source, str(file), "exec", dont_inherit=True)
            except (SyntaxError, ValueError):
                continue  # importing it tells the user, where it happens
            pending.extend(imports(code, name if is_package else parent))
        return dict(sorted(found.items()))

    def _goes_always(self, name: str) -> bool:
        return any(name == found or name.startswith(f"{found}.") for found in self._always)

    def _loaded(self) -> list[types.ModuleType]:
        loaded = [module for module in list(sys.modules.values()) if isinstance(module, types.ModuleType)]
        return [module for module in loaded if self.holds(module)]

    def _holds_file(self, file: str) -> bool:
        in_roots = bool(file and self._roots) and f"{os.path.abspath(file)}/".startswith(self._roots)
        return in_roots and not _is_installed(file)


@lru_cache(maxsize=64)
def _around(names: frozenset[str], file: str | None, path: tuple[str, ...], by_value: frozenset[str]) -> Bundle:
    """Make a bundle; a DAG file with a thousand tasks asks a thousand times for the same one."""
    roots = set()
    for found in {_file(sys.modules.get(name)) for name in names} | {file}:
        if not found or _is_installed(found):
            continue
        folder = os.path.dirname(os.path.abspath(found))
        roots.add(folder)
        for entry in map(os.path.abspath, path):
            if entry != "/" and f"{folder}/".startswith(f"{entry}/"):
                roots.add(entry)
    python = {*sys.stdlib_module_names, _PACKAGE} - {"__main__"}
    modules = {name for name in names if name.partition(".")[0] not in python}
    mine = {name for name in modules if not _is_installed(_file(sys.modules.get(name)))}
    return Bundle(map(Path, roots), mine, by_value)


def nested_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield ``code`` and the code of all functions and classes inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested_codes(constant)


def imports(code: types.CodeType, package: str) -> Iterator[str]:
    """Yield the absolute names of what ``code``, in ``package``, imports when it runs: modules, or what is in them.

    >>> sorted(imports(compile("from . import a; import b.c; from d import e", "", "exec"), "p"))
    ['b.c', 'd', 'd.e', 'p', 'p.a']
    """
    before: list[Any] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            level, names = before[-2:]
            base = package.split(".")[: len(package.split(".")) - level + 1] if level else []
            if level == 0 or (package and base):
                module = ".".join([*base, *([instruction.argval] if instruction.argval else [])])
                yield module
                # ``from package import module`` may name a module as well as anything else.
                yield from (f"{module}.{name}" for name in names or () if name != "*")
        elif instruction.opname.startswith("LOAD_"):
            before.append(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from imports(constant, package)


def _registered() -> frozenset[str]:
    """Return what the user registered with cloudpickle; nothing where nobody has loaded it, which takes a while."""
    cloudpickle = sys.modules.get("cloudpickle")
    return frozenset(cloudpickle.list_registry_pickle_by_value()) if cloudpickle else frozenset()


def _foreign() -> frozenset[str]:
    """Return the packages of tasks that were written for netunicorn, where there are any: no worker has those."""
    return frozenset({NETUNICORN} if f"{NETUNICORN}.base" in sys.modules else ())


def _file(module: types.ModuleType | None) -> str:
    file = getattr(module, "__dict__", {}).get("__file__")
    return file if isinstance(file, str) else ""


def _is_installed(file: str) -> bool:
    return "/site-packages/" in file or "/dist-packages/" in file or file.startswith(_STDLIB)
