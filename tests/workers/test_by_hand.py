"""What a person does before there is a DAG: run a file, look at its worker, go on with it, end it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from airflow_provider_tasks import Worker, run_task
from airflow_provider_tasks.workers.failures import (
    ConfigurationError,
    EnvironmentFailedError,
    PayloadError,
    TaskRaisedError,
)
from tests.runtime.notebooks import write

from .conftest import KUBERNETES, LOCAL


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write files into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write_texts(**texts):
        for name, text in texts.items():
            stem, _, suffix = name.rpartition("_")
            Path(f"{stem}.{suffix}").write_text(textwrap.dedent(text))
        return tmp_path

    return write_texts


def keep(config):
    return {**config.to_dict(), "terminate_on_completion": False}


def test_a_script_runs_and_its_worker_is_gone(config, files, capsys):
    files(
        task_1_py="""
        import os
        from helper import word
        print(word, os.environ["day"])
        open(os.environ["AIRFLOW_TASK_RESULT"], "w").write("3")
        """,
        helper_py="word = 'hello'",
    )
    worker, success = run_task("task_1.py", worker_config=config, parameters={"day": "2026-01-31"})
    assert success
    assert capsys.readouterr().out.splitlines()[0] == "hello 2026-01-31"
    assert (worker.status, worker.outcome.result, worker.logs()) == ("terminated", 3, "hello 2026-01-31")
    worker.terminate()
    with pytest.raises(ConfigurationError, match="is terminated"):
        worker.exec("true")


def test_a_shell_script_with_arguments_and_a_startup_script(config, files, capsys):
    files(task_2_sh='echo "$1 and $2 $(cat made)"')
    settings = {**config.to_dict(), "startup_script": "echo made before > made"}
    _, success = run_task("task_2.sh", worker_config=settings, args=["one", 2])
    assert success
    assert "one and 2 made before" in capsys.readouterr().out


def test_a_task_that_raises_is_shown_and_its_worker_can_be_looked_at(config, files, capsys, tmp_path):
    files(
        task_3_py="""
        open("my_log.txt", "w").write("so far")
        raise SystemError("Simulated error")
        """,
        again_sh="cat my_log.txt; echo more >> my_log.txt",
    )
    worker, success = run_task("task_3.py", worker_config=config, terminate_on_completion=False)
    try:
        assert not success
        told = capsys.readouterr()
        assert "SystemError: Simulated error" in told.out
        assert "task_3.py ended with exit code 1" in told.err
        assert worker.status == "idle"
        assert worker.exec("cat my_log.txt; exit 3") == (3, "so far")
        assert worker.run_task("again.sh")
        assert capsys.readouterr().out.splitlines()[0] == "so far"
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / "data.bin").write_bytes(bytes(range(256)))
        worker.upload_files("more", to="data")
        assert worker.exec("cksum < data/data.bin").output == _cksum(tmp_path / "more" / "data.bin")
        assert worker.download_files("data", to="back") == [Path("back/data.bin")]
        assert Path("back/data.bin").read_bytes() == bytes(range(256))
        assert [path.name for path in worker.download_files("my_log.txt", to="back")] == ["my_log.txt"]
        assert Path("back/my_log.txt").read_text() == "so farmore\n"
        with pytest.raises(ConfigurationError, match="can't send 'nothing'"):
            worker.download_files("nothing")
        for path in ("../../etc", "/etc/passwd"):
            with pytest.raises(ConfigurationError, match="leads out of the task's folder"):
                worker.download_files(path)
    finally:
        worker.terminate()
        worker.terminate()
    assert worker.status == "terminated"


def _cksum(path):
    with path.open("rb") as file:
        return subprocess.run(["cksum"], stdin=file, capture_output=True, text=True, check=True).stdout


def test_another_process_goes_on_with_a_kept_worker(config, files, capfd):
    folder = files(
        first_sh="echo first; echo 1 > number",
        second_sh='echo "second finds $(cat number)"',
        other_py="""
        import json, sys
        from airflow_provider_tasks import Worker
        config = json.loads(sys.argv[1])
        worker = Worker.get(sys.argv[2], config)
        print("had printed:", worker.logs())
        assert worker.run_task("second.sh")
        assert "second finds 1" in worker.logs()
        worker.terminate()
        print("left:", [found.name for found in Worker.list(config) if found.name == sys.argv[2]])
        """,
    )
    worker, success = run_task("first.sh", worker_config=config, terminate_on_completion=False)
    assert success
    assert worker.name in [found.name for found in Worker.list(config)]
    argv = [sys.executable, str(folder / "other.py"), json.dumps(config.to_dict()), worker.name]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "had printed: first" in done.stdout
    assert "second finds 1" in done.stdout
    assert "left: []" in done.stdout
    with pytest.raises(ConfigurationError, match=f"there is no worker '{worker.name}'"):
        Worker.get(worker.name, config)


def test_a_worker_that_is_made_first(config, files):
    files(count_sh='ls | wc -l > "$AIRFLOW_TASK_RESULT"', one_txt="1", two_txt="2")
    with Worker(config, node={"name": "edge"}) as worker:
        assert (worker.status, worker.name, worker.node.name) == ("new", "", "edge")
        assert worker.exec("echo it runs").output == "it runs\n"
        assert worker.run_task("count.sh")
        assert worker.outcome.result == 3
    assert worker.status == "terminated"


def test_nothing_is_captured_where_nobody_asks(config, files, capsys):
    files(task_sh="echo quiet")
    worker, success = run_task("task.sh", worker_config=config, capture_task_output=False)
    assert (success, worker.logs()) == (True, "")
    assert "quiet" not in capsys.readouterr().out


@pytest.mark.parametrize("backend", [LOCAL, KUBERNETES])
def test_what_is_there_already(backend, files, request, monkeypatch):
    config = None
    if backend == "kubernetes":
        config = request.getfixturevalue("pods").settings().config
    settings = {**(config.to_dict() if config else {}), "startup_script": "echo 'echo it was there' > there.sh"}
    files()
    worker, success = run_task("x.sh", upload_files=False, file_path_on_worker="there.sh", worker_config=settings)
    assert (success, worker.logs()) == (True, "it was there")


def test_a_virtual_environment_of_the_worker(files, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    files(where_py="import sys; print(sys.prefix)")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv" / "mine"], check=True)
    worker, success = run_task("where.py", python_venv_name="mine", worker_config={"env_variables": {"A": "b"}})
    assert (success, worker.logs()) == (True, str(tmp_path / ".venv" / "mine"))
    with pytest.raises(EnvironmentFailedError, match="'other'"):
        run_task("where.py", python_venv_name="other", raise_on_failure=True)


def test_a_failure_may_be_raised(files):
    files(task_sh="exit 3")
    with pytest.raises(TaskRaisedError, match="exit code 3"):
        run_task("task.sh", raise_on_failure=True)


def test_settings_from_a_file(files):
    files(worker_yaml="env_variables: {LEVEL: '3'}", task_sh="echo level $LEVEL")
    worker, _ = run_task("task.sh", worker_config="worker.yaml")
    assert worker.logs() == "level 3"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"file_name": "none.py"}, ConfigurationError, "there is no file"),
        ({"file_name": "folder.sh"}, ConfigurationError, "is a folder, expected a file"),
        ({"file_name": "task.exe"}, ConfigurationError, r"is none of the files that it runs: \*.py, \*.sh, \*.ipynb"),
        ({"file_name": "task.sh", "args": "one"}, ConfigurationError, r"expected a list of arguments, as \['one'\]"),
        ({"file_name": "task.sh", "parameters": {"a b": 1}}, ConfigurationError, "'a b' is no name"),
        ({"file_name": "task.sh", "file_path_on_worker": "a.sh"}, ConfigurationError, "Set upload_files=False"),
        ({"file_name": "task.sh", "worker_config": {"worker_sise": 1}}, ConfigurationError, "worker_size"),
        ({"file_name": "many/task.sh", "max_files_to_upload": 1}, ConfigurationError, "at most 1 go to a worker"),
        ({"file_name": "link/task.sh"}, ConfigurationError, "link that leads outside"),
        ({"file_name": "large/task.sh"}, PayloadError, "the largest: data.bin"),
    ],
)
def test_bad_input(files, arguments, error, message):
    folder = files(task_sh="true")
    (folder / "folder.sh").mkdir()
    for name in ("many", "link", "large"):
        (folder / name).mkdir()
        (folder / name / "task.sh").write_text("true")
    (folder / "many" / "other.sh").write_text("true")
    os.symlink("/etc", folder / "link" / "etc")
    (folder / "large" / "data.bin").write_bytes(os.urandom(17 * 2**20))
    with pytest.raises(error, match=message):
        run_task(**arguments)


@pytest.mark.parametrize("name", ["a name with spaces 🚀.sh", "CRLF.sh", "no_shebang.sh"])
def test_odd_files(files, name):
    folder = files()
    text = "echo it ran\n"
    (folder / name).write_bytes((text if name != "CRLF.sh" else text.replace("\n", "\r\n")).encode())
    worker, success = run_task(name)
    assert success
    assert worker.logs().strip() == "it ran"


def test_a_shell_script_with_windows_line_ends_that_fails_says_so(files):
    folder = files()
    (folder / "CRLF.sh").write_bytes(b"set -e\r\necho it ran\r\nexit 0\r\n")
    with pytest.raises(TaskRaisedError, match="its lines end in CRLF"):
        run_task("CRLF.sh", raise_on_failure=True)


def test_scripts_that_are_not_in_utf_8(files, capsys):
    folder = files()
    (folder / "latin.py").write_bytes("print('é')\n".encode("latin-1"))
    (folder / "latin.sh").write_bytes("echo it ran, é\n".encode("latin-1"))
    assert not run_task("latin.py")[1]
    assert "Non-UTF-8 code starting with '\\xe9' in file" in capsys.readouterr().out
    worker, success = run_task("latin.sh")
    assert (success, worker.logs()) == (True, "it ran, \\xe9")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"cells": [', "is not a notebook: it is not JSON"),
        ('{"cells": [], "metadata": {"kernelspec": {"name": "cobol"}}, "nbformat": 4, "nbformat_minor": 5}', "'cobol'"),
    ],
)
def test_notebooks_that_can_not_run(files, content, message):
    files(report_ipynb=content)
    with pytest.raises(TaskRaisedError, match=message):
        run_task("report.ipynb", raise_on_failure=True)


def test_what_a_hostile_worker_sends_stays_in_its_folder(tmp_path):
    import io
    import tarfile

    from airflow_provider_tasks.workers.places import unpack_here

    for name, kind in (("../out", tarfile.REGTYPE), ("/abs", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        with pytest.raises(PayloadError, match="is no file of its own"):
            unpack_here(buffer.getvalue(), tmp_path / "in")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    with pytest.raises(PayloadError, match="can't be unpacked"):
        unpack_here(b"nothing", tmp_path / "in")


def test_a_local_worker_whose_time_is_over_goes(files):
    files(task_sh="true")
    worker, _ = run_task("task.sh", worker_config={"keep_seconds": 0.1}, terminate_on_completion=False)
    time.sleep(0.2)
    assert worker.name not in [found.name for found in Worker.list()]
    assert not Path(worker._session.place.folder).exists()


def test_a_notebook_and_its_executed_copy_beside_it(files, capsys):
    folder = files()
    glue = "from airflow_provider_tasks import glue\nglue('result', day + 1)"
    write(folder / "report.ipynb", ("parameters", "day = 1"), glue)
    worker, success = run_task("report.ipynb", parameters={"day": 41})
    assert (success, worker.outcome.result) == (True, 42)
    assert "day = 41" in (folder / "report_output.ipynb").read_text()
    write(folder / "broken.ipynb", ("parameters", "day = 1"), "raise SystemError('Simulated error')")
    worker, success = run_task("broken.ipynb")
    assert not success
    assert "Simulated error" in capsys.readouterr().err
    assert "Simulated error" in (folder / "broken_output.ipynb").read_text()


def test_a_script_that_runs_a_notebook_which_fails(files, capsys):
    folder = files(
        task_with_notebook_py="""
        from airflow_provider_tasks import execute_notebook
        execute_notebook("task_with_notebook", raise_on_failure=True)
        """
    )
    write(folder / "task_with_notebook.ipynb", ("parameters", "day = 1"), "raise SystemError('Simulated error')")
    worker, success = run_task("task_with_notebook.py", terminate_on_completion=False)
    try:
        assert not success
        assert "SystemError: Simulated error" in capsys.readouterr().out
        assert worker.exec("ls task_with_notebook_output.ipynb").exit_code == 0
    finally:
        worker.terminate()


def in_background(*call):
    import threading

    thread = threading.Thread(target=lambda: call[0](*call[1:]))
    thread.start()
    return thread


def test_one_task_at_a_time(config, files, tmp_path):
    files(wait_sh="while [ ! -e go ]; do sleep 0.1; done", other_sh="echo other", go_txt="")
    worker, _ = run_task("other.sh", worker_config=config, terminate_on_completion=False)
    try:
        worker.exec("rm -f go.txt go")
        running = in_background(worker.run_task, "wait.sh")
        while worker.status != "running":
            time.sleep(0.05)
        with pytest.raises(ConfigurationError, match="runs a task"):
            Worker.get(worker.name, config).run_task("other.sh")
        if config.backend is None:
            assert Worker.get(worker.name).status == "running"
        Worker.get(worker.name, config).exec("touch go")
        running.join(60)
        assert not running.is_alive()
        assert worker.outcome.is_success
    finally:
        worker.terminate()


def test_a_worker_that_runs_outlives_its_time_and_its_parent(files):
    files(
        slow_sh="sleep 2; echo done",
        made_py="""
        import os, sys, time
        from airflow_provider_tasks import Worker
        with Worker({"keep_seconds": 0.5}) as worker:
            if os.fork() == 0:
                time.sleep(0.5)  # until the parent is gone
                ok = worker.run_task("slow.sh")
                open("told", "w").write(f"{ok} {worker.logs()}")
                worker.terminate()
            os._exit(0)
        """,
    )
    subprocess.run([sys.executable, "made.py"], check=True)
    end = time.monotonic() + 30
    while not Path("told").exists() and time.monotonic() < end:
        Worker.list()
        time.sleep(0.2)
    assert Path("told").read_text() == "True done"


def test_ending_a_local_worker_from_elsewhere_ends_its_processes(files):
    files(task_sh="true")
    worker, _ = run_task("task.sh", terminate_on_completion=False)
    worker.exec("sleep 300 > /dev/null 2>&1 & echo $! > pid")
    pid = int(worker.exec("cat pid").output)
    Worker.get(worker.name).terminate()
    end = time.monotonic() + 10
    while time.monotonic() < end and Path(f"/proc/{pid}/cmdline").exists() and _runs(pid):
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""  # empty for one that has ended
    except OSError:
        return False


def test_of_a_long_output_of_a_command_the_beginning_and_the_end_are_kept(files):
    with Worker() as worker:
        code, output = worker.exec("echo begins; head -c 20000000 /dev/zero; echo ends; exit 3")
    assert code == 3
    assert (output[:7], output[-5:]) == ("begins\n", "ends\n")
    left_out = 20_000_000 + len("begins\nends\n") - 16 * 2**20
    assert f"\n… {left_out:,} bytes of output left out …\n" in output


def test_a_found_worker_keeps_its_limits(files):
    files(task_sh="true")
    worker, _ = run_task("task.sh", worker_config={"worker_size": "X-Small"}, terminate_on_completion=False)
    found = Worker.get(worker.name)
    assert found._session.settings.size == worker._session.settings.size
    assert found._session.settings.size.memory
    worker.terminate()


def test_no_secret_is_in_a_record_and_no_link_leads_out(files, tmp_path):
    files(task_sh="ln -s /etc out; ln -s /etc/passwd one")
    node = {"name": "edge", "properties": {"worker_config": {"env_variables": {"NODE_TOKEN": "s3cret"}}}}
    with Worker({"env_variables": {"TOKEN": "s3cret"}}, node=node) as worker:
        worker.run_task("task.sh")
        (record,) = Path(os.environ["AIRFLOW__WORKER_TASKS__CACHE_FOLDER"], "workers").glob(f"{worker.name}.json")
        assert "s3cret" not in record.read_text()
        assert record.stat().st_mode & 0o077 == 0
        for path in ("out", "one", "out/passwd"):
            with pytest.raises(ConfigurationError, match="leads out of the folder in which tasks run"):
                worker.download_files(path, to="in")
        with pytest.raises(ConfigurationError, match="leads out of the folder in which tasks run"):
            worker.upload_files("task.sh", to="out")


def test_what_can_not_be_printed_does_not_end_the_task(files):
    folder = files(task_py="print('caf\\u00e9'); open('ended', 'w').write('yes'); print('x' * 100_000)")
    code = """
from airflow_provider_tasks import run_task
worker, success = run_task("task.py")
assert success and worker.logs().startswith("caf\u00e9"), worker.outcome
"""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=folder)
    assert (done.returncode, "caf\\xe9" in done.stdout) == (0, True), done.stderr
    (folder / "run.py").write_text(code)
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} run.py | head -c 1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, cwd=folder,
    )  # fmt: skip
    assert "AssertionError" not in done.stderr, done.stderr


def test_nothing_is_left_where_a_worker_does_not_start(files, tmp_path, monkeypatch):
    files(task_sh="true")
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    with pytest.raises(ConfigurationError, match="can't be a worker's Python"):
        run_task("task.sh", worker_config={"python": str(broken)}, terminate_on_completion=False)
    assert not list((tmp_path / "tmp").glob("airflow-worker-*"))


def test_ending_may_be_tried_again(files, monkeypatch):
    files(task_sh="true")
    worker, _ = run_task("task.sh", terminate_on_completion=False)

    def refuse():
        raise OSError("not now")

    remove = worker._session.place.remove
    worker._session.place.remove = refuse
    with pytest.raises(OSError, match="not now"):
        worker.terminate()
    worker._session.place.remove = remove
    worker.terminate()
    assert not worker._session.place.folder.exists()
