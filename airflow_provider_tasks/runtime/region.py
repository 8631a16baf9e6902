"""Where a task runs, and for whom."""

from __future__ import annotations

from typing import NamedTuple, Optional

from airflow_provider_tasks.runtime.context import get_context


class Region(NamedTuple):
    """Where workers are, and for whom they run.

    Attributes:
        name: ``local``, or what Airflow calls the cluster: the id of its connection, and ``in-cluster`` without one.
        backend: ``local`` or ``kubernetes``.
        namespace: that of the pods; None where the connection says it, or on the local backend.
        email: whom a task runs for: the user who triggered the run, and of runs that nobody triggered the owner of the
            task; outside of a run the user of this machine. It is an e-mail address where users go by theirs.

    """

    name: str
    backend: str
    namespace: Optional[str]  # noqa: UP045 - read at run time by Python 3.9
    email: str


def get_default_region() -> Region:
    """Return where this task runs, and for whom; what ``airflow_provider_tasks`` gives in a worker.

    Raises:
        RuntimeError: outside a worker.

    """
    return Region(**get_context()["region"])
