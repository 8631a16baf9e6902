"""What a task raises to end in another way than success or failure."""

from __future__ import annotations


class SkipTask(Exception):  # noqa: N818 - named for what it does, as Airflow's own signals are
    """Raise it in a worker to mark the Airflow task as skipped.

    >>> raise SkipTask("no new files")
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.runtime.signals.SkipTask: no new files
    """


class FailTask(Exception):  # noqa: N818
    """Raise it in a worker to fail the Airflow task at once, whatever retries it has left.

    >>> raise FailTask("the table was dropped: trying again changes nothing")
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.runtime.signals.FailTask: the table was dropped: trying again changes nothing
    """
