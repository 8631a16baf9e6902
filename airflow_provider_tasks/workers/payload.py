"""What goes to a worker: the callable and its arguments as one pickle, and the source that it needs.

Code that the worker can't import goes by value: the DAG file, the modules of its bundle, ``__main__``, and what
the user registered with ``cloudpickle.register_pickle_by_value``; see :mod:`airflow_provider_tasks.workers.bundle`.
"""

from __future__ import annotations

import base64
import importlib
import io
import linecache
import pickle
import sys
import types
from typing import TYPE_CHECKING, Any

import cloudpickle

from airflow_provider_tasks.runtime import protocol
from airflow_provider_tasks.runtime.loading import itself
from airflow_provider_tasks.runtime.values import Opaque
from airflow_provider_tasks.workers.bundle import Bundle, nested_codes
from airflow_provider_tasks.workers.failures import PayloadError
from airflow_provider_tasks.workers.quantities import format_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from airflow_provider_tasks.runtime.messages import Request

__all__ = ["Bundle", "pack"]


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
    task = (call, list(args), dict(kwargs))
    bundle = bundle or Bundle.around(call if isinstance(call, (types.FunctionType, type)) else type(call))
    packer = _dump(task, bundle)
    modules = bundle.sources(packer.modules, packer.codes)
    if modules:
        packer = _dump(task, bundle, by_reference=modules)
    return {
        "version": protocol.VERSION,
        "python": "{}.{}".format(*sys.version_info[:2]),
        "payload": base64.b64encode(packer.file.getvalue()).decode("ascii"),
        "modules": modules,
        "sources": _sources(packer.codes),
    }


def _dump(task: _Call, bundle: Bundle, by_reference: Collection[str] = ()) -> _Packer:
    with bundle.by_value(but=by_reference):
        packer = _Packer(bundle)
        try:
            packer.dump(task)
        except Exception as error:
            raise _unpicklable(task, bundle, error) from None
        size = len(packer.file.getvalue())
        if size > protocol.REQUEST_LIMIT:
            raise _too_large(task, bundle, size)
    return packer


class _Packer(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's pickler, for what Airflow's objects must not or need not travel as."""

    def __init__(self, bundle: Bundle) -> None:
        self.file = io.BytesIO()
        super().__init__(self.file)
        self.bundle = bundle
        self.codes: list[types.CodeType] = []
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is types.CodeType:
            self.codes.append(obj)
        elif kind is types.ModuleType and self.bundle.sends_source_of(obj):
            self.modules.add(obj.__name__)
            return importlib.import_module, (obj.__name__,)
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


_Call = tuple[Any, list[Any], dict[str, Any]]


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


def _sources(codes: Iterable[types.CodeType]) -> dict[str, str]:
    """Return the text of the files that ``codes`` come from, for tracebacks."""
    files = sorted({code.co_filename for code in codes})
    for file in files:
        linecache.checkcache(file)  # it may have been written anew since this process read it
    texts = ((file, "".join(linecache.getlines(file))) for file in files)
    return {file: text for file, text in texts if 0 < len(text) < 2**20}


def _size(value: Any, bundle: Bundle) -> int:
    packer = _Packer(bundle)
    packer.dump(value)
    return len(packer.file.getvalue())


def _parts(task: _Call) -> list[tuple[str, Any]]:
    """Name what travels, piece by piece, in words of the user's code."""
    call, args, kwargs = task
    parts = [(f"argument {index}", value) for index, value in enumerate(args)]
    parts += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    if isinstance(call, types.FunctionType):
        return [*parts, *_inside("", call)]
    kind = type(call)
    parts += [(f"{kind.__name__}.{name}", value) for name, value in getattr(call, "__dict__", {}).items()]
    return [*parts, (f"class {kind.__name__}", kind)]


def _inside(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Name what ``value``, which is at ``path``, consists of."""
    if _is_airflow_only(type(value)):
        return
    if isinstance(value, types.FunctionType):
        names = {name for code in nested_codes(value.__code__) for name in code.co_names}
        for name in sorted(names & value.__globals__.keys()):
            yield f"global {name!r} of {value.__name__}", value.__globals__[name]
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield f"variable {name!r} around {value.__name__}", cell.cell_contents
        yield from ((f"default of {value.__name__}", default) for default in value.__defaults__ or ())
    elif isinstance(value, dict):
        yield from ((f"{path}[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((f"{path}[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, type):
        members = {name: item for name, item in vars(value).items() if name not in ("__dict__", "__weakref__")}
        yield from ((f"{value.__name__}.{name}", item) for name, item in members.items())
    elif not isinstance(value, types.ModuleType):
        yield from ((f"{path}.{name}", item) for name, item in getattr(value, "__dict__", {}).items())


def _unpicklable(task: _Call, bundle: Bundle, error: Exception) -> PayloadError:
    found = _culprit(_parts(task), bundle, set())
    if found is None:
        return PayloadError(f"the task can't go to a worker: {error}", retry=False)
    path, culprit, reason = found
    kind = type(culprit)
    return PayloadError(
        f"{path} can't go to a worker: a {kind.__module__}.{kind.__qualname__} can't be pickled ({reason})",
        "Make it inside the task, or pass what it is made of.",
        retry=False,
    )


def _culprit(parts: Iterable[tuple[str, Any]], bundle: Bundle, seen: set[int]) -> tuple[str, Any, Exception] | None:
    """Find the innermost of ``parts``, and of what they consist of, that can't be pickled."""
    for path, value in parts:
        if id(value) in seen:
            continue
        try:
            _size(value, bundle)
        except Exception as error:
            seen.add(id(value))
            parts_of_it = list(_inside(path, value))
            found = _culprit(parts_of_it, bundle, seen)
            if found is not None:
                return found
            if not any(id(part) in seen for _, part in parts_of_it):  # else it only refers to what is searched already
                return path, value, error
    return None


def _too_large(task: _Call, bundle: Bundle, size: int) -> PayloadError:
    sizes = sorted(((_size(value, bundle), name) for name, value in _parts(task)), reverse=True)
    largest = ", ".join(f"{name} {format_bytes(part)}" for part, name in sizes[:3])
    return PayloadError(
        f"the task and its arguments take {format_bytes(size)}, "
        f"expected at most {format_bytes(protocol.REQUEST_LIMIT)}; the largest: {largest}",
        "Put large data into a storage and pass where it is.",
        retry=False,
    )
