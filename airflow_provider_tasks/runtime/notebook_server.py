"""A Jupyter server in a worker, for a person's browser: started once, then found again.

It listens inside of the worker alone, with a token that Jupyter makes and keeps in a file that is the user's own: it is
on no command line and in no environment. It is no task's process, so that it goes on between tasks, and it ends with
the worker.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import time

from airflow_provider_tasks.runtime import files, protocol
from airflow_provider_tasks.runtime.environment import EnvironmentFailedError, base_python
from airflow_provider_tasks.runtime.home import python_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

MODULES = ("jupyterlab", "notebook")
"""What can serve notebooks, the best first; Notebook from version 7 on."""

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

    A line on standard input says, as JSON, what it is to know: ``variables`` for its environment, and the
    ``python_venv_name`` that the worker's tasks run with.

    Args:
        folder: the runtime's folder, with the requests.
        task_folder: the folder in which tasks run, which the server shows.

    """
    asked = json.loads(sys.stdin.buffer.readline())
    try:
        with _lock(os.path.join(folder, "jupyter.lock")):
            found = find_or_start(folder, task_folder, asked["variables"], asked["python_venv_name"])
    except (NoServerError, EnvironmentFailedError, OSError) as error:
        sys.exit(str(error))
    print(json.dumps(found), flush=True)  # noqa: T201 - the answer


def find_or_start(
    folder: str, task_folder: str, variables: Mapping[str, str], venv: str | None = None
) -> dict[str, Any]:
    """Return ``port`` and ``token`` of the worker's server.

    Raises:
        NoServerError: there is no Jupyter, or it does not start.

    """
    home = os.path.join(folder, "jupyter")
    for name in _records(home):
        found = _read(home, name)
        if found is not None and _runs(found["pid"]) and _is_ours(found):
            return _told(found)
    environment = {**python_environment({**os.environ, **variables}), **_folders(home)}
    python = _last_python(folder) or base_python(venv, environment)
    files.make_empty(home)
    for path in _folders(home).values():
        os.mkdir(path, 0o700)
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
        "ServerApp": {
            "ip": "127.0.0.1",
            "port": _free_port(),
            "port_retries": 0,
            "open_browser": False,
            "root_dir": task_folder,
            "allow_root": os.getuid() == 0,
        },
    }
    config = environment["JUPYTER_CONFIG_DIR"]
    files.write(os.path.join(config, "jupyter_server_config.json"), json.dumps(settings).encode("ascii"))
    # It asks nobody on the internet about itself, and the user neither whether it may.
    files.write(os.path.join(config, _NEWS), b'{"fetchNews": "false", "checkForUpdates": false}')
    with open(os.path.join(home, "server.log"), "ab") as log:
        # In a folder of its own: a file of the user's that is called like a module is none of its.
        process = subprocess.Popen(
            argv,
            env=dict(environment),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    end = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < end:
        found = _read(home, f"jpserver-{process.pid}.json")
        if found is not None and _answers(found, token=True) == 200:
            if _is_ours(found):
                return found
            process.kill()
            raise NoServerError(
                "the Jupyter of this worker lets everybody in without its token: its system-wide settings say so. "
                "Remove them from the worker's image."
            )
        time.sleep(_LOOK)
    if process.poll() is None:
        process.kill()
        raise NoServerError(f"Jupyter took longer than {_SECONDS:.0f} s to start:\n{_end_of_log(home)}")
    return None


def _is_ours(found: Mapping[str, Any]) -> bool:
    """Whether it lets in who has the token, and nobody else."""
    return bool(found["token"]) and _answers(found, token=True) == 200 and _answers(found, token=False) in (401, 403)


def _answers(found: Mapping[str, Any], *, token: bool) -> int:
    """Return the status that the server answers with; 0 where there is no answer."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", found["port"], timeout=10)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
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
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            found = files.read(os.path.join(entry.path, protocol.PYTHON), _FILE_LIMIT)
            if found and entry.stat().st_mtime > last and os.access(os.fsdecode(found), os.X_OK):
                last, python = entry.stat().st_mtime, os.fsdecode(found)
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
    types = {"pid": int, "port": int, "token": str}
    is_whole = isinstance(found, dict) and all(isinstance(found.get(key), kind) for key, kind in types.items())
    return found if is_whole else None


def _told(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"port": found["port"], "token": found["token"]}


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _end_of_log(home: str) -> str:
    log = files.read(os.path.join(home, "server.log"), 2**20) or b""
    return log.decode("utf-8", "replace")[-2000:].strip()
