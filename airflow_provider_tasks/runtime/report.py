"""An exception as the outcome carries it: type, message, frames with source lines, and its causes."""

from __future__ import annotations

import os

from airflow_provider_tasks.runtime.naming import type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_EXCEPTIONS = 20
_MAX_FRAMES = 60
_MAX_MESSAGE = 100_000
# The archive holds this package and cloudpickle side by side; neither is the user's code.
_ARCHIVE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_OURS = tuple(_ARCHIVE + package + os.sep for package in ("airflow_provider_tasks", "cloudpickle"))


def describe(error: BaseException) -> list[dict[str, Any]]:
    """Describe ``error`` and what led to it, the oldest first, without the frames of this package."""
    try:
        return _describe(error)
    except Exception as broken:  # an exception is an object of the user's: any attribute may be anything
        note = f"<what led to it can't be told: {type(broken).__name__}>"
        return [{"type": type(error).__qualname__[:1000], "message": message_of(error), "notes": [note]}]


def _describe(error: BaseException) -> list[dict[str, Any]]:
    chain: list[dict[str, Any]] = []
    seen = set()
    current: BaseException | None = error
    relation = ""
    while current is not None and id(current) not in seen and len(chain) < _MAX_EXCEPTIONS:
        seen.add(id(current))
        chain.append(_describe_one(current, relation))
        if current.__cause__ is not None:
            current, relation = current.__cause__, "cause"
        elif current.__context__ is not None and not current.__suppress_context__:
            current, relation = current.__context__, "context"
        else:
            current = None
    chain.reverse()
    return chain


def message_of(error: BaseException) -> str:
    """``str(error)``, whatever the class of the error does when asked for it."""
    try:
        text = str(error)
    except BaseException as broken:
        return f"<{type(error).__name__}: its __str__ raised {type(broken).__name__}>"
    return text[:_MAX_MESSAGE]


def _describe_one(error: BaseException, relation: str) -> dict[str, Any]:
    import linecache
    import traceback

    frames = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if file.startswith(_OURS):
            continue
        frames.append(
            {
                "file": file,
                "line": line,
                "function": frame.f_code.co_name,
                "source": linecache.getline(file, line, frame.f_globals).strip(),
            }
        )
    if len(frames) > _MAX_FRAMES:
        left_out = len(frames) - _MAX_FRAMES
        half = _MAX_FRAMES // 2
        gap = {"file": "", "line": 0, "function": f"… {left_out} frames left out …", "source": ""}
        frames = [*frames[:half], gap, *frames[-half:]]
    notes = [str(note)[:10_000] for note in getattr(error, "__notes__", ()) or ()][:50]
    for member in getattr(error, "exceptions", ()) if _is_group(error) else ():
        notes.append(f"| {type(member).__name__}: {message_of(member)}")
    name = type_name(type(error))
    return {
        "type": (name[9:] if name.startswith("__main__.") else name)[:1000],
        "message": message_of(error),
        "frames": frames,
        "relation": relation,
        "notes": notes[:50],
    }


def _is_group(error: BaseException) -> bool:
    return any(cls.__name__ == "BaseExceptionGroup" for cls in type(error).__mro__)
