"""``make demo`` and ``make ui``: a real Airflow with the example DAGs, for a person to look at.

It lies beside the live tests because it starts Airflow exactly as they do: what the tests hold is
what the demo shows. Neither is part of the installed package.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

from tests.live import processes
from tests.live.airflow_installation import REPOSITORY, AirflowDied, AirflowInstallation, AlreadyRunning
from tests.live.rest_api import FINISHED_RUN, ApiError, Json

DAG_ID = "example_dispatch"
HOME = REPOSITORY / ".demo" / "airflow"
EXAMPLES = {"examples": REPOSITORY / "dags_examples"}
DEFAULT_PORT = 8080
RUN_TIMEOUT = 300
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class CannotRun(Exception):
    """Something that the person at the keyboard can mend; shown without a stack trace."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``demo`` or ``ui`` and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.live.demo", description=__doc__)
    parser.add_argument("what", choices=["demo", "ui"])
    parser.add_argument("--port", type=int, help=f"of the UI (default: {DEFAULT_PORT}, or a free one)")
    given = parser.parse_args(arguments)
    for number in _ENDING:
        signal.signal(number, _end)
    try:
        return demo() if given.what == "demo" else ui(given.port)
    except (CannotRun, AirflowDied, AlreadyRunning, ApiError, TimeoutError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130


def _end(number: int, _: FrameType | None) -> NoReturn:
    for each in _ENDING:  # a second one would leave processes of Airflow behind
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


# --- make demo -----------------------------------------------------------------------------------


def demo() -> int:
    """Run one example from end to end and tell about it; 0 only when the run succeeded."""
    say = _Progress()
    with AirflowInstallation(HOME, dags=EXAMPLES, database="sqlite", progress=say) as airflow:
        say(f"Waiting for Airflow to read dags_examples, triggering {DAG_ID}")
        run_id = airflow.trigger(DAG_ID)
        state = _follow(airflow, run_id, say)
        report = _report(airflow, run_id, state)
        failures = _failures(airflow, run_id)
        say("Stopping Airflow")
    print(report)
    if state != "success":
        print(failures)
        print(f"\nThe run did not succeed. The logs of its tasks are in {HOME / 'logs' / f'dag_id={DAG_ID}'}.")
        return 1
    print(
        "\nTo see it in Airflow's own pages: make ui\n"
        "It starts Airflow with this run and all examples, and shows the address and the log-in."
    )
    return 0


def _follow(airflow: AirflowInstallation, run_id: str, say: _Progress) -> str:
    """Tell what each task comes to, as it comes, until the run has ended; give the run's state."""
    told: dict[tuple[str, int], str] = {}
    deadline = processes.Deadline(RUN_TIMEOUT)
    while not deadline.passed:
        airflow.check_alive()
        # The run's state first: when it has ended, so have all tasks.
        state: str = airflow.run(DAG_ID, run_id)["state"]
        for ti in airflow.task_instances(DAG_ID, run_id):
            key = (ti["task_id"], ti["map_index"])
            if ti["state"] and ti["state"] != told.get(key) and ti["state"] not in ("scheduled", "queued"):
                told[key] = ti["state"]
                say(f"  {_task_name(ti)}: {ti['state']}")
        if state in FINISHED_RUN:
            return state
        time.sleep(0.3)
    raise TimeoutError(f"the run has not ended after {RUN_TIMEOUT} s; Airflow's own logs are in {HOME / 'processes'}")


def _report(airflow: AirflowInstallation, run_id: str, state: str) -> str:
    run = airflow.run(DAG_ID, run_id)
    rows: list[tuple[str, ...]] = []
    spent: dict[str, float] = {}
    for ti in sorted(airflow.task_instances(DAG_ID, run_id), key=lambda ti: (ti["start_date"] or "", _task_name(ti))):
        outcome = _xcom(airflow, ti, run_id, "outcome") or {}
        timeline: Mapping[str, float] = outcome.get("timeline") or {}
        for phase, seconds in timeline.items():
            spent[phase] = spent.get(phase, 0.0) + seconds
        result = _xcom(airflow, ti, run_id, "return_value")
        rows.append(
            (
                _task_name(ti),
                str(outcome.get("node") or "-"),
                str(outcome.get("implementation") or "-"),
                _short(result) if ti["state"] == "success" else str(outcome.get("category") or ti["state"]),
                _seconds(sum(timeline.values()) if timeline else None),
                _seconds(ti["duration"]),
                _mebibytes(outcome.get("peak_memory")),
            )
        )
    head = ("task", "node", "implementation", "result", "worker", "in all", "memory")
    lines = [f"\n{DAG_ID}: {state} in {_seconds(run['duration'])}\n", *_table(head, rows)]
    if spent:
        lines += ["\nWhere the workers' time went, all tasks together:"]
        total = sum(spent.values()) or 1.0
        for phase, seconds in spent.items():
            share = seconds / total
            lines.append(f"  {phase:<12} {_seconds(seconds):>8}  {share:4.0%}  {'#' * round(30 * share)}".rstrip())
    return "\n".join(lines)


def _failures(airflow: AirflowInstallation, run_id: str) -> str:
    """Give the end of the log of each failed task, where the cause is named."""
    shown = []
    for ti in airflow.task_instances(DAG_ID, run_id):
        if ti["state"] == "failed":
            log = airflow.log(DAG_ID, run_id, ti["task_id"], ti["try_number"], ti["map_index"])
            lines = [line for line in log.splitlines() if "::group::" not in line and "::endgroup::" not in line]
            shown.append("\n  ".join([f"\n{_task_name(ti)}:", *lines[-4:]]))
    return "\n".join(shown)


def _xcom(airflow: AirflowInstallation, ti: Json, run_id: str, key: str) -> Json:
    try:
        return airflow.xcom(DAG_ID, run_id, ti["task_id"], key, ti["map_index"])
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def _task_name(ti: Json) -> str:
    return str(ti["task_id"]) if ti["map_index"] < 0 else f"{ti['task_id']}[{ti['map_index']}]"


def _short(value: Json, width: int = 36) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _mebibytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**20:.0f} MiB"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    padded = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, ["-" * width for width in widths], *rows]
    ]
    return [f"  {line}" for line in padded]


# --- make ui -------------------------------------------------------------------------------------


def ui(port: int | None) -> int:
    """Run Airflow with the examples until Ctrl-C."""
    say = _Progress()
    port = _ui_port(port)
    with AirflowInstallation(HOME, dags=EXAMPLES, database="sqlite", port=port, progress=say) as airflow:
        print(
            f"\n  Airflow      {airflow.url}\n"
            f"  log in as    {airflow.username}\n"
            f"  password     {airflow.password}\n"
            f"\n  DAGs         {EXAMPLES['examples']}\n"
            f"  logs         {HOME / 'logs'}\n"
            "\nCtrl-C stops it.",
            flush=True,
        )
        try:
            while True:
                airflow.check_alive()
                time.sleep(0.5)
        except KeyboardInterrupt:
            say("Stopping Airflow")
    return 0


def _ui_port(asked_for: int | None) -> int:
    if asked_for is not None:
        if not processes.is_free(asked_for):
            raise CannotRun(f"Port {asked_for} is taken. Choose another one: make ui PORT={asked_for + 1}")
        return asked_for
    if processes.is_free(DEFAULT_PORT):
        return DEFAULT_PORT
    port = processes.free_port()
    print(f"Port {DEFAULT_PORT} is taken, so this time it is {port} (make ui PORT=… chooses one).")
    return port


class _Progress:
    """Prints lines with the seconds since the start before them."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, line: str) -> None:
        print(f"{time.monotonic() - self._start:5.1f} s  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
