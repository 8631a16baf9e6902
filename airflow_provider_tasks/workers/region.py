"""Where workers are that no setting puts elsewhere."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from airflow_provider_tasks.runtime.context import is_in_a_worker
from airflow_provider_tasks.runtime.region import Region
from airflow_provider_tasks.runtime.region import get_default_region as region_of_this_task

if TYPE_CHECKING:
    from airflow_provider_tasks.workers.settings import Settings


def get_default_region() -> Region:
    """Return where workers are, and for whom they run: ``name``, ``backend``, ``namespace`` and ``email``.

    In a worker that is where the task runs, and the user who triggered its run, or else the owner of the task. Outside,
    it is what ``[worker_tasks]`` of Airflow's configuration says, and the user of this machine.

    Raises:
        ConfigurationError: a setting is wrong.

    Example::

        region = get_default_region()
        print(f"{region.email} runs on {region.name}")

    """
    from airflow_provider_tasks.workers.opening import direct_settings

    return region_of_this_task() if is_in_a_worker() else region_of(direct_settings(None), user())


# A task that uses it names it by this module, which gives in a worker what is there of it.
get_default_region.__module__ = "airflow_provider_tasks"


def region_of(settings: Settings, email: str) -> Region:
    """Return where a worker is that has these settings."""
    if settings.backend == "local":
        return Region("local", "local", None, email)
    config = settings.config
    return Region(config.kubernetes_conn_id or "in-cluster", settings.backend, config.namespace, email)


def user() -> str:
    """Return the name of this machine's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many containers
        return "unknown"
