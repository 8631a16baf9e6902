"""What Airflow's UI tells of a task whose author wrote no ``doc_md``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.node import Architecture, Node
from airflow_provider_tasks.workers.settings import described

if TYPE_CHECKING:
    from collections.abc import Sequence

_PASSWORD = re.compile(r"(?<=://)[^/\s@]+@")
_LATER = "*known when the task runs*"


DOCUMENTS = ("doc", "doc_md", "doc_json", "doc_rst", "doc_yaml")
"""The arguments in which an author documents a task."""


def is_documented(given: Mapping[str, Any]) -> bool:
    """Whether the arguments of an operator, or its attributes, hold documentation."""
    return any(given.get(name) for name in DOCUMENTS)


def documentation(
    name: str,
    *,
    of: Any = None,
    node: Any = None,
    requirements: Sequence[str] = (),
    config: Any = None,
    default_config: Any = None,
) -> str:
    """Return what there is to say of a task where the DAG is parsed, as Markdown; no value that may be secret.

    Args:
        name: what runs.
        of: the function, the class or the instance whose docstring it is.
        node: the node, or what stands for it.
        requirements: the commands that must have run before it.
        config: the settings of the worker.
        default_config: those of ``default_args``.

    >>> print(documentation("ping", node=Node("edge"), requirements=["pip install scapy"]))
    - **Runs** `ping`
    - **Node** `edge`
    <BLANKLINE>
    **Requirements**
    <BLANKLINE>
    ```sh
    pip install scapy
    ```
    """
    docstring = None
    if of is not None:
        docstring = getattr(of if isinstance(of, type) or inspect.isroutine(of) else type(of), "__doc__", None)
    facts = [("Runs", f"`{name}`")]
    if isinstance(node, Node):
        architecture = "" if node.architecture is Architecture.UNKNOWN else f" ({node.architecture.value})"
        facts.append(("Node", f"`{node.name}`{architecture}"))
    elif node is not None:
        facts.append(("Node", _LATER))
    for title, declared in (("Worker", config), ("Worker, by default", default_config)):
        if isinstance(declared, Mapping):
            facts.append((title, described(declared).replace("`", "'")))
        elif declared is not None:
            facts.append((title, _LATER))
    return _written(docstring or "", tuple(facts), tuple(requirements))


@lru_cache(maxsize=512)
def _written(docstring: str, facts: tuple[tuple[str, str], ...], requirements: tuple[str, ...]) -> str:
    """Write it down; of a thousand tasks many have the same to tell."""
    parts = [inspect.cleandoc(docstring)] if docstring else []
    parts.append("\n".join(f"- **{title}** {text}" for title, text in facts))
    if requirements:
        commands = "\n".join(without_passwords(command.strip()) for command in requirements)
        fence = "```" if "```" not in commands else "~~~~"
        parts.append(f"**Requirements**\n\n{fence}sh\n{commands}\n{fence}")
    return "\n\n".join(parts)


def without_passwords(text: str) -> str:
    """Return text without what logs in to its addresses.

    >>> without_passwords("pip install -i https://bob:hunter22@example.org/simple")
    'pip install -i https://***@example.org/simple'
    """
    return _PASSWORD.sub("***@", text)
