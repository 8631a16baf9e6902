"""What is to be in place before a task runs: its startup script, its requirements, its Python.

A pip command installs into a layer of the worker's own (:mod:`layer`). With a cache folder the layer of all pip
commands is kept under a digest of what made it: built once under a lock, complete only when its marker is
there, so that parallel builders wait for each other and a build that was killed is begun again.
"""

from __future__ import annotations

import os
import re
import sys

from airflow_provider_tasks.runtime import layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_tasks.runtime.messages import Environment

_COMPLETE = ".complete"
_PIP_SETTINGS = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    # Whatever pip a command finds: outside of a virtual environment it installs nothing.
    "PIP_REQUIRE_VIRTUALENV": "1",
}
_PIP = re.compile(r"\s*(?:python3?\s+-m\s+pip|pip3?|uv\s+pip)\s+install\s+(?P<arguments>.+)")
_NOT_BY_CONTENT = re.compile(
    r"[;&|<>`$\n\\]|(?:^|\s)(?:-r|-e|-c|--requirement|--editable|--constraint|\.|\S*/)\S*|\.whl\b|\.zip\b|\.tar\b|\*"
)


class EnvironmentFailedError(Exception):
    """The environment could not be made; ``detail`` names the command, its exit code and its output."""

    def __init__(self, message: str, **detail: str) -> None:
        super().__init__(message)
        self.detail = detail


class Builder:
    """Makes the environment of one request.

    Args:
        entry: what Python runs to get this runtime: it makes the layers.
        folder: the runtime's folder of this request.
        run: runs a command with the environment ``env``, its output going to the log; returns its exit code and
            the end of its output.
        wait: called with a lock's file descriptor; returns when it holds the lock.

    """

    def __init__(
        self, entry: str, folder: str, run: Callable[..., tuple[int, str]], wait: Callable[[int], None]
    ) -> None:
        self._entry = entry
        self._folder = folder
        self._run = run
        self._wait = wait

    def build(self, wanted: Environment, env: Mapping[str, str]) -> str:
        """Run the startup script, then the requirements, in order; return the Python that runs the task.

        Raises:
            EnvironmentFailedError: one of them failed.

        """
        python = base_python(wanted.get("python_venv_name"), env)
        script = wanted.get("startup_script")
        requirements = wanted.get("requirements", [])
        if not script and not requirements:
            return python
        setup = {**wanted.get("setup_variables", {}), **env, **_PIP_SETTINGS}
        cached = [command for command in requirements if _is_cacheable(command)] if wanted.get("cache") else []
        own = None
        if script or len(cached) < len(requirements):
            own = os.path.join(self._folder, "environment")
            self._create_layer(python, own, setup)
            if script:
                self._check(_script_argv(script, self._folder), "startup script", script, own, setup)
        if not cached:
            for command in requirements:
                self._check(["/bin/sh", "-c", command], "requirement", command, str(own), setup)
            return layer.python(str(own))
        os.makedirs(str(wanted["cache"]), exist_ok=True)
        shared = os.path.join(str(wanted["cache"]), _digest(python, cached, setup))
        self._with_cache(python, requirements, cached, shared=shared, own=own, env=setup)
        return layer.python(own or shared)

    def _with_cache(
        self,
        python: str,
        requirements: Sequence[str],
        cached: Sequence[str],
        *,
        shared: str,
        own: str | None,
        env: Mapping[str, str],
    ) -> None:
        """Run ``requirements`` in order, those in ``cached`` only where ``shared``, their layer, is not there yet."""
        marker = os.path.join(shared, _COMPLETE)
        lock = None if os.path.exists(marker) else self._begin(python, shared, marker, env)
        try:
            if own is not None:
                _put_below(own, shared)
            for command in requirements:
                if command not in cached:
                    self._check(["/bin/sh", "-c", command], "requirement", command, str(own), env)
                elif lock is not None:
                    self._check(["/bin/sh", "-c", command], "requirement", command, shared, env)
            if lock is not None:
                with open(marker, "w", encoding="utf-8") as file:
                    file.write("\n".join(cached) + "\n")
        finally:
            if lock is not None:
                os.close(lock)
        os.utime(marker)

    def _begin(self, python: str, shared: str, marker: str, env: Mapping[str, str]) -> int | None:
        """Begin to build a cached layer, under its lock, which is returned; None where somebody else has built it."""
        import shutil

        lock = os.open(shared + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._wait(lock)
            if os.path.exists(marker):
                os.close(lock)
                return None
            # A build that was killed left no marker. What it started holds the lock until it ended.
            os.set_inheritable(lock, True)
            shutil.rmtree(shared, ignore_errors=True)
            self._create_layer(python, shared, env)
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _create_layer(self, python: str, folder: str, env: Mapping[str, str]) -> None:
        code, output = self._run([python, self._entry, "layer", folder], env=env)
        if code != 0:
            raise EnvironmentFailedError(
                f"the worker's Python can't make a virtual environment: {output.strip()}",
                command=f"{python} -m venv",
                exit_code=str(code),
                output=output,
            )

    def _check(self, argv: Sequence[str], kind: str, text: str, folder: str, env: Mapping[str, str]) -> None:
        code, output = self._run(argv, env=_in_layer(env, folder))
        if code == 0:
            return
        command = f": {text.strip()}" if len(text.strip().splitlines()) == 1 else ""
        raise EnvironmentFailedError(
            f"the {kind} failed with exit code {code}{command}",
            command=text,
            exit_code=str(code),
            output=output,
            root="no" if os.getuid() else "yes",
        )


def _in_layer(env: Mapping[str, str], folder: str) -> dict[str, str]:
    path = os.path.join(folder, "bin") + os.pathsep + env.get("PATH", os.defpath)
    return {**env, "PATH": path, "VIRTUAL_ENV": folder}


def _put_below(folder: str, below: str) -> None:
    pth = os.path.join(layer.packages(folder), layer.BELOW)
    with open(pth, encoding="utf-8") as file:
        text = file.read()
    with open(pth, "w", encoding="utf-8") as file:
        file.write(f"import site; site.addsitedir({layer.packages(below)!r})\n{text}")


def base_python(venv_name: str | None, env: Mapping[str, str]) -> str:
    """Return the Python of the virtual environment ``~/.venv/NAME``, or this one without a name.

    Raises:
        EnvironmentFailedError: there is none of this name.

    """
    if not venv_name:
        return sys.executable
    folders = _folders_of_venvs(env.get("HOME") or os.path.expanduser("~"))
    pythons = [os.path.join(folder, venv_name, "bin", "python") for folder in folders]
    for python in pythons:
        if os.access(python, os.X_OK):
            return python
    found = sorted(name for folder in folders if os.path.isdir(folder) for name in os.listdir(folder))
    raise EnvironmentFailedError(
        f"the worker has no virtual environment {venv_name!r}: {' and '.join(pythons)} is not there; "
        + (f"found {', '.join(found)}" if found else f"{' and '.join(folders)} holds none"),
        venv=venv_name,
    )


def _folders_of_venvs(task_home: str) -> list[str]:
    """Return ``~/.venv`` as the task sees it, and that of the user's home in the image: a pod has another ``HOME``."""
    folders = [os.path.join(task_home, ".venv")]
    try:
        import pwd

        home = os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".venv")
    except (ImportError, KeyError):  # a user whom the image does not know
        return folders
    return [*folders, home] if os.path.isdir(home) and home not in folders else folders


def _script_argv(script: str, folder: str) -> list[str]:
    """How to run a startup script: by its own interpreter where it names one, else by ``sh``."""
    if not script.startswith("#!"):
        return ["/bin/sh", "-e", "-c", script]
    path = os.path.join(folder, "startup")
    with open(path, "w", encoding="utf-8") as file:
        file.write(script)
    os.chmod(path, 0o700)
    return [path]


def _is_cacheable(command: str) -> bool:
    """Whether ``command`` is one pip command whose text says all of what it installs."""
    match = _PIP.fullmatch(command)
    return match is not None and _NOT_BY_CONTENT.search(match["arguments"]) is None


def _digest(python: str, commands: Sequence[str], env: Mapping[str, str]) -> str:
    """Name the layer that ``commands`` make: by them, the Python, and what says where packages come from."""
    import hashlib

    settings = sorted(f"{name}={value}" for name, value in env.items() if name.startswith(("PIP_", "UV_")))
    content = "\0".join((sys.version, os.path.realpath(sys.executable), python, *commands, *settings))
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:32]
