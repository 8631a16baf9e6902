"""The settings of the Airflow that the live tests, the demo and ``make ui`` start.

This is the one place where that Airflow differs from Airflow's defaults. It differs so that a
change is seen within a second, and so that nothing leaves the machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

Settings = Mapping[str, Mapping[str, str]]
"""Options by section of ``airflow.cfg``."""

QUICK: Settings = {
    "core": {
        "executor": "LocalExecutor",
        "load_examples": "False",
        # The executor forks all its workers when it starts; the default is 32.
        "parallelism": "8",
        # The default looks the machine's name up in DNS.
        "hostname_callable": "socket.gethostname",
        # A DAG that changed twice in a test has two versions; the default is at most one in 30 s.
        "min_serialized_dag_update_interval": "0",
    },
    "scheduler": {
        # How long the scheduler's loop sleeps when it finds nothing to do; the default is 1 s.
        "scheduler_idle_sleep_time": "0.2",
        "scheduler_heartbeat_sec": "1",
        "job_heartbeat_sec": "1",
        "trigger_timeout_check_interval": "2",
        # A worker killed with SIGKILL is found when its task's heartbeat is this old; the default is 300 s.
        # Not much shorter: a healthy supervisor on a busy machine may be seconds late.
        "task_instance_heartbeat_timeout": "15",
        "task_instance_heartbeat_timeout_detection_interval": "2",
        # What a killed scheduler left behind is adopted or reset; the default is 300 s.
        "orphaned_tasks_check_interval": "10",
    },
    "workers": {
        # A supervisor learns from its heartbeat that its task was marked failed; the default is 5 s.
        "min_heartbeat_interval": "1",
        # A task that starts while its file is being parsed for the first time; the default is 60 s.
        "missing_dag_retry_delay": "1",
    },
    "dag_processor": {
        # A new or changed file is seen within 1 s. One that did not change is left alone for
        # `min_file_process_interval`, which keeps its default of 30 s: parsing it all the time
        # would cost the tasks one of the machine's cores.
        "refresh_interval": "1",
        "bundle_refresh_check_interval": "1",
        "parsing_processes": "2",
    },
    "triggerer": {"job_heartbeat_sec": "1"},
    "logging": {"colored_console_log": "False"},
    "usage_data_collection": {"enabled": "False"},
}


def dag_bundles(folders: Mapping[str, Path]) -> str:
    """Give the value of ``[dag_processor] dag_bundle_config_list`` for DAG folders by bundle name."""
    return json.dumps(
        [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder)},
            }
            for name, folder in folders.items()
        ]
    )


def merged(*layers: Settings) -> dict[str, dict[str, str]]:
    """Lay settings over each other; what comes later wins."""
    result: dict[str, dict[str, str]] = {}
    for layer in layers:
        for section, options in layer.items():
            result.setdefault(section, {}).update(options)
    return result


def write(path: Path, settings: Settings) -> None:
    """Write an ``airflow.cfg``, readable by its owner only because it holds secrets."""
    lines = []
    for section, options in settings.items():
        lines.append(f"[{section}]")
        # Airflow's parser interpolates: a percent sign is doubled.
        lines += [f"{option} = {value.replace('%', '%%')}" for option, value in options.items()]
        lines.append("")
    path.touch(mode=0o600)
    path.write_text("\n".join(lines))
