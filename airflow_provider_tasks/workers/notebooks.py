"""What comes back of a notebook that ran in a worker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_tasks.workers.failures import PayloadError

if TYPE_CHECKING:
    from airflow_provider_tasks.runtime.outcome import Outcome


def conclude_notebook(outcome: Outcome) -> tuple[Outcome, bytes | None]:
    """Return what came of a notebook by its worker's ``outcome``, and the executed notebook if it was sent.

    A cell that failed is a failure. The result is what the notebook handed out: where that is only the cell tagged
    ``result``, its value.

    Raises:
        PayloadError: the worker did not say what it was asked for.

    """
    if not outcome.is_success:
        return outcome, None
    came = outcome.result
    if (
        not isinstance(came, dict)
        or came.keys() != {"error", "results", "notebook"}
        or not isinstance(came["results"], dict)
        or not isinstance(came["notebook"], (bytes, type(None)))
    ):
        raise PayloadError("what the worker says of the notebook is not what was asked for", retry=False)
    if came["error"] is not None:
        failed = replace(outcome, status="failure", category="task", message=str(came["error"]))
        return replace(failed, result=None, has_result=False, exit_code=None), came["notebook"]
    found = came["results"]
    result = found["result"] if list(found) == ["result"] else found or None
    return replace(outcome, result=result), came["notebook"]
