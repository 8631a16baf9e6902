"""``airflow worker-tasks``: the same commands in Airflow's own command line.

Every start of ``airflow`` imports this module and calls :func:`commands`: both load nothing but what Airflow's command
line has loaded already.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand


def commands() -> list[CLICommand]:
    """Return the command, as Airflow asks each provider for its own."""
    from airflow.cli.cli_config import ActionCommand, Arg

    help_text = "as airflow-tasks takes it"
    words = Arg(("words",), nargs=argparse.REMAINDER, metavar="COMMAND …", help=help_text)  # type: ignore[no-untyped-call]
    return [
        ActionCommand(
            name="worker-tasks",
            help="Tasks in isolated workers: run, explain, replay, doctor, workers, nodes, cleanup",
            description="What airflow-tasks does; airflow worker-tasks help shows it.",
            func=run,
            args=(words,),
        )
    ]


def run(given: argparse.Namespace) -> None:
    """Run the command, and end with its exit code."""
    from airflow_provider_tasks.cli.command import main

    sys.exit(main(["--help"] if given.words in ([], ["help"]) else given.words))
