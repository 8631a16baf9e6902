"""What a failure means and what to do about it: a pure function of what is known."""

from __future__ import annotations

from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_tasks.workers.quantities import format_bytes

if TYPE_CHECKING:
    from airflow_provider_tasks.runtime.outcome import Outcome


class Diagnosis(NamedTuple):
    """Why a task failed: ``category`` is the stable word, ``retry`` whether trying again can help."""

    category: str
    summary: str
    advice: str
    retry: bool


def diagnose(outcome: Outcome) -> Diagnosis:
    """Explain the outcome of a task that failed.

    >>> from airflow_provider_tasks.runtime.outcome import Outcome
    >>> diagnose(Outcome("failure", "timeout", "the task ran into its time limit")).advice
    'Raise time_limit (or the time limit of its worker_size), or give the task less to do.'

    """
    category = outcome.category or "task"
    summary = outcome.message
    advice, retry = _ADVICE[category]
    detail = outcome.detail
    if category == "task":
        retry = outcome.retry
        if outcome.exit_code is not None and not outcome.exceptions and not outcome.has_result:
            advice = "Something in it ended the process: os._exit, a crash of a library, or a handler at exit."
        elif not retry:
            advice = "The task asked not to be tried again (FailTask)."
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


_ADVICE: dict[str, tuple[str, bool]] = {
    "task": ("The traceback above is the task's own.", True),
    "environment": ("Run the command by hand in the worker's environment to see why it fails.", True),
    "memory": ("Give it a larger worker_size, or let it hold less at a time.", True),
    "image": ("Check worker_image and the pull secrets.", False),
    "unschedulable": (
        "Check the node's selector, tolerations and the worker_size against the cluster.",
        True,
    ),
    "evicted": ("The node ran short of something; trying again may find a better one.", True),
    "node_lost": ("Trying again runs it on another node.", True),
    "timeout": (
        "Raise time_limit (or the time limit of its worker_size), or give the task less to do.",
        True,
    ),
    "killed": (
        "Look at who sent the signal: the machine short of memory, an administrator, or the task itself.",
        True,
    ),
    "python_mismatch": ("Give the worker the Python version of Airflow.", False),
    "value": (
        "Return plain data, or set pickle_results=True to hand the value to another worker unopened.",
        False,
    ),
    "payload": ("What travels must be readable at the other end; the message names what is not.", False),
    "configuration": ("Mend the setting that the message names.", False),
    "cluster": ("Trying again may find the cluster well.", True),
}
