"""A PostgreSQL server of one's own: in a folder, on a free port, gone afterwards."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.live import processes

# The data is thrown away: no reason to wait for a disk.
_UNSAFE_AND_QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def find_binaries() -> Path | None:
    """Give the folder that holds ``initdb`` and ``postgres``, the newest version first; None without one."""
    # Debian keeps them off the PATH, in a folder for each version.
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.parent.name)],
        reverse=True,
    )
    on_path = shutil.which("initdb")
    candidates = ([Path(on_path).resolve().parent] if on_path else []) + folders
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


class PostgresServer:
    """A private server with one database, ``airflow``; use it as a context manager or ``stop`` it.

    PostgreSQL refuses to run as root: there, the server runs as the user ``postgres``, or as ``nobody``.
    """

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._port = processes.free_port()
        self._password = secrets.token_urlsafe(16)
        self._process: subprocess.Popen[bytes] | None = None
        # Not below pytest's temporary folder, whose parents belong to root alone.
        self._folder = Path(tempfile.mkdtemp(prefix="airflow-provider-tasks-postgres-"))
        self.log_path = self._folder / "server.log"
        self._owner: pwd.struct_passwd | None = None
        if os.geteuid() == 0:
            known = {entry.pw_name: entry for entry in pwd.getpwall()}
            self._owner = known.get("postgres") or known["nobody"]
            self._give_away(self._folder)

    @property
    def url(self) -> str:
        """The URL of the database for SQLAlchemy and psycopg2."""
        return self._url("psycopg2")

    @property
    def async_url(self) -> str:
        """The URL of the database for SQLAlchemy and asyncpg."""
        return self._url("asyncpg")

    def start(self) -> None:
        """Make the server's files and start it; raises ``RuntimeError`` with the end of its log."""
        password_file = self._folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        self._give_away(password_file)
        data = self._folder / "data"
        self._run(
            "initdb", f"--pgdata={data}", "--username=airflow", f"--pwfile={password_file}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        options = [part for name, value in _UNSAFE_AND_QUICK.items() for part in ("-c", f"{name}={value}")]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(self._binaries / "postgres"), "-D", str(data), "-p", str(self._port),
                    "-h", "127.0.0.1", "-k", str(self._folder), "-c", "max_connections=200", *options,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=self._folder, start_new_session=True, **self._as_owner(),
            )  # fmt: skip
        deadline = processes.Deadline(30)
        while self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port), check=False):
            if self._process.poll() is not None or deadline.passed:
                end = processes.tail(self.log_path)
                self.stop()
                raise RuntimeError(f"PostgreSQL did not start:\n{end}")
        self._run(
            "createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "airflow", "airflow",
            PGPASSWORD=self._password,
        )  # fmt: skip

    def stop(self) -> None:
        """Stop the server and remove its files. A second call does nothing."""
        if self._process is not None and self._process.poll() is None:
            all_of_it = processes.with_descendants(self._process.pid)
            self._process.send_signal(signal.SIGINT)  # its "fast shutdown": clients are cut off
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                processes.kill(all_of_it)
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _url(self, driver: str) -> str:
        return f"postgresql+{driver}://airflow:{self._password}@127.0.0.1:{self._port}/airflow"

    def _give_away(self, path: Path) -> None:
        if self._owner is not None:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid)

    def _as_owner(self) -> dict[str, Any]:
        if self._owner is None:
            return {}
        return {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str, check: bool = True, **environment: str) -> int:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=self._folder, env={"PATH": os.defpath, "LC_ALL": "C", **environment}, **self._as_owner(),
        )  # fmt: skip
        if check and done.returncode != 0:
            output = done.stdout.decode(errors="replace")
            self.stop()
            raise RuntimeError(f"{program} failed with exit code {done.returncode}:\n{output}")
        return done.returncode
