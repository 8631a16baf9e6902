"""A real Airflow, as processes on this machine, for the live tests, the demo and the benchmarks.

::

    with AirflowInstallation(tmp_path, dags={"mine": folder}) as airflow:
        run_id = airflow.trigger("my_dag", conf={"count": 3})
        assert airflow.wait_for_run("my_dag", run_id) == "success"
        assert airflow.xcom("my_dag", run_id, "my_task") == 3
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

import httpx
import psutil

from tests.live import postgres, processes, settings
from tests.live.rest_api import FINISHED_TASK, RestApi

REPOSITORY = Path(__file__).resolve().parents[2]
DAG_FOLDERS = {"examples": REPOSITORY / "dags_examples", "tests": REPOSITORY / "tests" / "live" / "dags"}
USERNAME = "admin"
VIEWER = "viewer"
"""Another user, who may see everything and change nothing; the password is the same."""

Component = Literal["api-server", "scheduler", "dag-processor", "triggerer"]

_COMMANDS: Mapping[Component, tuple[str, ...]] = {
    "api-server": ("api-server",),
    # The logs are files of this machine, which the API server reads itself.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_HEALTH_KEYS: Mapping[Component, str] = {
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}


class AirflowDied(Exception):
    """A component of Airflow ended by itself; the message has the end of its log."""


class AlreadyRunning(Exception):
    """Another process uses the same ``AIRFLOW_HOME``."""


def _no_progress(_: str) -> None:
    """Take a line of progress and show it to nobody."""


class AirflowInstallation(RestApi):
    """Scheduler with LocalExecutor, DAG processor, triggerer and API server; a context manager.

    Everything is below ``home``: ``airflow.cfg``, the logs, the database unless it is PostgreSQL.
    A home that is used again keeps its database, its secrets and its log-in.

    Args:
        home: the folder that becomes ``AIRFLOW_HOME``; made when it isn't there.
        dags: DAG folders by bundle name. To these comes ``dags_folder``, which is empty and for
            DAG files that a test writes.
        database: ``sqlite``, or ``postgresql`` for a private server, or ``auto``: PostgreSQL
            where its binaries are found.
        port: of the API server; None takes a free one.
        overrides: settings laid over ``tests.live.settings.QUICK``, option by section.
        progress: called with a line of text for each thing that takes a while.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Mapping[str, Path] = DAG_FOLDERS,
        database: Literal["auto", "sqlite", "postgresql"] = "auto",
        port: int | None = None,
        overrides: settings.Settings | None = None,
        progress: Callable[[str], None] = _no_progress,
    ) -> None:
        self.home = home.resolve()
        self.dags_folder = self.home / "dags"
        self.port = port or processes.free_port()
        self._progress = progress
        self._bundles = {**dags, "written": self.dags_folder}
        self._overrides = overrides or {}
        self._running: dict[Component, subprocess.Popen[bytes]] = {}
        self._lock: IO[str] | None = None
        binaries = postgres.find_binaries() if database != "sqlite" else None
        if database == "postgresql" and binaries is None:
            raise RuntimeError("no PostgreSQL binaries (initdb, postgres) found on the PATH or in /usr/lib/postgresql")
        self._postgres = postgres.PostgresServer(binaries) if binaries else None
        self._secrets = _kept_secrets(self.home)
        super().__init__(f"http://127.0.0.1:{self.port}", USERNAME, self.password)

    @property
    def username(self) -> str:
        """The name to log in with; its role is admin."""
        return USERNAME

    @property
    def password(self) -> str:
        """The password to log in with."""
        return self._secrets["password"]

    @property
    def database(self) -> Literal["sqlite", "postgresql"]:
        """What the metadata database is."""
        return "postgresql" if self._postgres else "sqlite"

    # --- starting and stopping -------------------------------------------------------------------

    def start(self, timeout: float = 240) -> None:
        """Start everything and return when all components are healthy.

        Raises:
            AlreadyRunning: another process runs an Airflow in the same home.
            AirflowDied: a component ended; the message has the end of its log.
            TimeoutError: not healthy in time.
        """
        self._take_lock()
        try:
            if self._postgres:
                self._progress("Starting PostgreSQL")
                self._postgres.start()
            self._write_files()
            self._progress(f"Preparing the database ({self.database})")
            self._migrate()
            self._progress("Starting Airflow: API server, scheduler, DAG processor, triggerer")
            for component in _COMMANDS:
                self._launch(component)
            self._wait_until_healthy(_COMMANDS.keys(), timeout)
            # The API server builds its routes for tasks at the first such request, which takes
            # seconds: longer, on a busy machine, than the first task would wait for an answer.
            self._http.get("/execution/health/ping")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything that was started, running tasks too. A second call does nothing."""
        self.close()
        try:
            self._stop_processes()
        finally:
            if self._postgres:
                self._postgres.stop()
            if self._lock:
                self._lock.close()
                self._lock = None

    def __enter__(self) -> AirflowInstallation:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_component(self, component: Component, timeout: float = 120) -> None:
        """Start one component again after ``kill_component`` and wait until it is healthy."""
        self._launch(component)
        self._wait_until_healthy([component], timeout)

    def kill_component(self, component: Component) -> None:
        """End a component with SIGKILL, and with it everything that it started: a machine that dies."""
        process = self._running.pop(component)
        processes.kill(processes.with_descendants(process.pid))
        process.wait()

    def check_alive(self) -> None:
        """Raise ``AirflowDied`` when a component ended that nobody killed."""
        for component, process in self._running.items():
            if process.poll() is not None:
                raise AirflowDied(
                    f"Airflow's {component} ended with exit code {process.returncode}. The end of "
                    f"{self.log_file(component)}:\n{processes.tail(self.log_file(component))}"
                )

    def log_file(self, component: Component) -> Path:
        """Give the file that holds a component's own output (not that of the tasks)."""
        return self.home / "processes" / f"{component}.log"

    # --- DAG files and processes of a test -------------------------------------------------------

    def write_dag(self, file_name: str, source: str) -> Path:
        """Write (or change) a DAG file in ``dags_folder``; the DAG processor sees it within seconds."""
        path = self.dags_folder / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Moved into place: the DAG processor never reads half a file.
        half = path.with_suffix(".part")
        half.write_text(source)
        half.replace(path)
        return path

    def task_processes(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[psutil.Process]:
        """Give Airflow's processes of a running task instance: its supervisor and its task runner.

        Airflow puts the task instance's id into the title of both.
        """
        return _workers_of(self.task_instance(dag_id, run_id, task_id, map_index)["id"])

    def kill_worker(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, *, only_supervisor: bool = False
    ) -> None:
        """End the Airflow worker that runs a task instance with SIGKILL, as a dying machine does.

        The worker is the LocalExecutor's process that supervises the task, and the task runner that
        it forked. With ``only_supervisor`` the task runner lives on, alone. What the task itself
        started is left to its fate in both cases.
        """
        found = self.task_processes(dag_id, run_id, task_id, map_index)
        if not found:
            state = self.task_instance(dag_id, run_id, task_id, map_index)["state"]
            raise LookupError(f"no process runs task {task_id} of {dag_id}: its state is {state}")
        if only_supervisor:
            executor = psutil.Process(self._running["scheduler"].pid).children()
            found = [process for process in found if process in executor]
        processes.kill(found)

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Give the log of a try as text; of a task that has ended, the whole of it."""
        task_instance = self.task_instance(dag_id, run_id, task_id, map_index)
        deadline = processes.Deadline(10)
        if task_instance["state"] in FINISHED_TASK:
            # A task's state is known before its supervisor has written the last lines.
            while _workers_of(task_instance["id"]) and not deadline.passed:
                time.sleep(0.05)
        return super().log(dag_id, run_id, task_id, try_number, map_index)

    # --- helpers ---------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._lock = (self.home / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._lock = None
            raise AlreadyRunning(f"another Airflow is running in {self.home}: stop that one first") from None

    def _write_files(self) -> None:
        self.dags_folder.mkdir(exist_ok=True)
        (self.home / "processes").mkdir(exist_ok=True)
        passwords = self.home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({USERNAME: self.password, VIEWER: self.password}))
        own: dict[str, dict[str, str]] = {
            "core": {
                "dags_folder": str(self.dags_folder),
                "plugins_folder": str(self.home / "plugins"),
                "fernet_key": self._secrets["fernet_key"],
                "execution_api_server_url": f"{self.url}/execution/",
                "simple_auth_manager_users": f"{USERNAME}:admin,{VIEWER}:viewer",
                "simple_auth_manager_passwords_file": str(passwords),
            },
            "api": {
                "host": "127.0.0.1",
                "port": str(self.port),
                "base_url": self.url,
                "secret_key": self._secrets["secret_key"],
            },
            "worker_tasks": {"cache_folder": str(self.home / "cache")},
            "api_auth": {"jwt_secret": self._secrets["jwt_secret"]},
            "database": {"sql_alchemy_conn": f"sqlite:///{self.home / 'airflow.db'}"},
            "logging": {
                "base_log_folder": str(self.home / "logs"),
                "dag_processor_child_process_log_directory": str(self.home / "logs" / "dag_processor"),
            },
            "dag_processor": {
                "dag_bundle_config_list": settings.dag_bundles(self._bundles),
                "dag_bundle_storage_path": str(self.home / "bundles"),
            },
        }
        if self._postgres:
            own["database"] = {
                "sql_alchemy_conn": self._postgres.url,
                "sql_alchemy_conn_async": self._postgres.async_url,
            }
        settings.write(self.home / "airflow.cfg", settings.merged(settings.QUICK, own, self._overrides))

    def environment(self) -> dict[str, str]:
        """Give the environment of this Airflow's processes; also for the ``airflow`` command."""
        # Nothing of another Airflow on this machine. Bytecode is written: imports take three times as
        # long without it, in every process.
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("AIRFLOW") and name != "PYTHONDONTWRITEBYTECODE"
        }
        return {
            **kept,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONFIG": str(self.home / "airflow.cfg"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "PYTHONUNBUFFERED": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def _stop_processes(self) -> None:
        doomed: list[psutil.Process] = []
        for process in self._running.values():
            doomed += processes.with_descendants(process.pid)
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        # Enough for all of them, unless a task is running: the scheduler would wait for its end.
        processes.wait_until_gone(doomed, 3)
        # Orphans too: whatever still has this home in its environment.
        doomed += processes.with_environment("AIRFLOW_HOME", str(self.home))
        processes.kill(doomed)
        for process in self._running.values():
            process.wait()
        self._running.clear()

    def _migrate(self) -> None:
        log_path = self.home / "processes" / "db-migrate.log"
        with log_path.open("wb") as log:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", "db", "migrate"],
                check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=self.home, env=self.environment(),
            )  # fmt: skip
        if done.returncode != 0:
            raise AirflowDied(
                f"'airflow db migrate' failed with exit code {done.returncode}. The end of {log_path}:\n"
                f"{processes.tail(log_path)}"
            )

    def _launch(self, component: Component) -> None:
        if component in self._running:
            raise RuntimeError(f"{component} is already running")
        with self.log_file(component).open("ab") as log:
            self._running[component] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *_COMMANDS[component]],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=self.home, env=self.environment(), start_new_session=True,
            )  # fmt: skip

    def _wait_until_healthy(self, components: Iterable[Component], timeout: float) -> None:
        # A component that was killed keeps its last heartbeat: only a newer one counts.
        since = datetime.now(UTC)
        waiting_for = set(components)

        def probe() -> bool:
            try:
                health = self.health()
            except httpx.TransportError:
                return False
            self._progress_once("api-server", waiting_for)
            for component in _HEALTH_KEYS.keys() & waiting_for:
                key = _HEALTH_KEYS[component]
                heartbeat = (health.get(key) or {}).get(f"latest_{key}_heartbeat")
                if heartbeat and datetime.fromisoformat(heartbeat) > since:
                    self._progress_once(component, waiting_for)
            return not waiting_for

        self.wait_until(
            "Airflow is healthy", probe, timeout,
            lambda: f"Still waiting for {sorted(waiting_for)}; logs are in {self.home / 'processes'}.",
        )  # fmt: skip

    def _progress_once(self, component: Component, waiting_for: set[Component]) -> None:
        if component in waiting_for:
            waiting_for.remove(component)
            self._progress(f"  {component} is up")


def _workers_of(task_instance_id: str) -> list[psutil.Process]:
    return processes.with_title("airflow worker", task_instance_id)


def _kept_secrets(home: Path) -> dict[str, str]:
    """Read the secrets of a home that was used before, or make new ones."""
    path = home / "secrets.json"
    if path.exists():
        kept: dict[str, str] = json.loads(path.read_text())
        return kept
    from cryptography.fernet import Fernet

    made = {
        "password": secrets.token_urlsafe(9),
        "fernet_key": Fernet.generate_key().decode(),
        "secret_key": secrets.token_urlsafe(32),
        "jwt_secret": secrets.token_urlsafe(64),
    }
    home.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(made))
    return made
