"""A request with everything that its worker is to know: what to run, the context, the environment, the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime import values
from airflow_provider_tasks.workers.connections import handed_over
from airflow_provider_tasks.workers.region import region_of, user

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_tasks.runtime.messages import Environment, Request
    from airflow_provider_tasks.workers.settings import Settings


def complete(
    what: Request,
    settings: Settings,
    *,
    requirements: Sequence[str],
    context: Mapping[str, Any],
    variables: Mapping[str, str],
    here: Environment,
    email: str | None = None,
    pickle_results: bool = False,
) -> Request:
    """Return the request for a worker.

    Args:
        what: the part that says what to run.
        settings: what the worker is.
        requirements: commands that must have run before.
        context: what ``get_context()`` is to give, without connections and variables.
        variables: environment variables that say whose task it is; those of the settings are stronger.
        here: what the request must say because it goes to this worker.
        email: whom it runs for; the user of this machine unless given.
        pickle_results: let what is no plain data travel as an opaque value.

    """
    config = settings.config
    secrets, secret_variables = handed_over(config)
    environment: Environment = {
        "variables": {**variables, **(config.env_variables or {}), **secret_variables},
        "startup_script": config.startup_script,
        "requirements": list(requirements),
        "python_venv_name": config.python_venv_name,
    }
    environment.update(here)
    region = region_of(settings, email or user())._asdict()
    return {
        **what,
        "context": values.encode({**context, "region": region, **secrets}),
        "pickle_results": pickle_results,
        "limits": {**what.get("limits", {}), "memory": settings.size.memory, "time": settings.time_limit},
        "environment": environment,
    }
