"""A Jupyter server in a worker, for a person's browser: started once, then found again.

It listens inside of the worker alone, with a token that Jupyter makes and keeps in files that are the user's own: it is
on no command line and in no environment. It is no task's process, so that it goes on between tasks, and it ends with
the worker. What it asks for is on its command line, which is stronger than any configuration that the image or the
user's home has of Jupyter.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import time

from airflow_provider_tasks.runtime import files, processes, protocol
from airflow_provider_tasks.runtime.context import FILE_VARIABLE
from airflow_provider_tasks.runtime.environment import EnvironmentFailedError, base_python
from airflow_provider_tasks.runtime.home import python_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

MODULES = ("jupyterlab", "notebook")
"""What can serve notebooks, the best first; Notebook from version 7 on."""

_ADDRESS = "127.0.0.1"
_MARK = "AIRFLOW_NOTEBOOK_SERVER"
"""The environment variable by which a server is known whose record is lost; it holds the folder."""

_ATTEMPTS = 3
_SECONDS = 60.0
_LOOK = 0.05
_FILE_LIMIT = 64 * 2**10

_NEWS = "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"

_FIND = f"""
import importlib.util as u
print(*[n for n in {MODULES!r} if u.find_spec(n) and u.find_spec("jupyter_server")], flush=True)
"""


class NoServerError(Exception):
    """There is no Jupyter server, and the message says why."""


def serve(folder: str, task_folder: str) -> None:
    """Start the server of a worker, or find it, and print where it is as JSON: ``port`` and ``token``.

    A line on standard input says, as JSON, what it is to know: ``variables`` for its environment, the
    ``python_venv_name`` that the worker's tasks run with, and the ``context`` of its notebooks, encoded.

    Args:
        folder: the runtime's folder, with the requests.
        task_folder: the folder in which tasks run, which the server shows.

    """
    asked = json.loads(sys.stdin.buffer.readline())
    try:
        with _lock(os.path.join(folder, "jupyter.lock")):
            found = find_or_start(folder, task_folder, asked)
    except (NoServerError, EnvironmentFailedError, OSError) as error:
        sys.exit(str(error))
    print(json.dumps(found), flush=True)  # noqa: T201 - the answer


def find_or_start(folder: str, task_folder: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``port`` and ``token`` of the worker's server.

    Raises:
        NoServerError: there is no Jupyter, or it does not start, or it has stopped answering.

    """
    home = os.path.join(folder, "jupyter")
    for name in _records(home):
        found = _read(home, name)
        if found is None or found["pid"] not in processes.marked(_MARK, home):
            continue
        if _answers(found, token=True) == 0:
            raise NoServerError(
                f"the notebook server of this worker runs, and does not answer (process {found['pid']} in the worker)"
            )
        if _is_ours(found):
            return _told(found)
    processes.kill_marked(_MARK, home)  # one that has left no record
    environment = {**python_environment({**os.environ, **asked["variables"]}), **_folders(home), _MARK: home}
    for name in ("JUPYTER_CONFIG_PATH", "JUPYTER_PREFER_ENV_PATH"):
        environment.pop(name, None)
    python = _last_python(folder) or base_python(asked["python_venv_name"], environment)
    files.make_empty(home)
    for path in _folders(home).values():
        os.mkdir(path, 0o700)
    environment[FILE_VARIABLE] = os.path.join(home, "context.json")
    files.write(environment[FILE_VARIABLE], json.dumps(asked["context"]).encode("ascii"))
    module = _find_module(python, environment, home)
    os.makedirs(task_folder, 0o700, exist_ok=True)
    for _ in range(_ATTEMPTS):
        found = _start([python, "-m", module], environment, home, task_folder)
        if found is not None:
            return _told(found)
    raise NoServerError(f"Jupyter does not start in the worker; the end of what it said:\n{_end_of_log(home)}")


@contextlib.contextmanager
def _lock(path: str) -> Iterator[None]:
    """Have one process look for the server at a time."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _start(argv: list[str], environment: Mapping[str, str], home: str, task_folder: str) -> dict[str, Any] | None:
    """Start a server on a port that is free; None where it has ended at once, as where the port was taken."""
    settings = {
        "ip": _ADDRESS,
        "port": _free_port(),
        "port_retries": 0,
        "base_url": "/",
        "certfile": "",
        "open_browser": False,
        "root_dir": task_folder,
        "allow_root": os.getuid() == 0,
    }
    # It asks nobody on the internet about itself, and the user neither whether it may.
    news = os.path.join(environment["JUPYTER_CONFIG_DIR"], _NEWS)
    files.write(news, b'{"fetchNews": "false", "checkForUpdates": false}')
    with open(os.open(_log(home), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab") as log:
        # In a folder of its own: a file of the user's that is called like a module is none of its.
        process = subprocess.Popen(
            [*argv, *(f"--ServerApp.{name}={value}" for name, value in settings.items())],
            env=dict(environment),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        return _wait_for(process, home)
    except BaseException:
        process.kill()
        raise


def _wait_for(process: subprocess.Popen[bytes], home: str) -> dict[str, Any] | None:
    end = time.monotonic() + _SECONDS
    status = 0
    while process.poll() is None and time.monotonic() < end:
        found = _read(home, f"jpserver-{process.pid}.json")
        status = 0 if found is None else _answers(found, token=True)
        if found is not None and status == 200:
            if _is_ours(found):
                return found
            raise NoServerError(
                "the Jupyter of this worker listens for others, or lets everybody in without its token: "
                "its system-wide settings say so. Remove them from the worker's image."
            )
        time.sleep(_LOOK)
    if process.poll() is None:
        answer = f"it answers with HTTP status {status}" if status else "it does not answer"
        raise NoServerError(f"Jupyter does not start within {_SECONDS:.0f} s: {answer}\n{_end_of_log(home)}")
    return None


def _is_ours(found: Mapping[str, Any]) -> bool:
    """Whether it lets in who has the token, and nobody else, and is reachable from here alone."""
    is_here = found["hostname"] == _ADDRESS and bool(found["token"])
    return is_here and _answers(found, token=True) == 200 and _answers(found, token=False) in (401, 403)


def _answers(found: Mapping[str, Any], *, token: bool) -> int:
    """Return the status that the server answers with; 0 where there is no answer."""
    import http.client

    connection = http.client.HTTPConnection(_ADDRESS, found["port"], timeout=10)
    with contextlib.closing(connection), contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        headers = {"Authorization": f"token {found['token']}"} if token else {}
        connection.request("GET", "/api/status", headers=headers)
        return connection.getresponse().status
    return 0


def _find_module(python: str, environment: Mapping[str, str], home: str) -> str:
    ran = subprocess.run([python, "-c", _FIND], env=dict(environment), cwd=home, capture_output=True, check=False)
    modules = ran.stdout.decode("utf-8", "replace").split()
    if not modules:
        raise NoServerError(
            f"the worker has no Jupyter: {python} finds neither {' nor '.join(MODULES)}. Choose a worker_image that "
            'has it, or have it installed when the worker starts: startup_script="pip install jupyterlab".'
        )
    return modules[0]


def _last_python(folder: str) -> str | None:
    """Return the Python of the worker's last task, with what its startup script and requirements installed."""
    last, python = -1.0, None
    for name in os.listdir(folder):
        with contextlib.suppress(OSError, ValueError):  # a task may have put anything there
            path = os.path.join(folder, name, protocol.PYTHON)
            found = os.fsdecode(files.read(path, _FILE_LIMIT) or b"")
            made = os.stat(os.path.join(folder, name)).st_mtime
            if name.startswith("request-") and made > last and os.access(found, os.X_OK):
                last, python = made, found
    return python


def _folders(home: str) -> dict[str, str]:
    names = {"JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data"}
    names["IPYTHONDIR"] = "ipython"
    return {variable: os.path.join(home, name) for variable, name in names.items()}


def _records(home: str) -> list[str]:
    with contextlib.suppress(OSError):
        return [name for name in os.listdir(os.path.join(home, "runtime")) if name.startswith("jpserver-")]
    return []


def _read(home: str, name: str) -> dict[str, Any] | None:
    """Read what a server wrote of itself: https://jupyter-server.readthedocs.io, ``jpserver-PID.json``."""
    try:
        found = json.loads(files.read(os.path.join(home, "runtime", name), _FILE_LIMIT) or b"null")
    except ValueError:  # it is being written
        return None
    types = {"pid": int, "port": int, "token": str, "hostname": str}
    is_whole = isinstance(found, dict) and all(isinstance(found.get(key), kind) for key, kind in types.items())
    return found if is_whole else None


def _told(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"port": found["port"], "token": found["token"]}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_ADDRESS, 0))
        return int(found.getsockname()[1])


def _log(home: str) -> str:
    return os.path.join(home, "server.log")


def _end_of_log(home: str) -> str:
    log = (files.read(_log(home), 2**20) or b"").decode("utf-8", "replace")
    return re.sub(r"token=\w+", "token=…", log[-2000:]).strip()
