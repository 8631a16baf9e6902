"""Pip commands install into a layer of the worker's own, which on this machine is built once and kept.

What they come to in a pod is in `test_requirements`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from airflow_provider_tasks.workers.diagnosis import diagnose
from airflow_provider_tasks.workers.local import LocalWorker
from airflow_provider_tasks.workers.payload import pack

from .conftest import made_once, run_in, send


def write_wheel(folder: Path, name: str, version: str, source: str) -> None:
    """Write a wheel with the module `name`: a zip with three lines of metadata."""
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{about}/RECORD": record}.items():
            wheel.writestr(path, text)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    write_wheel(folder, "tinydep", "1.0", "VALUE = 1\n")
    write_wheel(folder, "tinydep", "2.0", "VALUE = 2\n")
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "environments"


@pytest.fixture
def environment(wheels, cache, monkeypatch):
    """An environment that asks for a package which is nowhere but in the folder of wheels."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return {"requirements": ["pip install tinydep"], "cache": str(cache)}


def uses_it():
    import tinydep

    return tinydep.VALUE, tinydep.__file__


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """A Python of this version with pip and one package more."""

    def make(folder):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        packages(folder).joinpath("already_there.py").write_text("")

    return str(made_once(tmp_path_factory, "python", make) / "bin" / "python")


@pytest.fixture
def backend():
    return "local"


@pytest.fixture
def options(python):
    return {"python": python}


def packages(folder):
    return next((Path(folder) / "lib").iterdir()) / "site-packages"


def files_of(python):
    return sorted(path for path in packages(Path(python).parents[1]).rglob("*") if "__pycache__" not in path.parts)


def test_a_requirement_is_there_in_the_task_and_nowhere_else_and_installed_once(run, environment, cache, python):
    def uses_both():
        import already_there
        import cloudpickle
        import tinydep

        return tinydep.VALUE, tinydep.__file__, already_there.__name__, cloudpickle.__name__

    before = files_of(python)
    ran = run(uses_both, environment=environment)
    assert (ran.outcome.result[0], *ran.outcome.result[2:]) == (2, "already_there", "cloudpickle")
    assert ran.outcome.result[1].startswith(str(cache))
    assert "Successfully installed tinydep-2.0" in ran.lines
    assert files_of(python) == before
    again = run(uses_both, environment=environment)
    assert (again.lines, again.outcome.result) == ([], ran.outcome.result)
    outcome = run(uses_it).outcome
    assert (outcome.category, outcome.detail["module"]) == ("environment", "tinydep")


def test_another_place_of_packages_is_another_environment(run, environment, wheels, tmp_path):
    older = tmp_path / "older"
    older.mkdir()
    for wheel in wheels.glob("tinydep-1.0*"):
        shutil.copy(wheel, older)
    assert run(uses_it, environment=environment).outcome.result[0] == 2
    environment["variables"] = {"PIP_FIND_LINKS": str(older)}
    assert run(uses_it, environment=environment).outcome.result[0] == 1


def test_no_pip_installs_outside_of_the_layer(run, environment, python, cache):
    before = files_of(python)
    command = f"pip{sys.version_info[0]}.{sys.version_info[1]} install tinydep"
    ran = run(uses_it, environment={**environment, "requirements": [command]})
    assert ran.outcome.result[0] == 2
    assert files_of(python) == before


def test_other_commands_get_a_layer_that_is_theirs_alone(run, environment, cache):
    environment["requirements"] = [
        "pip install tinydep==1.0",
        "python -c 'import tinydep; print(tinydep.VALUE)'",
        "true",
    ]
    ran = run(uses_it, environment=environment)
    assert ran.outcome.result[0] == 1
    assert ran.lines[-1] == "1"
    environment["requirements"].append("pip install --no-index --find-links=$PIP_FIND_LINKS tinydep==2.0")
    ran = run(uses_it, environment=environment)
    assert ran.outcome.result[0] == 2
    assert not ran.outcome.result[1].startswith(str(cache))
    assert (
        run(uses_it, environment={**environment, "requirements": ["pip install tinydep==1.0"]}).outcome.result[0] == 1
    )


def test_a_package_that_is_not_to_be_had_leaves_nothing_that_looks_complete(run, environment, cache):
    environment["requirements"] = ["pip install tinydep", "pip install no-such-package-anywhere"]
    outcome = run(uses_it, environment=environment).outcome
    assert outcome.category == "environment"
    summary = diagnose(outcome).summary
    assert summary.startswith("the requirement failed with exit code 1: pip install no-such-package-anywhere\n")
    assert "No matching distribution found for no-such-package-anywhere" in outcome.detail["output"]
    assert list(cache.glob("*/.complete")) == []
    environment["requirements"].pop()
    assert run(uses_it, environment=environment).outcome.result[0] == 2


def test_a_worker_whose_python_has_no_pip_gets_it(open_worker, environment):
    assert run_in(open_worker(bare=True), uses_it, environment=environment).outcome.result[0] == 2


BUILDER = """
    import sys
    from pathlib import Path
    from airflow_provider_tasks.workers.local import LocalWorker
    from tests.workers.test_layers import pack, send, uses_it
    environment = {"requirements": sys.argv[3:], "cache": sys.argv[1] + "/environments"}
    with LocalWorker(cache_folder=Path(sys.argv[1]), python=sys.argv[2]) as worker:
        lines = []
        request = {**pack(uses_it, (), {}), "environment": environment}
        import os
        from airflow_provider_tasks.workers.local import setup_environment
        request["environment"]["setup_variables"] = setup_environment(os.environ)
        outcome = worker.run(request, lambda line: print(line, flush=True))
        print("result", outcome.result and outcome.result[0], outcome.message, flush=True)
"""


def start_builder(folder, python, *requirements):
    import textwrap

    argv = [sys.executable, "-c", textwrap.dedent(BUILDER), str(folder), python, *requirements]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def test_parallel_builders_build_once(tmp_path, environment, python):
    builders = [start_builder(tmp_path, python, "pip install tinydep") for _ in range(8)]
    outputs = [builder.communicate()[0] for builder in builders]
    assert [output.splitlines()[-1].rstrip() for output in outputs] == ["result 2"] * 8
    assert sum("Successfully installed" in output for output in outputs) == 1


def test_a_builder_that_is_killed_in_the_middle_is_recovered_from(tmp_path, environment, python, wheels, monkeypatch):
    # The build reads its package from a pipe, and so it is in the middle for as long as nobody writes there.
    stuck = tmp_path / "stuck"
    stuck.mkdir()
    os.mkfifo(stuck / "tinydep-3.0-py3-none-any.whl")
    monkeypatch.setenv("PIP_FIND_LINKS", str(stuck))
    with start_builder(tmp_path, python, "pip install tinydep") as builder:
        for line in builder.stdout:
            if "Processing" in line or "Looking in links" in line:
                break
        builder.send_signal(signal.SIGKILL)
    folders = [path for path in (tmp_path / "environments").iterdir() if path.is_dir()]
    assert len(folders) == 1
    assert not (folders[0] / ".complete").exists()
    shutil.rmtree(stuck)
    shutil.copytree(wheels, stuck)
    with LocalWorker(cache_folder=tmp_path, python=python) as worker:
        environment = {"requirements": ["pip install tinydep"], "cache": str(tmp_path / "environments")}
        outcome = send(worker, pack(uses_it, (), {}), environment=environment).outcome
    assert outcome.result[0] == 2
    assert [path for path in (tmp_path / "environments").iterdir() if path.is_dir()] == folders
