"""What the commands have in common: exit codes, the options of a worker, how a command describes itself."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime.command import NAME

if TYPE_CHECKING:
    from airflow_provider_tasks.workers.config import WorkerConfig

TASK_FAILED, NOT_DONE, WORKER_FAILED = 1, 2, 3

EXIT_CODES = "Exit codes: 0 all is well, 1 the task has failed, 2 it can't be done, 3 the worker has failed."


def command(
    commands: Any, name: str, *, summary: str, example: str, description: str = "", codes: str = EXIT_CODES
) -> argparse.ArgumentParser:
    """Add a command.

    Args:
        commands: what it is added to.
        name: what it is called.
        summary: what it does, in a line.
        example: its arguments in an example, behind ``airflow-tasks``.
        description: what else there is to know.
        codes: its exit codes.

    """
    opening = f"{summary[0].upper()}{summary[1:]}."
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{opening} {description}".strip(),
        epilog=f"Example:\n  {NAME} {example}\n\n{codes}",
        formatter_class=_Formatter,
    )
    return parser


def add_settings(parser: argparse.ArgumentParser, *, is_new: bool = True) -> None:
    """Add the options that say what a worker is; of one that is there already, where it is."""
    group = parser.add_argument_group("the worker", "What is not given comes from [worker_tasks] of airflow.cfg.")
    group.add_argument("--config", metavar="FILE", help="its settings, JSON or YAML")
    group.add_argument("--backend", choices=["local", "kubernetes"], help="where it runs")
    group.add_argument("--conn-id", metavar="ID", help="the Airflow connection of the cluster")
    group.add_argument("--namespace", metavar="NAME", help="the namespace in the cluster")
    if is_new:
        group.add_argument("--image", metavar="IMAGE", help="the image of a pod")
        group.add_argument("--worker-size", metavar="SIZE", help="its size, as X-Small")
    else:
        parser.set_defaults(image=None, worker_size=None)


def config_of(given: argparse.Namespace) -> WorkerConfig:
    """Return the settings that the options come to; a file's are weaker than the others."""
    from airflow_provider_tasks.workers.config import WorkerConfig

    said = WorkerConfig(
        backend=given.backend,
        kubernetes_conn_id=given.conn_id,
        namespace=given.namespace,
        worker_image=given.image,
        worker_size=given.worker_size,
    )
    return said.over(WorkerConfig.of(given.config))


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of an epilog, and fills those of a description."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = text.split("\n\n") if text.startswith("Example:") else [text]
        fill = argparse.HelpFormatter._fill_text
        return "\n\n".join(
            super(_Formatter, self)._fill_text(part, width, indent)
            if part.startswith("Example:")
            else fill(self, part, width, indent)
            for part in parts
        )
