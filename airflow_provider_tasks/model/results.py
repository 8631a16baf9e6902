"""``Result``, ``Success`` and ``Failure`` of the library ``returns``, and their JSON form.

Nothing else in the package imports this module when it is itself imported: ``returns`` takes 60 ms to load.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TypedDict

from airflow_provider_tasks.model.errors import ResultFormatError
from airflow_provider_tasks.model.suggest import did_you_mean

if sys.version_info < (3, 11):
    raise ImportError(
        "Result, Success and Failure come from the library returns, which needs Python 3.11; this is "
        f"Python {sys.version_info[0]}.{sys.version_info[1]}. Plain values and exceptions need neither: what "
        "run() returns is a success, what it raises is a failure."
    )

from returns.pipeline import is_successful  # noqa: TID253 - this module is the one that may
from returns.result import Failure, Result, Success  # noqa: TID253

__all__ = [
    "Failure",
    "Result",
    "ResultJson",
    "Success",
    "is_successful",
    "result_from_json",
    "result_to_json",
]


class ResultJson(TypedDict):
    """A ``Result`` as JSON; ``result`` is left as it is, whatever can or can't travel in it."""

    result_type: str
    result: Any


def result_to_json(result: Result[Any, Any]) -> ResultJson:
    """Write a result as a mapping.

    Args:
        result: A ``Success`` or a ``Failure``.

    Returns:
        ``result_type`` and the value inside.

    Raises:
        TypeError: If it is no ``Result``.

    >>> result_to_json(Success(3))
    {'result_type': 'Success', 'result': 3}
    >>> result_to_json(Failure("no route to host"))
    {'result_type': 'Failure', 'result': 'no route to host'}
    """
    if not isinstance(result, Result):
        raise TypeError(f"expected a Success or a Failure, found type {type(result).__name__}: {result!r}")
    if is_successful(result):
        return {"result_type": "Success", "result": result.unwrap()}
    return {"result_type": "Failure", "result": result.failure()}


def result_from_json(mapping: Mapping[str, object]) -> Result[Any, Any]:
    """Read a result from what ``result_to_json`` wrote.

    Args:
        mapping: ``result_type`` (``Success`` or ``Failure``) and ``result``, nothing else.

    Returns:
        The result.

    Raises:
        ResultFormatError: If a key is missing or unknown, or the type of result is.

    >>> result_from_json({"result_type": "Success", "result": 3})
    <Success: 3>
    """
    if not isinstance(mapping, Mapping):
        raise ResultFormatError(
            f"a result is a mapping of result_type and result, found type {type(mapping).__name__}: {mapping!r}"
        )
    if set(mapping) != {"result_type", "result"}:
        raise ResultFormatError(
            f"a result has the keys 'result' and 'result_type', found {', '.join(map(repr, mapping)) or 'none'}"
        )
    kind = mapping["result_type"]
    if kind == "Success":
        return Success(mapping["result"])
    if kind == "Failure":
        return Failure(mapping["result"])
    raise ResultFormatError(f"unknown result_type {kind!r}; {did_you_mean(str(kind), ['Success', 'Failure'])}")
