"""Where a worker is, for who looks after it: commands, files and its log, whether a task runs there or not."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from airflow_provider_tasks.runtime import files
from airflow_provider_tasks.runtime import pod as runtime
from airflow_provider_tasks.runtime.uploads import pack_path, unpack_files
from airflow_provider_tasks.workers.failures import ClusterError, ConfigurationError, PayloadError
from airflow_provider_tasks.workers.local import inherited_environment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

    from airflow_provider_tasks.workers.kubernetes.api import Api
    from airflow_provider_tasks.workers.kubernetes.connection import Cluster
    from airflow_provider_tasks.workers.kubernetes.output import OutputReader

LOG = "output.log"
"""What a local worker's folder calls the file with all output of its tasks."""

T = TypeVar("T")


class Executed(NamedTuple):
    """How a command in a worker ended: its ``exit_code``, and its ``output`` with standard error in it."""

    exit_code: int
    output: str


class Place(Protocol):
    """A worker's files and processes. Paths are relative to the folder in which its tasks run."""

    def execute(self, command: str) -> Executed:
        """Run a command of the shell in the task's folder."""

    def take_files(self, archive: bytes, path: str) -> None:
        """Unpack an archive into a folder."""

    def send_files(self, path: str) -> bytes:
        """Return an archive of a file or folder."""

    def log(self) -> list[str]:
        """Return the lines that all tasks have printed."""

    def remove(self) -> None:
        """Remove the worker."""


class LocalPlace:
    """The folder of a local worker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._task = folder / "task"

    def __str__(self) -> str:
        """Return where it is."""
        return str(self.folder)

    def execute(self, command: str) -> Executed:
        """Run a command of the shell in the task's folder, with the environment that a task has."""
        self._task.mkdir(exist_ok=True)
        environment = inherited_environment(os.environ)
        ran = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self._task,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return Executed(ran.returncode, ran.stdout.decode("utf-8", "replace"))

    def take_files(self, archive: bytes, path: str) -> None:
        """Unpack an archive into a folder."""
        unpack_files(base64.b64encode(archive).decode("ascii"), str(self._task / path))

    def send_files(self, path: str) -> bytes:
        """Return an archive of a file or folder."""
        try:
            return pack_path(str(self._task / path))
        except OSError as error:
            raise ConfigurationError(f"the worker can't send {path!r}: {error}") from error

    def log(self) -> list[str]:
        """Return the lines that all tasks have printed."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        return []

    def remove(self) -> None:
        """Remove the folder."""
        files.remove(str(self.folder))


class PodPlace:
    """A pod."""

    def __init__(self, cluster: Cluster, namespace: str | None, name: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name

    def __str__(self) -> str:
        """Return where it is."""
        return f"pod {self._name} in namespace {self._namespace or 'default'}"

    def execute(self, command: str) -> Executed:
        """Run a command of the shell in the task's folder."""
        output = bytearray()
        argv = ["/bin/sh", "-c", f'cd {runtime.TASK} && exec 2>&1 && eval "$0"', command]
        ran = self._with_api(lambda api: api.exec(self._name, argv, stdin=None, stdout=output.extend))
        return Executed(ran.exit_code, output.decode("utf-8", "replace"))

    def take_files(self, archive: bytes, path: str) -> None:
        """Unpack an archive into a folder."""
        from airflow_provider_tasks.workers.kubernetes.fetch import ENTRY

        data = base64.b64encode(archive)
        argv = [*ENTRY, "take-files", path, str(len(data))]
        ran = self._with_api(lambda api: api.exec(self._name, argv, stdin=data, stdout=lambda _: None))
        if ran.exit_code != 0:
            raise ClusterError(f"the worker did not take the files: {ran.stderr.strip()[-500:]}")

    def send_files(self, path: str) -> bytes:
        """Return an archive of a file or folder."""
        from airflow_provider_tasks.workers.kubernetes.fetch import ENTRY, Limited

        fetched = Limited()
        argv = [*ENTRY, "send-files", path]
        ran = self._with_api(lambda api: api.exec(self._name, argv, stdin=None, stdout=fetched.take))
        archive = fetched.checked()
        if archive is None:
            raise ConfigurationError(f"the worker can't send {path!r}: {ran.stderr.strip()[-500:]}")
        return archive

    def log(self) -> list[str]:
        """Return the lines that all tasks have printed."""
        lines: list[str] = []
        self.read_log(lines.append)
        return lines

    def remove(self) -> None:
        """Remove the pod."""
        self._with_api(lambda api: api.delete_pod(self._name))

    def read_log(self, on_line: Callable[[str], None]) -> OutputReader:
        """Hand on all lines that there are, and return who read them, who knows how many requests have ended."""
        from airflow_provider_tasks.workers.kubernetes.output import OutputReader

        reader = OutputReader(on_line)

        async def read(api: Api) -> None:
            async for data in api.log(self._name, follow=False):
                reader.feed(data)
            reader.end()

        self._with_api(read)
        return reader

    def _with_api(self, work: Callable[[Api], Awaitable[T]]) -> T:
        from airflow_provider_tasks.workers.kubernetes.api import Api

        async def run() -> T:
            async with Api(self._cluster, self._namespace) as api:
                return await work(api)

        return in_a_thread(run)


def in_a_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, also where an event loop runs already, as in a notebook."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


def unpack_here(archive: bytes, folder: Path) -> list[Path]:
    """Unpack what a worker sent, which may hold anything, into a folder; nothing gets out of it.

    Raises:
        PayloadError: the archive is none, or holds something else than files and folders of its own.

    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
            members = opened.getmembers()
            for member in members:
                if not member.isfile():
                    raise PayloadError(f"what the worker sent holds {member.name!r}, which is no file")
            opened.extractall(folder, members=members, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise PayloadError(f"what the worker sent can't be unpacked: {error}") from error
    return [folder / member.name for member in members]


def check_path(path: str) -> str:
    """Return a path that stays in the task's folder.

    >>> check_path("../../etc/passwd")
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.workers.failures.ConfigurationError: '../../etc/passwd' leads out of the task's folder
    Give a path that is relative to it, as 'output/report.html'.
    """
    found = os.path.normpath(path)
    if os.path.isabs(found) or found == ".." or found.startswith("../"):
        raise ConfigurationError(
            f"{path!r} leads out of the task's folder", "Give a path that is relative to it, as 'output/report.html'."
        )
    return found
