"""Which pod is whose: names, labels and annotations made of what an Airflow task is."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "airflow-worker/"
"""What the keys of our labels and annotations begin with; nobody else's may."""

MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"
INSTALLATION = f"{PREFIX}installation"
TASK = f"{PREFIX}task"
TRY = f"{PREFIX}try"

READABLE = ("dag_id", "task_id", "run_id", "map_index")
"""Labels for people, as ``kubectl get pods -l dag_id=…``; two values that differ may be made the same."""

_OURS = "airflow-provider-tasks"
_NAME_LIMIT = 63  # a pod's name is its host name too, which is one label of DNS: RFC 1123
_DIGEST_LENGTH = 16


def is_reserved(key: str) -> bool:
    """Whether labels and annotations of this key are the provider's own.

    >>> is_reserved("airflow-worker/task"), is_reserved("team")
    (True, False)
    """
    return key.startswith(PREFIX) or key in READABLE or key in (MANAGED_BY, COMPONENT)


@dataclass(frozen=True)
class Identity:
    """One try of one Airflow task, from which everything that tells its pod from others is made.

    Args:
        installation: tells this Airflow from others that use the same namespace; a valid label value.
        dag_id: any text, as are the two after it.
        run_id: the DAG run.
        task_id: the task.
        map_index: which of a mapped task's instances, from 0; -1 for a task that is not mapped.
        try_number: from 1.

    >>> Identity("airflow", "Sales", "manual__1", "load.count", try_number=2).name
    'sales-load-count-2-eb7f2afc34e6caca'

    """

    installation: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1

    @property
    def name(self) -> str:
        """The pod's name, the same whenever it is asked for: a label of DNS, of at most 63 characters."""
        end = f"{self.try_number}-{_digest(self.installation, *self._key, self.try_number)}"
        start = re.sub(r"[^a-z0-9]+", "-", f"{self.dag_id}-{self.task_id}".lower())
        start = start.strip("-")[: _NAME_LIMIT - len(end) - 1].rstrip("-")
        return f"{start or 'task'}-{end}"

    @property
    def task(self) -> str:
        """A digest of the task, the same for all of its tries."""
        return _digest(*self._key)

    @property
    def labels(self) -> dict[str, str]:
        """The pod's labels: those to select by, and readable ones for people."""
        readable = {name: _as_label(str(getattr(self, name))) for name in READABLE}
        if self.map_index < 0:
            del readable["map_index"]
        return {
            MANAGED_BY: _OURS,
            COMPONENT: "worker",
            INSTALLATION: self.installation,
            TASK: self.task,
            TRY: str(self.try_number),
            **readable,
        }

    @property
    def annotations(self) -> dict[str, str]:
        """The pod's annotations: everything in full, for :meth:`of_pod`."""
        return {PREFIX + name: str(value) for name, value in asdict(self).items()}

    @property
    def selector_of_tries(self) -> str:
        """A label selector for the pods of all tries of this task."""
        return f"{self.selector(self.installation)},{TASK}={self.task}"

    @staticmethod
    def selector(installation: str) -> str:
        """Return the label selector for all worker pods of an installation.

        >>> Identity.selector("airflow")
        'app.kubernetes.io/managed-by=airflow-provider-tasks,airflow-worker/installation=airflow'
        """
        return f"{MANAGED_BY}={_OURS},{INSTALLATION}={installation}"

    @classmethod
    def of_pod(cls, pod: Mapping[str, Any]) -> Identity | None:
        """Read whose pod this is; None where it is no worker of this provider.

        >>> someone = Identity("airflow", "sales", "manual__1", "count", try_number=2)
        >>> pod = {"metadata": {"labels": someone.labels, "annotations": someone.annotations}}
        >>> Identity.of_pod(pod) == someone
        True
        """
        metadata = pod.get("metadata") or {}
        annotations = metadata.get("annotations") or {}
        if (metadata.get("labels") or {}).get(MANAGED_BY) != _OURS:
            return None
        found: dict[str, Any] = {item.name: annotations.get(PREFIX + item.name) for item in fields(cls)}
        try:
            found |= {name: int(found[name]) for name in ("map_index", "try_number")}
        except (TypeError, ValueError):
            return None
        return None if None in found.values() else cls(**found)

    @property
    def _key(self) -> tuple[str, str, str, int]:
        return self.dag_id, self.run_id, self.task_id, self.map_index


def _digest(*parts: object) -> str:
    # As JSON, so that no two lists of parts are the same text.
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:_DIGEST_LENGTH]


def _as_label(text: str) -> str:
    """Return ``text`` as the value of a label: at most 63 letters, digits, ``-``, ``_`` and ``.``, none at its ends.

    >>> _as_label("scheduled__2026-01-01T00:00:00+00:00")
    'scheduled__2026-01-01T00_00_00_00_00'
    """
    valid = re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip("._-")
    return valid[:63].rstrip("._-")
