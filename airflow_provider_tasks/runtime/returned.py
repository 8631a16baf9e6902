"""What user code returns, as a success or a failure and its value."""

from __future__ import annotations

import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def nothing() -> None:
    """Do nothing: what a worker runs that is only to be there."""


def awaited(returned: Any) -> Any:
    """Return what a function returned; that of an ``async`` one is run to its end."""
    if isinstance(returned, types.CoroutineType):
        import asyncio

        return asyncio.run(returned)
    return returned


def opened(returned: Any) -> tuple[bool, Any]:
    """Return whether it is a success, and the value: a ``Result`` is opened, anything else is a success.

    >>> opened(3)
    (True, 3)
    """
    results = sys.modules.get("returns.result")
    if results is None or not isinstance(returned, results.Result):
        return True, returned
    if isinstance(returned, results.Success):
        return True, returned.unwrap()
    failure = returned.failure()
    if isinstance(failure, BaseException):
        from airflow_provider_tasks.runtime.report import message_of

        return False, message_of(failure)
    return False, failure
