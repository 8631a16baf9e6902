"""``airflow-tasks nodes``: node files, read and made."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.cli.options import NOT_DONE, command
from airflow_provider_tasks.workers.failures import ConfigurationError

if TYPE_CHECKING:
    import argparse

    from airflow_provider_tasks.model.node import Node

CODES = "Exit codes: 0 all is well, 2 it can't be done, 3 the cluster does not answer."


def add(commands: Any) -> None:
    """Add the command ``nodes``, with an action for each thing to do."""
    nodes = command(
        commands, "nodes", summary="show a node file, or make one of a cluster", example="nodes show nodes.yaml"
    )
    actions = nodes.add_subparsers(dest="what", required=True, metavar="ACTION")

    show = command(
        actions,
        "show",
        summary="check a node file and show what is in it",
        example="nodes show nodes.yaml",
        codes="Exit codes: 0 all is well, 2 the file can't be read.",
    )
    show.add_argument("file", help="a .yaml, .yml or .json file")
    show.add_argument("--json", action="store_true", help="print it as JSON, in a line")
    show.set_defaults(call=_show)

    snapshot = command(
        actions,
        "snapshot",
        summary="write the nodes of a cluster into a node file",
        example="nodes snapshot --conn-id kubernetes_admin -o nodes.yaml",
        description="Each node has its addresses, capacity, labels and taints as properties, and a worker_config "
        "that places a pod on it. It takes a user who may list nodes, which Airflow's own Role does not allow.",
        codes=CODES,
    )
    snapshot.add_argument("-o", "--output", metavar="FILE", help="a .yaml, .yml or .json file (standard output)")
    snapshot.add_argument("--force", action="store_true", help="write over a file that is there")
    snapshot.add_argument("--json", action="store_true", help="print JSON instead of YAML")
    snapshot.add_argument("-l", "--selector", metavar="LABELS", help="only nodes with these labels, as zone=north,gpu")
    snapshot.add_argument("--conn-id", metavar="ID", help="the Airflow connection of the cluster")
    snapshot.set_defaults(call=_snapshot)


def _show(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.model.errors import NodeFormatError
    from airflow_provider_tasks.model.pool import Nodes

    try:
        nodes = Nodes.from_file(os.path.abspath(given.file))
    except (NodeFormatError, OSError) as error:
        print(error, file=sys.stderr)
        return NOT_DONE
    print(json.dumps(nodes.to_json(), indent=None if given.json else 2))
    return 0


def _snapshot(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.connections import connected_cluster
    from airflow_provider_tasks.workers.kubernetes.snapshot import node_of
    from airflow_provider_tasks.workers.kubernetes.whole_cluster import WholeCluster
    from airflow_provider_tasks.workers.places import in_a_thread
    from airflow_provider_tasks.workers.settings import Installation

    _check_output(given)
    cluster = connected_cluster(given.conn_id or Installation.read().config.kubernetes_conn_id)

    async def read() -> tuple[str, list[Any]]:
        async with WholeCluster(cluster) as api:
            return api.server, await api.list_nodes(given.selector)

    server, found = in_a_thread(read)
    nodes = sorted((node_of(one) for one in found), key=lambda node: node.name)
    as_json = given.json or str(given.output).endswith(".json")
    text = _as_json(nodes) if as_json else as_yaml(nodes, f"The nodes of {server}, as they were.")
    if given.output is None:
        sys.stdout.write(text)
        return 0
    try:
        with open(given.output, "w" if given.force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(f"{given.output} can't be written: {error.strerror}") from error
    print(f"{len(nodes)} nodes of {server} are in {given.output}", file=sys.stderr)
    return 0


def _check_output(given: argparse.Namespace) -> None:
    """Refuse a file that can't be written or read again, before the cluster is asked."""
    if given.output is None:
        return
    if os.path.splitext(given.output)[1] not in (".yaml", ".yml", ".json"):
        raise ConfigurationError(f"{given.output}: nodes are written to .yaml, .yml and .json files")
    if given.json and not given.output.endswith(".json"):
        raise ConfigurationError(f"{given.output} is to hold JSON, as --json says", "Call it NAME.json.")
    if os.path.exists(given.output) and not given.force:
        raise ConfigurationError(
            f"{given.output} is there already, and what was added to it by hand would be lost",
            "Give another name, or --force to write over it.",
        )


def _as_json(nodes: list[Node]) -> str:
    return json.dumps([node.to_json() for node in nodes], indent=2) + "\n"


def as_yaml(nodes: list[Node], comment: str) -> str:
    """Return nodes as the text of a node file."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes text that :meth:`Nodes.from_file` reads as text: its plain numbers are those of JSON, as 1e5."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        style = None if re.match(r"[A-Za-z_/]", text) else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, write_text)
    rows = [{**node.to_json()} for node in nodes]
    for row in rows:
        row["properties"] = row.pop("properties")  # after what it is called and what it is
    return f"# {comment}\n" + yaml.dump(rows, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
