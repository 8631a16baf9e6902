"""A release is whole: what is built installs into an Airflow, which finds it, and holds what it should."""

from __future__ import annotations

import json
import re
import tarfile
import zipfile

import airflow_provider_tasks
from airflow_provider_tasks import __version__
from tests.release.conftest import REPOSITORY, uv


def test_the_wheel_holds_the_package_and_nothing_else(built) -> None:
    package = REPOSITORY / "airflow_provider_tasks"
    files = {path.relative_to(REPOSITORY).as_posix() for path in package.rglob("*") if path.is_file()}
    about = f"airflow_provider_tasks-{__version__}.dist-info"
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    assert {name for name in names if not name.startswith(about)} == {name for name in files if "/__py" not in name}
    assert "airflow_provider_tasks/py.typed" in names
    assert f"{about}/licenses/LICENSE" in names


def test_the_sdist_holds_what_is_built_tested_and_read(built) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    expected = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "pyproject.toml", "PKG-INFO"}
    expected |= {"docs/tasks.md", "tests/conftest.py", "dags_examples/example_dispatch.py", "benchmarks/__main__.py"}
    assert expected <= names


def test_the_wheel_of_the_sdist_is_that_of_the_checkout(built, tmp_path) -> None:
    uv("build", "--wheel", "--out-dir", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == built.wheel.name
    assert wheel.read_bytes() == built.wheel.read_bytes()


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## \[?([^\]\s]+)", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[0] == __version__


def test_a_fresh_airflow_lists_the_provider(installed, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    listed = json.loads(installed.run("-m", "airflow", "providers", "list", "--output", "json"))
    (ours,) = [provider for provider in listed if provider["package_name"] == "airflow-provider-tasks"]
    assert ours["version"] == __version__


def test_a_fresh_airflow_has_the_decorator_and_the_public_names(installed, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    code = """
import airflow_provider_tasks
from airflow.sdk import task
from airflow_provider_tasks import *
print(task.worker.__module__, airflow_provider_tasks.__file__)
"""
    module, file = installed.run("-c", code).split()
    assert module == "airflow_provider_tasks.decorators.worker"
    assert file != airflow_provider_tasks.__file__
    assert file.startswith(str(installed.python.parents[1]))


def test_the_command_line_is_installed(installed) -> None:
    assert "run" in installed.run(installed.python.with_name("airflow-tasks"), "--help")
