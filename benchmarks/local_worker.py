"""What does a task that does nothing take on the local worker?"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial

from benchmarks.execution import execute_in_a_fork
from benchmarks.measuring import Budget, Measured, Row, measure_in_turns

QUESTION = "no-op task"
ROUNDS = 11

EXTERNAL = "external_python, a Python without Airflow"
EXTERNAL_AIRFLOW = "external_python, sys.executable"
VIRTUALENV = "virtualenv, cached"
FLOOR = "python -c pass"


def measure(rounds: int) -> list[Row]:
    tasks = {
        "function": "worker",
        "function, the same Python": "worker_bare",
        "Task class": "worker_class",
        "function, cached requirement": "worker_requirement",
        EXTERNAL: "external",
        EXTERNAL_AIRFLOW: "external_airflow",
        VIRTUALENV: "virtualenv",
    }
    cases = {name: partial(execute_in_a_fork, task_id) for name, task_id in tasks.items()}
    found = measure_in_turns(QUESTION, {FLOOR: start_python, **cases}, rounds)
    budget = Budget(1.0)
    first = found.row(
        "function", EXTERNAL, "first", "ms", label="function, first in its process", scale=1000, budget=budget
    )
    pairs = [
        ("function", EXTERNAL),
        ("function", EXTERNAL_AIRFLOW),
        ("function, the same Python", EXTERNAL),
        ("Task class", EXTERNAL),
        ("function, cached requirement", VIRTUALENV),
    ]
    rows = [found.row(ours, peer, "again", "ms", scale=1000, budget=budget) for ours, peer in pairs]
    return [*rows, first, found.row("function", FLOOR, "again", "ms", scale=1000)]


def start_python() -> Measured:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return {"again": time.perf_counter() - begun}
