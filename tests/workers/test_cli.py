"""The command `airflow-tasks`, by its exit codes and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_tasks.cli import main
from tests.runtime.notebooks import write


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def settings(config):
    """Options that name the worker, of each backend in turn."""
    if config.backend is None:
        return []
    Path("worker.json").write_text(json.dumps(config.to_dict()))
    Path(".workerignore").write_text("worker.json")
    return ["--config", "worker.json"]


def test_a_file_its_arguments_and_parameters(settings, capsys):
    Path("task.sh").write_text('echo "$1 $2 $days $day"')
    options = ["-p", "days=3", "-p", "day=2026-01-31"]
    assert main(["run", "task.sh", *options, *settings, "--", "one", "--two"]) == 0
    assert capsys.readouterr().out == "one --two 3 2026-01-31\n"
    assert main(["run", "task.sh", "one", *options, *settings, "two"]) == 0
    assert capsys.readouterr().out == "one two 3 2026-01-31\n"


def test_the_outcome_as_json(capsys):
    Path("task.py").write_text("from airflow_provider_tasks import set_result; print('x'); set_result({'a': 1})")
    assert main(["run", "--json", "task.py"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["result"]) == ("success", {"a": 1})


def test_exit_codes(capsys):
    Path("task.sh").write_text("exit 7")
    Path("worker.yaml").write_text("startup_script: exit 5")
    assert main(["run", "task.sh"]) == 1
    assert "task.sh ended with exit code 7" in capsys.readouterr().err
    assert main(["run", "none.sh"]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert main(["run", "task.sh", "--worker-size", "Tyni"]) == 2
    assert "Tyni" in capsys.readouterr().err
    assert main(["run", "task.sh", "--conn-id", "none"]) == 2
    for wrong in (["run", "task.sh", "-p", "no value"], ["run", "task.sh", "--keeep"], ["nodes", "a.yaml", "b"]):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2


def test_a_kept_worker_is_listed_looked_at_and_ended(settings, capsys):
    Path("task.sh").write_text("echo said; echo written > file")
    assert main(["run", "--keep", "--quiet", *settings, "task.sh"]) == 0
    name = capsys.readouterr().err.strip().splitlines()[-1].rpartition(" ")[2]
    assert main(["workers", "list", "--json", *settings]) == 0
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert told[name]["place"]
    assert main(["workers", "exec", *settings, name, "--", "cat", "file"]) == 0
    assert capsys.readouterr().out == "written\n"
    assert main(["workers", "exec", *settings, name, "exit 3"]) == 3
    assert main(["workers", "logs", *settings, name]) == 0
    assert main(["cleanup", *settings]) == 0
    assert main(["workers", "terminate", *settings, name]) == 0
    assert main(["workers", "logs", *settings, name]) == 2
    assert f"there is no worker '{name}'" in capsys.readouterr().err


def test_a_notebook_here(folder, capsys):
    glue = "from airflow_provider_tasks import glue\nglue('days', days + 1)"
    write(folder / "report.ipynb", ("parameters", "days = 1"), glue)
    assert main(["notebook", "run", "report", "-p", "days=3", "-o", "out/"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"days": 4}
    assert (folder / "out" / "report_output.ipynb").is_file()
    write(folder / "broken.ipynb", ("parameters", "days = 1"), "1 / 0")
    assert main(["notebook", "run", "broken"]) == 1
    assert main(["notebook", "run", "none"]) == 2


def test_a_shell_script_in_a_worker_runs_a_notebook(folder, capsys):
    glue = "from airflow_provider_tasks import glue\nglue('days', days + 1)"
    write(folder / "report.ipynb", ("parameters", "days = 1"), glue)
    Path("task.sh").write_text("airflow-tasks notebook run report -p days=3")
    assert main(["run", "task.sh"]) == 0
    assert '{"days": 4}' in capsys.readouterr().out


def test_a_node_file(capsys):
    Path("nodes.yaml").write_text("nodes: [{name: edge-1}]")
    assert main(["nodes", "nodes.yaml", "--json"]) == 0
    assert "edge-1" in capsys.readouterr().out
    Path("nodes.yaml").write_text("nodes: [{nmae: edge-1}]")
    assert main(["nodes", "nodes.yaml"]) == 2
    assert "did you mean 'name'" in capsys.readouterr().err
