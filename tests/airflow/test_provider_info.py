"""The provider's metadata is what Airflow asks for, and can do no harm to the rest of an installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from airflow_provider_tasks.provider import get_provider_info
from airflow_provider_tasks.workers.settings import SECTION, Installation


@pytest.fixture
def run_python(tmp_path: Path):
    """Run code in a Python of its own, with an Airflow home of its own, and give what it printed as JSON."""

    def run(code: str, **environment: str) -> object:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**kept, "AIRFLOW_HOME": str(tmp_path / "airflow"), **environment},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_the_metadata_passes_airflows_own_schema() -> None:
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_entry_point_names_the_function_and_the_installed_package() -> None:
    [entry_point] = [
        found
        for found in entry_points(group="apache_airflow_provider")
        if found.value.startswith("airflow_provider_tasks")
    ]
    assert entry_point.load() is get_provider_info
    assert entry_point.dist is not None
    assert entry_point.dist.name == get_provider_info()["package-name"]
    assert version("airflow-provider-tasks")


def test_every_call_gives_a_new_dictionary_because_airflow_writes_into_it() -> None:
    get_provider_info()["documentation-url"] = "somewhere"
    assert "documentation-url" not in get_provider_info()


def test_reading_the_metadata_imports_nothing_heavy(run_python) -> None:
    loaded = run_python(
        """
        import json, sys
        before = set(sys.modules)
        from airflow_provider_tasks.provider import get_provider_info
        get_provider_info()
        print(json.dumps(sorted(set(sys.modules) - before)))
        """
    )
    ours = {name for name in loaded if name.startswith("airflow_provider_tasks")}
    assert ours == {"airflow_provider_tasks", "airflow_provider_tasks.provider"}
    foreign = {name.partition(".")[0] for name in loaded} - {"airflow_provider_tasks"}
    assert foreign <= sys.stdlib_module_names


def test_airflow_finds_the_provider_its_decorator_and_its_settings(run_python) -> None:
    found = run_python(
        """
        import json
        from airflow.providers_manager import ProvidersManager
        from airflow.configuration import conf
        manager = ProvidersManager()
        print(json.dumps({
            "known": "airflow-provider-tasks" in manager.providers,
            "decorator": "worker" in manager.taskflow_decorators,
            "options": {name: conf.get("worker_tasks", name) for name in dict(manager.provider_configs)
                        ["airflow-provider-tasks"]["worker_tasks"]["options"]},
        }))
        """
    )
    assert found["known"]
    assert found["decorator"]
    assert found["options"] == {
        "backend": "local",
        "kubernetes_conn_id": "",
        "namespace": "",
        "worker_image": "",
        "worker_size": "",
        "sizes": "",
        "installation": "airflow",
        "cache_folder": "",
        "node_file": "",
    }


def test_airflows_command_line_has_the_commands_and_loads_nothing_for_them(run_python, tmp_path: Path) -> None:
    (tmp_path / "nodes.yaml").write_text("nodes: [{name: edge-1}]")
    loaded, code, output, wrong = run_python(
        """
        import json, subprocess, sys
        before = set(sys.modules)
        import airflow_provider_tasks.cli.in_airflow
        loaded = sorted(set(sys.modules) - before)
        airflow = [sys.executable, "-m", "airflow", "worker-tasks"]
        done = subprocess.run([*airflow, "nodes", "show", "nodes.yaml", "--json"], capture_output=True, text=True)
        wrong = subprocess.run([*airflow, "nodes", "show", "none.yaml"], capture_output=True, text=True)
        print(json.dumps([loaded, done.returncode, done.stdout, wrong.returncode]))
        """
    )
    foreign = {name.partition(".")[0] for name in loaded} - {"airflow_provider_tasks"}
    assert foreign <= sys.stdlib_module_names
    assert (code, wrong) == (0, 2)
    assert json.loads(output.splitlines()[-1])["nodes"][0]["name"] == "edge-1"


def test_the_section_is_the_one_that_workers_read() -> None:
    assert set(get_provider_info()["config"]) == {SECTION}


def test_the_defaults_and_the_examples_can_be_read_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    Installation.read()
    for name, option in get_provider_info()["config"][SECTION]["options"].items():
        example = "Small" if name == "worker_size" else option["example"]
        monkeypatch.setenv(f"AIRFLOW__{SECTION.upper()}__{name.upper()}", example)
    installation = Installation.read()
    assert installation.config.backend == "kubernetes"
    assert list(installation.sizes) == ["Small", "GPU"]
    assert installation.cache_folder == Path("/var/cache/airflow-provider-tasks")


def test_airflow_lists_the_settings_with_their_examples_and_no_error(run_python, tmp_path: Path) -> None:
    listing = run_python(
        """
        import json, subprocess, sys
        command = [sys.executable, "-m", "airflow", "config", "list", "--section", "worker_tasks",
                   "--include-descriptions", "--include-examples", "--include-env-vars"]
        done = subprocess.run(command, capture_output=True, text=True)
        print(json.dumps([done.returncode, done.stdout, done.stderr]))
        """
    )
    code, output, errors = listing
    assert code == 0, errors
    assert "# Example: sizes = {" in output
    assert "# Variable: AIRFLOW__WORKER_TASKS__BACKEND" in output


BROKEN = """
import json, sys
sys.modules["airflow_provider_tasks.decorators.worker"] = None   # importing it is an ImportError from now on
from airflow.sdk import dag, task

@dag(schedule=None)
def all_the_others():
    @task
    def plain() -> int:
        return 1

    @task.bash
    def shell() -> str:
        return "echo 1"

    @task.virtualenv(requirements=[])
    def elsewhere():
        return 1

    @task.short_circuit
    def stop() -> bool:
        return True

    plain() >> shell() >> elsewhere() >> stop()

made = all_the_others()
try:
    task.worker
except ImportError as error:
    ours = str(error)
print(json.dumps({"tasks": sorted(made.task_ids), "ours": ours}))
"""


def test_the_other_decorators_work_when_ours_cannot_be_imported(run_python) -> None:
    found = run_python(BROKEN)
    assert found["tasks"] == ["elsewhere", "plain", "shell", "stop"]
    assert "airflow_provider_tasks.decorators.worker" in found["ours"]


def test_a_dag_file_that_uses_other_decorators_only_never_loads_ours(run_python) -> None:
    assert run_python(
        """
        import json, sys
        from airflow.sdk import task
        task.bash
        print(json.dumps("airflow_provider_tasks.decorators.worker" not in sys.modules))
        """
    )


def test_airflow_finds_the_pages_and_loads_none_of_them_before_one_is_opened(run_python) -> None:
    found = run_python(
        """
        import json, sys
        from airflow import plugins_manager
        apps, _ = plugins_manager.get_fastapi_plugins()
        views, _ = plugins_manager._get_ui_plugins()
        print(json.dumps({
            "apps": [app["url_prefix"] for app in apps],
            "views": [[view["href"], view["destination"], view["url_route"]] for view in views],
            "loaded": sorted(name for name in sys.modules if name.startswith("airflow_provider_tasks.plugin")),
        }))
        """,
        AIRFLOW__API__BASE_URL="https://example.org/airflow/",
    )
    assert found["apps"] == ["/worker-tasks"]
    assert found["views"] == [["/airflow/worker-tasks/", "nav", "worker-tasks"]]
    assert found["loaded"] == ["airflow_provider_tasks.plugin", "airflow_provider_tasks.plugin.registration"]


def test_a_fault_in_the_pages_does_not_keep_airflow_from_starting(run_python) -> None:
    found = run_python(
        """
        import json, sys, warnings
        sys.modules["airflow_provider_tasks.plugin.app"] = None   # importing it is an ImportError from now on
        from airflow.api_fastapi.app import create_app
        from fastapi.testclient import TestClient
        client = TestClient(create_app(apps="core"), raise_server_exceptions=False)
        print(json.dumps([client.get(path).status_code for path in ("/api/v2/version", "/worker-tasks/")]))
        """
    )
    assert found == [200, 500]
