"""``Worker``: a worker that a person uses: runs files in it, looks at it, ends it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_tasks.model.node import as_node
from airflow_provider_tasks.runtime import protocol
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ConfigurationError, PayloadError
from airflow_provider_tasks.workers.kept import Record
from airflow_provider_tasks.workers.notebooks import conclude_notebook
from airflow_provider_tasks.workers.opening import direct_settings
from airflow_provider_tasks.workers.outcomes import error_of, traceback_lines
from airflow_provider_tasks.workers.pipelines import conclude_pipeline, is_pipeline
from airflow_provider_tasks.workers.places import (
    Executed,
    check_path,
    unpack_here,
)
from airflow_provider_tasks.workers.quantities import format_bytes
from airflow_provider_tasks.workers.region import region_of, user
from airflow_provider_tasks.workers.session import Session, kept_pods
from airflow_provider_tasks.workers.task_file import TaskFile
from airflow_provider_tasks.workers.terminal import open_in_browser, say
from airflow_provider_tasks.workers.upload import MAX_FILES, pack_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.runtime.messages import Request
    from airflow_provider_tasks.runtime.outcome import Outcome
    from airflow_provider_tasks.workers.settings import Settings

    Config = WorkerConfig | Mapping[str, Any] | str | Path | None
    # In the class, ``list`` is what lists workers.
    Paths = list[Path]
    Workers = list["Worker"]


class Worker:
    """A worker that stays until it is terminated, or its time is over: ``keep_seconds`` of its settings, 8 hours.

    It starts with the first thing that is asked of it. Settings come from Airflow's configuration where there is
    one; Airflow need not run. As a context manager it is terminated at the end.

    Args:
        worker_config: what it is: an object, a mapping, or the path of a JSON or YAML file.
        node: the node that it is for.

    Raises:
        ConfigurationError: a setting is wrong.

    Example::

        with Worker({"worker_size": "X-Small"}) as worker:
            worker.run_task("prepare.sh")
            worker.run_task("train.py", args=["--epochs", "3"])
            worker.download_files("model", to="results")

    """

    def __init__(self, worker_config: Config = None, *, node: Node | Mapping[str, Any] | None = None) -> None:
        keep = WorkerConfig(terminate_on_completion=False)
        self._session = Session(direct_settings(as_node(node), worker_config, keep), as_node(node))
        self.outcome: Outcome | None = None

    @property
    def node(self) -> Node | None:
        """The node that it is for."""
        return self._session.node

    @property
    def name(self) -> str:
        """What it is called, for :meth:`get`; empty until it has started."""
        return self._session.name

    @property
    def config(self) -> WorkerConfig:
        """Its settings, after all merging."""
        return self._session.settings.config

    @property
    def status(self) -> str:
        """``new``, ``running`` (a task), ``idle`` or ``terminated``."""
        return self._session.status

    @property
    def place(self) -> str:
        """Where it is, for people (a folder, a pod); empty until it has started."""
        return str(self._session.place) if self._session.place is not None else ""

    def __repr__(self) -> str:
        return f"<Worker {self.name or '(not started)'}: {self._session.settings.backend}, {self.status}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    def run_task(  # noqa: PLR0917 - as run_task
        self,
        file_name: str | os.PathLike[str],
        files_path: str | os.PathLike[str] | None = None,
        upload_files: bool = True,
        file_path_on_worker: str | None = None,
        capture_task_output: bool = True,
        max_files_to_upload: int = MAX_FILES,
        args: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        raise_on_failure: bool = False,
    ) -> bool:
        """Run a file; see :func:`~airflow_provider_tasks.run_task` for the arguments.

        Returns:
            Whether it succeeded; ``outcome`` tells the rest.

        """
        what = TaskFile.of(
            file_name=file_name,
            files_path=files_path,
            upload_files=upload_files,
            file_path_on_worker=file_path_on_worker,
            max_files=max_files_to_upload,
            args=args,
            parameters=parameters,
        )
        outcome, executed = self._session.run(what.request, show=capture_task_output), None
        if what.is_notebook:
            outcome, executed = conclude_notebook(outcome)
        self.outcome = outcome
        if executed is not None and what.executed_path is not None:
            what.executed_path.write_bytes(executed)
            say(f"The executed notebook is {what.executed_path}")
        return self._tell(outcome, raise_on_failure=raise_on_failure)

    def start(self) -> None:
        """Start it now, unless it has started: its startup script runs.

        Raises:
            WorkerError: it does not start; says why.

        """
        self._session.start()

    def logs(self) -> str:
        """Return what its tasks have printed."""
        return self._session.logs()

    def _tell(self, outcome: Outcome, *, raise_on_failure: bool) -> bool:
        if outcome.status != "failure":
            return True
        error = error_of(outcome)
        if raise_on_failure:
            raise error
        shown = traceback_lines(outcome.exceptions)
        is_told = bool(shown) and shown[-1].endswith(error.summary)
        for line in [*shown, error.advice if is_told and error.advice else str(error)]:
            say(line)
        return False

    def exec(self, command: str) -> Executed:
        """Run a command of the shell in the folder in which its tasks run.

        Returns:
            Its exit code, and its output with standard error in it; of more than 16 MiB the beginning and the end.

        """
        return self._session.where().execute(command)

    def upload_files(self, path: str | os.PathLike[str], to: str = ".", max_files: int = MAX_FILES) -> None:
        """Send a file, or the files of a folder but for what ``.workerignore`` names.

        Args:
            path: the file or folder.
            to: the folder that they go to, in that in which tasks run.
            max_files: how many there may be.

        """
        from airflow_provider_tasks.runtime.uploads import pack_path

        source = os.path.expanduser(os.fspath(path))
        archive = pack_folder(source, max_files) if os.path.isdir(source) else None
        if archive is None:
            if not os.path.isfile(source):
                raise ConfigurationError(f"there is no file or folder {source}")
            archive = pack_path(source)
            if len(archive) > protocol.REQUEST_LIMIT:
                raise PayloadError(
                    f"{source} takes {format_bytes(len(archive))} compressed, "
                    f"expected at most {format_bytes(protocol.REQUEST_LIMIT)}",
                    "Put it into a storage.",
                )
        self._session.where().take_files(archive, check_path(to))

    def download_files(self, path: str = ".", to: str | os.PathLike[str] = ".") -> Paths:
        """Fetch a file, or all files of a folder; links stay behind.

        Args:
            path: the file or folder, relative to the folder in which tasks run.
            to: the folder that they go to, on this machine.

        Returns:
            The files.

        """
        return unpack_here(self._session.where().send_files(check_path(path)), Path(to).expanduser())

    def open_notebook(self, get_url_only: bool = False) -> str:
        """Open the worker in the browser: a Jupyter server that shows the folder in which its tasks run.

        It is there until the worker is terminated or its time is over, which for a local one begins anew with this, and
        reachable from this machine only, with the token that is in its
        address. Where the worker is a pod, the way to it goes through this process and ends with it. The worker needs
        Jupyter: JupyterLab, or Notebook 7 or newer.

        Args:
            get_url_only: do not open the browser.

        Returns:
            Its address.

        Raises:
            ConfigurationError: the worker has no Jupyter, or it does not start; says what to do.
            ClusterError: there is no way to it.

        Example::

            worker, success = run_task("task_1.py", terminate_on_completion=False)
            if not success:
                worker.open_notebook()

        """
        place = self._session.where()
        self._session.record()  # whoever looks at it keeps it
        context = {"node": None if self.node is None else self.node.to_json(), "params": {}}
        context["region"] = region_of(self._session.settings, user())._asdict()
        server = place.notebook_server(context)
        if not get_url_only and not open_in_browser(server.url):
            say(f"Open {server.url}")
        return server.url

    def terminate(self) -> None:
        """End it: its processes, its pod, its folder. Twice is fine, and so is once more after an error."""
        self._session.terminate()

    @classmethod
    def list(cls, worker_config: Config = None) -> Workers:
        """Return the workers that are kept: by hand, or as ``terminate_on_completion=False`` says.

        Those of this machine, and where the settings say ``backend="kubernetes"``, the pods of this installation. A
        local one whose time is over is removed.

        Args:
            worker_config: which cluster and namespace; the settings of Airflow's configuration unless given.

        """
        settings = direct_settings(None, worker_config)
        found = [Session.of_record(record, settings) for record in Record.all(settings)]
        if settings.backend == "kubernetes":
            found += [Session.of_pod(pod, settings) for pod in kept_pods(settings)]
        return [cls._around(session) for session in found]

    @classmethod
    def get(cls, name: str, worker_config: Config = None) -> Worker:
        """Return a kept worker, to go on with it.

        Raises:
            ConfigurationError: there is none of this name; says which there are.

        """
        settings = direct_settings(None, worker_config)
        for record in Record.all(settings):
            if record.name == name:
                return cls._around(Session.of_record(record, settings))
        workers = cls.list(worker_config)
        for worker in workers:
            if worker.name == name:
                return worker
        known = ", ".join(worker.name for worker in workers) or "none"
        raise ConfigurationError(f"there is no worker {name!r}", f"These are there: {known}.")

    @classmethod
    def _around(cls, session: Session) -> Self:
        worker = cls.__new__(cls)
        worker._session = session
        worker.outcome = None
        return worker


def worker_for_one_task(settings: Settings, task: str) -> Worker:
    """Return a worker that is kept only where the settings say so; whoever made it ends it."""
    return Worker._around(Session(settings, task=task))


def run_request(
    worker: Worker, request: Request, capture_task_output: bool = True, raise_on_failure: bool = False
) -> bool:
    """Run a request that another worker was given, as it is; see :func:`airflow_provider_tasks.workers.replay`.

    Returns:
        Whether it succeeded; ``outcome`` of the worker tells the rest.

    """
    outcome = worker._session.run(request, show=capture_task_output, is_complete=True)
    if request.get("call") == "notebook":
        outcome, _ = conclude_notebook(outcome)
    elif is_pipeline(request):
        outcome = conclude_pipeline(outcome)
    worker.outcome = outcome
    return worker._tell(outcome, raise_on_failure=raise_on_failure)


def run_task(  # noqa: PLR0917 - its order is that of scripts that people have
    file_name: str | os.PathLike[str],
    files_path: str | os.PathLike[str] | None = None,
    upload_files: bool = True,
    file_path_on_worker: str | None = None,
    worker_config: Config = None,
    terminate_on_completion: bool = True,
    capture_task_output: bool = True,
    python_venv_name: str | None = None,
    max_files_to_upload: int = MAX_FILES,
    args: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    raise_on_failure: bool = False,
) -> tuple[Worker, bool]:
    """Run a file in a worker, without Airflow running; what it prints is printed as it comes.

    Args:
        file_name: a ``.py`` or ``.sh`` file or a notebook (``.ipynb``, whose executed copy ``NAME_output.ipynb`` is put
            beside it); a relative path begins in ``files_path``, or else in the working directory.
        files_path: the folder that goes along; the file's own unless given.
        upload_files: False where all is in the worker already.
        file_path_on_worker: where the file is in the worker, if nothing is uploaded; ``file_name`` unless given.
        worker_config: what the worker is: an object, a mapping, or the path of a JSON or YAML file.
        terminate_on_completion: False keeps the worker, to look at it.
        capture_task_output: False prints and keeps nothing of what the task prints.
        python_venv_name: run with the virtual environment ``~/.venv/NAME`` of the worker.
        max_files_to_upload: how many files may go along.
        args: arguments of a script.
        parameters: values for the script, in its environment, or for the notebook's cell tagged ``parameters``.
        raise_on_failure: raise where the task fails, instead of returning False.

    Returns:
        The worker, whose ``outcome`` tells what came of the task, and whether that succeeded.

    Raises:
        ConfigurationError: an argument, or a setting, is wrong.
        PayloadError: what would go along is too large.
        WorkerError: the worker failed; with ``raise_on_failure``, the task did.

    Example::

        worker, success = run_task("task_1.py", parameters={"day": "2026-01-31"})

    """
    end = None if terminate_on_completion else False
    extra = WorkerConfig(terminate_on_completion=end, python_venv_name=python_venv_name)
    worker = worker_for_one_task(direct_settings(None, worker_config, extra), os.path.basename(os.fspath(file_name)))
    try:
        success = worker.run_task(
            file_name,
            files_path,
            upload_files,
            file_path_on_worker,
            capture_task_output,
            max_files_to_upload,
            args,
            parameters,
            raise_on_failure,
        )
    finally:
        if worker.config.terminate_on_completion is not False:
            worker.terminate()
    return worker, success
