"""What does a DAG file pay for importing this provider, on top of Airflow?"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from functools import partial

from benchmarks import installation
from benchmarks.measuring import Budget, Measured, Row, measure_in_turns

QUESTION = "import at parse"
ROUNDS = 11
MB = 1e-6

OURS = "parse_this_provider.py"
PEER = "parse_kubernetes.py"

# A process of its own: nothing that was imported can be forgotten.
_MEASURE = """
import json, runpy, sys, time
from benchmarks.measuring import memory
from airflow.sdk import DAG, BaseOperator, task

with DAG("already_there"):
    BaseOperator(task_id="operator")
    task(lambda: None, task_id="function")()

held = memory("VmRSS")
begun = time.perf_counter()
runpy.run_path(sys.argv[1])
print(json.dumps({"time": time.perf_counter() - begun, "memory": memory("VmRSS") - held}))
"""


def measure(rounds: int) -> list[Row]:
    ours, peer = "@task.worker, TaskOperator", "@task.kubernetes, KubernetesPodOperator"
    cases = {ours: partial(parse, OURS)}
    remark = "not installed: apache-airflow-providers-cncf-kubernetes"
    if importlib.util.find_spec("airflow.providers.cncf") is not None:
        cases[peer] = partial(parse, PEER)
        remark = ""
    found = measure_in_turns(QUESTION, cases, rounds)
    return [
        found.row(ours, peer, "time", "ms", label="time", scale=1000, budget=Budget(60, "figure"), remark=remark),
        found.row(ours, peer, "memory", "MB", label="memory", scale=MB, budget=Budget(5, "figure"), remark=remark),
    ]


def parse(file_name: str) -> Measured:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, installation.home() / "dags" / file_name],
        check=True,
        stdout=subprocess.PIPE,
        cwd=installation.DAG_FILES.parents[1],
    )
    measured: Measured = json.loads(done.stdout.splitlines()[-1])
    return measured
