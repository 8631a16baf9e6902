"""Files that go to a worker with a request: an archive, made on one side and unpacked on the other."""

from __future__ import annotations

import base64
import io
import os
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def pack_files(folder: str, names: Iterable[str]) -> bytes:
    """Return an archive of files: the same bytes for the same content and modes, whatever their times and owners.

    Args:
        folder: where the names start.
        names: paths below it, with ``/`` between their parts; links are followed.

    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT, dereference=True) as archive:
        for name in sorted(names):
            path = os.path.join(folder, *name.split("/"))
            entry = tarfile.TarInfo(name)
            entry.mode = os.stat(path).st_mode & 0o777
            with open(path, "rb") as file:
                content = file.read()
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    packed = bytearray(buffer.getvalue())
    packed[4:8] = bytes(4)  # the time in the header of gzip: https://www.rfc-editor.org/rfc/rfc1952
    return bytes(packed)


def pack_path(path: str) -> bytes:
    """Return an archive of a file, under its own name, or of all files below a folder; links stay behind."""
    if os.path.isfile(path):
        return pack_files(os.path.dirname(os.path.abspath(path)), [os.path.basename(path)])
    if not os.path.isdir(path):
        raise FileNotFoundError(f"there is no file or folder {path}")
    names = []
    for folder, _, files in os.walk(path):
        below = os.path.relpath(folder, path)
        places = [(name, os.path.join(folder, name)) for name in files]
        own = [name for name, place in places if os.path.isfile(place) and not os.path.islink(place)]
        names += own if below == "." else ["/".join([*below.split(os.sep), name]) for name in own]
    return pack_files(path, names)


def inside(folder: str, path: str) -> str:
    """Return a path below a folder, links on the way followed.

    Raises:
        PermissionError: it leads out of the folder.

    """
    root = os.path.realpath(folder)
    found = os.path.realpath(os.path.join(root, path))
    if os.path.commonpath([root, found]) != root:
        raise PermissionError(f"{path} leads out of the folder in which tasks run")
    return found


def unpack_files(archive: str, folder: str) -> None:
    """Unpack an archive, in Base64, into a folder; what lies there under the same names is replaced."""
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(archive)), mode="r:gz") as opened:
        for entry in opened:
            path = os.path.join(folder, *entry.name.split("/"))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            content = opened.extractfile(entry)
            if content is None:
                raise ValueError(f"{entry.name} in the uploaded files is no file")
            if os.path.lexists(path):
                os.unlink(path)
            with content, open(path, "wb") as file:
                file.write(content.read())
            os.chmod(path, entry.mode)
