"""Values out of a notebook: glued by name, or the output of a cell tagged ``result``.

Either way a value is an output of its cell, of a media type of our own, and stays in the executed notebook: a JSON
object with ``name`` and ``value``, the latter as in :mod:`values`. ``error`` stands in place of ``value`` where a
tagged cell's value can't be written so. Whoever reads them takes them for data: nothing is unpickled.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime import values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEDIA_TYPE = "application/vnd.airflow-provider-tasks.value+json"

RESULT = "result"
"""The tag of the cell whose output is a result, and the name of that result."""

PUBLISH_NEXT_RESULT = f"""\
try:
    __import__({__name__!r}, fromlist=["publish_next_result"]).publish_next_result()
except Exception:
    pass
"""
"""What a Python kernel is sent before a tagged cell. It leaves no name behind, and a kernel without this package
runs the cell all the same: what it shows is then the result."""


def glue(name: str, value: object) -> None:
    """Hand a value out of the notebook that is running; call it in a cell.

    The value stays in the executed notebook, and is in the ``results`` of ``execute_notebook``. The last of a name
    counts. It may be all that can travel to Airflow: JSON, dates, ``Decimal``, ``bytes``, sets, tuples, numpy arrays,
    pandas frames. The notebook is written to its file many times over: hand out where large data is, not the data.

    Args:
        name: What to call it.
        value: What to hand out.

    Raises:
        TypeError: If the name is no text; as ``ValueEncodeError`` if the value can't travel, saying which part of it.
        ValueError: If the name is blank.
        RuntimeError: Outside a notebook.

    >>> glue("rows", 3)
    Traceback (most recent call last):
    ...
    RuntimeError: glue('rows', …) was called outside a notebook: only the kernel of one can hand values out
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a glued value is of type {type(name).__name__}: {name!r}; expected a string")
    if not name.strip():
        raise ValueError(f"the name of a glued value is blank: {name!r}; expected some text")
    from airflow_provider_tasks.model.describe import describe

    if getattr(_shell(), "kernel", None) is None:
        raise RuntimeError(
            f"glue({name!r}, …) was called outside a notebook: only the kernel of one can hand values out"
        )
    _publish({"name": name, "value": values.encode(value)}, f"{name} = {describe(value)}")


def publish_next_result() -> None:
    """Have what the next cell's last expression gives handed out as the result. For kernels only."""
    shell = _shell()

    def publish(ran: Any) -> None:
        shell.events.unregister("post_run_cell", publish)
        if not ran.success or ran.result is None:
            return
        content: dict[str, Any] = {"name": RESULT}
        try:
            content["value"] = values.encode(ran.result)
        except values.ValueEncodeError as error:
            content["error"] = str(error)
        _publish(content)

    shell.events.register("post_run_cell", publish)


def _shell() -> Any:
    try:
        from IPython import get_ipython
    except ModuleNotFoundError:
        return None
    return get_ipython()


def _publish(content: Mapping[str, Any], text: str | None = None) -> None:
    from IPython.display import publish_display_data

    publish_display_data(  # type: ignore[no-untyped-call, unused-ignore]
        {MEDIA_TYPE: content, **({} if text is None else {"text/plain": text})}
    )


class UnreadableResult(Exception):  # noqa: N818 - it becomes the failure of a cell
    """What a cell handed out can't be read."""

    def __init__(self, cell: Mapping[str, Any], reason: str) -> None:
        super().__init__(reason)
        self.cell = cell


def collect(cells: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], UnreadableResult | None]:
    """Give what the cells of an executed notebook handed out, and the first of it that can't be read.

    Args:
        cells: The notebook's cells; their outputs may hold anything.

    Returns:
        The values by name, and None where all could be read.

    >>> glued = {"data": {MEDIA_TYPE: {"name": "day", "value": {"__type__": "date", "value": "2026-01-02"}}}}
    >>> shown = {"output_type": "execute_result", "data": {"text/plain": "42"}}
    >>> collect([{"outputs": [glued]}, {"metadata": {"tags": ["result"]}, "outputs": [shown]}])
    ({'day': datetime.date(2026, 1, 2), 'result': '42'}, None)
    """
    results: dict[str, Any] = {}
    unreadable: UnreadableResult | None = None
    for cell in cells:
        found = [output["data"][MEDIA_TYPE] for output in cell.get("outputs", ()) if MEDIA_TYPE in _data(output)]
        for content in found:
            try:
                name, value = _read(content)
            except ValueError as error:  # noqa: PERF203 - one that is broken leaves the others
                unreadable = unreadable or UnreadableResult(cell, str(error))
            else:
                results[name] = value
        if is_tagged(cell, RESULT) and not any(_name(content) == RESULT for content in found):
            shown = _shown(cell.get("outputs", ()))
            if shown is not None:
                results[RESULT] = shown
    return results, unreadable


def is_tagged(cell: Mapping[str, Any], tag: str) -> bool:
    """Whether a cell has a tag.

    >>> is_tagged({"metadata": {"tags": ["result"]}}, "result"), is_tagged({}, "result")
    (True, False)
    """
    return tag in (cell.get("metadata", {}).get("tags") or ())


def _data(output: Mapping[str, Any]) -> Mapping[str, Any]:
    data: Mapping[str, Any] = output.get("data") or {}
    return data


def _name(content: object) -> object:
    return content.get("name") if isinstance(content, dict) else None


def _read(content: object) -> tuple[str, Any]:
    """Read one output of our media type.

    Raises:
        ValueError: It is none, or its value can't be read.

    """
    name = _name(content)
    if not isinstance(content, dict) or not isinstance(name, str):
        raise ValueError("a value that was handed out has no name: it was not written by glue()")
    what = "the value of the cell tagged 'result'" if name == RESULT else f"the value glued as {name!r}"
    if "value" not in content:
        raise ValueError(f"{what} can't be handed out: {content.get('error', 'there is none')}")
    try:
        return name, values.decode(content["value"])
    except values.ValueDecodeError as error:
        raise ValueError(f"{what} can't be read: {error}") from error


def _shown(outputs: Sequence[Mapping[str, Any]]) -> Any:
    """Give what a cell shows, for kernels that can't hand out values: its JSON, else its text."""
    for output in reversed(outputs):
        data = _data(output)
        if MEDIA_TYPE in data:
            continue
        if "application/json" in data:
            return json.loads(json.dumps(data["application/json"]))  # plain dicts for those of nbformat
        if "text/plain" in data:
            return data["text/plain"]
    printed = "".join(
        output["text"] for output in outputs if output.get("output_type") == "stream" and output.get("name") == "stdout"
    )
    return printed.rstrip("\n") or None
