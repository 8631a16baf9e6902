"""``ScriptOperator`` and ``NotebookOperator``: a file, and the folder that it lies in, in a worker."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakValueDictionary

from airflow_provider_tasks.links.task_instance import FailureLink, NotebookLink, WorkerLink
from airflow_provider_tasks.model.task import check_requirements
from airflow_provider_tasks.operators.base import Declared, Pick, Work, WorkerOperator, check_declared, is_put_off
from airflow_provider_tasks.operators.tried_partial import TriedPartial
from airflow_provider_tasks.runtime import protocol
from airflow_provider_tasks.workers.digest import Digest
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.notebooks import conclude_notebook
from airflow_provider_tasks.workers.parameters import check_parameters
from airflow_provider_tasks.workers.upload import MAX_FILES, Folder, as_text, check_kind, place

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow.sdk import BaseOperatorLink, Context

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

    what: ClassVar[str] = "file_name"
    """The argument that names the file."""

    where: ClassVar[tuple[str, ...]] = ("files_path", "upload_files", "file_path_on_worker", "max_files_to_upload")
    """The other arguments that say which files go along."""

    alone: ClassVar[frozenset[str]] = frozenset({"parameters"})
    """The arguments that are right or wrong whatever the others are, and are no part of the digest."""

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
        implementation: Any = None,  # what stands for this operator in the DAG where it is mapped
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file_name = file_name if is_put_off(file_name) else self._relative(file_name)
        self.files_path = None if files_path is None else self._relative(files_path)
        self._is_named_late = is_put_off(file_name)
        self.upload_files = upload_files
        self.file_path_on_worker = file_path_on_worker
        self.parameters: Mapping[str, Any] = {} if parameters is None else parameters
        self.requirements = check_requirements(requirements, type(self).__name__)
        self.max_files_to_upload = max_files_to_upload
        if file_path_on_worker is not None and upload_files:
            raise ConfigurationError(
                f"file_path_on_worker={file_path_on_worker!r} names a file that is in the worker already",
                "Set upload_files=False with it, or leave it out.",
            )
        self.check_value("parameters", self.parameters)
        name = "(put off)" if self._is_named_late else os.path.basename(self.file_name)
        self.describe(name, type(self), *self._goes_along(), *self._declared())

    @classmethod
    def check_value(cls, name: str, value: Any) -> None:
        """Refuse a value that an argument of this name, one of :attr:`alone`, can't have."""
        if name == "parameters" and not is_put_off(value):
            check_parameters(value)

    @classmethod
    def partial(cls, **kwargs: Any) -> TriedPartial:
        """Prepare the operator for ``expand``; see Airflow's ``partial``."""
        check_declared(kwargs.get("worker_config"))
        return TriedPartial.of(super().partial, kwargs)

    @abstractmethod
    def call(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return what the runtime is to do with the file of this ``name`` in the worker, and its arguments."""

    def declared(self) -> Declared:
        """Return which file runs; it has no docstring that could be had without reading it."""
        name = None if self._is_named_late else os.path.basename(self.file_name)
        return Declared([Pick("", name)], self.requirements)

    def prepare(self, context: Context, node: Node | None) -> Work:
        """Return the file and its folder, as they are now."""
        from airflow_provider_tasks.runtime import values

        check_parameters(self.parameters)
        name, goes = self._find()
        folder = None if goes is None else Folder.find(goes, self.max_files_to_upload)
        if folder is not None:
            folder.check_holds(name)
        call, arguments = self.call(name)
        request: Any = {"version": protocol.VERSION, "call": call, "arguments": values.encode(arguments)}
        if folder is not None:
            request["files"] = as_text(folder.pack())
        return Work(request, os.path.basename(self.file_name), self.requirements)

    def _with_suffix(self, name: str) -> str:
        return name

    def _declared(self) -> list[Any]:
        return [self.files_path, self.upload_files, self.file_path_on_worker, self.requirements]

    def _goes_along(self) -> Iterable[Any]:
        """Yield what names the files, for the digest, as far as they are known; refuse what can't run."""
        if self.get_dag() is None:
            return
        if not self._is_named_late:
            name, goes = self._find()
            yield name
        elif self.upload_files and self.files_path is not None:
            name, goes = None, os.path.join(self._start, os.path.expanduser(self.files_path))
        else:
            return
        if goes is not None:
            yield _ContentDigest(self._folder(goes, name))

    def _find(self) -> tuple[str, str | None]:
        """Return the file's name in the worker, and the folder that goes along; None where none does."""
        self.file_name = self._with_suffix(os.fspath(self.file_name))
        if not self.upload_files:
            check_kind(self.file_name, self.kinds, type(self).__name__)
            return self.file_path_on_worker or self.file_name, None
        # A name that is only known now must not make another folder go along than the DAG says.
        folder = "" if self.files_path is None and self._is_named_late else self.files_path
        whose = type(self).__name__
        goes, name = place(self.file_name, kinds=self.kinds, start=self._start, folder=folder, whose=whose)
        return name, goes

    def _folder(self, path: str, name: str | None) -> Folder:
        """Return a folder, looked through once for all operators of a DAG that have it go along."""
        key = (id(self.dag), path, self.max_files_to_upload)
        folder = _folders.get(key)
        if folder is None or (name is not None and name not in folder.names):  # one that has been made since
            folder = _folders[key] = Folder.find(path, self.max_files_to_upload)
        if name is not None:
            folder.check_holds(name)
        return folder

    @property
    def _start(self) -> str:
        return os.path.dirname(self.dag.fileloc)

    def _relative(self, path: str | os.PathLike[str]) -> str:
        """Return a path as a DAG may hold it: below the folder of the DAG file without that folder."""
        text, dag = os.fspath(path), self.get_dag()
        start = os.path.dirname(dag.fileloc) if dag else ""
        below = bool(start) and os.path.isabs(text) and os.path.commonpath([start, text]) == start
        return os.path.relpath(text, start) if below else text


_folders: WeakValueDictionary[tuple[int, str, int], Folder] = WeakValueDictionary()
"""What goes along with the operators of a DAG, by its id: as long as an operator keeps its digest, it keeps its DAG."""


class _ContentDigest(Digest):
    """The digest of the files that go along."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(())
        self._folder = folder

    def serialize(self) -> str:
        """Return the digest; the files are read when it is first asked for."""
        return self._folder.digest


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
    alone = FileOperator.alone | {"args"}
    ui_color = "#e6effa"
    ui_fgcolor = "#163a63"
    template_fields: Sequence[str] = ("args", *FileOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {**FileOperator.template_fields_renderers, "args": "json"}

    def __init__(
        self,
        *,
        args: Sequence[str] = (),
        skip_on_exit_code: int | Collection[int] | None = 99,
        **kwargs: Any,
    ) -> None:
        self.check_value("args", args)
        # As they came: Airflow knows values that it must not render by what they are.
        self.args = args
        codes = [skip_on_exit_code] if isinstance(skip_on_exit_code, int) else list(skip_on_exit_code or ())
        if not all(isinstance(code, int) for code in codes):
            raise TypeError(f"ScriptOperator(skip_on_exit_code={skip_on_exit_code!r}): expected a number, or several")
        self.skip_on_exit_code = sorted(codes)
        super().__init__(**kwargs)

    @classmethod
    def check_value(cls, name: str, value: Any) -> None:
        """Refuse a value that an argument of this name can't have."""
        super().check_value(name, value)
        if name != "args" or hasattr(value, "resolve"):
            return
        if isinstance(value, str):
            raise TypeError(f"ScriptOperator(args={value!r}): expected a list of arguments, as [{value!r}]")
        _check_args(value)

    def call(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return what the runtime is to do."""
        _check_args(self.args)
        return "script", {
            "file": name,
            "args": [str(value) for value in self.args],
            "parameters": dict(self.parameters),
            "skip_on_exit_code": self.skip_on_exit_code,
        }

    def _declared(self) -> list[Any]:
        return [*super()._declared(), self.skip_on_exit_code]


def _check_args(args: Any) -> None:
    if isinstance(args, (str, bytes, Mapping)) or not isinstance(args, Iterable):
        raise ConfigurationError(f"args: expected a list of arguments, found {args!r}")


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
    what = "notebook"
    ui_color = "#fdeee0"
    ui_fgcolor = "#6b3a08"
    operator_extra_links: Collection[BaseOperatorLink] = (WorkerLink(), NotebookLink(), FailureLink())
    kept_notebook: str | None = None
    """Where the executed notebook is, when it has been kept."""
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
        ours = {
            "input_path",
            "parameters",
            "cwd",
            "kernel_name",
            "output_path",
            "failed_output_path",
            "raise_on_failure",
        }
        if ours & self.papermill_options.keys():
            raise ConfigurationError(
                f"papermill_options: {', '.join(sorted(ours & self.papermill_options.keys()))} can't be set there",
                "NotebookOperator has arguments of its own for parameters, kernel_name and output_path.",
            )
        super().__init__(file_name=notebook, **kwargs)

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
        outcome, executed = conclude_notebook(outcome)
        if executed is not None:
            try:
                self.kept_notebook = self._keep(executed)
                self.log.info("The executed notebook is %s", self.kept_notebook)
                if self.do_xcom_push:
                    context["ti"].xcom_push("notebook", self.kept_notebook)
            except Exception as error:
                if outcome.is_success:
                    raise
                self.log.error("The executed notebook can't be kept: %s: %s", type(error).__name__, error)  # noqa: TRY400
        return outcome

    def _keep(self, content: bytes) -> str:
        from airflow.sdk import ObjectStoragePath

        assert self.output_path is not None
        name = os.path.basename(self.file_name).removesuffix(".ipynb")
        path = os.path.expanduser(str(self.output_path))
        if path.endswith("/") or ("://" not in path and os.path.isdir(path)):
            path = f"{path.rstrip('/')}/{name}_output.ipynb"
        path = path if "://" in path else os.path.abspath(path)
        target = ObjectStoragePath(path if "://" in path else f"file://{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return path

    def _with_suffix(self, name: str) -> str:
        return name if name.endswith(".ipynb") else f"{name}.ipynb"

    def _declared(self) -> list[Any]:
        return [*super()._declared(), self.output_path, self.kernel_name, self.papermill_options]
