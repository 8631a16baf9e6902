"""DAG files parsed and run by Airflow itself, in this process; ``tests/live`` has the whole installation."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tasks.testing import Run

EXAMPLES = Path(__file__).parents[2] / "dags_examples"


@pytest.fixture(scope="session")
def metadata_database(airflow_database: None) -> None:
    """Make the metadata database that tasks run against."""


@pytest.fixture
def dags_folder() -> Iterator[Path]:
    """Give the DAGs folder, empty."""
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    yield folder
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


@pytest.fixture
def files(dags_folder: Path) -> Iterator[Callable[..., Path]]:
    """Write files into a folder beside the DAG file; they go in the end."""

    def write(**content: str) -> Path:
        for name, text in content.items():
            path = dags_folder / "work" / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return dags_folder / "work"

    yield write
    shutil.rmtree(dags_folder / "work", ignore_errors=True)


@dataclass
class Parsed:
    """What came of a DAG file."""

    dags: dict[str, Any]
    error: str

    @property
    def dag(self) -> Any:
        assert not self.error, self.error
        (found,) = self.dags.values()
        return found


PREAMBLE = """
from airflow.sdk import dag, task, DAG
from airflow_provider_tasks import *
from airflow_provider_tasks.operators import NotebookOperator, ScriptOperator, TaskOperator
"""


@pytest.fixture
def parse(dags_folder: Path) -> Callable[..., Parsed]:
    """Parse the text of a DAG file as Airflow does; ``PREAMBLE`` is put before it."""

    def parse(text: str, name: str = "dag_file.py") -> Parsed:
        from airflow.dag_processing.dagbag import DagBag

        path = dags_folder / name
        path.write_text(PREAMBLE + textwrap.dedent(text))
        bag = DagBag(str(path))
        return Parsed(bag.dags, "\n".join(bag.import_errors.values()))

    return parse


@pytest.fixture
def run(parse: Callable[..., Parsed], metadata_database: None) -> Callable[..., Run]:
    """Run the one DAG of a file's text to its end."""

    def run(text: str, conf: dict[str, Any] | None = None, **options: Any) -> Run:
        return Run(parse(text).dag.test(run_conf=conf, **options))

    return run


@pytest.fixture
def run_example(dags_folder: Path, metadata_database: None) -> Callable[..., Run]:
    """Give a function that runs the example of a name to its end."""

    def run(name: str, **options: Any) -> Run:
        from airflow.dag_processing.dagbag import DagBag

        shutil.copy(EXAMPLES / f"{name}.py", dags_folder)
        bag = DagBag(str(dags_folder / f"{name}.py"))
        assert not bag.import_errors
        return Run(bag.dags[name].test(**options))

    return run
