"""Files that list nodes: YAML and JSON, with the line of every value."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_tasks.model.errors import NodeFormatError
from airflow_provider_tasks.model.reading import (
    DuplicateKeyError,
    Lines,
    Path,
    Source,
    decode_json,
    path_text,
)

if TYPE_CHECKING:
    import os

    import yaml


def open_node_file(path: str | os.PathLike[str], caller_depth: int) -> Source:
    r"""Read a YAML or JSON file into a value whose every part knows its line.

    Args:
        path: The file; ``.yaml``, ``.yml`` or ``.json``. A relative path starts at the folder of the file
            that calls, as a DAG file is parsed in whatever folder Airflow was started in; where no file calls
            (a notebook, a shell), at the working folder.
        caller_depth: How many calls up the one that the path belongs to is.

    Returns:
        The whole document.

    Raises:
        FileNotFoundError: If there is no such file.
        NodeFormatError: If it is not YAML or JSON.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = FilePath(folder, "nodes.yaml")
    ...     _ = file.write_text("- name: edge\n- name: 3\n")
    ...     open_node_file(file, 0).item(1).lines()[1, "name"]
    2
    """
    file = FilePath(path)
    caller = sys._getframe(caller_depth + 1).f_globals.get("__file__")
    if not file.is_absolute() and caller is not None:
        file = FilePath(caller).absolute().parent / file
    if file.suffix not in (".yaml", ".yml", ".json"):
        raise NodeFormatError(f"{file}: nodes are read from .yaml, .yml and .json, not from {file.suffix!r}")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise FileNotFoundError(
            error.errno, "no such file of nodes (a relative path starts at the file that calls)", str(file)
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise NodeFormatError(f"{file}, line {line}: not UTF-8: {error.reason}") from error
    if file.suffix == ".json":
        try:
            value = decode_json(text, str(file))
        except DuplicateKeyError:
            _decode_yaml(_json_as_yaml(text), str(file))  # the same error, with its line
            raise
        return Source(value, str(file), lines=lambda: _lines_of_json(text, str(file)))
    value, lines = _decode_yaml(text, str(file))
    return Source(value, str(file), lines=lambda: lines)


def _decode_yaml(text: str, document: str) -> tuple[Any, Lines]:
    import yaml

    loader = _loader_class()(text)
    try:
        root = loader.get_single_node()
        if root is None:
            raise NodeFormatError(f"{document}: the file is empty; expected a list of nodes")
        lines: Lines = {}
        _note_lines(root, (), lines, document, [])
        return loader.construct_document(root), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{document}, line {mark.line + 1}" if mark else document
        raise NodeFormatError(f"{where}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise NodeFormatError(f"{document}: not YAML: {error}") from error
    except RecursionError as error:
        raise NodeFormatError(f"{document}: nested too deeply") from error
    finally:
        loader.dispose()


def _lines_of_json(text: str, document: str) -> Lines:
    try:
        return _decode_yaml(_json_as_yaml(text), document)[1]
    except NodeFormatError:
        return {}  # a key of over 1,024 characters, say: the message that asks then names the path alone


def _json_as_yaml(text: str) -> str:
    # For its lines only. JSON is YAML but for tabs between values and for characters written as two escapes.
    return re.sub(r"\\u[dD][89a-fA-F]..", r"\\ufffd", text.replace("\t", " "))


@lru_cache(maxsize=1)
def _loader_class() -> type[yaml.SafeLoader]:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Plain values as in JSON: ``no``, ``10:20:30`` and ``2026-01-31`` are text, 1e5 is a number."""

        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # none of PyYAML's own

    for tag, pattern, first in (
        ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
        ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
        ("int", r"[-+]?(0|[1-9][0-9]*)", [*"-+0123456789"]),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?", [*"-+0123456789."]),
        ("merge", r"<<", ["<"]),
    ):
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)
    return Loader


def _note_lines(node: yaml.Node, path: Path, lines: Lines, document: str, above: list[yaml.Node]) -> None:
    import yaml

    lines[path] = node.start_mark.line + 1
    if any(node is one for one in above):
        raise NodeFormatError(f"{document}, line {lines[path]}: {path_text(path)} holds itself, by an alias")
    above.append(node)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*path, index), lines, document, above)
    elif isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            step = (*path, key.value)
            line = key.start_mark.line + 1
            if step in lines and isinstance(key, yaml.ScalarNode):
                raise NodeFormatError(f"{document}, line {line}: {path_text(step)} is there twice; keep one")
            if isinstance(key, yaml.ScalarNode):
                _note_lines(item, step, lines, document, above)
                lines[step] = line
    above.pop()
