"""The local worker: a family of processes on this machine that behaves as a pod does.

The supervisor of the runtime leads a session of its own. Its standard input is the lifeline: when this process
ends, however it ends, the supervisor sees the end of the file, ends everything below it and removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Self

from airflow_provider_tasks.runtime import files, processes
from airflow_provider_tasks.runtime.outcome import MalformedOutcomeError, Outcome, parse_outcome
from airflow_provider_tasks.runtime.protocol import OUTCOME_LIMIT, PHASES
from airflow_provider_tasks.workers.archive import unpack
from airflow_provider_tasks.workers.failures import ConfigurationError, KilledError, PayloadError, WorkerError
from airflow_provider_tasks.workers.lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_tasks.runtime.messages import Environment, Request

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
# Where packages come from, and how to get there; not where they go, which is the worker's.
_SOURCES = {"INDEX_URL", "EXTRA_INDEX_URL", "DEFAULT_INDEX", "INDEX", "INDEX_STRATEGY", "FIND_LINKS", "NO_INDEX"}
_SOURCES |= {"TRUSTED_HOST", "INSECURE_HOST", "CERT", "CLIENT_CERT", "NATIVE_TLS", "PROXY", "KEYRING_PROVIDER"}
_SOURCES |= {"TIMEOUT", "DEFAULT_TIMEOUT", "HTTP_TIMEOUT", "RETRIES", "CACHE_DIR", "CONFIG_FILE", "CONSTRAINT"}
_SOURCES |= {"PREFER_BINARY", "ONLY_BINARY", "NO_BINARY"}
_SETUP = {f"{tool}_{name}" for tool in ("PIP", "UV") for name in _SOURCES}
_KILL_SECONDS = 5.0
_PREFIX = "airflow-worker-"


def inherited_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a worker's processes inherit of ``environ``.

    >>> inherited_environment({"PATH": "/bin", "LC_ALL": "C", "AIRFLOW__CORE__FERNET_KEY": "x", "DB_URL": "y"})
    {'PATH': '/bin', 'LC_ALL': 'C'}
    """
    return {name: value for name, value in environ.items() if name in _INHERITED or name.startswith("LC_")}


def setup_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what only startup scripts and requirements are given: where packages come from may hold a password."""
    return {name: value for name, value in environ.items() if name in _SETUP}


def name_of_folder(folder: Path) -> str:
    """Return the name of the worker that a folder is of.

    >>> name_of_folder(Path("/tmp/airflow-worker-local-0a1b2c3d4e5f-x7k2"))
    'local-0a1b2c3d4e5f'
    """
    return folder.name.removeprefix(_PREFIX).rpartition("-")[0]


class LocalWorker:
    """A worker on this machine.

    Args:
        cache_folder: where the runtime and the environments of requirements are kept between workers.
        python: the Python of the worker, a path or a command; the running one unless given.
        keep: leave the folder when the worker ends.
        folder: the folder of a kept worker, to go on in; a new one unless given.
        ends_with_parent: end when the process that started this one ends, as Airflow's supervisor of a task does.

    Raises:
        ConfigurationError: there is no such Python.

    """

    def __init__(
        self,
        *,
        cache_folder: Path,
        python: str | None = None,
        keep: bool = False,
        folder: Path | None = None,
        ends_with_parent: bool = True,
    ) -> None:
        self.name = f"local-{uuid.uuid4().hex[:12]}" if folder is None else name_of_folder(folder)
        self._python = find_python(python)
        self._keep = keep
        self._cache = cache_folder
        self._process: subprocess.Popen[bytes] | None = None
        self._parent = os.getppid() if ends_with_parent else None
        # What an earlier request left is not touched: a notebook server may run from its environment.
        self._requests = 0 if folder is None else _last_request(folder)
        self._ended = False
        self.folder = folder or Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{self.name}-"))

    @property
    def place(self) -> str:
        """The worker's folder."""
        return str(self.folder)

    @property
    def environment(self) -> Environment:
        """What a request to a worker on this machine says beside what it is to do."""
        return {"setup_variables": setup_environment(os.environ), "cache": str(self._cache / "environments")}

    def __enter__(self) -> Self:
        try:
            if not self._ended:
                self._start()  # its processes start while the request is made
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, request: Request, on_output: Callable[[str], None]) -> Outcome:
        """Run ``request``; see :class:`~airflow_provider_tasks.workers.base.WorkerBackend`."""
        import json

        begun = time.monotonic()
        if self._process is None and not self._ended:
            self._start()
        process = self._process
        if process is None or process.stdin is None or self._ended:
            self.kill()
            raise KilledError("the worker was told to end before it ran the task")
        self._requests += 1
        path = str(self.folder / f"request-{self._requests}")
        files.write(path, json.dumps(request).encode("ascii"))
        lines = LineSplitter()
        with contextlib.suppress(BrokenPipeError, ValueError):
            process.stdin.write(os.fsencode(path) + b"\n")
            process.stdin.flush()
        last: list[str] = []

        def pass_on(text: str) -> None:
            last.append(text)
            del last[:-20]
            on_output(text)

        def split(data: bytes) -> None:
            for line in lines.feed(data):
                pass_on(line)

        answered = self._follow(split)
        for line in lines.end():
            pass_on(line)
        outcome = files.read(path + ".outcome", OUTCOME_LIMIT + 1) if answered else None
        if outcome is None:
            raise self._died(process, last, answered=answered)
        return _read(outcome, time.monotonic() - begun)

    def kill(self) -> None:
        """End every process of the worker, which then takes no more requests."""
        self._ended = True
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
            process.wait(_KILL_SECONDS)
        if process.returncode != 0:
            # Whoever was to end the family did not get to it.
            processes.kill_marked(MARK, self.name)

    def close(self) -> None:
        """End the worker; calling it twice is allowed."""
        self.kill()
        if self._process is not None:
            self._process = None
            for file in (self._output, self._control):
                os.close(file)
        if not self._keep:
            files.remove(str(self.folder))

    def _start(self) -> None:
        entry = unpack(self._cache)
        output_read, output = os.pipe()
        control_read, control = os.pipe()
        argv = [self._python, "-I", "-S", str(entry), "serve", str(control), str(self.folder)]
        try:
            process = subprocess.Popen(
                [*argv, "keep"] if self._keep else argv,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**inherited_environment(os.environ), MARK: self.name},
                cwd=self.folder,
                start_new_session=True,
                pass_fds=(control,),
            )
        except OSError as error:
            os.close(output_read)
            os.close(control_read)
            raise _no_python(self._python, f"it can't be started: {error.strerror}") from error
        finally:
            os.close(output)
            os.close(control)
        self._output, self._control = output_read, control_read
        self._process = process

    def _follow(self, on_data: Callable[[bytes], object]) -> bool:
        """Pass on output until the supervisor answers (True) or is gone (False)."""
        os.set_blocking(self._output, False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            selector.register(self._control, selectors.EVENT_READ)
            answer: bytes | None = None
            while answer is None:
                if self._parent is not None and os.getppid() != self._parent:
                    # Airflow has lost sight of this task, and will run it again elsewhere.
                    raise KilledError("the process that watches this Airflow task is gone")
                for key, _ in selector.select(1.0):
                    if key.fd == self._control:
                        answer = os.read(self._control, 65_536)
                    elif not self._pass_on(on_data):
                        selector.unregister(self._output)
        # Everyone who could print has ended: what is in the pipe is all that there is.
        while self._pass_on(on_data):
            pass
        return answer != b""

    def _pass_on(self, on_data: Callable[[bytes], object]) -> bool:
        """Pass on output that is there; whether there can be more."""
        try:
            data = os.read(self._output, 2**18)
        except BlockingIOError:
            return False
        on_data(data)
        return data != b""

    def _died(self, process: subprocess.Popen[bytes], last: list[str], *, answered: bool) -> WorkerError:
        if self._ended:
            return KilledError("the worker was told to end")
        self.kill()
        code = process.returncode
        shown = "".join(f"\n    {line}" for line in last)
        if code < 0 or answered or self._requests > 1:
            how = f"signal {processes.signal_name(-code)}" if code < 0 else f"exit code {code}"
            return KilledError(f"the worker ended with {how} before it reported an outcome{shown}")
        return _no_python(self._python, f"it ended with exit code {code} and reported nothing{shown}")


def _no_python(python: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{python} can't be a worker's Python: {reason}",
        "WorkerConfig(python=…) takes the path of a Python 3.9 or newer, or a command that is on the PATH.",
    )


def _last_request(folder: Path) -> int:
    numbers = [path.name.removeprefix("request-") for path in folder.glob("request-*")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def find_python(python: str | None) -> str:
    """Return the path of a worker's Python: a path or a command, the running one unless given.

    Raises:
        ConfigurationError: there is no such program.

    """
    if python is None:
        return sys.executable
    found = shutil.which(os.path.expanduser(python))
    if found is None:
        raise _no_python(python, "there is no such program on this machine")
    return found


def _read(data: bytes, elapsed: float) -> Outcome:
    from dataclasses import replace

    try:
        outcome = parse_outcome(data)
    except MalformedOutcomeError as error:
        raise PayloadError(f"the worker's outcome can't be read: {error}") from error
    # What the worker did not account for went into starting its processes.
    known = sum(seconds for phase, seconds in outcome.timeline.items() if phase != "started")
    timeline = {**outcome.timeline, "started": max(0.0, elapsed - known)}
    return replace(outcome, timeline={phase: timeline[phase] for phase in PHASES if phase in timeline})
