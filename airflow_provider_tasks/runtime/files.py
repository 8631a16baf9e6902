"""Files and folders that the user's code could have touched: it runs as the same user, and may do anything to them."""

from __future__ import annotations

import contextlib
import os
import stat


def write(path: str, *parts: bytes | memoryview) -> None:
    """Write a file that is complete as soon as it has its name, whatever lies in its place.

    Args:
        path: the file; its folder is made if it is gone.
        parts: its content.

    """
    folder = os.path.dirname(path)
    if not os.access(folder, os.W_OK | os.X_OK):
        os.makedirs(folder, 0o700, exist_ok=True)
        os.chmod(folder, 0o700)
    partial = path + ".part"
    for found in (partial, path):
        remove(found)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        for part in parts:
            file.write(part)
    os.replace(partial, path)


def read(path: str, limit: int) -> bytes | None:
    """Return at most ``limit`` bytes of a file; None where there is no regular file."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    about = os.fstat(number)
    if not stat.S_ISREG(about.st_mode):
        os.close(number)
        return None
    with open(number, "rb") as file:
        return file.read(min(limit, about.st_size))


def make_empty(folder: str) -> None:
    """Make ``folder`` an empty folder of the current user's alone."""
    remove(folder)
    os.makedirs(folder, 0o700)


def remove(path: str) -> None:
    """Remove a file, or a folder and all that is in it, its rights taken away or not, as far as that can be done."""
    if os.path.isdir(path) and not os.path.islink(path):
        with contextlib.suppress(OSError):
            os.chmod(path, 0o700)
        with contextlib.suppress(OSError):
            for name in os.listdir(path):
                remove(os.path.join(path, name))
        with contextlib.suppress(OSError):
            os.rmdir(path)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)
