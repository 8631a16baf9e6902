"""What a new user does, in this order, with a cluster and without: files in workers, a failure, a notebook."""

from __future__ import annotations

import json
import textwrap
import urllib.request
from pathlib import Path

from airflow_provider_tasks import WorkerConfig, run_task
from tests.runtime.notebooks import write

FILES = {
    "task_1.py": "print('Hello from task 1')",
    "task_2.sh": "echo Hello from task 2, $1",
    "task_3.py": """
        import greeting
        open("my_log.txt", "w").write(greeting.WORD)
        print("wrote my_log.txt")
        raise SystemError("Simulated error")
    """,
    "task_with_notebook.py": """
        from airflow_provider_tasks import execute_notebook
        execute_notebook("task_with_notebook", raise_on_failure=True)
    """,
    "task_with_notebook.sh": "airflow-tasks notebook run report -p day=5 > out.json && cat out.json",
}

INSTALLS = """
folder=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "WORD = 'installed'" > "$folder/greeting.py"
"""


def test_the_first_hour(notebook_config, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(textwrap.dedent(text).lstrip())
    write(Path("task_with_notebook.ipynb"), ("parameters", "day = 1"), "raise SystemError('Simulated error')")
    glued = "from airflow_provider_tasks import glue\nglue('result', day + 1)"
    write(Path("report.ipynb"), ("parameters", "day = 1"), glued)
    config = WorkerConfig.of(notebook_config)

    worker, success = run_task("task_1.py", worker_config=config)
    assert (success, worker.status) == (True, "terminated")
    assert capfd.readouterr().out == "Hello from task 1\n"

    assert run_task("task_2.sh", worker_config=config, args=["you"])[1]
    assert capfd.readouterr().out == "Hello from task 2, you\n"

    assert run_task("task_1.py", worker_config=config, capture_task_output=False)[1]
    assert capfd.readouterr().out == ""

    small = WorkerConfig(worker_size="X-Small", startup_script=INSTALLS).over(config)
    worker, success = run_task("task_3.py", worker_config=small, terminate_on_completion=False)
    with worker:
        assert (success, worker.status, worker.outcome.category) == (False, "idle", "task")
        shown = capfd.readouterr()
        assert "wrote my_log.txt" in shown.out
        assert "SystemError: Simulated error" in shown.out + shown.err
        url = worker.open_notebook(get_url_only=True)
        base, _, token = url.partition("/?token=")
        with urllib.request.urlopen(f"{base}/api/contents/my_log.txt?token={token}", timeout=60) as answer:
            assert json.load(answer)["content"] == "installed"
        assert worker.exec("cat my_log.txt").output == "installed"
    worker.terminate()

    worker, success = run_task("task_with_notebook.py", worker_config=config, terminate_on_completion=False)
    with worker:
        assert not success
        assert "SystemError: Simulated error" in "".join(capfd.readouterr())
        (executed,) = worker.download_files("task_with_notebook_output.ipynb", to="fetched")
        assert "Simulated error" in executed.read_text()

    worker, success = run_task("task_with_notebook.ipynb", worker_config=config)
    assert not success
    assert "Simulated error" in Path("task_with_notebook_output.ipynb").read_text()

    assert run_task("task_with_notebook.sh", worker_config=config)[1]
    assert json.loads(capfd.readouterr().out.splitlines()[-1]) == {"result": 6}

    worker, success = run_task("report.ipynb", worker_config=config, parameters={"day": 41})
    assert (success, worker.outcome.result) == (True, 42)
