"""The processes that Airflow runs tasks and triggers in, seen from the benchmark that starts them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks import installation

if TYPE_CHECKING:
    from collections.abc import Iterator


class Triggerer:
    """A process that runs triggers, as `benchmarks.pods_triggerer` says; a context manager."""

    def __init__(self) -> None:
        self._log = installation.home() / "log-of-the-triggerer"

    def __enter__(self) -> Triggerer:
        self._process = _start("benchmarks.pods_triggerer", str(self._log))
        self._hear()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def run(self, told: dict[str, Any]) -> tuple[dict[str, Any], float, float]:
        """Run the trigger of a deferred task.

        Returns:
            Its event, when that came (``time.monotonic()``), and the seconds of CPU until the trigger had ended.

        """
        self._tell(told)
        fired = self._hear()
        return fired["event"], fired["at"], self._hear()["cpu"]

    def wait(
        self, deferred: list[dict[str, Any]], *, patience: float, settle: float, seconds: float
    ) -> dict[str, float]:
        """Have triggers wait, and measure what that takes.

        Args:
            deferred: the tasks.
            patience: seconds after which it is measured though not all triggers have started.
            settle: seconds from then until it is measured.
            seconds: for how long.

        """
        self._tell({"wait": deferred, "patience": patience, "settle": settle, "seconds": seconds})
        return self._hear()

    def _tell(self, told: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        told = _hear(self._process)
        if told is None:
            raise RuntimeError(f"the triggerer has ended: {self._log.read_text(errors='replace')[-5000:]}")
        return told


@contextlib.contextmanager
def task_process(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run the process of a task, and give what it tells at its end; it may not be gone yet then.

    Raises:
        RuntimeError: the task failed; its log is in the message.

    """
    log = installation.home() / f"log-of-{told['run']}"
    with _start("benchmarks.pods_task", json.dumps({**told, "log": str(log)})) as process:
        heard = _hear(process)
        if heard is not None:
            yield heard
    if heard is None or process.returncode:
        raise RuntimeError(f"{told} failed: {log.read_text(errors='replace')[-5000:]}")


def _start(module: str, argument: str) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-m", module, argument], text=True, cwd=installation.PROJECT, **pipes)


def _hear(process: subprocess.Popen[str]) -> dict[str, Any] | None:
    assert process.stdout is not None
    line = process.stdout.readline()
    return json.loads(line) if line else None
