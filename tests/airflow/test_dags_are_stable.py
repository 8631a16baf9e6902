"""Parsing the same file twice gives the same DAG; another DAG version appears exactly when what would run changes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

HASH = """
import os, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import DagSerialization

def print_hashes(path):
    bag = DagBag(path)
    assert not bag.import_errors, bag.import_errors
    for dag_id, dag in sorted(bag.dags.items()):
        print("HASH", dag_id, SerializedDagModel.hash(DagSerialization.to_dict(dag)))

for line in sys.stdin:
    # As Airflow's DAG processor does: Airflow is there already, each file is parsed in a process of its own.
    if not os.fork():
        print_hashes(line.strip())
        sys.stdout.flush()
        os._exit(0)
    os.wait()
    print("DONE", flush=True)
"""

DAG_FILE = """
from airflow.sdk import DAG, task
from airflow_provider_tasks import *
from airflow_provider_tasks.operators import ScriptOperator, TaskOperator

import beside

NAMES = {"a", "b", "c", "d", "e"}
LIMIT = 3

def helper(x):
    # a remark
    return x in {"k", "l", "m", "n"} and LIMIT

class Base(Task):
    level = 1

class Ping(Base):
    requirements = ["true"]
    def __init__(self, address, tags=frozenset({"x", "y", "z"})):
        self.address, self.tags = address, tags
    def run(self):
        return helper(self.address), NAMES

class Dispatcher(TaskDispatcher):
    def dispatch(self, node):
        return Ping(node["ipv4"])

EDGE = Node("edge", {"ipv4": "10.0.0.1", "b": 1, "a": [1, 2]})
CORE = Node("core", {"ipv4": "10.0.0.2"})

def make(n):
    @task.worker(task_id=f"closure_{n}")
    def closure():
        return [n, (lambda x: x + 1)(n)]
    return closure

@task.worker(node=EDGE, worker_config=WorkerConfig(env_variables={"B": "1", "A": "2"}))
def count(path, unit="lines"):
    import beside_lazy
    return helper(path), beside.word()

with DAG("stable"):
    TaskOperator(task_id="instance", task=Ping("a"), node=EDGE)
    TaskOperator(task_id="put_off", task=Ping, task_kwargs={"address": "{{ ds }}"})
    TaskOperator(task_id="dispatched", task=Dispatcher(), node=CORE)
    TaskOperator.partial(task_id="mapped", task=Dispatcher()).expand(node=[EDGE, CORE])
    TaskOperator.partial(task_id="mapped_class", task=Ping, node=EDGE).expand(task_kwargs=[{"address": "x"}])
    TaskOperator.partial(task_id="mapped_tasks").expand(task=[Ping("a"), Ping("b")])
    task.worker(Ping).expand(address=["a", "b"])
    count("a")
    count.partial(unit="words").expand(path=["a", "b"])
    make(1)()
    make(2)()
    ScriptOperator.partial(task_id="scripts", node=EDGE).expand(
        file_name=["scripts/clean.sh", "scripts/more/count.py"], args=[["a"], ["{{ ds }}"]]
    )
"""


BESIDE = {
    "beside.py": "def word():\n    return 'one'\n",
    "beside_lazy.py": "import beside_deeper\n",
    "beside_deeper.py": "WORD = 'deep'\n",
}
FILES = {"scripts/clean.sh": "true\n", "scripts/more/count.py": "", "scripts/more/words.txt": "one\n"}


class Parser:
    """A process of its own that parses DAG files."""

    def __init__(self, folder: Path, seed: int) -> None:
        env = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(folder)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", HASH], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def hashes(self, path: Path) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        found = []
        for line in self._process.stdout:
            if line == "DONE\n":
                break
            found += [line.strip()] if line.startswith("HASH ") else []
        assert found, "the file has import errors"
        return "\n".join(found)

    def close(self) -> None:
        self._process.communicate()


def hashes_of(path: Path, seed: int) -> str:
    parser = Parser(path if path.is_dir() else path.parent, seed)
    try:
        return parser.hashes(path)
    finally:
        parser.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """One file for all tests: where it lies may count."""
    return tmp_path_factory.mktemp("dags") / "stable.py"


@pytest.fixture(scope="module")
def original(path) -> str:
    """The hash of the file that eight processes with other hash seeds agree on."""
    path.write_text(DAG_FILE)
    for name, text in (BESIDE | FILES).items():
        beside = path.parent / name
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text)
    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(lambda seed: hashes_of(path, seed), range(1, 9)))
    assert len(found) == 1
    return found.pop()


@pytest.fixture(scope="module")
def hashes(path) -> Iterator[Callable[[Path], str]]:
    parser = Parser(path.parent, seed=0)
    yield parser.hashes
    parser.close()


def test_eight_processes_with_other_hash_seeds_agree(original):
    assert original.startswith("HASH stable ")


def test_the_examples_are_stable():
    folder = REPOSITORY / "dags_examples"
    assert hashes_of(folder, 1) == hashes_of(folder, 2)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("return helper(self.address), NAMES", "return NAMES, helper(self.address)", id="body of run"),
        pytest.param("return helper(path)", "return [helper(path)]", id="body of a function"),
        pytest.param('{"k", "l", "m", "n"}', '{"k", "l", "m"}', id="helper"),
        pytest.param("LIMIT = 3", "LIMIT = 4", id="global of a helper"),
        pytest.param("level = 1", "level = 2", id="attribute of a base class"),
        pytest.param('requirements = ["true"]', 'requirements = ["false"]', id="requirement"),
        pytest.param("lambda x: x + 1", "lambda x: x + 2", id="lambda in a closure"),
        pytest.param("make(2)()", "make(3)()", id="value of a closure"),
        pytest.param('"ipv4": "10.0.0.2"', '"ipv4": "10.0.0.3"', id="node"),
        pytest.param('"B": "1"', '"B": "3"', id="worker"),
        pytest.param('task=Ping("a")', 'task=Ping("aa")', id="argument"),
        pytest.param('unit="lines"', 'unit="bytes"', id="default of a parameter"),
        pytest.param('[Ping("a"), Ping("b")]', '[Ping("a"), Ping("c")]', id="argument of a mapped task"),
    ],
)
def test_a_change_of_what_runs_changes_the_dag(path, hashes, original, before, after):
    assert before in DAG_FILE
    path.write_text(DAG_FILE.replace(before, after, 1))
    assert hashes(path) != original


@pytest.mark.parametrize("name", sorted(BESIDE))
def test_a_change_of_a_module_that_goes_along_changes_the_dag(path, hashes, original, name):
    path.write_text(DAG_FILE)
    beside = path.with_name(name)
    beside.write_text(BESIDE[name] + "MORE = 1\n")
    changed = hashes(path)
    beside.write_text("# a remark\n" + BESIDE[name])
    assert changed != original
    assert hashes(path) == original


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_change_of_a_file_that_goes_along_with_mapped_scripts_changes_the_dag(path, hashes, original, name):
    path.write_text(DAG_FILE)
    beside = path.parent / name
    beside.write_text(FILES[name] + "more\n")
    changed = hashes(path)
    beside.write_text(FILES[name])
    assert changed != original
    assert hashes(path) == original


def test_a_remark_does_not_change_the_dag(path, hashes, original):
    path.write_text(DAG_FILE.replace("# a remark", "# another\n    # and one more"))
    assert hashes(path) == original
