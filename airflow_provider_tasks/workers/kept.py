"""Local workers that are kept: a file for each, by which other processes find them."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime import files

if TYPE_CHECKING:
    from typing import Self

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.workers.settings import Settings


@dataclass(frozen=True)
class Record:
    """A local worker that is kept ``until`` a time (seconds since the epoch)."""

    name: str
    folder: str
    until: float
    config: dict[str, Any]
    node: dict[str, Any] | None

    @classmethod
    def of(cls, settings: Settings, node: Node | None, name: str, folder: Path) -> Self:
        """Return the record of a worker that is kept from now on."""
        config = settings.config.to_dict()
        config.pop("env_variables", None)  # what may be secret is not written down
        return cls(
            name, str(folder), time.time() + settings.keep_seconds, config, None if node is None else node.to_json()
        )

    @staticmethod
    def path(settings: Settings, name: str) -> Path:
        """Return the file of a worker."""
        return settings.cache_folder / "workers" / f"{name}.json"

    def write(self, settings: Settings) -> None:
        """Let other processes find it."""
        path = self.path(settings, self.name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def all(cls, settings: Settings) -> list[Record]:
        """Return those whose worker is there and whose time is not over; what is left of others is removed."""
        found = []
        for path in sorted((settings.cache_folder / "workers").glob("*.json")):
            with contextlib.suppress(OSError, ValueError, TypeError):
                record = cls(**json.loads(path.read_text(encoding="utf-8")))
                if record.until > time.time() and Path(record.folder).is_dir():
                    found.append(record)
                    continue
                files.remove(record.folder)
                path.unlink(missing_ok=True)
        return found
