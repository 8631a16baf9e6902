"""The digest is the same in every process, and another one exactly when what would run is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SOURCE = '''
import math
from functools import partial

LIMIT = 10
NAMES = {"x", "y"}

def helper(x):
    return x + LIMIT

def make(offset):
    def inner(x):
        return helper(x) + offset
    return inner

class Base:
    rate = 2
    def scaled(self, x):
        return x * self.rate

class Probe(Base):
    kinds = frozenset({"a", "b", "c"})
    def __init__(self, x=1):
        self.x = x
    def run(self):
        """What it does."""
        return self.scaled(self.x) if "d" not in {"k", "l", "m"} else math.pi

def task(x):
    return helper(x) in NAMES or x in {"p", "q", "r"}

function, closure, cls, instance, part = task, make(5), Probe, Probe(3), partial(task, 3)
'''
PARTS = ("function", "closure", "cls", "instance", "part")

PRINT = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
dag = importlib.import_module("dag")
from airflow_provider_tasks.workers.digest import Digest
from airflow_provider_tasks.workers.payload import Bundle
for name in sys.argv[2:]:
    print(Digest([getattr(dag, name)], Bundle.around(dag.task)))
"""


@pytest.fixture
def digests(tmp_path):
    def digests(source, seed="0"):
        (tmp_path / "dag.py").write_text(source)
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
        argv = [sys.executable, "-c", PRINT, str(tmp_path), *PARTS]
        found = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout.split()
        return dict(zip(PARTS, found, strict=True))

    return digests


def test_it_is_the_same_under_any_seed_of_hashes(digests):
    found = [digests(SOURCE, seed) for seed in ("0", "1", "2", "77")]
    assert all(other == found[0] for other in found)
    assert len(set(found[0].values())) == len(PARTS)


def test_comments_and_moved_lines_do_not_count(digests):
    moved = "# a comment\n\n" + SOURCE.replace("    return x + LIMIT", "    # why\n\n    return x + LIMIT")
    assert digests(moved) == digests(SOURCE)


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("in NAMES or", "not in NAMES or", {"function", "part"}),
        ("return x + LIMIT", "return x - LIMIT", {"function", "part", "closure"}),
        ("LIMIT = 10", "LIMIT = 11", {"function", "part", "closure"}),
        ('{"x", "y"}', '{"x", "z"}', {"function", "part"}),
        ('{"p", "q", "r"}', '{"p", "q", "s"}', {"function", "part"}),
        ("make(5)", "make(6)", {"closure"}),
        ("rate = 2", "rate = 3", {"cls", "instance"}),
        ("return x * self.rate", "return x / self.rate", {"cls", "instance"}),
        ('"a", "b", "c"', '"a", "b", "d"', {"cls", "instance"}),
        ("def __init__(self, x=1)", "def __init__(self, x=2)", {"cls", "instance"}),
        ("Probe(3)", "Probe(4)", {"instance"}),
        ("partial(task, 3)", "partial(task, 4)", {"part"}),
        ("class Probe(Base)", "class Probe(Base, dict)", {"cls", "instance"}),
    ],
)  # fmt: skip
def test_it_changes_with_what_would_run_and_with_nothing_else(digests, old, new, changes):
    assert old in SOURCE
    before, after = digests(SOURCE), digests(SOURCE.replace(old, new))
    assert {name for name in PARTS if before[name] != after[name]} == changes
