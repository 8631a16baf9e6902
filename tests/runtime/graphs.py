"""Small graphs as text, and driving a walk through one without processes."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from airflow_provider_tasks.runtime.walk import GraphWalk

Edge = tuple[str, str, dict[str, Any]]
_EDGE = re.compile(r"(\w+) (->|~>) (\w+)(?: (success|failure|any))?(?: x(\d+))?")


class Graph(NamedTuple):
    nodes: list[str]
    tasks: list[str]
    edges: list[Edge]
    early_stopping: bool = True

    def walk(self) -> GraphWalk:
        return GraphWalk(*self)


def graph(text: str, early_stopping: bool = True) -> Graph:
    """Read `a -> b` (strong), `b ~> a x2` (weak, two times), `a -> c failure`; capitals are synchronisation points."""
    edges: list[Edge] = []
    nodes = ["root"]
    for part in text.split(","):
        match = _EDGE.fullmatch(part.strip())
        assert match, part
        source, arrow, target, traverse_on, counter = match.groups()
        found = {"type": "weak" if arrow == "~>" else None, "traverse_on": traverse_on}
        found["counter"] = int(counter) if counter else None
        edges.append((source, target, {name: value for name, value in found.items() if value is not None}))
        nodes += [name for name in (source, target) if name not in nodes]
    tasks = [name for name in nodes if name != "root" and not name.isupper()]
    return Graph(nodes, tasks, edges, early_stopping)


class Ran(NamedTuple):
    walk: GraphWalk
    log: list[tuple[str, str]]
    """`("start" or "end", task)`, in the order in which it happened."""

    @property
    def started(self) -> list[str]:
        return [task for what, task in self.log if what == "start"]

    @property
    def counts(self) -> dict[str, int]:
        return {task: len(results) for task, results in sorted(self.walk.results.items())}


def drive(
    given: Graph,
    fails: Collection[str] | Callable[[str, int], bool] = (),
    last: Collection[str] = (),
    chance: random.Random | None = None,
) -> Ran:
    """Walk a graph; of what runs, the one that started first ends first.

    Args:
        fails: the tasks that fail, or a function of a task and how often it has run before.
        last: tasks that end only when nothing else runs.
        chance: picks what ends next, in place of the order.

    """
    walk = given.walk()
    log: list[tuple[str, str]] = []
    while not walk.is_done:
        for task in walk.ready():
            log.append(("start", task))
        running = [task for task in walk.running if task not in last] or walk.running
        task = chance.choice(walk.running) if chance else running[0]
        run = len(walk.results.get(task, []))
        success = not (fails(task, run) if callable(fails) else task in fails)
        log.append(("end", task))
        walk.finished(task, success, f"{task}{run + 1}")
        assert len(log) < 20_000, "it does not end"
    return Ran(walk, log)
