"""A file, with the folder that it is in, as a request: what ``run_task`` sends."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime import protocol, values
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.parameters import check_parameters
from airflow_provider_tasks.workers.upload import as_text, check_kind, locate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_tasks.runtime.messages import Request

KINDS = (".py", ".sh", ".ipynb")
"""What a file's name may end in."""


@dataclass(frozen=True)
class TaskFile:
    """A file as a request, and whether it is a notebook, whose executed copy goes to ``executed_path``."""

    request: Request
    is_notebook: bool
    executed_path: Path | None

    @classmethod
    def of(
        cls,
        *,
        file_name: str | os.PathLike[str],
        files_path: str | os.PathLike[str] | None,
        upload_files: bool,
        file_path_on_worker: str | None,
        max_files: int,
        args: Sequence[str] | None,
        parameters: Mapping[str, Any] | None,
    ) -> TaskFile:
        """Return what :func:`~airflow_provider_tasks.run_task` is given, checked and packed.

        Raises:
            ConfigurationError: an argument is wrong.
            PayloadError: what would go along is too large.

        """
        name = os.fspath(file_name)
        check_parameters({} if parameters is None else parameters)
        parameters = dict(parameters or {})
        if args is not None and not isinstance(args, (list, tuple)):
            raise ConfigurationError(f"args={args!r}: expected a list of arguments, as [{args!r}]")
        if files_path is not None and not upload_files:
            raise ConfigurationError(
                f"files_path={os.fspath(files_path)!r} names what goes along",
                "Leave it out, as upload_files=False says that nothing does.",
            )
        if file_path_on_worker is not None and upload_files:
            raise ConfigurationError(
                f"file_path_on_worker={file_path_on_worker!r} names a file that is in the worker already",
                "Set upload_files=False with it, or leave it out.",
            )
        request: Request = {"version": protocol.VERSION}
        executed = None
        if upload_files:
            start = None if files_path is None else os.fspath(files_path)
            folder, on_worker = locate(
                name, kinds=KINDS, start=os.getcwd(), folder=start, max_files=max_files, whose="run_task"
            )
            request["files"] = as_text(folder.pack())
            executed = Path(folder.path, on_worker).with_name(f"{Path(on_worker).stem}_output.ipynb")
        else:
            on_worker = file_path_on_worker or name
            check_kind(on_worker, KINDS, "run_task")
        is_notebook = on_worker.endswith(".ipynb")
        if is_notebook and args:
            raise ConfigurationError("args are for scripts", "A notebook takes parameters.")
        arguments: dict[str, Any] = {"file": on_worker, "parameters": parameters}
        if is_notebook:
            arguments |= {"kernel_name": None, "options": {}, "send_back": executed is not None}
        else:
            arguments |= {"args": [str(value) for value in args or ()], "skip_on_exit_code": []}
        request["call"] = "notebook" if is_notebook else "script"
        request["arguments"] = values.encode(arguments)
        return cls(request, is_notebook, executed if is_notebook else None)
