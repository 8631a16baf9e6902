"""The local worker: a family of processes on this machine that behaves as a pod does.

The supervisor of the runtime leads a session of its own. Its standard input is the lifeline: when this process
ends, however it ends, the supervisor sees the end of the file, ends everything below it and removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_tasks.runtime import processes
from airflow_provider_tasks.runtime.outcome import MalformedOutcomeError, Outcome, parse_outcome
from airflow_provider_tasks.runtime.protocol import OUTCOME_LIMIT
from airflow_provider_tasks.workers.archive import unpack
from airflow_provider_tasks.workers.failures import ConfigurationError, KilledError, PayloadError
from airflow_provider_tasks.workers.lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_tasks.runtime.messages import Request

MARK = "AIRFLOW_WORKER_NAME"
"""The environment variable that every process of a worker inherits."""

# What of this process's environment a worker is given; everything else may hold a secret, or belongs to Airflow.
_INHERITED = {
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TMPDIR",
    "TZ",
    "USER",
}
_INHERITED |= {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
_INHERITED |= {
    name for proxy in ("http", "https", "no", "all") for name in (f"{proxy}_proxy", f"{proxy}_proxy".upper())
}
_SETUP_PREFIXES = ("PIP_", "UV_")
_KILL_SECONDS = 5.0


def inherited_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a worker's processes inherit of ``environ``.

    >>> inherited_environment({"PATH": "/bin", "LC_ALL": "C", "AIRFLOW__CORE__FERNET_KEY": "x", "DB_URL": "y"})
    {'PATH': '/bin', 'LC_ALL': 'C'}
    """
    return {name: value for name, value in environ.items() if name in _INHERITED or name.startswith("LC_")}


def setup_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what only startup scripts and requirements are given: where packages come from may hold a password."""
    return {name: value for name, value in environ.items() if name.startswith(_SETUP_PREFIXES)}


class LocalWorker:
    """A worker on this machine.

    Args:
        cache_folder: where the runtime and the environments of requirements are kept between workers.
        python: the Python of the worker, a path or a command; the running one unless given.
        keep: leave the folder when the worker ends.

    Raises:
        ConfigurationError: there is no such Python.

    """

    def __init__(self, *, cache_folder: Path, python: str | None = None, keep: bool = False) -> None:
        self.name = f"local-{uuid.uuid4().hex[:12]}"
        self._python = _find_python(python)
        self._keep = keep
        self._cache = cache_folder
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = 0
        self.folder = Path(tempfile.mkdtemp(prefix=f"airflow-worker-{self.name}-"))

    @property
    def place(self) -> str:
        """The worker's folder."""
        return str(self.folder)

    def __enter__(self) -> LocalWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, request: Request, on_output: Callable[[str], None]) -> Outcome:
        """Run ``request``; see :class:`~airflow_provider_tasks.workers.base.WorkerBackend`."""
        import json

        begun = time.monotonic()
        if self._process is None:
            self._start()
        self._requests += 1
        path = self.folder / f"request-{self._requests}"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            json.dump(request, file)
        lines = LineSplitter()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            process.stdin.write(os.fsencode(path) + b"\n")
            process.stdin.flush()
        last: list[str] = []

        def pass_on(text: str) -> None:
            last.append(text)
            del last[:-20]
            on_output(text)

        answered = self._follow(lambda data: [pass_on(line) for line in lines.feed(data)])
        for line in lines.end():
            pass_on(line)
        outcome_file = path.with_name(path.name + ".outcome")
        if not answered or not outcome_file.exists():
            raise self._died(last)
        return _read(outcome_file, time.monotonic() - begun)

    def kill(self) -> None:
        """End every process of the worker."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.returncode != 0:
            # The supervisor did not get to end its family.
            for pid in processes.marked(MARK, self.name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """End the worker; calling it twice is allowed."""
        self.kill()
        if self._process is not None:
            for file in (self._output, self._control):
                with contextlib.suppress(OSError):
                    os.close(file)
            self._process = None
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        archive = unpack(self._cache)
        (self.folder / "task").mkdir()
        self._output, output = os.pipe()
        self._control, control = os.pipe()
        self._parent = os.getppid()
        argv = [self._python, "-I", "-S", str(archive), "serve", str(control), str(self.folder)]
        try:
            self._process = subprocess.Popen(
                [*argv, "keep"] if self._keep else argv,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**inherited_environment(os.environ), MARK: self.name},
                cwd=self.folder,
                start_new_session=True,
                pass_fds=(control,),
            )
        finally:
            os.close(output)
            os.close(control)

    def _follow(self, on_data: Callable[[bytes], object]) -> bool:
        """Pass on output until the supervisor answers (True) or is gone (False)."""
        os.set_blocking(self._output, False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            selector.register(self._control, selectors.EVENT_READ)
            answer: bytes | None = None
            while answer is None:
                events = selector.select(1.0)
                if not events and os.getppid() != self._parent:
                    # Airflow has lost sight of this task, and will run it again elsewhere.
                    raise KilledError("the process that watches this Airflow task is gone")
                for key, _ in events:
                    if key.fd == self._control:
                        answer = os.read(self._control, 65_536)
                    else:
                        with contextlib.suppress(BlockingIOError):
                            data = os.read(self._output, 2**18)
                            if not data:
                                selector.unregister(self._output)
                            on_data(data)
        # Everyone who could print has ended: what is in the pipe is all that there is.
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._output, 2**18):
                on_data(data)
        return answer != b""

    def _died(self, last: list[str]) -> KilledError:
        assert self._process is not None
        self.kill()
        code = self._process.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        shown = "".join(f"\n    {line}" for line in last)
        return KilledError(f"the worker ended with {how} before it reported an outcome{shown}")


def _find_python(python: str | None) -> str:
    if python is None:
        return sys.executable
    found = shutil.which(os.path.expanduser(python))
    if found is None:
        raise ConfigurationError(
            f"WorkerConfig(python={python!r}): there is no such program on this machine",
            "Give the path of a Python, or a command that is on the PATH.",
        )
    return found


def _read(path: Path, elapsed: float) -> Outcome:
    from dataclasses import replace

    if path.stat().st_size > OUTCOME_LIMIT:
        raise PayloadError(
            f"the worker's outcome has {path.stat().st_size:,} bytes, expected at most {OUTCOME_LIMIT:,}"
        )
    try:
        outcome = parse_outcome(path.read_bytes())
    except MalformedOutcomeError as error:
        raise PayloadError(f"the worker's outcome can't be read: {error}") from error
    # What the worker did not account for went into starting its processes.
    known = sum(seconds for phase, seconds in outcome.timeline.items() if phase != "started")
    return replace(outcome, timeline={**outcome.timeline, "started": max(0.0, elapsed - known)})
