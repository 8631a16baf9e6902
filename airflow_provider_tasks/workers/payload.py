"""What goes to a worker: the callable and its arguments as one pickle, and the source that it needs.

Code that the worker can't import goes by value: the DAG file, the modules of its bundle, ``__main__``, and what
the user registered with ``cloudpickle.register_pickle_by_value``. Modules of the bundle that such code imports
only while it runs go along as source.
"""

from __future__ import annotations

import base64
import dis
import io
import linecache
import os
import pickle
import sys
import sysconfig
import types
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from airflow_provider_tasks.runtime import protocol
from airflow_provider_tasks.runtime.loading import itself
from airflow_provider_tasks.runtime.values import Opaque
from airflow_provider_tasks.workers.failures import PayloadError
from airflow_provider_tasks.workers.quantities import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_provider_tasks.runtime.messages import ModuleSource, Request


_PACKAGE = __name__.partition(".")[0]
_STDLIB = tuple({sysconfig.get_path(name) + "/" for name in ("stdlib", "platstdlib")})


def pack(call: Any, args: Iterable[Any], kwargs: Mapping[str, Any], bundle: Bundle | None = None) -> Request:
    """Pack ``call(*args, **kwargs)`` for a worker.

    Args:
        call: a function or a task.
        args: its arguments; anything that cloudpickle takes.
        kwargs: its keyword arguments.
        bundle: the modules that the worker can't import; those around ``call`` unless given.

    Returns:
        The part of a request that says what to run.

    Raises:
        PayloadError: something can't be pickled (says what), or all of it is too large (says what is large).

    """
    args, kwargs = list(args), dict(kwargs)
    bundle = bundle or Bundle.around(call if isinstance(call, types.FunctionType) else type(call))
    with bundle.by_value():
        packer = _Packer(io.BytesIO())
        try:
            packer.dump((call, args, kwargs))
        except Exception as error:
            raise _unpicklable(call, args, kwargs, error) from error
        data = packer.file.getvalue()
        if len(data) > protocol.REQUEST_LIMIT:
            raise _too_large(call, args, kwargs, len(data))
    return {
        "version": protocol.VERSION,
        "python": "{}.{}".format(*sys.version_info[:2]),
        "payload": base64.b64encode(data).decode("ascii"),
        "modules": bundle.sources_of_imports(packer.codes),
        "sources": _sources(packer.codes),
    }


class Bundle:
    """The modules that a worker can't import.

    Args:
        roots: folders whose modules these are: the DAG bundle's.
        modules: names of single modules: the DAG file's.

    """

    def __init__(self, roots: Iterable[Path], modules: Iterable[str]) -> None:
        found = [Path(root).absolute() for root in roots]
        self._roots = tuple(sorted({f"{path}/" for root in found for path in (root, root.resolve())}))
        self._names = {name for name in modules if name in sys.modules}

    def holds(self, module: types.ModuleType) -> bool:
        """Whether ``module`` is one of them."""
        if module.__name__ in self._names:
            return True
        file = getattr(module, "__file__", None) or ""
        installed = "/site-packages/" in file or file.startswith(_STDLIB)
        ours = module.__name__.partition(".")[0] == _PACKAGE
        return bool(self._roots) and file.startswith(self._roots) and not installed and not ours

    @classmethod
    def around(cls, *objects: Any, file: str | None = None) -> Bundle:
        """Return the bundle that ``objects`` (functions, classes) and the DAG ``file`` belong to.

        Its roots are the folders on ``sys.path`` that hold them, as Airflow puts a bundle's there.
        """
        names = {getattr(obj, "__module__", None) or "" for obj in objects}
        files = {getattr(sys.modules.get(name), "__file__", None) for name in names} | {file}
        modules = {
            name for name in names if "/site-packages/" not in _file(name) and not _file(name).startswith(_STDLIB)
        }
        roots = set()
        for found in files:
            if not found or "/site-packages/" in found or found.startswith(_STDLIB):
                continue
            folder = os.path.dirname(os.path.abspath(found))
            roots.add(folder)
            for entry in map(os.path.abspath, sys.path):
                if entry != "/" and f"{folder}/".startswith(f"{entry}/"):
                    roots.add(entry)
        ours = {name for name in modules if name.partition(".")[0] == _PACKAGE}
        return cls(map(Path, roots), modules - ours)

    @contextmanager
    def by_value(self) -> Iterator[None]:
        """Let cloudpickle take them by value for as long as this lasts."""
        registered = set(cloudpickle.list_registry_pickle_by_value())
        mine = [
            module
            for name, module in sorted(sys.modules.items())
            if name == getattr(module, "__name__", None) and name not in registered and self.holds(module)
        ]
        for module in mine:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in mine:
                cloudpickle.unregister_pickle_by_value(module)

    def sources_of_imports(self, codes: Iterable[types.CodeType]) -> dict[str, ModuleSource]:
        """Return the source of the bundle's modules that ``codes`` import when they run, and of what those import."""
        found: dict[str, ModuleSource] = {}
        pending = [name for code in codes for name in _imports(code)]
        while pending:
            name = pending.pop()
            file = self._file_of(name)
            if name in found or file is None:
                continue
            source = file.read_text(encoding="utf-8")
            found[name] = {"source": source, "package": file.name == "__init__.py"}
            pending.extend(_imports(compile(source, str(file), "exec")))
            pending.extend(name.rpartition(".")[:1] if "." in name else ())
        return dict(sorted(found.items()))

    def _file_of(self, name: str) -> Path | None:
        parts = name.split(".")
        for root in self._roots:
            for path in (Path(root, *parts[:-1], parts[-1] + ".py"), Path(root, *parts, "__init__.py")):
                if name and path.is_file():
                    return path
        return None


def _file(module: str) -> str:
    return getattr(sys.modules.get(module), "__file__", None) or ""


class _Packer(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's pickler, for what Airflow's objects must not or need not travel as."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.file = file
        self.codes: list[types.CodeType] = []

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is types.CodeType:
            self.codes.append(obj)
        elif kind is Opaque:
            return pickle.loads, (obj.pickled,)
        elif getattr(kind, "_airflow_is_task_decorator", False):
            # In a worker there is no DAG: a task that names another one means its function.
            return itself, (getattr(obj.function, "task_class", obj.function),)
        elif (kind.__module__ or "").startswith("pendulum"):
            plain = _without_pendulum(obj)
            if plain is not obj:
                return plain.__reduce_ex__(4)
        elif _is_airflow_only(kind):
            raise TypeError(
                f"{kind.__module__}.{kind.__qualname__} belongs to Airflow and can't go to a worker, "
                "which has no Airflow: pass the plain value that the task needs"
            )
        elif kind.__module__ == "airflow.sdk.execution_time.lazy_sequence":
            return list, (list(obj),)
        return super().reducer_override(obj)


def _is_airflow_only(kind: type) -> bool:
    names = {"AbstractOperator", "XComArg", "DAG", "TaskGroup", "TaskInstance", "OperatorPartial"}
    return any(cls.__name__ in names and cls.__module__.startswith("airflow.") for cls in kind.__mro__)


def _without_pendulum(obj: Any) -> Any:
    """Return pendulum's dates as Python's own, which every worker has."""
    import datetime
    import zoneinfo

    if isinstance(obj, datetime.datetime):
        return datetime.datetime(
            obj.year, obj.month, obj.day, obj.hour, obj.minute, obj.second, obj.microsecond,
            _without_pendulum(obj.tzinfo), fold=obj.fold,
        )  # fmt: skip
    if isinstance(obj, datetime.date):
        return datetime.date(obj.year, obj.month, obj.day)
    if isinstance(obj, datetime.timedelta):
        return datetime.timedelta(seconds=obj.total_seconds())
    if isinstance(obj, zoneinfo.ZoneInfo):
        return zoneinfo.ZoneInfo(obj.key) if obj.key != "UTC" else datetime.UTC
    if isinstance(obj, datetime.tzinfo):
        offset = obj.utcoffset(None)
        return obj if offset is None else datetime.timezone(offset)
    return obj


def _imports(code: types.CodeType) -> Iterator[str]:
    """Yield the absolute names of modules that ``code`` imports when it runs."""
    instructions = list(dis.get_instructions(code))
    for index, instruction in enumerate(instructions):
        if instruction.opname != "IMPORT_NAME":
            continue
        name = str(instruction.argval)
        yield name
        # ``from package import module`` may name a module as well as anything else.
        for follower in instructions[index + 1 :]:
            if follower.opname == "IMPORT_FROM":
                yield f"{name}.{follower.argval}"
            elif not follower.opname.startswith("STORE_"):
                break
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imports(constant)


def _sources(codes: Iterable[types.CodeType]) -> dict[str, str]:
    """Return the text of the files that ``codes`` come from, for tracebacks."""
    files = sorted({code.co_filename for code in codes})
    texts = ((file, "".join(linecache.getlines(file))) for file in files)
    return {file: text for file, text in texts if 0 < len(text) < 2**20}


def _size(value: Any) -> int:
    packer = _Packer(io.BytesIO())
    packer.dump(value)
    return len(packer.file.getvalue())


def _parts(call: Any, args: list[Any], kwargs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name what travels, piece by piece, in words of the user's code."""
    for index, value in enumerate(args):
        yield f"argument {index}", value
    for name, value in kwargs.items():
        yield f"argument {name!r}", value
    if isinstance(call, types.FunctionType):
        names = {name for code in _nested(call.__code__) for name in code.co_names}
        for name in sorted(names & call.__globals__.keys()):
            yield f"global {name!r} of {call.__qualname__}", call.__globals__[name]
        for name, cell in zip(call.__code__.co_freevars, call.__closure__ or (), strict=True):
            yield f"variable {name!r} around {call.__qualname__}", cell.cell_contents
    else:
        for name, value in getattr(call, "__dict__", {}).items():
            yield f"{type(call).__qualname__}.{name}", value
        yield f"class {type(call).__qualname__}", type(call)


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def _unpicklable(call: Any, args: list[Any], kwargs: dict[str, Any], error: Exception) -> PayloadError:
    for name, value in _parts(call, args, kwargs):
        try:
            _size(value)
        except Exception as cause:
            path, culprit, reason = _smallest(name, value, cause)
            kind = type(culprit)
            return PayloadError(
                f"{path} can't go to a worker: a {kind.__module__}.{kind.__qualname__} can't be pickled ({reason})",
                "Make it inside the task, or pass what it is made of.",
                retry=False,
            )
    return PayloadError(f"the task can't go to a worker: {error}", retry=False)


def _smallest(path: str, value: Any, error: Exception) -> tuple[str, Any, Exception]:
    """Find the innermost part of ``value`` that can't be pickled."""
    if isinstance(value, dict):
        parts = [(f"{path}[{key!r}]", item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        parts = [(f"{path}.{key}", item) for key, item in getattr(value, "__dict__", {}).items()]
        parts = [] if isinstance(value, (type, types.ModuleType, types.FunctionType)) else parts
    for inner_path, inner in parts:
        try:
            _size(inner)
        except Exception as cause:
            return _smallest(inner_path, inner, cause)
    return path, value, error


def _too_large(call: Any, args: list[Any], kwargs: dict[str, Any], size: int) -> PayloadError:
    sizes = sorted(((_size(value), name) for name, value in _parts(call, args, kwargs)), reverse=True)
    largest = ", ".join(f"{name} {format_bytes(part)}" for part, name in sizes[:3])
    return PayloadError(
        f"the task and its arguments take {format_bytes(size)}, "
        f"expected at most {format_bytes(protocol.REQUEST_LIMIT)}; the largest: {largest}",
        "Put large data into a storage and pass where it is.",
        retry=False,
    )
