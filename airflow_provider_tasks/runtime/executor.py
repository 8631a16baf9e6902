"""The process of the user's code: it unpickles a task, runs it, and reports what came of it.

The report is a file: one line of JSON (an outcome without its result), then the result as JSON. It is written
under another name and moved into place, so that a report that is there is complete. Whatever the user prints
goes to standard output and can't be taken for it.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import sys
import time
import types

from airflow_provider_tasks.runtime import protocol, values
from airflow_provider_tasks.runtime.context import set_context
from airflow_provider_tasks.runtime.signals import FailTask, SkipTask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType
    from typing import Any

    from airflow_provider_tasks.runtime.messages import Request


class _Failed(Exception):
    """The task can't be run; ``category`` says why."""

    def __init__(self, category: str, message: str, **detail: str) -> None:
        super().__init__(message)
        self.category = category
        self.detail = detail


def main(request_file: str, folder: str) -> None:
    """Run the request in ``request_file``; ``folder`` is the runtime's own, where the report goes."""
    started = time.monotonic()
    with open(request_file, "rb") as file:
        request = protocol.parse_request(file.read())
    head: dict[str, Any] = {"status": "failure", "python": ".".join(map(str, sys.version_info[:3]))}
    result: bytes | None = None
    timeline = {}
    try:
        _prepare(request, folder)
        call, args, kwargs = _load(request)
        timeline["started"] = time.monotonic() - started
        running = time.monotonic()
        try:
            returned = _call(call, args, kwargs)
        finally:
            timeline["run"] = time.monotonic() - running
        running = time.monotonic()
        head["status"], result = _encode(returned, pickle_results=request.get("pickle_results", False))
        if head["status"] == "failure":
            head.update(category="task", message="the task returned a Failure")
        timeline["result"] = time.monotonic() - running
    except _Failed as failure:
        head.update(category=failure.category, message=str(failure), detail=failure.detail)
        cause = failure.__cause__
        if cause is not None:
            head["exceptions"] = _report().describe(cause)
    except BaseException as error:
        head.update(_outcome_of(error))
        if head["status"] == "failure":
            result = values.encode_json(_report().message_of(error))
    head["timeline"] = timeline
    _write_report(folder, head, result)


def _report() -> ModuleType:
    """Return the module that describes exceptions, which a task that succeeds has no use for."""
    from airflow_provider_tasks.runtime import report

    return report


def _prepare(request: Request, folder: str) -> None:
    ours = "{}.{}".format(*sys.version_info[:2])
    theirs = request["python"]
    if ours != theirs:
        raise _Failed(
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
        with open(path, "w", encoding="utf-8") as file:
            file.write(module["source"])
    sys.path.insert(1, modules)
    set_context(values.decode(request.get("context", {})))


def _load(request: Request) -> tuple[Any, list[Any], dict[str, Any]]:
    try:
        call, args, kwargs = pickle.loads(base64.b64decode(request["payload"]))  # noqa: S301 - Airflow's side wrote it
    except ModuleNotFoundError as error:
        raise _missing_module(error) from error
    except Exception as error:
        raise _Failed(
            "payload",
            f"the task can't be loaded in the worker: {type(error).__name__}: {_report().message_of(error)}",
        ) from error
    return call, args, kwargs


def _missing_module(error: ModuleNotFoundError) -> _Failed:
    package = (error.name or "").partition(".")[0]
    return _Failed(
        "environment",
        f"the worker has no module {error.name!r}, which the task imports",
        module=error.name or "",
        requirement=f"pip install {package}" if package else "",
    )


def _call(call: Any, args: list[Any], kwargs: Mapping[str, Any]) -> Any:
    try:
        returned = call(*args, **kwargs)
        if isinstance(returned, types.CoroutineType):
            import asyncio

            returned = asyncio.run(returned)
    except ModuleNotFoundError as error:
        # Only a package that is not there at all is the environment's fault.
        from importlib.util import find_spec

        if error.name and find_spec(error.name.partition(".")[0]) is None:
            raise _missing_module(error) from error
        raise
    return returned


def _encode(returned: Any, *, pickle_results: bool) -> tuple[str, bytes]:
    status = "success"
    results = sys.modules.get("returns.result")
    if results is not None and isinstance(returned, results.Result):
        if isinstance(returned, results.Success):
            returned = returned.unwrap()
        else:
            status, returned = "failure", returned.failure()
            if isinstance(returned, BaseException):
                returned = _report().message_of(returned)
    try:
        encoded = values.encode_json(returned, pickle_results=pickle_results)
    except values.ValueEncodeError as error:
        raise _Failed("value", str(error)) from None
    if len(encoded) > protocol.RESULT_LIMIT:
        raise _Failed(
            "value",
            f"the result takes {len(encoded):,} bytes as JSON, expected at most {protocol.RESULT_LIMIT:,}: "
            "write it to a storage and return where it is",
        )
    return status, encoded


def _outcome_of(error: BaseException) -> dict[str, Any]:
    if isinstance(error, SkipTask):
        return {"status": "skipped", "message": _report().message_of(error)}
    return {
        "category": "task",
        "message": f"{type(error).__name__}: {_report().message_of(error)}",
        "retry": not isinstance(error, FailTask),
        "exceptions": _report().describe(error),
    }


def _write_report(folder: str, head: Mapping[str, Any], result: bytes | None) -> None:
    path = os.path.join(folder, protocol.REPORT)
    with open(path + ".part", "wb") as file:
        file.write(json.dumps(head).encode("ascii"))
        file.write(b"\n")
        if result is not None:
            file.write(result)
    os.replace(path + ".part", path)
