"""All tests in their parts, as ``make test`` runs them: ``python -m tests.everything [OPTIONS OF PYTEST]``.

What failed in a part runs once more by itself: a test that a busy machine kept from passing is none that fails.
Anything else that goes wrong (a file that can't be imported, a process that died, a run that was ended) is a failure at
once. Parts run one after the other: two of them at a time take as long on two cores, and their tests wait too long.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FAILED, NOTHING_FOUND = 1, 5
"""Exit codes of pytest: some tests failed and all were run; there was no test."""

MOST_AGAIN = 5
"""Tests that may fail once more before the others are not tried."""

BY_FILE = ("-n", "auto", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder")
"""A file's tests share what is expensive, so that one process runs them all."""

SIDE_BY_SIDE = ("-n", os.environ.get("POD_TESTS", "6"), "--maxschedchunk", "1")
"""Tests of pods wait for the cluster most of the time."""


@dataclass(frozen=True)
class Part:
    """Tests that run together: those that the expression ``marks`` names, with these options of pytest."""

    name: str
    marks: str
    options: tuple[str, ...] = ()


PLAIN = Part("plain", "not kubernetes and not live", BY_FILE)
LIVE = Part("live", "live and not kubernetes")
FAULTS = Part("faults", "breaks_the_cluster")
PODS = Part("pods", "kubernetes and not live and not breaks_the_cluster", SIDE_BY_SIDE)
LIVE_PODS = Part("live_pods", "kubernetes and live and not breaks_the_cluster")


class Suite:
    """Runs parts.

    Args:
        home: a folder for what they write: Airflow's home, pytest's cache, what coverage has counted.
        arguments: options of pytest for all parts.

    """

    def __init__(self, home: Path, arguments: Sequence[str]) -> None:
        self.status = 0
        self._home = home
        self._arguments = arguments

    def run(self, part: Part) -> None:
        """Run a part; what failed gets its second chance."""
        code = self._pytest(part, part.options)
        if code == FAILED:
            print("Those that failed, once more and one at a time: what fails by itself too is a failure.", flush=True)
            again = ("--last-failed", "--last-failed-no-failures", "none", "--maxfail", str(MOST_AGAIN))
            code = self._pytest(part, again)
        elif code == NOTHING_FOUND and self._arguments:
            code = 0  # somebody asked for a few, which are in other parts
        self.status = self.status or code

    def report(self) -> None:
        """Show which lines no part has run."""
        environment = {**os.environ, "COVERAGE_FILE": str(self._home / ".coverage")}
        coverage = [sys.executable, "-m", "coverage"]
        subprocess.call([*coverage, "combine", "--quiet", *self._home.glob("*/.coverage")], env=environment)
        subprocess.call([*coverage, "report", "--skip-covered"], env=environment)

    def _pytest(self, part: Part, options: Sequence[str]) -> int:
        folder = self._home / part.name
        environment = {"AIRFLOW_HOME": str(folder / "airflow"), "COVERAGE_FILE": str(folder / ".coverage")}
        folder.mkdir(exist_ok=True)
        argv = [sys.executable, "-m", "pytest", "-o", f"cache_dir={folder / 'cache'}", "-m", part.marks]
        counted = ("--cov", "--cov-report=", "--cov-append")
        return subprocess.call([*argv, *counted, *options, *self._arguments], env={**os.environ, **environment})


def main(arguments: Sequence[str]) -> int:
    """Run all parts, show which lines none of them has run, and return the exit code."""
    cluster = os.environ.get("TEST_KUBECONFIG")
    with tempfile.TemporaryDirectory() as home:
        suite = Suite(Path(home), arguments)
        for part in (PLAIN, LIVE, *((PODS, FAULTS, LIVE_PODS) if cluster else ())):
            suite.run(part)
        suite.report()
    if cluster:
        print(f"The Kubernetes suite ran, on the cluster of {cluster}.")
    else:
        print("The Kubernetes suite did NOT run: TEST_KUBECONFIG is not set.")
    return suite.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
