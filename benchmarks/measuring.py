"""How a figure is measured: in turns, each time in a process of its own, and kept as ratios of one round."""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Measured = Mapping[str, float]
"""What one measurement gives: a number for each name."""

Measure = Callable[[], Measured]


@dataclass(frozen=True)
class Budget:
    """What ``docs/benchmarks.md`` allows: of the ratio, or of our own figure in its unit."""

    limit: float
    of: Literal["ratio", "figure"] = "ratio"


class Spread(NamedTuple):
    """The median of all rounds, and between what they were."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Row:
    """A line of the table: what is measured, for us and for a peer in the same rounds.

    ``peer`` and ``ratio`` are None where there is nothing to compare with; ``remark`` then says why.
    """

    question: str
    what: str
    against: str
    unit: str
    ours: Spread
    peer: Spread | None = None
    ratio: Spread | None = None
    budget: Budget | None = None
    remark: str = ""

    @property
    def within_budget(self) -> bool | None:
        """Whether the median is; None without a budget, or without the peer that it is a ratio of."""
        if self.budget is None:
            return None
        if self.budget.of == "figure":
            return self.ours.median <= self.budget.limit
        return None if self.ratio is None else self.ratio.median <= self.budget.limit


class Rounds:
    """What all cases gave in each round."""

    def __init__(self, question: str, found: list[dict[str, Measured]]) -> None:
        self._question = question
        self._found = found

    def beyond(self, floor: str, key: str, floor_key: str = "") -> Rounds:
        """Return the same, with the number ``key`` of each case less ``floor_key`` of the case ``floor``."""
        found = []
        for cases in self._found:
            least = cases[floor][floor_key or key]
            less = {name: {**case, key: case[key] - least} if key in case else case for name, case in cases.items()}
            found.append({**less, floor: cases[floor]})
        return Rounds(self._question, found)

    def row(
        self,
        what: str,
        against: str | None,
        key: str,
        unit: str,
        *,
        label: str | None = None,
        scale: float = 1,
        budget: Budget | None = None,
        remark: str = "",
    ) -> Row:
        """Compare the number ``key`` of the case ``what`` with that of ``against``, round by round."""
        ours = [found[what][key] * scale for found in self._found]
        label = label or what
        if against is None or against not in self._found[0]:
            return Row(self._question, label, against or "", unit, Spread.of(ours), None, None, budget, remark)
        peer = [found[against][key] * scale for found in self._found]
        # A peer that takes no measurable amount has no ratio.
        ratios = [one / other for one, other in zip(ours, peer, strict=True)] if min(peer) > 0 else None
        ratio = Spread.of(ratios) if ratios else None
        return Row(self._question, label, against, unit, Spread.of(ours), Spread.of(peer), ratio, budget, remark)


def measure_in_turns(question: str, cases: Mapping[str, Measure], rounds: int, *, shuffled: bool = False) -> Rounds:
    """Measure every case once a round, so that a machine that slows down slows all of them.

    The order is there and back, or any where it is ``shuffled``: where a case may feel what the one before left.
    """
    for measure in cases.values():
        measure()  # caches and bytecode, the file system's too
    found = []
    for number in range(rounds):
        order = list(cases.items())[:: -1 if number % 2 else 1]
        if shuffled:
            random.shuffle(order)
        found.append({name: measure() for name, measure in order})
        print(f"\r{question}: round {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return Rounds(question, found)


def in_a_fork(measure: Measure) -> Measured:
    """Measure in a fork of this process, as Airflow forks one for each DAG file that it parses and each task.

    Raises:
        RuntimeError: it raised; its traceback is on standard error.

    """
    read, write = os.pipe()
    process = os.fork()
    if not process:
        code = 1
        try:
            os.close(read)
            with os.fdopen(write, "w") as pipe:
                json.dump(measure(), pipe)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    _, status = os.waitpid(process, 0)
    if status or not text:
        raise RuntimeError(f"a measurement failed; its process ended with status {status}")
    measured: Measured = json.loads(text)
    return measured


def memory(field: Literal["VmRSS", "VmHWM"]) -> float:
    """Return the bytes that this process holds (``VmRSS``), or the most it held (``VmHWM``)."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(f"{field}:"):
                return float(line.split()[1]) * 1024
    raise LookupError(field)


def forget_peak_memory() -> None:
    """Have ``VmHWM`` count from now on."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
