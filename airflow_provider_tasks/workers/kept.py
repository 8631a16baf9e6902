"""Local workers that are kept: a file for each, by which other processes find them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime import files, processes
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ConfigurationError, WorkerError
from airflow_provider_tasks.workers.local import MARK, name_of_folder
from airflow_provider_tasks.workers.settings import NODE_CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.workers.settings import Settings

_log = logging.getLogger("airflow_provider_tasks")


@dataclass(frozen=True)
class Record:
    """A local worker that is kept ``until`` a time (seconds since the epoch).

    ``owner`` is the Airflow task that it was made for: its ``dag_id``, ``run_id``, ``task_id``, ``map_index`` and
    ``try_number``; None where somebody made it by hand.
    """

    name: str
    folder: str
    until: float
    config: dict[str, Any]
    node: dict[str, Any] | None
    owner: dict[str, Any] | None = None

    @classmethod
    def of(
        cls, settings: Settings, node: Node | None, name: str, folder: Path, owner: dict[str, Any] | None = None
    ) -> Self:
        """Return the record of a worker that is kept from now on."""
        config = settings.config.to_dict()
        config.pop("env_variables", None)  # what may be secret is not written down
        plain = None
        if node is not None:
            plain = node.to_json()
            plain["properties"] = {key: value for key, value in plain["properties"].items() if key != NODE_CONFIG}
        return cls(name, str(folder), time.time() + settings.keep_seconds, config, plain, owner)

    @staticmethod
    def path(settings: Settings, name: str) -> Path:
        """Return the file of a worker."""
        return settings.cache_folder / "workers" / f"{name}.json"

    def write(self, settings: Settings) -> None:
        """Let other processes find it."""
        path = self.path(settings, self.name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write(str(path), json.dumps(vars(self)).encode("ascii"))

    @classmethod
    def all(cls, settings: Settings) -> list[Record]:
        """Return those whose worker is there and whose time is not over; what is left of others is removed."""
        found = []
        for path in sorted((settings.cache_folder / "workers").glob("*.json")):
            try:
                record = cls(**json.loads(path.read_text(encoding="utf-8")))
                WorkerConfig.of(record.config)
            except (OSError, ValueError, TypeError, WorkerError) as error:
                _log.warning("%s is no record of a worker: %s", path, error)
                continue
            folder = Path(record.folder)
            if record.name != path.stem or name_of_folder(folder) != record.name:
                _log.warning("%s is no record of a worker: it names another one's folder, %s", path, folder)
                continue
            if folder.is_dir() and (record.until > time.time() or is_used(settings, record.name)):
                found.append(record)
                continue
            remove_folder(folder)
            forget(settings, record.name)
        return found


@contextlib.contextmanager
def use(settings: Settings, name: str) -> Iterator[None]:
    """Keep other processes and threads of this machine from running a task in a worker.

    Raises:
        ConfigurationError: another one does.

    """
    path = Record.path(settings, name).with_suffix(".lock")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"worker {name} runs a task, of another process or thread",
                "Wait for its end, or make another worker.",
            ) from None
        yield


def is_used(settings: Settings, name: str) -> bool:
    """Whether a task runs in a worker."""
    try:
        with use(settings, name):
            return False
    except ConfigurationError:
        return True


def forget(settings: Settings, name: str) -> None:
    """Remove what is written of a worker."""
    path = Record.path(settings, name)
    for found in (path, path.with_suffix(".lock")):
        found.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """End what still runs of a local worker, and remove its folder."""
    processes.kill_marked(MARK, name_of_folder(folder))
    files.remove(str(folder))
