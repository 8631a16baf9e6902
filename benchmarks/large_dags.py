"""What does a DAG of 1,000 tasks take to build and to serialize?"""

from __future__ import annotations

import gc
import time
from functools import partial

from benchmarks import installation
from benchmarks.measuring import Budget, Measured, Row, in_a_fork, measure_in_turns

QUESTION = "DAG of 1,000 tasks"
ROUNDS = 11
TASKS = 1000
DAG_FILE = "thousand_tasks.py"

CASES = {
    "TaskOperator, dispatched": "dispatched",
    "TaskOperator, dispatched, worker_size": "dispatched_with_size",
    "@task.worker": "functions",
    "BashOperator": "bash_operators",
    "@task.bash": "bash_functions",
}


def measure(rounds: int) -> list[Row]:
    installation.load("loaded_once", DAG_FILE)  # what the operators import is no part of this question
    for name in CASES.values():
        build_and_serialize("loaded_once", name, 1)
    found = measure_in_turns(
        QUESTION, {case: partial(in_a_fork, partial(measure_once, name)) for case, name in CASES.items()}, rounds
    )
    budget = Budget(1.3)
    rows = []
    for case in ("TaskOperator, dispatched", "TaskOperator, dispatched, worker_size", "@task.worker"):
        rows.append(found.row(case, "BashOperator", "both", "ms", scale=1000, budget=budget))
        rows += [
            found.row(case, "BashOperator", part, "ms", label=f"{case}: {part}", scale=1000)
            for part in ("build", "serialize")
        ]
    return [*rows, found.row("@task.worker", "@task.bash", "both", "ms", scale=1000)]


def measure_once(name: str) -> Measured:
    # Loaded here, as a DAG file is in its process: classes that nothing has seen before.
    installation.load("a_dag_file", DAG_FILE)
    gc.collect()
    return build_and_serialize("a_dag_file", name, TASKS)


def build_and_serialize(module_name: str, name: str, tasks: int, dag_file: str = DAG_FILE) -> Measured:
    from airflow.serialization.serialized_objects import DagSerialization

    build = getattr(installation.load(module_name, dag_file), name)
    begun = time.perf_counter()
    dag = build(tasks)
    built = time.perf_counter()
    DagSerialization.to_dict(dag)
    ended = time.perf_counter()
    return {"build": built - begun, "serialize": ended - built, "both": ended - begun}
