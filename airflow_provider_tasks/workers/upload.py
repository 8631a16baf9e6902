"""The files that go along with a script or a notebook: those of its folder, but for what ``.workerignore`` names."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_tasks.runtime import protocol
from airflow_provider_tasks.runtime.uploads import pack_files
from airflow_provider_tasks.workers.failures import ConfigurationError, PayloadError
from airflow_provider_tasks.workers.quantities import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pathspec

IGNORE_FILE = ".workerignore"

MAX_FILES = 250
"""How many files go along unless somebody says otherwise."""

IGNORED = (
    ".git/",
    ".hg/",
    ".svn/",
    ".venv/",
    "venv/",
    ".tox/",
    ".nox/",
    "node_modules/",
    "__pycache__/",
    "*.py[co]",
    ".ipynb_checkpoints/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".DS_Store",
)
"""What never goes along unless ``.workerignore`` says so with ``!``; in the syntax of gitignore."""


@dataclass(frozen=True)
class Folder:
    """The files of a folder that go along, as they were when it was looked through.

    Attributes:
        path: the folder, links on the way to it followed.
        names: its files, as paths below it with ``/``, sorted.

    """

    path: str
    names: tuple[str, ...]

    @classmethod
    def find(cls, folder: str, max_files: int = MAX_FILES) -> Folder:
        """Look a folder through; see :func:`find_files`."""
        path = os.path.realpath(folder)  # once: a link to it may be moved on in between
        return cls(path, tuple(find_files(path, max_files)))

    @cached_property
    def digest(self) -> str:
        """What names the content of the files, and whether they can be executed."""
        stats = [(name, os.stat(os.path.join(self.path, name))) for name in self.names]
        return _digest(self.path, tuple((name, stat.st_mtime_ns, stat.st_size, stat.st_mode) for name, stat in stats))

    def check_holds(self, name: str) -> None:
        """Raise a ConfigurationError if a file of the folder is none of those that go along."""
        if name not in self.names:
            raise ConfigurationError(
                f"{os.path.join(self.path, name)} itself would stay behind, as {IGNORE_FILE} in {self.path}, "
                "or what never goes along, says"
            )

    def pack(self) -> bytes:
        """Return the files as an archive: the same bytes for the same content.

        Raises:
            PayloadError: they are too large, and it names the largest; or they can't be read.

        """
        try:
            packed = pack_files(self.path, self.names)
        except OSError as error:
            raise PayloadError(f"the files of {self.path} can't be read: {error}", retry=True) from error
        if len(packed) > protocol.REQUEST_LIMIT:
            raise _too_large(self.path, _sizes(self.path, self.names), f"{format_bytes(len(packed))} compressed")
        return packed


@lru_cache(maxsize=256)
def _digest(folder: str, files: tuple[tuple[str, int, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, _, size, mode in files:
        digest.update(f"{name}\0{size}\0{mode & 0o100}\0".encode("utf-8", "surrogateescape"))
        with open(os.path.join(folder, name), "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def find_files(folder: str, max_files: int = MAX_FILES) -> list[str]:
    """Return the files of a folder that go along, as paths below it with ``/``, sorted.

    Args:
        folder: the folder; a file ``.workerignore`` in it, in the syntax of gitignore
            (https://git-scm.com/docs/gitignore), names what stays.
        max_files: how many files there may be.

    Raises:
        ConfigurationError: the folder is none, a link leads out of it, ``.workerignore`` can't be read, or there are
            too many files (it names the largest folders).
        PayloadError: they are far larger than what goes to a worker; it names the largest.

    """
    root = os.path.realpath(folder)
    if not os.path.isdir(root):
        raise ConfigurationError(f"{folder} is not a folder that is there")
    found = sorted(_walk(root, "", _ignored(root)))
    if len(found) > max_files:
        counts: dict[str, int] = {}
        for name in found:
            top = name.partition("/")[0] + "/" if "/" in name else "(the folder itself)"
            counts[top] = counts.get(top, 0) + 1
        most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:5]
        raise ConfigurationError(
            f"{folder} holds {len(found):,} files, at most {max_files:,} go to a worker; "
            f"most are in: {', '.join(f'{name} {count:,}' for name, count in most)}",
            f"Name what is not needed in {os.path.join(folder, IGNORE_FILE)}, or set max_files_to_upload.",
        )
    sizes = _sizes(root, found)
    if sum(sizes.values()) > 8 * protocol.REQUEST_LIMIT:
        raise _too_large(folder, sizes, "far more than fits")
    return found


def place(
    file_name: str, *, kinds: tuple[str, ...], start: str, folder: str | None = None, whose: str
) -> tuple[str, str]:
    """Return the folder that goes along with a file, and the file's name in it, with ``/``.

    Args:
        file_name: the file; a relative path begins in ``folder``, or else in ``start``.
        kinds: what its name may end in.
        start: the folder that relative paths begin in.
        folder: the folder that goes along, the file's own unless given.
        whose: who asks, for messages.

    Raises:
        ConfigurationError: the file is not there, is of another kind, or is not in the folder.

    """
    check_kind(file_name, kinds, whose)
    start = os.path.realpath(start)
    named = os.path.realpath(os.path.join(start, os.path.expanduser(folder))) if folder is not None else None
    path = os.path.realpath(os.path.join(named or start, os.path.expanduser(file_name)))
    goes = named or os.path.dirname(path)
    if not os.path.isfile(path):
        found = f"{path} is a folder, expected a file" if os.path.isdir(path) else f"there is no file {path}"
        raise ConfigurationError(
            f"{whose}: {found}",
            f"A relative file_name starts at files_path, or else at {start}. "
            "Set upload_files=False where it is in the worker already.",
        )
    name = os.path.relpath(path, goes).replace(os.sep, "/")
    if name.startswith("../"):
        raise ConfigurationError(
            f"{path} is not in the folder that goes along, {goes}",
            "Set files_path to a folder that holds it.",
        )
    return goes, name


def locate(
    file_name: str,
    *,
    kinds: tuple[str, ...],
    start: str,
    folder: str | None = None,
    max_files: int = MAX_FILES,
    whose: str,
) -> tuple[Folder, str]:
    """Return what goes along with a file, and the file's name in it; see :func:`place` and :func:`find_files`."""
    goes, name = place(file_name, kinds=kinds, start=start, folder=folder, whose=whose)
    found = Folder.find(goes, max_files)
    found.check_holds(name)
    return found, name


def check_kind(file_name: str, kinds: tuple[str, ...], whose: str) -> None:
    """Refuse a file of another kind.

    >>> check_kind("a.exe", (".py",), "run")
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.workers.failures.ConfigurationError: run: 'a.exe' is none of the files that it runs: *.py
    """
    if not file_name.endswith(kinds):
        shown = ", ".join(f"*{kind}" for kind in kinds)
        raise ConfigurationError(f"{whose}: {file_name!r} is none of the files that it runs: {shown}")


def pack_folder(folder: str, max_files: int = MAX_FILES) -> bytes:
    """Return the files of a folder as an archive; see :func:`find_files` and :meth:`Folder.pack`."""
    return Folder.find(folder, max_files).pack()


def _sizes(root: str, names: Iterable[str]) -> dict[str, int]:
    return {name: os.path.getsize(os.path.join(root, name)) for name in names}


def _too_large(folder: str, sizes: dict[str, int], taken: str) -> PayloadError:
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:5]
    return PayloadError(
        f"the files of {folder} take {format_bytes(sum(sizes.values()))}, {taken}; "
        f"expected at most {format_bytes(protocol.REQUEST_LIMIT)} compressed; the largest: "
        f"{', '.join(f'{name} {format_bytes(size)}' for name, size in largest)}",
        f"Name what is not needed in {os.path.join(folder, IGNORE_FILE)}, or put it into a storage.",
        retry=False,
    )


def as_text(packed: bytes) -> str:
    """Return an archive as a request holds it."""
    return base64.b64encode(packed).decode("ascii")


def _ignored(root: str) -> pathspec.PathSpec:  # type: ignore[type-arg, unused-ignore]
    path = Path(root, IGNORE_FILE)
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not text in UTF-8: {error}") from error
    return _spec((*IGNORED, *lines), str(path))


@lru_cache(maxsize=32)
def _spec(lines: tuple[str, ...], path: str) -> pathspec.PathSpec:  # type: ignore[type-arg, unused-ignore]
    import pathspec  # a DAG file without scripts has no use for it

    try:
        return pathspec.GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _walk(root: str, below: str, ignored: pathspec.PathSpec, way: tuple[str, ...] = ()) -> Iterator[str]:  # type: ignore[type-arg, unused-ignore]
    here = os.path.join(root, below)
    way = (*way, os.path.realpath(here))  # all folders that this one was reached through
    try:
        with os.scandir(here) as entries:
            found = list(entries)
    except OSError as error:
        raise ConfigurationError(
            f"{here} can't be read: {error.strerror}", f"Name it in {os.path.join(root, IGNORE_FILE)}."
        ) from error
    for entry in found:
        name = f"{below}/{entry.name}" if below else entry.name
        is_folder = entry.is_dir()
        if ignored.match_file(f"{name}/" if is_folder else name):
            continue
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if os.path.commonpath([root, target]) != root:
                raise ConfigurationError(
                    f"{os.path.join(root, name)} is a link that leads outside of {root}, to {target}",
                    f"Copy what it leads to, or name it in {os.path.join(root, IGNORE_FILE)}.",
                )
            if is_folder and any(os.path.commonpath([target, folder]) == target for folder in way):
                raise ConfigurationError(f"{os.path.join(root, name)} is a link to a folder that it lies in itself")
        if is_folder:
            yield from _walk(root, name, ignored, way)
        elif entry.is_file():
            yield name
