"""Where notebooks come from and where they go."""

from __future__ import annotations

import glob
import json
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    Path: TypeAlias = "str | os.PathLike[str]"

SUFFIX = ".ipynb"
_OUTPUT = "_output"
_MADE_BY_US = re.compile(r"_output(?:_\d{8}_\d{6}_\d{3})?\.ipynb$")


@dataclass(frozen=True)
class _Defaults:
    output_folder: str | None = None
    failed_output_folder: str | None = None
    add_time_stamp: bool = False


_defaults = _Defaults()


def configure_notebooks(
    default_output_folder: Path | None = None,
    default_failed_output_folder: Path | None = None,
    add_time_stamp_to_output: bool = False,
) -> None:
    """Say where executed notebooks go in this process, where a call does not say it.

    Each call sets all three; without arguments it goes back to the beginning.

    Args:
        default_output_folder: A folder for executed notebooks, made when needed; beside the input unless given.
        default_failed_output_folder: A folder that those which failed are moved to.
        add_time_stamp_to_output: Whether names are unique: ``report_output_20260102_030405_678.ipynb`` in local time.
            Names that a call gives itself stay as they are.

    Raises:
        TypeError: If a folder is no path.
        ValueError: If a folder is blank.

    >>> configure_notebooks("~/reports", "~/reports/failed", add_time_stamp_to_output=True)
    >>> configure_notebooks()
    """
    global _defaults  # noqa: PLW0603 - this function is what sets it
    _defaults = _Defaults(
        _folder(default_output_folder, "default_output_folder"),
        _folder(default_failed_output_folder, "default_failed_output_folder"),
        add_time_stamp_to_output,
    )


def is_local(path: str) -> bool:
    """Whether a path is one of this machine's files, and not one that papermill reads from elsewhere.

    >>> is_local("reports/day.ipynb"), is_local("s3://reports/day.ipynb")
    (True, False)
    """
    return "://" not in path


def input_file(path: Path) -> str:
    """Give the file of a notebook: ``~`` expanded, ``.ipynb`` added, absolute; what is elsewhere stays as it is.

    Raises:
        TypeError: If it is no path.
        ValueError: If it is blank.

    >>> input_file("/data/report"), input_file("/data/report.ipynb"), input_file("s3://data/report")
    ('/data/report.ipynb', '/data/report.ipynb', 's3://data/report')
    """
    text = _text(path, "input_path")
    if not is_local(text):
        return text
    text = os.path.abspath(os.path.expanduser(text))
    return text if text.endswith(SUFFIX) else text + SUFFIX


def output_file(input_path: str, path: Path | None = None, folder: Path | None = None) -> str:
    """Give where the executed notebook of ``input_path`` goes.

    Args:
        input_path: The notebook, as `input_file` gives it.
        path: What the caller said: a file, or a folder that is there or ends in ``/``.
        folder: What the caller said for all notebooks.

    Raises:
        TypeError: If one is no path.
        ValueError: If it is blank, would overwrite the notebook, or nobody said where the output of a notebook goes
            that is not on this machine.

    >>> output_file("/data/report.ipynb"), output_file("/data/report.ipynb", folder="/out")
    ('/data/report_output.ipynb', '/out/report_output.ipynb')
    >>> output_file("/data/report.ipynb", "/out/today"), output_file("/data/report.ipynb", "/out/")
    ('/out/today.ipynb', '/out/report_output.ipynb')
    """
    stamp = ""
    if _defaults.add_time_stamp:
        now = time.time()
        stamp = f"{time.strftime('_%Y%m%d_%H%M%S', time.localtime(now))}_{int(now % 1 * 1000):03d}"
    name = f"{name_of(input_path)}{_OUTPUT}{stamp}{SUFFIX}"
    wanted = folder if folder is not None else _defaults.output_folder
    if path is not None:
        output = _file_or_folder(_text(path, "output_path"), name)
    elif wanted is not None:
        output = _in_folder(_text(wanted, "the output folder"), name)
    elif is_local(input_path):
        output = os.path.join(os.path.dirname(input_path), name)
    else:
        raise ValueError(f"{input_path} is not on this machine: say with output_path where the executed notebook goes")
    if output == input_path or (is_local(output) and os.path.exists(output) and _is_same_file(output, input_path)):
        raise ValueError(
            f"the executed notebook would overwrite the notebook itself, {input_path}; "
            "give another output_path, or none"
        )
    return output


def failed_file(output_path: str, path: Path | None = None, folder: Path | None = None) -> str | None:
    """Give where the executed notebook is moved to if it fails; None where it stays.

    Args:
        output_path: Where it is written, as `output_file` gives it.
        path: What the caller said: a file, or a folder that is there or ends in ``/``.
        folder: What the caller said for all notebooks.

    Raises:
        TypeError: If one is no path.
        ValueError: If it is blank, or one of the two is not on this machine.

    >>> failed_file("/data/report_output.ipynb", "/failed/"), failed_file("/data/report_output.ipynb")
    ('/failed/report_output.ipynb', None)
    """
    wanted = folder if folder is not None else _defaults.failed_output_folder
    if path is not None:
        failed = _file_or_folder(_text(path, "failed_output_path"), os.path.basename(output_path))
    elif wanted is not None:
        failed = _in_folder(_text(wanted, "the folder of failed notebooks"), os.path.basename(output_path))
    else:
        return None
    elsewhere = [path for path in (output_path, failed) if not is_local(path)]
    if elsewhere:
        raise ValueError(
            f"a failed notebook is moved on this machine only, found {elsewhere[0]}; "
            "give a local output_path and a local failed_output_path, or no failed_output_path"
        )
    return failed


def name_of(path: str) -> str:
    """Give the file name of a notebook without its suffix.

    >>> name_of("/data/report.ipynb")
    'report'
    """
    name = path.rstrip("/").rpartition("/")[2]
    return name[: -len(SUFFIX)] if name.endswith(SUFFIX) else name


def find(patterns: Path | Iterable[Path]) -> list[str]:
    """Give the notebooks that patterns stand for, each once, in the order of the patterns and then of their names.

    Args:
        patterns: Patterns (``*``, ``?``, ``[…]``, ``**`` for any folders), folders, notebooks; or several of them.

    Raises:
        TypeError: If one is no path.
        ValueError: If one is blank.
        FileNotFoundError: If nothing matches one of them.

    """
    found: dict[str, None] = {}
    for given in [patterns] if isinstance(patterns, (str, os.PathLike)) else patterns:
        pattern = os.path.expanduser(_text(given, "a pattern"))
        if os.path.isdir(pattern):
            pattern = os.path.join(glob.escape(pattern), "*" + SUFFIX)
        elif not glob.has_magic(pattern) or os.path.isfile(input_file(pattern)):
            found[input_file(pattern)] = None
            continue
        matches = [os.path.abspath(path) for path in sorted(glob.glob(pattern, recursive=True))]
        notebooks = [path for path in matches if path.endswith(SUFFIX) and os.path.isfile(path)]
        to_run = [path for path in notebooks if not _is_output(path)]
        if not to_run:
            skipped = f"; {len(notebooks)} that match are outputs of earlier runs" if notebooks else ""
            raise FileNotFoundError(
                f"no notebook matches {os.path.abspath(pattern)}{skipped}; "
                'expected a pattern such as "reports/*.ipynb", a folder, or a notebook'
            )
        found.update(dict.fromkeys(to_run))
    return list(found)


def _is_output(path: str) -> bool:
    """Whether a notebook is what an earlier run wrote: by its name, and by what papermill noted in it."""
    if not _MADE_BY_US.search(path):
        return False
    try:
        with open(path, encoding="utf-8") as file:
            return bool(json.load(file)["metadata"]["papermill"]["output_path"])
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return False


def _file_or_folder(path: str, name: str) -> str:
    """Read a path as ``mv`` does: in a folder that is there, or that a slash makes one, the file keeps its name."""
    if path.endswith(("/", os.sep)) or (is_local(path) and os.path.isdir(os.path.expanduser(path))):
        return _in_folder(path, name)
    return input_file(path)


def _in_folder(folder: str, name: str) -> str:
    if not is_local(folder):
        return f"{folder.rstrip('/')}/{name}"
    return os.path.join(os.path.abspath(os.path.expanduser(folder)), name)


def _is_same_file(one: str, other: str) -> bool:
    return is_local(other) and os.path.exists(other) and os.path.samefile(one, other)


def _folder(path: Path | None, what: str) -> str | None:
    return None if path is None else _text(path, what)


def _text(path: Path, what: str) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{what} is of type {type(path).__name__}: {path!r}; expected a path")
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"{what} is of type {type(text).__name__}: {text!r}; expected a path as text")
    if not text.strip():
        raise ValueError(f"{what} is blank: {text!r}; expected a path")
    return text
