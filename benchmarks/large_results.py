"""What does a result of 64 MiB take, in time and in memory of Airflow's process?"""

from __future__ import annotations

from functools import partial

from benchmarks.execution import execute_in_a_fork
from benchmarks.measuring import Row, measure_in_turns

QUESTION = "64 MiB result"
ROUNDS = 7
MIB = 2.0**-20


def measure(rounds: int) -> list[Row]:
    names = [f"{side} {kind}" for kind in ("bytes", "text") for side in ("worker", "external")]
    cases = {name: partial(execute_in_a_fork, name.replace(" ", "_")) for name in names}
    found = measure_in_turns(QUESTION, {label(name): case for name, case in cases.items()}, rounds)
    rows = []
    for kind in ("bytes", "text"):
        ours, peer = label(f"worker {kind}"), label(f"external {kind}")
        rows.append(found.row(ours, peer, "again", "ms", label=f"{ours}: time", scale=1000))
        rows.append(found.row(ours, peer, "peak", "MiB", label=f"{ours}: peak memory", scale=MIB))
    return rows


def label(name: str) -> str:
    side, kind = name.split()
    what = {"bytes": "bytes", "text": "str"}[kind]
    return what if side == "worker" else f"external_python, {what}"
