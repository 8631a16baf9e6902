"""What is looked at before anything of a notebook runs: the file, its kernel, its parameters."""

from __future__ import annotations

import ast
import difflib
import json
import keyword
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.suggest import did_you_mean
from airflow_provider_tasks.runtime.naming import type_name
from airflow_provider_tasks.runtime.notebook_paths import SUFFIX, is_local
from airflow_provider_tasks.runtime.notebook_results import (
    NotebookFormatError,
    NotebookKernelError,
    NotebookParameterError,
)
from airflow_provider_tasks.runtime.notebook_values import is_tagged
from airflow_provider_tasks.runtime.values import MAX_DEPTH, is_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PARAMETERS = "parameters"

_MAGIC = re.compile(r"^(\s*)[%!].*", re.MULTILINE)
# A line that sets a name, for cells that the running Python can't parse.
_ASSIGNMENT = re.compile(r"^(\w+)\s*(?::[^=]+)?=(?!=)", re.MULTILINE)
_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
_ADVICE = {"datetime": ".isoformat()", "date": ".isoformat()", "tuple": "list(…)", "set": "list(…)"}


def read(path: str) -> dict[str, Any]:
    """Read a notebook, of this machine or from where papermill can read.

    Args:
        path: The file, as `notebook_paths.input_file` gives it.

    Returns:
        The notebook in the present version of the format.

    Raises:
        FileNotFoundError: If it is not there; names those that look like it.
        IsADirectoryError: If it is a folder.
        NotebookFormatError: If it is no notebook.

    """
    import nbformat
    from papermill.iorw import papermill_io  # type: ignore[import-untyped, unused-ignore]

    if is_local(path):
        _check_is_there(path)
    text = ""
    try:
        text = papermill_io.read(path)
        content = json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8
        raise NotebookFormatError(f"{path} is not a notebook: it is not JSON in UTF-8 ({error})") from error
    if not isinstance(content, dict) or type(content.get("nbformat")) is not int:
        raise NotebookFormatError(f"{path} is not a notebook: it is JSON without a version (nbformat) of the format")
    if not 1 <= content["nbformat"] <= nbformat.current_nbformat:
        raise NotebookFormatError(
            f"{path} is a notebook of version {content['nbformat']} of the format, "
            f"expected at most {nbformat.current_nbformat}; a newer nbformat may read it: pip install -U nbformat"
        )
    try:
        notebook: dict[str, Any] = nbformat.convert(nbformat.reader.reads(text), nbformat.current_nbformat)  # type: ignore[no-untyped-call]
    except Exception as error:  # the converters trust what they read
        raise NotebookFormatError(f"{path} is a broken notebook: {type(error).__name__}: {error}") from error
    reason = _what_is_broken(notebook)
    if reason:
        raise NotebookFormatError(f"{path} is a broken notebook: {reason}")
    return notebook


def _check_is_there(path: str) -> None:
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a folder; for all notebooks of a folder there is execute_notebooks")
    if os.path.exists(path):
        return
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"there is no notebook {path}: the folder {folder} does not exist")
    there = sorted(other for other in os.listdir(folder) if other.endswith(SUFFIX))
    near = difflib.get_close_matches(name, there, n=3, cutoff=0.5) or there[:10]
    raise FileNotFoundError(
        f"there is no notebook {path}; " + (f"the folder has {', '.join(near)}" if near else "the folder has none")
    )


def _what_is_broken(notebook: Mapping[str, Any]) -> str:
    """Say what papermill would stumble over; Jupyter mends the rest."""
    if not isinstance(notebook.get("metadata"), dict):
        return "its metadata is no object"
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        return "it has no list of cells"
    for position, cell in enumerate(cells, start=1):
        if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
            return f"cell {position} has no type"
        if not isinstance(cell.get("metadata"), dict):
            return f"the metadata of cell {position} is no object"
        if not isinstance(cell.get("source"), str):
            return f"the source of cell {position} is no text"
    return ""


def kernel_of(notebook: Mapping[str, Any], name: str, kernel_name: str | None) -> tuple[str, str]:
    """Give the name and the language of the kernel that is to run a notebook.

    Args:
        notebook: What `read` gave.
        name: What the notebook is called in messages.
        kernel_name: What the caller said; otherwise it is the notebook's own.

    Raises:
        NotebookKernelError: If there is none of that name here; names those that are.

    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    manager = KernelSpecManager()
    own = notebook["metadata"].get("kernelspec") or {}
    wanted = kernel_name or own.get("name")
    if not wanted:
        raise NotebookKernelError(f"{name} does not say which kernel it needs; give kernel_name, {_known(manager)}")
    try:
        spec = manager.get_kernel_spec(wanted)
    except NoSuchKernel:
        raise NotebookKernelError(
            f"the kernel {wanted!r} of {name} is not installed here; install it, or give another kernel_name, "
            f"{_known(manager)}"
        ) from None
    program = spec.argv[0] if spec.argv else ""
    # Jupyter puts the running Python in the place of these.
    if not re.fullmatch(r"python(3(\.\d+)?)?", program) and shutil.which(program) is None:
        raise NotebookKernelError(
            f"the kernel {wanted!r} of {name} is started by {program!r}, which is not there; install it again, or give "
            f"another kernel_name, {_known(manager)}"
        )
    return wanted, spec.language


def is_python(language: str) -> bool:
    """Whether a kernel of this language runs Python.

    >>> is_python("python"), is_python("R")
    (True, False)
    """
    return language.lower() == "python"


def _known(manager: Any) -> str:
    names = sorted(manager.find_kernel_specs())
    if not names:
        return "but there is none: pip install ipykernel"
    return f"known: {', '.join(map(repr, names))}"


def check_parameters(
    parameters: Mapping[str, Any], notebook: Mapping[str, Any], name: str, kernel_name: str, language: str
) -> dict[str, Any]:
    """Give the parameters as papermill can hand them over.

    Args:
        parameters: By name.
        notebook: What `read` gave.
        name: What the notebook is called in messages.
        kernel_name: The kernel's name.
        language: The kernel's language.

    Raises:
        NotebookParameterError: If the notebook does not declare one of them, or a value is none that a notebook can
            be given.

    """
    from papermill.exceptions import PapermillException  # type: ignore[import-untyped, unused-ignore]
    from papermill.translators import papermill_translators  # type: ignore[import-untyped, unused-ignore]

    given = ", ".join(map(repr, parameters))
    cell = next((cell for cell in notebook["cells"] if is_tagged(cell, _PARAMETERS)), None)
    if cell is None:
        raise NotebookParameterError(
            f"{name} takes no parameters, found {given}: none of its cells is tagged 'parameters'. "
            "Tag the cell that sets their defaults (in Jupyter: Property Inspector, Cell Tags)"
        )
    try:
        papermill_translators.find_translator(kernel_name, language)
    except PapermillException:
        raise NotebookParameterError(
            f"papermill can't hand parameters over to a notebook in {language!r}, found {given} for {name}"
        ) from None
    declared = _declared(cell["source"]) if is_python(language) else None
    for key in parameters:
        if not isinstance(key, str) or not key.isidentifier() or keyword.iskeyword(key):
            raise NotebookParameterError(f"{key!r} is no name of a parameter: expected the name of a variable")
        if declared is not None and key not in declared:
            raise NotebookParameterError(
                f"{name} does not declare the parameter {key!r}; "
                + (did_you_mean(key, declared) if declared else "it declares none")
                + ". Give it a default in the cell tagged 'parameters'"
            )
    return {key: _plain(value, f"parameters[{key!r}]", 0) for key, value in parameters.items()}


def _declared(source: str) -> set[str]:
    r"""Give the names that a cell sets.

    >>> sorted(_declared("day: str = '2026-01-02'\nlow, high = 1, 2\nif day:\n    rows = 3"))
    ['day', 'high', 'low', 'rows']
    >>> sorted(_declared("%matplotlib inline\nurl = 'a=b'\nassert [x for x in url] == 3"))
    ['url']
    """
    try:
        return set(_names_set(ast.parse(_MAGIC.sub(r"\1pass", source))))
    except (SyntaxError, ValueError, RecursionError):
        return set(_ASSIGNMENT.findall(source))


def _names_set(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif not isinstance(child, _SCOPES):
            yield from _names_set(child)


def _plain(value: object, path: str, depth: int) -> Any:
    """Copy a parameter, with the plain types in place of subclasses (NumPy's floats, members of enums)."""
    if depth > MAX_DEPTH:
        raise NotebookParameterError(f"{path[:200]}… is nested more than {MAX_DEPTH} levels deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and is_text(value):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    # Neither the notebook's JSON nor all of papermill's languages have nan and inf.
    if isinstance(value, float) and float("-inf") < value < float("inf"):
        return float.__float__(value)
    if isinstance(value, list):
        return [_plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) and is_text(key) for key in value):
        return {str.__str__(key): _plain(item, f"{path}[{key!r}]", depth + 1) for key, item in value.items()}
    if isinstance(value, (str, float, dict)):
        found = "a dict with keys that are not text" if isinstance(value, dict) else ascii(value)
        raise NotebookParameterError(f"{path} is {found}, which a notebook can't be given")
    kind = type(value)
    advice = next((f": give {_ADVICE[base.__name__]}" for base in kind.__mro__ if base.__name__ in _ADVICE), "")
    raise NotebookParameterError(
        f"{path} is of type {type_name(kind)}; a notebook takes text, numbers, True, False, None, "
        f"and lists and dicts of these{advice}"
    )


def check_options(options: Mapping[str, Any]) -> None:
    """Check what the caller hands on to papermill, which drops what it does not know.

    Raises:
        TypeError: For one that there is not, or that is set already.

    """
    import inspect

    from papermill import execute_notebook  # type: ignore[import-untyped, unused-ignore]
    from papermill.clientwrap import PapermillNotebookClient  # type: ignore[import-untyped, unused-ignore]

    known = {*inspect.signature(execute_notebook).parameters, *PapermillNotebookClient.class_trait_names(config=True)}
    known |= {"autosave_cell_every", "execution_timeout"}
    # The kernel is this package's to start and to end, and these are how it is told of cells.
    known -= {"input_path", "output_path", "parameters", "cwd", "kernel_name", "engine_name", "engine_kwargs"}
    known -= {"kernel_manager_class", "on_notebook_start", "on_cell_execute", "shutdown_kernel"}
    for name in options:
        if name not in known:
            raise TypeError(f"execute_notebook has no option {name!r}; {did_you_mean(name, known)}")
