"""``worker`` is typed: an editor completes a task's arguments, and a type checker checks them."""

from __future__ import annotations

import pytest
from mypy import api

DAG_FILE = """
from airflow_provider_tasks import Node, WorkerConfig, worker

@worker(node=Node("edge"), worker_config=WorkerConfig(worker_size="X-Small"))
def count(path: str, unit: str = "lines") -> int:
    return len(path)

@worker
def find() -> str:
    return "a.txt"

reveal_type(count)
count("a.txt", unit="bytes")
count(find())
count.override(task_id="again", retries=3)("b.txt")
count.partial(unit="words").expand(path=["a.txt", "b.txt"])
count("a.txt") >> find()
# from here on all is wrong
count(3)
count()
count('a.txt', units='bytes')
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[str]:
    """What mypy says of the file, by line."""
    path = tmp_path_factory.mktemp("types") / "dag_file.py"
    path.write_text(DAG_FILE)
    cache = str(path.parent / "cache")
    lines = api.run(["--strict", "--no-error-summary", "--cache-dir", cache, str(path)])[0].splitlines()
    return [line.removeprefix(f"{path}:") for line in lines]


def line_of(text: str) -> str:
    return str(1 + DAG_FILE.splitlines().index(text))


def test_the_signature_of_the_function_is_kept(found):
    assert any("WorkerTask[[path: str, unit: str =], int]" in line for line in found)


def test_good_calls_are_accepted(found):
    wrong = int(line_of("# from here on all is wrong"))
    assert [line for line in found if int(line.split(":")[0]) < wrong and "note:" not in line] == []


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("count(3)", 'incompatible type "int"; expected "str"'),
        ("count()", 'Missing positional argument "path"'),
        ("count('a.txt', units='bytes')", 'Unexpected keyword argument "units"'),
    ],
)
def test_bad_calls_are_refused(found, call, expected):
    assert any(line.startswith(f"{line_of(call)}:") and expected in line for line in found)
