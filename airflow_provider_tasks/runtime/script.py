"""Scripts: what runs a ``.py`` or ``.sh`` file in a worker, and how the file tells its result."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from airflow_provider_tasks.runtime import command, values
from airflow_provider_tasks.runtime.context import handed_on
from airflow_provider_tasks.runtime.home import python_environment
from airflow_provider_tasks.runtime.signals import SkipTask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

RESULT_VARIABLE = "AIRFLOW_TASK_RESULT"
"""Names the file that a script writes its result to: JSON, or any other text, which is taken as it is."""

PARAMETERS_VARIABLE = "AIRFLOW_TASK_PARAMETERS"
"""Holds all parameters of a script as one JSON object."""


class ScriptFailedError(Exception):
    """A script ended with an exit code, or by a signal, that is no success.

    Attributes:
        exit_code: the code, or minus the number of the signal, as :mod:`subprocess` has it.
        reason: what may be why, if something in the script says so.

    """

    def __init__(self, name: str, exit_code: int, reason: str = "") -> None:
        super().__init__(name, exit_code, reason)
        self.name = name
        self.exit_code = exit_code
        self.reason = reason

    def __str__(self) -> str:
        because = f"; {self.reason}" if self.reason else ""
        if self.exit_code >= 0:
            return f"{self.name} ended with exit code {self.exit_code}{because}"
        try:
            number = signal.Signals(-self.exit_code).name
        except ValueError:
            number = f"signal {-self.exit_code}"
        return f"{self.name} was ended by {number}{because}"


def run_script(
    file: str,
    args: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
    skip_on_exit_code: Sequence[int] = (),
) -> Any:
    """Run a file in the working directory, as a process of its own, and return what it gave as its result.

    Args:
        file: the file, relative to the working directory; ``.py`` runs with this Python, any other as its first line
            says, and where that says nothing with ``bash``, or ``sh`` where there is none.
        args: its arguments.
        parameters: values that it finds in the environment: each under its own name, a text as it is, everything else
            as JSON; and all of them as one JSON object in ``AIRFLOW_TASK_PARAMETERS``.
        skip_on_exit_code: exit codes that mean that there was nothing to do.

    Returns:
        What it wrote to the file that ``AIRFLOW_TASK_RESULT`` names: read as JSON, or as text where it is none; None
        where it wrote nothing.

    Raises:
        FileNotFoundError: there is no such file.
        SkipTask: it ended with one of ``skip_on_exit_code``.
        ScriptFailedError: it ended with another code than 0, or by a signal.

    """
    path = os.path.abspath(os.path.expanduser(file))
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file {path} in the worker; its folder holds: {_listed(path)}")
    result = os.path.join(os.getcwd(), f".result-{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(result)  # of an earlier script, in a worker that takes many
    environment = {**python_environment(os.environ), **_as_variables(parameters or {}), RESULT_VARIABLE: result}
    with tempfile.TemporaryDirectory(prefix=f"{command.NAME}-") as folder, handed_on() as context:
        places = [command.put_on_path(folder), environment.get("PATH", os.defpath)]
        environment["PATH"] = os.pathsep.join(places)
        environment.update(context)
        ended = subprocess.run([*_interpreter(path), path, *args], env=environment, check=False)
    if ended.returncode in skip_on_exit_code:
        raise SkipTask(f"{os.path.basename(file)} ended with exit code {ended.returncode}")
    if ended.returncode != 0:
        raise ScriptFailedError(os.path.basename(file), ended.returncode, _why(path))
    return _read_result(result)


def set_result(value: Any) -> None:
    """Set the result of the Python script that this is called in; the last call counts.

    Args:
        value: anything that a task may return.

    Raises:
        RuntimeError: this is no script that a worker runs.
        ValueEncodeError: the value can't travel; the message says where in it.

    """
    path = os.environ.get(RESULT_VARIABLE)
    if not path:
        raise RuntimeError(
            "set_result is for scripts that a worker runs (ScriptOperator, run_task); "
            f"here {RESULT_VARIABLE} is not set. A function or a Task returns its result."
        )
    encoded = values.encode_json(value)
    with open(path + ".part", "wb") as file:
        file.write(encoded)
    os.replace(path + ".part", path)


def _as_variables(parameters: Mapping[str, Any]) -> dict[str, str]:
    each = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    return {**each, PARAMETERS_VARIABLE: json.dumps(dict(parameters))}


def _interpreter(path: str) -> list[str]:
    if path.endswith(".py"):
        return [sys.executable, "-u"]
    with open(path, "rb") as file:
        line = file.readline(256)
    if line.startswith(b"#!"):
        return os.fsdecode(line[2:].strip()).split()
    return [shutil.which("bash") or "sh"]


def _why(path: str) -> str:
    """Say what a shell's own messages do not: they show no carriage return."""
    if path.endswith(".py"):
        return ""
    try:
        with open(path, "rb") as file:
            first = file.readline(4096)
    except OSError:  # the script has removed itself
        return ""
    if not first.endswith(b"\r\n"):
        return ""
    return "its lines end in CRLF, and a shell takes the CR as a part of the command: save it with LF"


def _read_result(path: str) -> Any:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return None
    os.unlink(path)
    if not content:
        return None
    try:
        return values.decode(json.loads(content))
    except ValueError:  # values.ValueDecodeError is one too
        return content.decode("utf-8", "replace").rstrip("\n")


def _listed(path: str) -> str:
    try:
        names = sorted(os.listdir(os.path.dirname(path)))
    except OSError as error:
        return f"nothing that can be seen ({error.strerror})"
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "") or "nothing"
