"""What the value of a setting may be.

A check takes what the user gave and returns what is kept of it, or raises :class:`RefusedError`. What is a template is
let through: what it comes to is checked when the Airflow task runs, and the settings are made again.

The formats are those of Kubernetes: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from posixpath import normpath
from typing import Any, NamedTuple, Protocol

Check = Callable[[Any], Any]

OWN_VOLUMES = ("runtime", "request", "work")
"""The volumes of a pod that are the provider's own."""


class RefusedError(ValueError):
    """A value that a setting can't have: ``shown`` is what may be told of it, ``reason`` what is wrong."""

    def __init__(self, shown: str, reason: str) -> None:
        super().__init__(f"{shown}: {reason}")
        self.shown = shown
        self.reason = reason


class ClientObject(Protocol):
    """An object of Kubernetes' Python client, as ``V1Pod``."""

    attribute_map: Mapping[str, str]
    """By which name in JSON each of its attributes goes."""


class Format(NamedTuple):
    """How a text must look; ``expected`` says it in words."""

    pattern: str
    expected: str
    limit: int = 253

    def fits(self, value: object) -> bool:
        """Whether ``value`` looks so, or is a template."""
        if not isinstance(value, str):
            return False
        # Compiled when it is first used: most DAG files use few of them.
        return is_template(value) or (len(value) <= self.limit and re.fullmatch(self.pattern, value) is not None)


_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_HOST = r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z0-9_+.-]+:[0-9A-Fa-f]{32,}"

LABEL_NAME = Format(_LABEL, "small letters, digits and '-', a letter or digit at both ends, at most 63 characters", 63)
SUBDOMAIN = Format(_SUBDOMAIN, "small letters, digits, '-' and '.', a letter or digit at both ends")
LABEL_KEY = Format(
    rf"(?:{_SUBDOMAIN}/)?{_WORD}",
    "letters, digits, '-', '_' and '.', at most 63, after a domain and '/' if you like, as 'example.com/team'",
    317,
)
LABEL_VALUE = Format(rf"(?:{_WORD})?", "at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends")
EXTENDED_RESOURCE = Format(rf"{_SUBDOMAIN}/{_WORD}", "a resource with its domain, as 'nvidia.com/gpu'", 317)
IMAGE = Format(
    rf"(?:{_HOST}/)?{_PATH_PART}(?:/{_PATH_PART})*(?::{_TAG})?(?:@{_DIGEST})?",
    "an image, as 'python:3.12-slim' or 'example.com:5000/team/image@sha256:…'",
    1000,
)
VARIABLE = Format(r"[A-Za-z_.-][A-Za-z0-9_.-]*", "a variable's name: letters, digits, '_', '-' and '.', no digit first")
SECRET_KEY = Format(
    rf"{_SUBDOMAIN}/[A-Za-z0-9._-]+", "a Secret's name and one of its keys, as 'database/password'", 507
)


def is_template(value: str) -> bool:
    """Whether Airflow fills ``value`` in before the task runs.

    >>> is_template("{{ ds }}"), is_template("ds")
    (True, False)
    """
    return "{{" in value or "{%" in value


def text(value: Any) -> Any:
    """Take any text."""
    if not isinstance(value, str):
        raise RefusedError(repr(value), "expected text")
    return value


def flag(value: Any) -> Any:
    """Take True or False; or the text of one, which a template comes to."""
    if isinstance(value, bool) or (isinstance(value, str) and is_template(value)):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise RefusedError(repr(value), "expected True or False")


def seconds(value: Any) -> Any:
    """Take a number above 0, its text (which a template comes to) or a ``timedelta``; keep the number."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str) and is_template(value):
        return value
    if isinstance(value, str) and value.strip().replace(".", "", 1).isdecimal():
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise RefusedError(repr(value), "expected seconds above 0, or a timedelta")
    return value


def one_of(*choices: str) -> Check:
    """Return a check that takes ``choices`` only."""

    def check(value: Any) -> Any:
        if value not in choices and not is_template(text(value)):
            raise RefusedError(repr(value), f"expected one of {', '.join(choices)}")
        return value

    return check


def formatted(form: Format) -> Check:
    """Return a check that takes texts of a format only."""

    def check(value: Any) -> Any:
        if not form.fits(value):
            raise RefusedError(repr(value), f"expected {form.expected}")
        return value

    return check


def texts(form: Format | None = None) -> Check:
    """Return a check that takes a list of texts, all of a format."""

    def check(value: Any) -> Any:
        if _is_put_off(value):
            return value
        items = _items(value, "text")
        for item in items:
            if not isinstance(item, str):
                raise RefusedError(repr(value), "expected a list of text")
            if form is not None and not form.fits(item):
                raise RefusedError("…", f"{item!r}, expected {form.expected}")
        return items

    return check


def by_name(
    key: Format,
    value: Format | None = None,
    *,
    refuse: Callable[[str], bool] = lambda _: False,
    confidential: bool = False,
) -> Check:
    """Return a check that takes a mapping of names to texts.

    ``refuse`` says which names are the provider's own; a value that is wrong is not told where it is ``confidential``.
    """

    def check(found: Any) -> Any:
        if _is_put_off(found):
            return found
        for name, item in _pairs(found):
            if not isinstance(name, str) or not key.fits(name) or is_template(name):
                raise RefusedError("…", f"the key {name!r}, expected {key.expected}")
            if refuse(name):
                raise RefusedError("…", f"{name!r} is the provider's own; choose another name")
            if value is None:
                _check_text(name, item)
            elif not value.fits(item):
                what = f"the value of {name!r}" if confidential else f"{name!r} is {item!r}"
                raise RefusedError("…", f"{what}, expected {value.expected}")
        return dict(found)

    return check


def variables(value: Any) -> Any:
    """Take environment variables of the task: any names and values that an environment can hold."""
    if _is_put_off(value):
        return value
    for name, item in _pairs(value):
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise RefusedError("…", f"{name!r} can't be a variable's name")
        _check_text(name, item)
    return dict(value)


def rows(*keys: str) -> Check:
    """Return a check that takes a list of mappings of ``keys``, or of the Kubernetes client's objects."""
    expected = keyed(*keys)

    def check(value: Any) -> Any:
        return value if _is_put_off(value) else tuple(expected(item) for item in _items(value, "mappings"))

    return check


def keyed(*keys: str) -> Check:
    """Return a check that takes a mapping of ``keys``, or the Kubernetes client's object for it."""

    def check(value: Any) -> Any:
        if _is_put_off(value):
            return value
        found = plain(value)
        if not isinstance(found, dict):
            raise RefusedError(repr(value), f"expected a mapping of {', '.join(keys)}")
        for name in found:
            if name not in keys:
                raise RefusedError("…", f"unknown key {name!r}, expected one of {', '.join(keys)}")
        return found

    return check


def volumes(value: Any) -> Any:
    """Take Kubernetes volumes, each with ``mount_path`` and perhaps ``sub_path`` and ``read_only``."""
    if _is_put_off(value):
        return value
    items = tuple(_volume(plain(item)) for item in _items(value, "mappings"))
    names = [item["name"] for item in items]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RefusedError("…", f"the name {twice!r} is there twice; mount one volume in two places with pod_override")
    return items


def _volume(volume: Any) -> dict[str, Any]:
    if not isinstance(volume, dict):
        raise RefusedError(repr(volume), "expected a list of mappings")
    name = volume.get("name")
    if not LABEL_NAME.fits(name):
        raise RefusedError("…", f"a volume has the name {name!r}, expected {LABEL_NAME.expected}")
    if name in OWN_VOLUMES:
        raise RefusedError("…", f"the volume {name!r} is the provider's own; choose another name")
    path = volume.get("mount_path")
    if not isinstance(path, str) or not (is_template(path) or re.fullmatch(r"/[^:\0]*", path)):
        raise RefusedError("…", f"mount_path of {name!r} is {path!r}, expected an absolute path without ':'")
    if is_own_path(path):
        raise RefusedError("…", f"mount_path of {name!r} is {path!r}, which is the provider's own")
    sub_path = volume.get("sub_path", "")
    if not isinstance(sub_path, str) or sub_path.startswith("/") or ".." in sub_path.split("/"):
        raise RefusedError("…", f"sub_path of {name!r} is {sub_path!r}, expected a relative path without '..'")
    sources = [key for key in volume if key not in ("name", "mount_path", "sub_path", "read_only")]
    if len(sources) != 1 or not re.fullmatch(r"[A-Za-z]+", sources[0]):
        raise RefusedError(
            "…",
            f"the volume {name!r} has the sources {sources}, expected one as Kubernetes writes it, as "
            "'persistentVolumeClaim', 'configMap' or 'emptyDir'",
        )
    return {**volume, "read_only": flag(volume["read_only"])} if "read_only" in volume else volume


def is_own_path(path: str) -> bool:
    """Whether ``path`` in a pod belongs to the provider.

    >>> is_own_path("/airflow/scratch"), is_own_path("/airflow-data")
    (True, False)
    """
    from airflow_provider_tasks.runtime.pod import HOME

    return f"/{normpath(path).lstrip('/')}/".startswith(f"{HOME}/")


def plain(value: Any, path: str = "") -> Any:
    """Return ``value`` as plain data, as Kubernetes writes it: mappings, lists and objects of its Python client.

    What an object leaves out (None) is left out.

    Raises:
        RefusedError: something in it is no plain data; names where.

    """
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise RefusedError("…", f"{path or 'it'} has the key {key!r}, expected text")
        return {key: plain(item, f"{path}.{key}" if path else key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    names = getattr(value, "attribute_map", None)
    if isinstance(names, Mapping):
        found = {name: getattr(value, attribute) for attribute, name in names.items()}
        return plain({name: item for name, item in found.items() if item is not None}, path)
    if isinstance(value, date):
        return value.isoformat()
    raise RefusedError("…", f"{path or 'it'} is a {type(value).__name__}, expected plain data or a client's object")


def is_own_key(key: str) -> bool:
    """Whether a label or an annotation of this key is the provider's own."""
    from airflow_provider_tasks.workers.kubernetes.identity import is_reserved

    return is_reserved(key)


def _is_put_off(value: Any) -> bool:
    return isinstance(value, str) and is_template(value)


def _items(value: Any, what: str) -> tuple[Any, ...]:
    if isinstance(value, (str, Mapping)) or not hasattr(value, "__iter__"):
        raise RefusedError(repr(value), f"expected a list of {what}")
    return tuple(value)


def _pairs(value: Any) -> Any:
    if not hasattr(value, "items"):
        raise RefusedError(repr(value), "expected a mapping of text to text")
    return value.items()


def _check_text(name: str, value: Any) -> None:
    # Only the type is told: the value may be a secret.
    if not isinstance(value, str) or "\0" in value:
        raise RefusedError("…", f"{name} is a {type(value).__name__}, expected text")
