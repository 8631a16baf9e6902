"""The command `airflow-tasks`, by its exit codes and what it prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from airflow_provider_tasks import Deployment, Pipeline, Task, Worker
from airflow_provider_tasks.cli.command import main
from airflow_provider_tasks.workers.by_hand import worker_for_one_task
from airflow_provider_tasks.workers.opening import direct_settings
from airflow_provider_tasks.workers.pipelines import pack_deployment
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
    assert capsys.readouterr().err.count("task.sh ended with exit code 7") == 1
    assert main(["run", "none.sh"]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert main(["run", "task.sh", "--worker-size", "Tyni"]) == 2
    assert "Tyni" in capsys.readouterr().err
    assert main(["run", "task.sh", "--conn-id", "none"]) == 2
    for wrong in (
        ["run", "task.sh", "-p", "no value"],
        ["run", "task.sh", "--keeep"],
        ["nodes", "show", "a.yaml", "b"],
    ):
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


def test_a_notebook_on_a_kept_worker(capsys):
    with Worker() as worker:
        worker.start()
        capsys.readouterr()
        assert main(["workers", "notebook", worker.name, "--url-only"]) == 0
        assert capsys.readouterr().out == worker.open_notebook(get_url_only=True) + "\n"


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
    assert main(["nodes", "show", "nodes.yaml", "--json"]) == 0
    assert "edge-1" in capsys.readouterr().out
    Path("nodes.yaml").write_text("nodes: [{nmae: edge-1}]")
    assert main(["nodes", "show", "nodes.yaml"]) == 2
    assert "did you mean 'name'" in capsys.readouterr().err
    assert main(["nodes", "show", "none.yaml"]) == 2
    assert "no such file of nodes" in capsys.readouterr().err


COMMANDS = [
    "",
    "run",
    "explain",
    "replay",
    "doctor",
    "cleanup",
    "notebook run",
    "nodes",
    "nodes show",
    "nodes snapshot",
]
COMMANDS += ["workers", *(f"workers {action}" for action in ("list", "logs", "exec", "notebook", "terminate"))]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "exit code" in told.lower()
    assert not command or f"\n  airflow-tasks {command}" in told
    for line in told.splitlines():
        assert len(line) < 100 or " " not in line.strip()


def test_a_kept_worker_replays_its_request(settings, capsys):
    Path("task.sh").write_text('echo "$day $0"; test -e hidden || { echo x > hidden; exit 7; }')
    assert main(["run", "--keep", *settings, "task.sh", "-p", "day=monday"]) == 1
    name = capsys.readouterr().err.strip().splitlines()[-1].rpartition(" ")[2]
    try:
        assert main(["workers", "exec", *settings, name, "--", "test", "-e", "hidden"]) == 0
        assert main(["replay", *settings, name]) == 1  # in a folder of its own
        told = capsys.readouterr()
        assert "monday" in told.out
        assert "task.sh ended with exit code 7" in told.err
        assert "monday" not in told.err
        assert main(["replay", "--json", *settings, name]) == 1
        assert json.loads(capsys.readouterr().out)["category"] == "task"
        assert main(["replay", "--keep", "--quiet", *settings, name]) == 1
        again = capsys.readouterr().err.strip().splitlines()[-1].rpartition(" ")[2]
        assert main(["workers", "exec", again, "--", "cat", "hidden"]) == 0
        assert capsys.readouterr().out == "x\n"
        assert main(["workers", "terminate", again]) == 0
    finally:
        assert main(["workers", "terminate", *settings, name]) == 0
    assert main(["replay", *settings, "nobody"]) == 2
    assert "there is no worker 'nobody'" in capsys.readouterr().err


def test_a_replay_says_which_python_it_takes(capsys):
    with Worker() as worker:
        worker.start()
        request = Path(worker.place, "request-1")
        was = json.loads(request.read_text())
        code = {"version": was["version"], "python": "3.9", "payload": "gAROLg=="}
        request.write_text(json.dumps({**code, "environment": was["environment"]}))
        assert main(["replay", worker.name]) == 2
        told = capsys.readouterr().err
        assert "code of Python 3.9" in told
        assert f"{sys.version_info[0]}.{sys.version_info[1]}" in told
        assert main(["replay", worker.name, "--python", "/none/python"]) == 2
        assert "there is no such program" in capsys.readouterr().err
        request.write_text(json.dumps({"version": 0}))
        assert main(["replay", worker.name]) == 2
        assert "has version 0" in capsys.readouterr().err
        request.unlink()
        assert main(["replay", worker.name]) == 2
        assert "has no request" in capsys.readouterr().err


def test_a_replay_of_a_pipeline_and_of_a_notebook_says_what_failed(folder, capsys, monkeypatch):
    class Break(Task):
        def run(self):
            raise ValueError("broken")

    deployment = Deployment(None, Pipeline([Break()]))
    kept = worker_for_one_task(direct_settings(None, {"terminate_on_completion": False}), "pipeline")
    with kept:
        kept._session.run(pack_deployment(deployment), show=False)
        assert main(["replay", kept.name]) == 1
        assert "1 of 1 tasks failed: Break: broken" in capsys.readouterr().err
    write(folder / "broken.ipynb", ("parameters", "days = 1"), "1 / 0")
    assert main(["run", "broken.ipynb", "--keep"]) == 1
    name = capsys.readouterr().err.strip().splitlines()[-1].rpartition(" ")[2]
    assert main(["replay", name]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert main(["workers", "terminate", name]) == 0


def test_the_doctor_runs_a_task_in_a_worker(settings, capsys):
    assert main(["doctor", *settings]) == 0
    assert "a task has run in" in capsys.readouterr().out
    assert main(["doctor", "--json", *settings]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert {check["status"] for check in told["checks"]} == {"ok"}


def test_the_doctor_says_what_is_wrong_and_what_to_do(folder, capsys, monkeypatch):
    def failed(*options):
        assert main(["doctor", "--json", *options]) == 2
        checks = json.loads(capsys.readouterr().out)["checks"]
        assert all(check["status"] == "not done" for check in checks if check["status"] not in ("ok", "failed"))
        return {check["check"]: f"{check['message']} {check['fix']}" for check in checks if check["status"] == "failed"}

    assert "expected one of X-Small" in failed("--worker-size", "Tyni")["settings"]
    assert "airflow connections add none" in failed("--backend", "kubernetes", "--conn-id", "none")["connection"]
    monkeypatch.setenv("AIRFLOW_CONN_HTTP", "http://somewhere")
    assert "expected 'kubernetes'" in failed("--backend", "kubernetes", "--conn-id", "http")["connection"]
    Path("worker.yaml").write_text("startup_script: exit 5")
    assert "exit" in failed("--config", "worker.yaml")["worker"]
    Path("file").touch()
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__CACHE_FOLDER", str(folder / "file" / "cache"))
    assert "Set cache_folder in [worker_tasks]" in failed()["cache folder"]
