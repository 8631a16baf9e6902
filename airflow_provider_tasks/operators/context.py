"""What a worker is told of the run: the part of Airflow's context whose values can travel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.context import KNOWN_CONTEXT_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow.sdk import Context

    from airflow_provider_tasks.model.node import Node

ALWAYS = (
    "data_interval_end",
    "data_interval_start",
    "ds",
    "ds_nodash",
    "logical_date",
    "params",
    "partition_date",
    "partition_key",
    "run_id",
    "task_instance_key_str",
    "ts",
    "ts_nodash",
    "ts_nodash_with_tz",
)
"""What every worker is told."""

ON_REQUEST = (
    "expanded_ti_count",
    "map_index_template",
    "prev_data_interval_end_success",
    "prev_data_interval_start_success",
    "prev_end_date_success",
    "prev_start_date_success",
    "task_reschedule_count",
    "try_number",
)
"""What a function is given that has a parameter of the name: some of them cost Airflow a query."""

_INSTEAD = {
    "conn": "hand the connection over with WorkerConfig(connections=[…]) and read get_context()['connections']",
    "var": "hand the variable over with WorkerConfig(variables=[…]) and read get_context()['variables']",
    "dag": "take what you need of it as an argument",
    "dag_run": "take run_id, logical_date or params",
    "task": "take what you need of it as an argument",
    "macros": "use them in a template: an argument like '{{ macros.… }}'",
    "ti": "return the result instead of xcom_push, and take other tasks' results as arguments instead of xcom_pull",
}
_INSTEAD["task_instance"] = _INSTEAD["ti"]


def check_parameters(name: str, parameters: Iterable[str]) -> None:
    """Check that a function asks for nothing of the context that can't travel.

    Raises:
        TypeError: it does; says what to use instead.

    """
    for parameter in parameters:
        if parameter in KNOWN_CONTEXT_KEYS and parameter not in ALWAYS and parameter not in ON_REQUEST:
            instead = _INSTEAD.get(parameter, "take what you need of it as an argument")
            raise TypeError(
                f"{name}() takes {parameter!r}, which Airflow would fill in, but it can't go to a worker: {instead}; "
                "or give the parameter another name"
            )


def travelling(context: Context, names: Iterable[str]) -> dict[str, Any]:
    """Return the values of ``names`` in ``context`` as plain data."""
    names = list(names)
    found = {name: context[name] for name in names if name in context}  # type: ignore[literal-required]
    if "try_number" in names:
        found["try_number"] = context["ti"].try_number
    if "params" in found:
        params = found["params"]
        found["params"] = params.dump() if hasattr(params, "dump") else dict(params)
    return {name: getattr(value, "__wrapped__", value) for name, value in found.items()}


def worker_context(context: Context, node: Node | None) -> dict[str, Any]:
    """Return what ``get_context()`` gives in the worker, without connections and variables."""
    ti = context["ti"]
    return {
        **travelling(context, ALWAYS),
        "dag_id": ti.dag_id,
        "task_id": ti.task_id,
        "try_number": ti.try_number,
        "map_index": -1 if ti.map_index is None else ti.map_index,
        "node": None if node is None else node.to_json(),
    }


def on_behalf_of(context: Context) -> str:
    """Return whom a task runs for: the user who triggered its run, or else its owner."""
    return getattr(context["dag_run"], "triggering_user_name", None) or context["task"].owner


def context_variables() -> dict[str, str]:
    """Return the ``AIRFLOW_CTX_*`` environment variables, which Airflow sets for a task."""
    return {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_CTX_")}


def wanted_by(function_parameters: Mapping[str, Any], given: Callable[[str], bool]) -> list[str]:
    """Return which parameters of a function Airflow's context is to fill in."""
    names = [*ALWAYS, *ON_REQUEST]
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in function_parameters.values())
    asked = [name for name in names if name in function_parameters and not given(name)]
    return asked + [name for name in ALWAYS if takes_all and name not in asked and not given(name)]
