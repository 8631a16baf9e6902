"""Values for a script or a notebook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_tasks.workers.failures import ConfigurationError


def check_parameters(parameters: Any) -> None:
    """Refuse parameters that are no mapping from names to what JSON has a form for.

    >>> check_parameters({"a b": 1})
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.workers.failures.ConfigurationError: parameters: 'a b' is no name ...
    """
    if not isinstance(parameters, Mapping):
        raise ConfigurationError(
            f"parameters: expected a mapping from names to values, found {type(parameters).__name__}: {parameters!r}"
        )
    for name, value in parameters.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigurationError(
                f"parameters: {name!r} is no name of a variable; expected letters, digits and underscores"
            )
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"parameters[{name!r}]: {error}",
                "Pass text, numbers, booleans, None, lists and dicts of these: a date as value.isoformat(), "
                "the results of mapped tasks as list(value) from a task of their own.",
            ) from None
