"""What README and docs show is true: every block of code runs, every link leads somewhere, nothing is left out.

A ```python block with ``>>>`` is a doctest; the doctests of a page share their names. Any other is a DAG file,
parsed by Airflow; one that does not begin with its imports gets ``PREAMBLE``. A comment on the line before a block,
which no reader sees, says what else there is to know::

    <!-- test: continues -->         the block goes on where the one before it ended
    <!-- test: with my_package -->   there is a module of this name
    <!-- test: file nodes.yaml -->   a node file or a script, beside the page's DAG files
    <!-- test: sizes -->             JSON, YAML or INI: what it is, see ``DATA``
    <!-- test: sizes that count -->  the page's DAG files may name these sizes, and no others
"""

from __future__ import annotations

import configparser
import dataclasses
import doctest
import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import pytest

import airflow_provider_tasks
from airflow_provider_tasks import Nodes, WorkerConfig, operators
from airflow_provider_tasks.operators.context import ALWAYS, ON_REQUEST
from airflow_provider_tasks.operators.outcomes import outcome_xcom
from airflow_provider_tasks.provider import get_provider_info
from airflow_provider_tasks.runtime.outcome import Outcome
from airflow_provider_tasks.runtime.protocol import CATEGORIES, PHASES
from airflow_provider_tasks.workers import local
from airflow_provider_tasks.workers.diagnosis import diagnose
from airflow_provider_tasks.workers.failures import BY_CATEGORY
from airflow_provider_tasks.workers.sizes import SIZES, parse_sizes

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("howto/*.md"))]

PREAMBLE = """\
from airflow.sdk import DAG, dag, task
from airflow_provider_tasks import *
from airflow_provider_tasks.operators import TaskOperator

"""

_BLOCK = re.compile(r"(?:^<!-- test: (?P<how>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.M)


def name_of(page: Path) -> str:
    """Say where a page is: `tasks.md`, `howto/gpus.md`."""
    return str(page.relative_to(DOCS if DOCS in page.parents else REPOSITORY))


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    how: str
    text: str

    @property
    def is_doctest(self) -> bool:
        return self.language == "python" and ">>> " in self.text

    @property
    def name(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start("text")) + 1, found["language"], found["how"] or "", found["text"])
        for found in _BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def dag_files() -> list[Block]:
    """The blocks that are DAG files, those that continue one put after it."""
    files: list[Block] = []
    for block in BLOCKS:
        if block.language != "python" or block.is_doctest:
            continue
        if block.how == "continues":
            before = files.pop()
            assert before.page == block.page
            block = before._replace(text=f"{before.text}\n{block.text}")
        files.append(block)
    return files


def named(blocks: list[Block]) -> list[Any]:
    return [pytest.param(block, id=block.name) for block in blocks]


def blocks_in(*languages: str) -> list[Any]:
    return named([block for block in BLOCKS if block.language in languages])


@pytest.mark.parametrize("page", [pytest.param(page, id=name_of(page)) for page in PAGES])
def test_doctests_give_what_they_show(page):
    names: dict[str, Any] = {}
    report: list[str] = []
    for block in blocks_of(page):
        if block.is_doctest:
            test = doctest.DocTestParser().get_doctest(block.text, names, block.name, str(page), block.line - 1)
            doctest.DocTestRunner(verbose=False).run(test, out=report.append, clear_globs=False)
            names.update(test.globs)
    assert not report, "".join(report)


@pytest.mark.parametrize("block", named(dag_files()))
def test_a_block_of_python_is_a_dag_file(block, tmp_path, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    for other in blocks_of(block.page):
        if other.how.startswith("file "):
            (tmp_path / other.how.removeprefix("file ")).write_text(other.text)
        if other.how == "sizes that count":
            monkeypatch.setenv("AIRFLOW__WORKER_TASKS__SIZES", other.text)
    if block.how.startswith("with "):
        (tmp_path / f"{block.how.removeprefix('with ')}.py").write_text("")
    path = tmp_path / "dag_file.py"
    path.write_text(block.text if block.text.startswith(("from ", "import ")) else PREAMBLE + block.text)
    monkeypatch.syspath_prepend(tmp_path)  # as Airflow does with the folder of a bundle
    registered = cloudpickle.list_registry_pickle_by_value()
    try:
        bag = DagBag(str(path))
    finally:
        for name in cloudpickle.list_registry_pickle_by_value() - registered:
            cloudpickle.unregister_pickle_by_value(importlib.import_module(name))
    assert not bag.import_errors, "\n".join(bag.import_errors.values())
    assert ("with DAG(" in block.text) == bool(bag.dags)


def check_node_file(text: str, name: str, folder: Path) -> None:
    (folder / name).write_text(text)
    assert Nodes.from_file(folder / name).take(4)


def check_worker_config(text: str) -> None:
    import yaml

    assert WorkerConfig.from_dict(yaml.safe_load(text)).to_dict()


def check_connection(text: str) -> None:
    extra = json.loads(text)
    assert set(extra) == {"namespace", "worker_config"}
    WorkerConfig.from_dict(extra["worker_config"])


def check_outcome(text: str) -> None:
    shown = json.loads(text)
    about = dict.fromkeys(("node", "implementation", "worker", "backend", "memory_limit"))
    assert list(shown) == list(outcome_xcom(Outcome(status="success"), **about))
    assert set(shown["timeline"]) <= set(PHASES)


def check_airflow_cfg(text: str) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(text)
    for section in parser.sections():
        assert set(parser[section]) <= set(get_provider_info()["config"][section]["options"])


DATA: dict[str, Callable[[str], Any]] = {
    "worker config": check_worker_config,
    "sizes": parse_sizes,
    "sizes that count": parse_sizes,
    "connection": check_connection,
    "outcome": check_outcome,
    "airflow.cfg": check_airflow_cfg,
}


@pytest.mark.parametrize("block", blocks_in("json", "yaml", "ini"))
def test_a_block_of_data_can_be_read(block, tmp_path):
    if block.how.startswith("file "):
        check_node_file(block.text, block.how.removeprefix("file "), tmp_path)
    else:
        DATA[block.how](block.text)


@pytest.mark.parametrize("block", named(BLOCKS))
def test_a_block_says_its_language(block):
    assert block.language in ("python", "json", "yaml", "ini", "shell", "text")
    if block.language in ("shell", "text"):
        assert not block.how or block.how.startswith("file ")


@pytest.mark.parametrize("page", [pytest.param(page, id=name_of(page)) for page in PAGES])
def test_links_lead_somewhere(page):
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    for found in _LINK.finditer(text):
        target, _, anchor = found["target"].partition("#")
        if "://" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{name_of(page)} links to {found['target']}, which is not there"
        assert REPOSITORY in (file, *file.parents), (
            f"{name_of(page)} links to {found['target']}, outside of the repository"
        )
        if anchor:
            assert anchor in anchors_of(file), f"{name_of(page)} links to {found['target']}, which has no such heading"


def anchors_of(page: Path) -> set[str]:
    """The anchors that headings have, in the way of GitHub."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in _HEADING.findall(text)}


def section_of(page: str, title: str) -> str:
    """The text below a heading of the second level, its white space made one blank each."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"{page} has no section {title!r}"
    return " ".join(found[1].split())


def test_the_index_links_to_every_page():
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = [page for page in PAGES if DOCS in page.parents and page.name != "index.md"]
    assert [name_of(page) for page in pages if f"({name_of(page)})" not in text] == []


ALIASES = ("Result", "Success", "Failure", "is_successful")
"""Names of another library, which documents them itself."""


@pytest.mark.parametrize("name", sorted({*airflow_provider_tasks.__all__, *operators.__all__}.difference(ALIASES)))
def test_every_public_name_is_in_the_reference(name):
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("reference/*.rst"))
    assert re.search(rf"^\.\. auto\w+:: ([a-z_]+\.)*{name}\b", text, re.M)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(WorkerConfig)])
def test_every_setting_is_told(name):
    assert f"| `{name}` |" in section_of("settings.md", "WorkerConfig")


@pytest.mark.parametrize("name", get_provider_info()["config"]["worker_tasks"]["options"])
def test_every_option_of_airflow_cfg_is_told(name):
    assert f"`{name}`" in section_of("settings.md", "worker_tasks")


def test_the_sizes_are_the_providers_own():
    section = section_of("settings.md", "Sizes")
    for name, size in SIZES.items():
        assert size.memory is not None
        assert f"| `{name}` | {size.cpu:g} | {size.memory // 2**30} GiB |" in section


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_is_told_with_its_class_and_what_to_do(category):
    section = section_of("failures.md", category)
    diagnosis = diagnose(Outcome(status="failure", category=category, message="what happened"))
    assert diagnosis.advice in section
    assert f"`{BY_CATEGORY[category].__name__}`" in section
    assert ("rying again may help" if diagnosis.retry else "rying again does not help") in section


@pytest.mark.parametrize("name", [*ALWAYS, *ON_REQUEST])
def test_every_name_of_the_context_is_told(name):
    assert f"`{name}`" in section_of("context.md", "Function parameters")


@pytest.mark.parametrize("name", sorted(local._INHERITED))
def test_every_inherited_variable_is_told(name):
    section = section_of("workers.md", "Environment variables")
    assert f"`{name}`" in section or f"`{name.lower()}`" in section
