"""The runtime as it travels: one archive that runs on a plain Python, made the same way every time.

It holds this package's ``model`` and ``runtime``, cloudpickle beside them, and in ``fallback`` the library
``returns`` with its one dependency, for workers that have no version of their own.
"""

from __future__ import annotations

import hashlib
import io
import marshal
import os
import shutil
import tempfile
import zipfile
from functools import cache
from importlib.util import MAGIC_NUMBER, find_spec, source_hash
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAIN = """\
import os
import sys

if sys.version_info < (3, 9):
    sys.exit("this is Python %d.%d, a worker needs 3.9 or newer" % sys.version_info[:2])
if __name__ == "__main__":
    archive = os.path.dirname(os.path.abspath(__file__))
    if archive not in sys.path:
        sys.path.insert(0, archive)
    sys.path.append(os.path.join(archive, "fallback"))

    from airflow_provider_tasks.runtime.main import main

    main(archive if os.path.isfile(archive) else __file__, sys.argv[1:])
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can tell


def _members() -> Iterator[tuple[str, Path]]:
    """Name in the archive and file on this machine of each module, in a fixed order."""
    package = Path(__file__).parent.parent
    yield "airflow_provider_tasks/__init__.py", package / "__init__.py"
    # In a worker that happens to have Airflow, Airflow looks for it, and does not start without it.
    yield "airflow_provider_tasks/provider.py", package / "provider.py"
    for part in ("model", "runtime"):
        for path in sorted((package / part).rglob("*.py")):
            yield f"airflow_provider_tasks/{path.relative_to(package).as_posix()}", path
    for name, prefix in (("cloudpickle", ""), ("returns", "fallback/"), ("typing_extensions", "fallback/")):
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{name} is not installed", name=name)
        origin = Path(spec.origin)
        if origin.name != "__init__.py":
            yield f"{prefix}{origin.name}", origin
            continue
        # returns' plug-ins for mypy, pytest and hypothesis are no use in a worker.
        for path in sorted(origin.parent.rglob("*.py")):
            if "contrib" not in path.relative_to(origin.parent).parts:
                yield f"{prefix}{path.relative_to(origin.parent.parent).as_posix()}", path


@cache
def build_archive(place: str | None = None) -> bytes:
    """Return the archive: a zip that ``python FILE …`` runs; the same bytes for the same packages.

    Args:
        place: where the archive will lie, if that is known: what every worker imports is then in it compiled too, for
            a Python of this version. Any other takes the source.

    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _EPOCH), _MAIN, zipfile.ZIP_DEFLATED)
        for name, path in _members():
            source = path.read_bytes()
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), source, zipfile.ZIP_DEFLATED)
            if place is not None and not name.startswith("fallback/"):
                compiled = _compile(source, f"{place}/{name}")
                archive.writestr(zipfile.ZipInfo(name + "c", _EPOCH), compiled, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@cache
def archive_digest() -> str:
    """Name the archive by what is in it, without making it."""
    digest = hashlib.sha256(_MAIN.encode() + MAGIC_NUMBER)
    for name, path in _members():
        source = path.read_bytes()
        digest.update(f"{name} {len(source)}\n".encode() + source)
    return digest.hexdigest()[:16]


def _compile(source: bytes, file: str) -> bytes:
    """Return a compiled module that counts whatever the time of its source: https://peps.python.org/pep-0552/."""
    code = compile(source, file, "exec", dont_inherit=True, optimize=0)
    is_hashed_and_unchecked = (1).to_bytes(4, "little")
    return MAGIC_NUMBER + is_hashed_and_unchecked + source_hash(source) + marshal.dumps(code)


def unpack(cache_folder: Path) -> Path:
    """Return what Python runs to get the runtime, unpacked below ``cache_folder`` now if it is not there yet.

    A folder keeps the compiled modules, which a zip can't; it is named by what it holds.
    """
    stats = ((name, path.stat()) for name, path in _members())
    content = "\0".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)
    folder = cache_folder / "runtime" / hashlib.sha256((_MAIN + content).encode()).hexdigest()[:32]
    main = folder / "__main__.py"
    if folder.is_dir():
        return main
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Complete before it has its name: two that unpack at once do the same work, and one of them wins.
    partial = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    with zipfile.ZipFile(io.BytesIO(build_archive())) as archive:
        archive.extractall(partial)
    try:
        os.rename(partial, folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        if not folder.is_dir():
            raise
    return main
