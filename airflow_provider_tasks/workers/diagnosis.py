"""What a failure means and what to do about it: a pure function of what is known."""

from __future__ import annotations

from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING

from airflow_provider_tasks.workers.pod_diagnosis.ends import end_of_pod, out_of_memory, told_end
from airflow_provider_tasks.workers.pod_diagnosis.facts import Facts
from airflow_provider_tasks.workers.pod_diagnosis.records import ADVICE, Diagnosis
from airflow_provider_tasks.workers.quantities import format_bytes
from airflow_provider_tasks.workers.sizes import SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_tasks.runtime.outcome import Outcome
    from airflow_provider_tasks.workers.sizes import WorkerSize


def diagnose(
    outcome: Outcome | None,
    pod: object = None,
    events: object = (),
    *,
    deleted: bool = False,
    sizes: Mapping[str, WorkerSize] = SIZES,
) -> Diagnosis:
    """Explain why a task failed.

    Args:
        outcome: what the worker reported; None where it reported nothing.
        pod: the last state of the worker's pod that was seen, as the API's JSON has it; None for a worker that has
            none, and where none was seen.
        events: the core/v1 Events of the pod.
        deleted: the pod is gone.
        sizes: the table of sizes, for the advice.

    Returns:
        The diagnosis; ``pod`` and ``events`` may hold anything, the worst of them make it poorer.

    >>> from airflow_provider_tasks.runtime.outcome import Outcome
    >>> diagnose(Outcome("failure", "timeout", "the task ran into its time limit")).advice
    'Raise time_limit (or the time limit of its worker_size), or give the task less to do.'
    >>> diagnose(None, {"metadata": {"name": "a"}, "status": {"phase": "Running"}}, deleted=True).summary
    'pod a was deleted while its worker ran'

    """
    facts = Facts.read(pod, events, deleted=deleted)
    if outcome is None:
        return end_of_pod(facts, sizes)
    ending = _end_behind(outcome, facts, sizes) if outcome.category == "killed" else None
    return ending or _of_outcome(outcome, facts, sizes)


def _end_behind(outcome: Outcome, facts: Facts, sizes: Mapping[str, WorkerSize]) -> Diagnosis | None:
    """Say what lies behind a worker's report that it was killed: it sees the signal, the cluster knows the reason."""
    if outcome.signal is None:
        return told_end(facts, sizes)
    return out_of_memory(facts, sizes) if outcome.signal == 9 else None


def _of_outcome(outcome: Outcome, facts: Facts, sizes: Mapping[str, WorkerSize]) -> Diagnosis:
    category = outcome.category or "task"
    summary = outcome.message
    advice, retry = ADVICE[category]
    detail = outcome.detail
    if category == "task":
        retry = outcome.retry
        if outcome.exit_code is not None and not outcome.exceptions and not outcome.has_result:
            advice = "Something in it ended the process: os._exit, a crash of a library, or a handler at exit."
        elif any(told.type.endswith("ScriptFailedError") for told in outcome.exceptions):
            advice = (
                "What the script printed says why. A module that it lacks comes with a startup script "
                "(startup_script='pip install …')."
            )
        elif not retry:
            advice = "The task asked not to be tried again (FailTask)."
        if out_of_memory(facts, sizes) is not None:
            advice += " A process of it was killed for want of memory: a larger worker_size may help."
    elif category == "environment" and detail.get("module"):
        advice = _advice_on_module(detail["module"])
        retry = False
    elif category == "environment" and detail.get("venv"):
        advice = "Name a virtual environment that the worker has, or leave python_venv_name out."
        retry = False
    elif category == "environment" and detail.get("output"):
        last = detail["output"].strip().splitlines()[-20:]
        summary = "\n".join([summary, *(f"    {line}" for line in last)])
        if detail.get("root") == "no" and _wants_root(detail["output"]):
            advice = "The command needs root, which the worker does not run as: " + advice[0].lower() + advice[1:]
            advice += " WorkerConfig(run_as_root=True) makes a pod's worker root."
        elif detail.get("exit_code") == "127":
            advice = "The worker has no such command: correct its name, install it before, or use a worker that has it."
    elif category == "memory" and outcome.peak_memory and detail.get("memory_limit", "").isdecimal():
        limit = int(detail["memory_limit"])
        summary = f"the task held {outcome.peak_memory:,} bytes of memory, its limit is {format_bytes(limit)}"
        advice = (
            f"Give it a larger worker_size (at least {format_bytes(max(2 * limit, outcome.peak_memory))}), "
            "or let it hold less at a time."
        )
    elif category == "python_mismatch" and detail.get("airflow_python"):
        version = detail["airflow_python"]
        advice = f"Give the worker Python {version}, with WorkerConfig(python=…) or a worker_image that has it."
    elif category == "value" and detail.get("size"):
        advice = "Write it to a storage and return where it is."
    return Diagnosis(category, summary, advice, retry)


def _advice_on_module(module: str) -> str:
    package = module.partition(".")[0]
    if package == "airflow":
        return (
            "A worker has no Airflow: take what the task needs as an argument, from get_context(), or from "
            "WorkerConfig(connections=…, variables=…), and import airflow outside of what the task uses."
        )
    # A module's name is not what pip installs it by; a guess could be anybody's package.
    distribution = next(iter(packages_distributions().get(package, ())), None)
    what = "" if distribution else f" that installs the package with {package!r}"
    requirement = f"pip install {distribution or '…'}"
    return f"Add a requirement to the task{what} (requirements = [{requirement!r}]), or use a worker that has it."


def _wants_root(output: str) -> bool:
    text = output.lower()
    return any(word in text for word in ("permission denied", "are you root", "must be root", "superuser"))
