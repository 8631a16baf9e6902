"""What do large pipelines and experiments take to build, to serialize and to parse, and a task in one worker?"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from functools import partial

from benchmarks import installation
from benchmarks.execution import execute_in_a_fork
from benchmarks.large_dags import build_and_serialize
from benchmarks.measuring import Measured, Row, in_a_fork, measure_in_turns

QUESTION = "pipelines"
ROUNDS = 11
DAG_FILE = "many_pipelines.py"
TASKS = 200
NODES = 100
IN_ONE_WORKER = 50

ONE_WORKER = f"PipelineOperator, {TASKS} tasks"
GROUP = f"pipeline_group, {TASKS} tasks"
BASH = f"BashOperator, {TASKS} tasks"
EXPERIMENT = f"experiment_group, {NODES} nodes"
BASH_NODES = f"BashOperator, {NODES} nodes"
RUN = f"{IN_ONE_WORKER} no-op tasks in one worker"
SUBPROCESSES = f"{IN_ONE_WORKER} times subprocess"

CASES = {
    ONE_WORKER: ("in_one_worker", TASKS),
    GROUP: ("as_group", TASKS),
    BASH: ("as_bash_operators", TASKS),
    EXPERIMENT: ("experiment", NODES),
    BASH_NODES: ("experiment_of_bash_operators", NODES),
}


def measure(rounds: int) -> list[Row]:
    installation.load("loaded_once", DAG_FILE)  # what the operators import is no part of this question
    for name, _ in CASES.values():
        build_and_serialize("loaded_once", name, 1, DAG_FILE)
    cases = {case: partial(in_a_fork, partial(measure_once, *wanted)) for case, wanted in CASES.items()}
    found = measure_in_turns(QUESTION, cases, rounds)
    rows = []
    for case, peer in ((ONE_WORKER, BASH), (GROUP, BASH), (EXPERIMENT, BASH_NODES)):
        rows += [
            found.row(case, peer, part, "ms", label=f"{case}: {part}", scale=1000)
            for part in ("build", "serialize", "parse")
        ]
    runs = {RUN: partial(execute_in_a_fork, "pipeline"), SUBPROCESSES: start_processes}
    found = measure_in_turns(f"{QUESTION}, run", runs, rounds)
    each = found.row(RUN, SUBPROCESSES, "again", "ms", label=f"{RUN}, each", scale=1000 / IN_ONE_WORKER)
    return [*rows, each]


def measure_once(name: str, size: int) -> Measured:
    gc.collect()
    begun = time.perf_counter()
    # As a DAG file is in its process: compiled and executed anew, with classes that nothing has seen before.
    installation.load("a_dag_file", DAG_FILE)
    loaded = time.perf_counter() - begun
    found = build_and_serialize("a_dag_file", name, size, DAG_FILE)
    return {**found, "parse": loaded + found["both"]}


def start_processes() -> Measured:
    begun = time.perf_counter()
    for _ in range(IN_ONE_WORKER):
        subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
    return {"again": time.perf_counter() - begun}
