"""``airflow-tasks doctor``: whether this installation can run workers."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.cli.options import NOT_DONE, add_settings, command, config_of

if TYPE_CHECKING:
    import argparse

    from airflow_provider_tasks.workers.checkup import Check


def add(commands: Any) -> None:
    """Add the command."""
    doctor = command(
        commands,
        "doctor",
        summary="find out whether this installation can run workers",
        example="doctor --backend kubernetes --conn-id kubernetes_default",
        description="It looks at the settings, the cache folder, and for the local backend at a worker that runs a "
        "task; for pods at the connection, the API server, the namespace, the permissions, and a test pod. Each check "
        "that has failed is shown with its fix. Run it where Airflow's workers run, as their user.",
        codes="Exit codes: 0 all is well, 2 a check has failed.",
    )
    doctor.add_argument("--no-pod", action="store_true", help="make no test pod: only ask")
    doctor.add_argument("--json", action="store_true", help="print the checks as JSON")
    add_settings(doctor)
    doctor.set_defaults(call=_doctor)


def _doctor(given: argparse.Namespace) -> int:
    from airflow_provider_tasks.workers.checkup import FAILED, check_up

    checks = []
    for check in check_up(config_of(given), pod=not given.no_pod):
        checks.append(check)
        if not given.json:
            _show(check)
    failed = [check.name for check in checks if check.status == FAILED]
    if given.json:
        print(json.dumps({"ok": not failed, "checks": [check.to_json() for check in checks]}))
    else:
        word = "This installation can run workers." if not failed else f"Failed: {', '.join(failed)}."
        print(word, file=sys.stderr)
    return NOT_DONE if failed else 0


def _show(check: Check) -> None:
    lines = check.message.splitlines() or [""]
    print(f"{check.status:<9} {check.name:<13} {lines[0]}".rstrip(), flush=True)
    for line in lines[1:]:
        print(f"{'':<23} {line}")
    for line in check.fix.splitlines():
        print(f"{'':<23} -> {line}", flush=True)
