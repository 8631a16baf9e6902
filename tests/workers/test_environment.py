"""What is in place before a task runs: variables, startup script, requirements, the Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_tasks.workers.diagnosis import diagnose

from .conftest import deferrable_too, in_pods, on_this_machine, run_in

SECRETS = {
    "AIRFLOW__CORE__FERNET_KEY": "x",
    "AIRFLOW_CONN_DB": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "MY_SECRET": "x",
    "DATABASE_URL": "x",
    "PYTHONPATH": "/nowhere",
    "PYTHONSTARTUP": "/nowhere",
}


@on_this_machine
def test_only_harmless_variables_come_through(open_worker, monkeypatch):
    for name, value in {**SECRETS, "PIP_INDEX_URL": "https://user:password@host/", "LC_ALL": "C.UTF-8"}.items():
        monkeypatch.setenv(name, value)
    environment = {"variables": {"GIVEN": "yes"}}
    seen = run_in(open_worker(), lambda: dict(os.environ), environment=environment).outcome.result
    assert set(seen) & {*SECRETS, "PIP_INDEX_URL"} == set()
    assert {name: seen.get(name) for name in ("GIVEN", "LC_ALL")} == {"GIVEN": "yes", "LC_ALL": "C.UTF-8"}
    allowed = {"PATH", "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "USER", "SHELL", "LOGNAME"}
    allowed |= {"LD_LIBRARY_PATH", "GIVEN", "AIRFLOW_WORKER_NAME", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    allowed |= {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
    assert {name for name in seen if not name.lower().endswith("_proxy")} <= allowed


@in_pods
def test_no_variable_of_airflow_gets_into_a_pod(run, monkeypatch):
    for name, value in {**SECRETS, "PIP_INDEX_URL": "https://user:password@host/", "LC_ALL": "C.UTF-8"}.items():
        monkeypatch.setenv(name, value)
    seen = run(lambda: dict(os.environ), environment={"variables": {"GIVEN": "yes"}}).outcome.result
    of_its_own = {"PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "HOSTNAME", "PWD", "LC_CTYPE", "GIVEN"}
    assert {name for name in seen if not name.startswith("KUBERNETES_")} <= of_its_own
    assert seen["GIVEN"] == "yes"


@on_this_machine
def test_settings_of_pip_reach_requirements_and_not_the_task(run, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", "given")
    monkeypatch.setenv("PIP_TARGET", "elsewhere")
    monkeypatch.setenv("MY_SECRET", "x")
    environment = {"requirements": ['echo "$PIP_FIND_LINKS, $PIP_TARGET, $MY_SECRET"']}
    ran = run(lambda: os.environ.get("PIP_FIND_LINKS"), environment=environment)
    assert (ran.lines, ran.outcome.result) == (["given, , "], None)


@on_this_machine
def test_settings_of_pip_that_the_task_has_are_stronger(run, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", "the machine's")
    environment = {"variables": {"PIP_FIND_LINKS": "the task's"}, "requirements": ["echo $PIP_FIND_LINKS"]}
    assert run(print, environment=environment).lines[0] == "the task's"


@deferrable_too
def test_a_variable_of_the_task_is_there_in_requirements(run):
    environment = {"variables": {"GIVEN": "yes"}, "requirements": ["echo $GIVEN"], "startup_script": "echo $GIVEN"}
    assert run(print, "run", environment=environment).lines == ["yes", "yes", "run"]


def test_startup_script_requirements_and_task_run_in_order_in_one_folder(run):
    environment = {"startup_script": "echo one > steps", "requirements": ["echo two >> steps", "echo three >> steps"]}
    assert run(lambda: Path("steps").read_text(), environment=environment).outcome.result == "one\ntwo\nthree\n"


def test_a_startup_script_may_name_its_interpreter(run):
    script = "#!/usr/bin/env python3\nimport sys\nprint('from', sys.implementation.name)\n"
    assert run(print, "run", environment={"startup_script": script}).lines == ["from cpython", "run"]


def test_a_startup_script_ends_at_its_first_failing_line(run):
    ran = run(print, environment={"startup_script": "echo before\nfalse\necho after\n"})
    assert ran.lines == ["before"]
    diagnosis = diagnose(ran.outcome)
    assert diagnosis.category == "environment"
    assert diagnosis.summary == "the startup script failed with exit code 1\n    before"
    assert diagnosis.advice == "Run the command by hand in the worker's environment to see why it fails."


def test_a_startup_script_whose_interpreter_is_not_there_says_so(run):
    outcome = run(print, environment={"startup_script": "#!/no/such/interpreter\n"}).outcome
    assert (outcome.category, outcome.detail["exit_code"]) == ("environment", "127")
    assert "No such file or directory" in diagnose(outcome).summary


@deferrable_too
def test_what_a_startup_script_leaves_running_goes_on_printing_and_ends_with_the_task(run, backend):
    script = "mkfifo go\n(read line < go; echo served $line; exec tail -f /dev/null) &\necho $! > pid\n"

    def asks():
        import time

        Path("go").write_text("request\n")
        pid = int(Path("pid").read_text())
        while not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"tail"):
            time.sleep(0.01)
        return pid

    ran = run(asks, environment={"startup_script": script})
    assert ran.lines == ["served request"]
    assert backend != "local" or not os.path.exists(f"/proc/{ran.outcome.result}")


@deferrable_too
def test_a_requirement_that_fails_names_command_exit_code_and_output(run):
    command = "echo looking; echo not found >&2; exit 5"
    ran = run(print, "run", environment={"requirements": ["echo fine", command, "echo never"]})
    assert ran.lines == ["fine", "looking", "not found"]
    outcome = ran.outcome
    assert outcome.category == "environment"
    assert {key: outcome.detail[key] for key in ("command", "exit_code", "output")} == {
        "command": command, "exit_code": "5", "output": "looking\nnot found\n"
    }  # fmt: skip
    assert diagnose(outcome).summary == (
        f"the requirement failed with exit code 5: {command}\n    looking\n    not found"
    )


def test_a_requirement_that_is_killed_is_told_as_a_shell_tells_it(run):
    assert run(print, environment={"requirements": ["kill -9 $$"]}).outcome.detail["exit_code"] == "137"


@deferrable_too
def test_much_output_of_a_requirement_is_in_the_log_and_its_end_in_the_outcome(run):
    ran = run(print, environment={"requirements": ["seq 30000; exit 1"]})
    assert ran.lines == list(map(str, range(1, 30001)))
    assert ran.outcome.detail["output"].endswith("29999\n30000\n")
    assert len(ran.outcome.detail["output"]) == 16_384


def test_a_requirement_that_never_ends_is_ended_at_the_time_limit(run):
    environment = {"requirements": ["echo started; exec tail -f /dev/null"]}
    ran = run(print, environment=environment, limits={"time": 2})
    assert (ran.outcome.category, ran.lines) == ("timeout", ["started"])


def test_a_requirement_that_needs_root_says_so(run, backend):
    ran = run(print, environment={"requirements": ["echo E: are you root? >&2; exit 100"]})
    wants_root = "The command needs root, which the worker does not run as" in diagnose(ran.outcome).advice
    assert wants_root == (backend != "local" or os.getuid() != 0)


@in_pods
def test_root_runs_what_needs_root(open_worker):
    def gives_away():
        os.chown("given_away", 1234, 1234)
        return os.getuid(), os.stat("given_away").st_uid, os.environ["USER"]

    environment = {
        "startup_script": "touch given_away",
        "requirements": ["test $(id -u) = 0", "echo > /usr/share/made"],
    }
    ran = run_in(open_worker(run_as_root=True), gives_away, environment=environment)
    assert (ran.outcome.result, ran.outcome.message) == ((0, 1234, "root"), "")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Let the workers of this machine have a home of their own, as a pod has."""
    monkeypatch.setenv("HOME", str(tmp_path))


def make_a_virtual_environment(name):
    """Make `~/.venv/NAME` with a module of its own, and say where it is."""
    folder = Path.home() / ".venv" / name
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (next((folder / "lib").iterdir()) / "site-packages" / "only_there.py").write_text("VALUE = 7\n")
    return str(folder)


def test_a_virtual_environment_of_the_worker_runs_the_task(home, many_worker):
    folder = run_in(many_worker, make_a_virtual_environment, "science").outcome.result

    def looks():
        import only_there

        return only_there.VALUE, sys.prefix, os.environ["VIRTUAL_ENV"]

    environment = {"python_venv_name": "science"}
    outcome = run_in(many_worker, looks, environment=environment).outcome
    assert outcome.result == (7, folder, folder)


def test_a_virtual_environment_that_is_not_there_names_those_that_are(home, many_worker):
    environment = {"python_venv_name": "science"}
    outcome = run_in(many_worker, print, environment=environment).outcome
    home = run_in(many_worker, lambda: str(Path.home())).outcome.result
    message = f"the worker has no virtual environment 'science': {home}/.venv/science/bin/python is not there; "
    assert (outcome.category, outcome.message) == ("environment", f"{message}{home}/.venv holds none")
    run_in(many_worker, lambda: (Path.home() / ".venv" / "art").mkdir(parents=True))
    assert run_in(many_worker, print, environment=environment).outcome.message == f"{message}found art"


def test_a_startup_script_that_leaves_something_printing_is_not_waited_for(run):
    ran = run(print, "run", environment={"startup_script": "while sleep 0.001; do echo y; done &\ntrue\n"})
    assert ran.outcome.status == "success"
    assert "run" in ran.lines
