"""The process of the user's code: it unpickles a task, runs it, and reports what came of it.

The report is a file: one line of JSON (an outcome without its result), then the result as JSON. It is written
under another name and moved into place, so that a report that is there is complete. Whatever the user prints
goes to standard output and can't be taken for it.
"""

from __future__ import annotations

import binascii
import contextlib
import gc
import json
import os
import pickle
import sys
import time

from airflow_provider_tasks.runtime import files, protocol, values
from airflow_provider_tasks.runtime.context import set_context
from airflow_provider_tasks.runtime.returned import awaited, opened
from airflow_provider_tasks.runtime.signals import FailTask, SkipTask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType
    from typing import Any

    from airflow_provider_tasks.runtime.messages import Request


class _FailedError(Exception):
    """The task can't be run; ``category`` says why."""

    def __init__(self, category: str, message: str, **detail: str) -> None:
        super().__init__(message)
        self.category = category
        self.detail = detail


def main(request_file: str, folder: str) -> None:
    """Run the request in ``request_file``; ``folder`` is the runtime's own, where the report goes."""
    started = time.monotonic()
    del sys.argv[1:]
    process = os.getpid()
    _show_each_line(sys.stdout)
    with open(request_file, "rb") as file:
        request = protocol.parse_request(file.read())
    head: dict[str, Any] = {"status": "failure", "python": ".".join(map(str, sys.version_info[:3]))}
    result: bytes | None = None
    timeline = {}
    try:
        _prepare(request, folder)
        call, args, kwargs = _load(request)
        gc.freeze()
        gc.enable()
        timeline["started"] = time.monotonic() - started
        running = time.monotonic()
        try:
            returned = _call(call, args, kwargs)
        finally:
            timeline["run"] = time.monotonic() - running
        running = time.monotonic()
        head["status"], result = _encode(returned, request)
        if head["status"] == "failure":
            head.update(category="task", message="the task returned a Failure")
        timeline["result"] = time.monotonic() - running
    except _FailedError as failure:
        head.update(category=failure.category, message=str(failure), detail=failure.detail)
        cause = failure.__cause__
        if cause is not None:
            head["exceptions"] = _report().describe(cause)
    except BaseException as error:
        head.update(outcome_of_exception(error))
        if head["status"] == "failure":
            result = values.encode_json(_report().message_of(error))
    head["timeline"] = timeline
    if os.getpid() == process:  # a child that the user's code forked comes here as well
        _write_report(folder, head, result)
    _end()


def _show_each_line(stream: Any) -> None:
    """Have what is printed seen at once, and not lost when the process is killed."""
    if stream is not None:
        stream.reconfigure(line_buffering=True)


def _end() -> None:
    """End this process as Airflow ends those of its own tasks: a thread that still runs does not keep it."""
    import atexit

    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the user's code has closed it, or put something else in its place
            stream.flush()
    os._exit(0)


def _report() -> ModuleType:
    """Return the module that describes exceptions, which a task that succeeds has no use for."""
    from airflow_provider_tasks.runtime import report

    return report


_CALLS = {
    "nothing": ("returned", "nothing"),
    "notebook": ("notebook_call", "run_notebook"),
    "script": ("script", "run_script"),
}
"""What a request may name instead of bringing a pickle: modules of this package and functions in them."""


def _prepare(request: Request, folder: str) -> None:
    ours = "{}.{}".format(*sys.version_info[:2])
    theirs = request.get("python", ours)
    if ours != theirs:
        raise _FailedError(
            "python_mismatch",
            f"the worker runs Python {ours}, the task was packed by Python {theirs}: "
            "code can't be moved between minor versions of Python",
            worker_python=ours,
            airflow_python=theirs,
        )
    sources = request.get("sources", {})
    if sources:
        import linecache
    for file, text in sources.items():
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    modules = os.path.join(folder, "modules")
    for name, module in request.get("modules", {}).items():
        parts = name.split(".")
        path = os.path.join(modules, *parts, "__init__.py") if module["package"] else ""
        path = path or os.path.join(modules, *parts[:-1], parts[-1] + ".py")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as source:
            source.write(module["source"])
    sys.path.insert(1, modules)
    set_context(values.decode(request.get("context", {})), folder)


def _load(request: Request) -> tuple[Any, list[Any], dict[str, Any]]:
    if "call" in request:
        from importlib import import_module

        module, name = _CALLS[request["call"]]
        call = getattr(import_module(f"airflow_provider_tasks.runtime.{module}"), name)
        return call, [], values.decode(request["arguments"])
    try:
        call, args, kwargs = pickle.loads(binascii.a2b_base64(request["payload"]))  # noqa: S301 - Airflow's side wrote it
    except ModuleNotFoundError as error:
        raise _missing_module(error) from error
    except Exception as error:
        raise _FailedError(
            "payload",
            f"the task can't be loaded in the worker: {type(error).__name__}: {_report().message_of(error)}",
        ) from error
    return call, args, kwargs


def _missing_module(error: ModuleNotFoundError) -> _FailedError:
    return _FailedError(
        "environment",
        f"the worker has no module {error.name!r}, which the task imports",
        module=error.name or "",
    )


def _call(call: Any, args: list[Any], kwargs: Mapping[str, Any]) -> Any:
    try:
        return awaited(call(*args, **kwargs))
    except ModuleNotFoundError as error:
        # Only a package that is not there at all is the environment's fault.
        if error.name and not _is_installed(error.name.partition(".")[0]):
            raise _missing_module(error) from error
        raise


def _is_installed(package: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except ValueError:  # it is loaded, and nobody knows from where
        return True


def _encode(returned: Any, request: Request) -> tuple[str, bytes]:
    success, returned = opened(returned)
    pickle_results = request.get("pickle_results", False)
    if pickle_results:
        _pickle_by_value(request.get("modules", ()))
    try:
        encoded = values.encode_json(returned, pickle_results=pickle_results)
    except values.ValueEncodeError as error:
        raise _FailedError("value", str(error)) from None
    if len(encoded) > protocol.RESULT_LIMIT:
        raise _FailedError(
            "value",
            f"the result takes {len(encoded):,} bytes as JSON, expected at most {protocol.RESULT_LIMIT:,}",
            size=str(len(encoded)),
        )
    return "success" if success else "failure", encoded


def _pickle_by_value(modules: Iterable[str]) -> None:
    """Have what is defined in ``modules``, which came along with the task, go on by value: other workers lack them."""
    import cloudpickle

    for name in modules:
        if name in sys.modules:
            cloudpickle.register_pickle_by_value(sys.modules[name])


def outcome_of_exception(error: BaseException) -> dict[str, Any]:
    """Say what came of a task that raised ``error``, as the head of an outcome."""
    if isinstance(error, SkipTask):
        return {"status": "skipped", "message": _report().message_of(error)}
    code = getattr(error, "exit_code", None)
    if code is not None and type(error).__module__ == "airflow_provider_tasks.runtime.script":
        # What failed is not in this process: its traceback would be one of our own code.
        about = {"exit_code": code} if code >= 0 else {"exit_code": None, "signal": -code}
        exceptions = _report().describe(error.with_traceback(None))
        return {"category": "task", "message": str(error), "exceptions": exceptions, **about}
    return {
        "category": "task",
        "message": f"{type(error).__name__}: {_report().message_of(error)}",
        "retry": not isinstance(error, FailTask),
        "exceptions": _report().describe(error),
    }


def _write_report(folder: str, head: Mapping[str, Any], result: bytes | None) -> None:
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # noqa: PERF203 - closed by the user's code: the report must not become standard output
            os.open(os.devnull, os.O_RDWR)
    line = json.dumps(head).encode("ascii") + b"\n"
    files.write(os.path.join(folder, protocol.REPORT), line, result or b"")
