"""``ScriptOperator`` and ``NotebookOperator``: a file, and the folder that it lies in, in a worker."""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_tasks.operators.base import Work, WorkerOperator, is_put_off
from airflow_provider_tasks.runtime import protocol
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.upload import MAX_FILES, as_text, find_files, pack_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.runtime.outcome import Outcome


class FileOperator(WorkerOperator):
    """Runs a file in a worker; the files of its folder go along.

    Args:
        file_name: the file; a relative path starts at ``files_path``, or else at the folder of the DAG file.
        files_path: the folder that goes along, relative to that of the DAG file; the file's own unless given.
        upload_files: False where all is in the worker already.
        file_path_on_worker: where the file is in the worker, if nothing is uploaded; ``file_name`` unless given.
        parameters: values for the file; templated.
        requirements: shell commands that must have run before it.
        max_files_to_upload: how many files may go along.

    For the other arguments see :class:`WorkerOperator`.

    Raises:
        ConfigurationError: the file is not there, is of another kind, or too much would go along.

    """

    kinds: ClassVar[tuple[str, ...]]
    """What the names of the files may end in."""

    template_fields: Sequence[str] = ("file_name", "parameters", *WorkerOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **WorkerOperator.template_fields_renderers,
        "parameters": "json",
    }

    def __init__(
        self,
        *,
        file_name: str | os.PathLike[str],
        files_path: str | os.PathLike[str] | None = None,
        upload_files: bool = True,
        file_path_on_worker: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        requirements: Sequence[str] = (),
        max_files_to_upload: int = MAX_FILES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file_name = os.fspath(file_name)
        self.files_path = None if files_path is None else os.fspath(files_path)
        self.upload_files = upload_files
        self.file_path_on_worker = file_path_on_worker
        self.parameters: Mapping[str, Any] = {} if parameters is None else parameters
        self.requirements = [requirements] if isinstance(requirements, str) else list(requirements)
        self.max_files_to_upload = max_files_to_upload
        if file_path_on_worker is not None and upload_files:
            raise ConfigurationError(
                f"file_path_on_worker={file_path_on_worker!r} names a file that is in the worker already",
                "Set upload_files=False with it, or leave it out.",
            )
        content = ""
        if not is_put_off(self.file_name) and self.get_dag() is not None:
            folder, name = self._find()
            content = _digest_of(folder, self.max_files_to_upload) if folder else name
        self.describe(os.path.basename(self.file_name), type(self), content, *self._declared())

    @abstractmethod
    def call(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return what the runtime is to do with the file of this ``name`` in the worker, and its arguments."""

    def prepare(self, context: Context, node: Node | None) -> Work:
        """Return the file and its folder, as they are now."""
        from airflow_provider_tasks.runtime import values

        folder, name = self._find()
        call, arguments = self.call(name)
        request: Any = {"version": protocol.VERSION, "call": call, "arguments": values.encode(arguments)}
        if folder:
            request["files"] = as_text(pack_folder(folder, self.max_files_to_upload))
        return Work(request, os.path.basename(self.file_name), self.requirements)

    def _declared(self) -> list[Any]:
        return [self.files_path, self.upload_files, self.file_path_on_worker, self.requirements]

    def _find(self) -> tuple[str, str]:
        """Return the folder that goes along, empty where none does, and the file's name in the worker."""
        if not self.file_name.endswith(self.kinds):
            raise ConfigurationError(
                f"{type(self).__name__}: {self.file_name!r} is none of the files that it runs: "
                f"{', '.join(f'*{kind}' for kind in self.kinds)}"
            )
        if not self.upload_files:
            return "", self.file_path_on_worker or self.file_name
        start = os.path.dirname(self.dag.fileloc)
        folder = os.path.join(start, os.path.expanduser(self.files_path)) if self.files_path is not None else ""
        path = os.path.normpath(os.path.join(folder or start, os.path.expanduser(self.file_name)))
        folder = os.path.normpath(folder or os.path.dirname(path))
        if not os.path.isfile(path):
            raise ConfigurationError(
                f"{type(self).__name__}: there is no file {path}",
                "A relative file_name starts at files_path, or else at the folder of the DAG file. "
                "Set upload_files=False where it is in the worker already.",
            )
        name = os.path.relpath(path, folder).replace(os.sep, "/")
        if name.startswith("../"):
            raise ConfigurationError(f"{path} is not in the folder that goes along, files_path={folder}")
        if name not in find_files(folder, self.max_files_to_upload):
            raise ConfigurationError(f"{path} itself would stay behind, as .workerignore in {folder} says")
        return folder, name


def _digest_of(folder: str, max_files: int) -> str:
    """Name what is in the files that go along."""
    names = find_files(folder, max_files)
    stats = [(name, os.stat(os.path.join(folder, name))) for name in names]
    return _digest(folder, tuple((name, stat.st_mtime_ns, stat.st_size, stat.st_mode) for name, stat in stats))


@lru_cache(maxsize=256)
def _digest(folder: str, files: tuple[tuple[str, int, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, _, size, mode in files:
        digest.update(f"{name}\0{size}\0{mode & 0o100}\0".encode())
        with open(os.path.join(folder, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


class ScriptOperator(FileOperator):
    """Run a Python or shell script in a worker.

    The script finds ``parameters`` in its environment, each under its own name (a text as it is, everything else as
    JSON) and all as one JSON object in ``AIRFLOW_TASK_PARAMETERS``. What it writes to the file that
    ``AIRFLOW_TASK_RESULT`` names is its result: JSON, or any other text. A Python script may call
    :func:`~airflow_provider_tasks.set_result` instead.

    Args:
        file_name: a ``.py`` or ``.sh`` file.
        args: its arguments; templated.
        skip_on_exit_code: exit codes that mark the Airflow task as skipped, as those of Airflow's ``BashOperator``.

    For the other arguments see :class:`FileOperator` and :class:`WorkerOperator`.

    Example::

        ScriptOperator(task_id="clean", file_name="clean.sh", args=["{{ ds }}"], parameters={"keep": 7})

    """

    kinds = (".py", ".sh")
    template_fields: Sequence[str] = ("args", *FileOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {**FileOperator.template_fields_renderers, "args": "json"}

    def __init__(
        self,
        *,
        args: Sequence[str] = (),
        skip_on_exit_code: int | Collection[int] | None = 99,
        **kwargs: Any,
    ) -> None:
        if isinstance(args, str):
            raise TypeError(f"ScriptOperator(args={args!r}): expected a list of arguments, as [{args!r}]")
        self.args = args if is_put_off(args) and not isinstance(args, (list, tuple)) else list(args)
        codes = [skip_on_exit_code] if isinstance(skip_on_exit_code, int) else skip_on_exit_code or ()
        self.skip_on_exit_code = sorted(codes)
        super().__init__(**kwargs)

    def call(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return what the runtime is to do."""
        return "script", {
            "file": name,
            "args": [str(value) for value in self.args],
            "parameters": dict(self.parameters),
            "skip_on_exit_code": self.skip_on_exit_code,
        }

    def _declared(self) -> list[Any]:
        return [*super()._declared(), self.skip_on_exit_code]


class NotebookOperator(FileOperator):
    """Run a notebook in a worker, with :func:`~airflow_provider_tasks.execute_notebook`.

    The XCom is what the notebook handed out with ``glue``, as a dict; where that is only the cell tagged ``result``,
    its value. A cell that fails fails the Airflow task, with its source and traceback in the log.

    Args:
        notebook: the ``.ipynb`` file; ``.ipynb`` may be left out.
        parameters: values for the cell tagged ``parameters``; templated.
        output_path: where the executed notebook goes, also after a failure; a path of the machine that runs the
            Airflow task, or whatever :class:`airflow.sdk.ObjectStoragePath` takes (``s3://conn@bucket/report.ipynb``).
            One that ends in ``/`` is a folder, in which it is ``NAME_output.ipynb``. Not kept unless given. Templated.
        kernel_name: the kernel; the one that the notebook names unless given.
        papermill_options: further options of ``execute_notebook``, such as ``{"execution_timeout": 600}``.

    The worker needs papermill and the kernel: in its image, or as ``requirements=["pip install papermill ipykernel"]``.
    For the other arguments see :class:`FileOperator` and :class:`WorkerOperator`.

    Example::

        NotebookOperator(task_id="report", notebook="report.ipynb", parameters={"day": "{{ ds }}"},
                         output_path="s3://reports@bucket/{{ ds }}/")

    """

    kinds = (".ipynb",)
    may_end_in_triggerer = False
    template_fields: Sequence[str] = ("output_path", *FileOperator.template_fields)

    def __init__(
        self,
        *,
        notebook: str | os.PathLike[str],
        output_path: str | None = None,
        kernel_name: str | None = None,
        papermill_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.output_path = output_path
        self.kernel_name = kernel_name
        self.papermill_options = dict(papermill_options or {})
        name = os.fspath(notebook)
        super().__init__(file_name=name if is_put_off(name) or name.endswith(".ipynb") else f"{name}.ipynb", **kwargs)

    def call(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return what the runtime is to do."""
        return "notebook", {
            "file": name,
            "parameters": dict(self.parameters),
            "kernel_name": self.kernel_name,
            "options": self.papermill_options,
            "send_back": self.output_path is not None,
        }

    def conclude(self, context: Context, outcome: Outcome) -> Outcome:
        """Keep the executed notebook; a cell that failed is a failure."""
        if not outcome.is_success:
            return outcome
        came = outcome.result
        if came["notebook"] is not None:
            self.log.info("The executed notebook is %s", self._keep(came["notebook"]))
        if came["error"] is None:
            found = came["results"]
            return replace(outcome, result=found["result"] if list(found) == ["result"] else found or None)
        summary, _, rest = came["error"].partition("\n")
        for line in rest.splitlines():
            self.log.error("%s", line)
        return replace(outcome, status="failure", category="task", message=summary, result=None, has_result=False)

    def _keep(self, content: bytes) -> str:
        from airflow.sdk import ObjectStoragePath

        assert self.output_path is not None
        name = os.path.basename(self.file_name).removesuffix(".ipynb")
        path = os.path.expanduser(self.output_path)
        if path.endswith("/") or ("://" not in path and os.path.isdir(path)):
            path = f"{path.rstrip('/')}/{name}_output.ipynb"
        target = ObjectStoragePath(path if "://" in path else f"file://{os.path.abspath(path)}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return path

    def _declared(self) -> list[Any]:
        return [*super()._declared(), self.output_path, self.kernel_name, self.papermill_options]
