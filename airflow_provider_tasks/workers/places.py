"""Where a worker is, for who looks after it: commands, files and its log, whether a task runs there or not."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import itertools
import json
import os
import stat
import subprocess
import tarfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

from airflow_provider_tasks.runtime import pod as runtime
from airflow_provider_tasks.runtime import values
from airflow_provider_tasks.runtime.uploads import inside, pack_path, unpack_files
from airflow_provider_tasks.workers.archive import unpack
from airflow_provider_tasks.workers.failures import ConfigurationError, PayloadError
from airflow_provider_tasks.workers.kept import remove_folder
from airflow_provider_tasks.workers.local import MARK, find_python, inherited_environment, name_of_folder
from airflow_provider_tasks.workers.printed import Printed
from airflow_provider_tasks.workers.quantities import format_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from pathlib import Path

    from airflow_provider_tasks.workers.kubernetes.api import Api
    from airflow_provider_tasks.workers.kubernetes.connection import Cluster
    from airflow_provider_tasks.workers.kubernetes.forward import Forwarder
    from airflow_provider_tasks.workers.kubernetes.output import OutputReader
    from airflow_provider_tasks.workers.settings import Settings

MOST_FILES, MOST_BYTES = 10_000, 2**30
"""What is fetched from a worker at once, at most."""

_ANSWER_LIMIT = 64 * 2**10

LOG = "output.log"
"""What a local worker's folder calls the file with all output of its tasks."""

T = TypeVar("T")


class Executed(NamedTuple):
    """How a command in a worker ended: its ``exit_code``, and its ``output`` with standard error in it.

    Of an output of more than 16 MiB the beginning and the end are there, and a line between them says what is not.
    """

    exit_code: int
    output: str


class NotebookServer(NamedTuple):
    """A Jupyter server: the ``port`` of this machine that leads to it, and the ``token`` that it asks for."""

    port: int
    token: str

    @property
    def url(self) -> str:
        """What a browser opens."""
        return f"http://127.0.0.1:{self.port}/?token={quote(self.token, safe='')}"


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

    def notebook_server(self, context: Mapping[str, Any]) -> NotebookServer:
        """Start a Jupyter server, unless it runs; ``context`` is what its notebooks get from ``get_context()``.

        Raises:
            ConfigurationError: there is no Jupyter, or it does not start.
            ClusterError: there is no way to it.

        """

    def remove(self) -> None:
        """Remove the worker."""


class LocalPlace:
    """The folder of a local worker, and the settings that it has."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self._settings = settings
        self._task = folder / "task"

    def __str__(self) -> str:
        """Return where it is."""
        return str(self.folder)

    def execute(self, command: str) -> Executed:
        """Run a command of the shell in the task's folder."""
        self._task.mkdir(exist_ok=True)
        output = Printed()
        with subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=self._task,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert isinstance(process.stdout, io.BufferedReader)
            try:
                while data := process.stdout.read1():
                    output.take(data)
            except BaseException:  # Ctrl-C, say
                process.kill()
                raise
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        return Executed(code, str(output))

    def take_files(self, archive: bytes, path: str) -> None:
        """Unpack an archive into a folder."""
        try:
            unpack_files(base64.b64encode(archive).decode("ascii"), inside(str(self._task), path))
        except OSError as error:
            raise ConfigurationError(f"the worker can't take files into {path!r}: {error}") from error

    def send_files(self, path: str) -> bytes:
        """Return an archive of a file or folder."""
        try:
            return pack_path(inside(str(self._task), path))
        except OSError as error:
            raise ConfigurationError(f"the worker can't send {path!r}: {error}") from error

    def log(self) -> list[str]:
        """Return the lines that all tasks have printed."""
        with contextlib.suppress(OSError), self.open_log() as file:
            file.seek(0)
            text = file.read().decode("utf-8", "replace")
            return text.removesuffix("\n").split("\n") if text else []
        return []

    def open_log(self) -> BinaryIO:
        """Open the log, to add lines or to read; a task may have put anything into its place."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        number = os.open(self.folder / LOG, flags, 0o600)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise OSError(f"{self.folder / LOG} is no file")
        return os.fdopen(number, "r+b", buffering=0)

    def notebook_server(self, context: Mapping[str, Any]) -> NotebookServer:
        """Start a Jupyter server, unless it runs."""
        python = find_python(self._settings.config.python)
        entry = unpack(self._settings.cache_folder)
        ran = subprocess.run(
            [python, "-I", "-S", str(entry), "notebook-server", str(self.folder), str(self._task)],
            input=_asked(self._settings, {}, context),
            capture_output=True,
            env=self._environment(),
            cwd=self.folder,
            check=False,
        )
        return read_server(ran.stdout, ran.stderr.decode("utf-8", "replace"), ran.returncode)

    def remove(self) -> None:
        """End what still runs of it, and remove the folder."""
        remove_folder(self.folder)

    def _environment(self) -> dict[str, str]:
        mark = {MARK: name_of_folder(self.folder)}
        return {**inherited_environment(os.environ), **mark, **(self._settings.config.env_variables or {})}


class PodPlace:
    """A pod, and the settings that it has."""

    def __init__(self, cluster: Cluster, namespace: str | None, name: str, settings: Settings) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._settings = settings
        self._forwarder: Forwarder | None = None

    def __str__(self) -> str:
        """Return where it is."""
        return f"pod {self._name} in namespace {self._namespace or 'default'}"

    def execute(self, command: str) -> Executed:
        """Run a command of the shell in the task's folder."""
        output = Printed()
        argv = ["/bin/sh", "-c", f'cd {runtime.TASK} && exec 2>&1 && eval "$0"', command]
        ran = self._with_api(lambda api: api.exec(self._name, argv, stdin=None, stdout=output.take))
        return Executed(ran.exit_code, str(output))

    def take_files(self, archive: bytes, path: str) -> None:
        """Unpack an archive into a folder."""
        from airflow_provider_tasks.workers.kubernetes.fetch import ENTRY

        data = base64.b64encode(archive)
        argv = [*ENTRY, "take-files", path, str(len(data))]
        ran = self._with_api(lambda api: api.exec(self._name, argv, stdin=data, stdout=lambda _: None))
        if ran.exit_code != 0:
            raise ConfigurationError(f"the worker can't take files into {path!r}: {ran.stderr.strip()[-500:]}")

    def send_files(self, path: str) -> bytes:
        """Return an archive of a file or folder."""
        from airflow_provider_tasks.workers.kubernetes.fetch import ENTRY, Limited

        fetched = Limited("archive of the files")
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

    def notebook_server(self, context: Mapping[str, Any]) -> NotebookServer:
        """Start a Jupyter server, unless it runs, and have a port of this machine lead to it."""
        from airflow_provider_tasks.workers.kubernetes.fetch import ENTRY
        from airflow_provider_tasks.workers.kubernetes.forward import Forwarder

        output = bytearray()

        def take(data: bytes) -> None:
            if len(output) + len(data) > _ANSWER_LIMIT:
                raise PayloadError("the worker said more than it can have to say of its notebook server")
            output.extend(data)

        argv = [*ENTRY, "notebook-server", runtime.FOLDER, runtime.TASK]
        asked = _asked(self._settings, self._settings.config.env_variables or {}, context)
        ran = self._with_api(lambda api: api.exec(self._name, argv, stdin=asked, stdout=take))
        server = read_server(bytes(output), ran.stderr, ran.exit_code)
        if self._forwarder is not None and self._forwarder.to != server.port:
            self._forwarder.close()
            self._forwarder = None
        if self._forwarder is None:
            forwarder = Forwarder(self._cluster, self._namespace, self._name, server.port)
            forwarder.start()
            self._forwarder = forwarder
        self._forwarder.check()
        return server._replace(port=self._forwarder.port)

    def remove(self) -> None:
        """Remove the pod."""
        try:
            if self._forwarder is not None:
                self._forwarder.close()
        finally:
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


def _asked(settings: Settings, variables: Mapping[str, str], context: Mapping[str, Any]) -> bytes:
    """Return what the runtime is told that starts a notebook server; see :mod:`..runtime.notebook_server`."""
    asked = {
        "variables": dict(variables),
        "python_venv_name": settings.config.python_venv_name,
        "context": values.encode(dict(context)),
    }
    return json.dumps(asked).encode("ascii") + b"\n"


def read_server(output: bytes, errors: str, exit_code: int) -> NotebookServer:
    """Return the server that the runtime in a worker tells of."""
    if exit_code != 0:
        raise ConfigurationError(f"no notebook can be opened: {errors.strip()[-3000:] or f'exit code {exit_code}'}")
    try:
        found = json.loads(output)
        port, token = found["port"], found["token"]
    except (ValueError, TypeError, KeyError):
        port = token = None
    if not isinstance(token, str) or not isinstance(port, int) or not 0 < port < 2**16:
        raise PayloadError("the worker did not say where its notebook server is")
    return NotebookServer(port, token)


def in_a_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, also where an event loop runs already, as in a notebook; Ctrl-C cancels it."""
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(loop.run_forever)
        future = asyncio.run_coroutine_threadsafe(work(), loop)
        try:
            return future.result()
        finally:
            asyncio.run_coroutine_threadsafe(_end_all(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            running.result()
            loop.close()


async def _end_all() -> None:
    """Cancel what still runs in this event loop, and wait for its end."""
    running = asyncio.all_tasks() - {asyncio.current_task()}
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


def unpack_here(archive: bytes, folder: Path) -> list[Path]:
    """Unpack what a worker sent, which may hold anything, into a folder; nothing gets out of it.

    Raises:
        PayloadError: the archive is none, or holds something else than files and folders of its own.

    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
            members = list(itertools.islice(opened, MOST_FILES + 1))
            size = sum(member.size for member in members)
            if len(members) > MOST_FILES or size > MOST_BYTES:
                raise PayloadError(
                    f"what the worker sent has {len(members):,} files or more, {format_bytes(size)}; "
                    f"expected at most {MOST_FILES:,} files and {format_bytes(MOST_BYTES)}",
                    "Fetch less of it at once, or have the task put it into a storage.",
                )
            for member in members:
                name = member.name
                if not member.isfile() or os.path.normpath(name) != name or "\0" in name or is_outside(name):
                    raise PayloadError(f"what the worker sent holds {name!r}, which is no file of its own")
            opened.extractall(folder, members=members, filter="data")
    except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError, zlib.error) as error:
        raise PayloadError(f"what the worker sent can't be unpacked: {error}") from error
    return [folder / member.name for member in members]


def is_outside(path: str) -> bool:
    """Whether a normal path leads out of the folder that it begins in."""
    return os.path.isabs(path) or path == ".." or path.startswith("../")


def check_path(path: str) -> str:
    """Return a path that stays in the task's folder.

    >>> check_path("../../etc/passwd")
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.workers.failures.ConfigurationError: '../../etc/passwd' leads out of the task's folder
    Give a path that is relative to it, as 'output/report.html'.
    """
    found = os.path.normpath(path)
    if is_outside(found):
        raise ConfigurationError(
            f"{path!r} leads out of the task's folder", "Give a path that is relative to it, as 'output/report.html'."
        )
    return found
