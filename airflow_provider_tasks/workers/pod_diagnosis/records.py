"""What a diagnosis is, and what each category advises where nothing more is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Diagnosis(NamedTuple):
    """Why a task failed: ``category`` is the stable word, ``retry`` whether trying again can help."""

    category: str
    summary: str
    advice: str
    retry: bool


class Trouble(NamedTuple):
    """What keeps a worker's pod from starting; ``final`` says that waiting longer can't help."""

    category: str
    summary: str
    advice: str
    final: bool
    retry: bool


NOT_THE_WORKERS = (
    "The container is not the worker's: correct it where it comes from, pod_override, pod_template_file or the cluster."
)
"""What is advised where another container of the pod is at fault."""

ADVICE: Mapping[str, tuple[str, bool]] = {
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
"""Each category to its advice, and whether trying again can help."""
