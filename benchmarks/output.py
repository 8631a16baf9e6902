"""What do 100,000 lines of output take?"""

from __future__ import annotations

from functools import partial

from benchmarks.execution import execute_in_a_fork
from benchmarks.measuring import Row, measure_in_turns

QUESTION = "100,000 lines of output"
ROUNDS = 5
PEER = "external_python"


def measure(rounds: int) -> list[Row]:
    tasks = {"function": "worker_lines", PEER: "external_lines"}
    cases = {name: partial(execute_in_a_fork, task_id) for name, task_id in tasks.items()}
    return [measure_in_turns(QUESTION, cases, rounds).row("function", PEER, "again", "ms", scale=1000)]
