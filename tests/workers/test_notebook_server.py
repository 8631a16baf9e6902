"""A notebook on a worker: a Jupyter server inside of it, reachable from this machine with its token, gone with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from airflow_provider_tasks import Worker, run_task
from airflow_provider_tasks.workers.failures import ConfigurationError, PayloadError
from airflow_provider_tasks.workers.places import read_server

TASK = "open('my_log.txt', 'w').write('so far')\nraise SystemError('Simulated error')\n"


@pytest.fixture
def task_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task_3.py").write_text(TASK)
    return "task_3.py"


def get(url, path, *, token=True):
    """The status and the body of what the server says to a request."""
    base, _, secret = url.partition("/?token=")
    headers = {"Authorization": f"token {secret}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(base + path, headers=headers), timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


def run_in_a_kernel(url, code):
    """What `code` prints in a new kernel, as a notebook's page has it run."""
    from jupyter_server.utils import url_path_join
    from tornado.httpclient import HTTPRequest
    from tornado.ioloop import IOLoop
    from tornado.websocket import websocket_connect

    base, _, secret = url.partition("/?token=")
    headers = {"Authorization": f"token {secret}", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"{base}/api/kernels", data=b'{"path": "a.ipynb"}', headers=headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        kernel = json.load(answer)["id"]
    message = {
        "header": {"msg_id": "1", "msg_type": "execute_request", "session": "1", "username": "", "version": "5.3"},
        "content": {"code": code, "silent": False, "store_history": False, "allow_stdin": False},
        "parent_header": {},
        "metadata": {},
        "channel": "shell",
        "buffers": [],
    }

    async def converse():
        address = url_path_join(base.replace("http", "ws", 1), "api/kernels", kernel, "channels")
        socket = await websocket_connect(HTTPRequest(address, headers={"Authorization": f"token {secret}"}))
        await socket.write_message(json.dumps(message))
        printed = ""
        while True:
            said = json.loads(await socket.read_message())
            if said["parent_header"].get("msg_id") != "1":
                continue
            if said["msg_type"] in ("stream", "error"):
                printed += said["content"].get("text") or str(said["content"])
            if said["msg_type"] == "status" and said["content"]["execution_state"] == "idle":
                socket.close()
                return printed

    return IOLoop(make_current=False).run_sync(converse, timeout=120)


def test_a_notebook_on_a_failed_worker(notebook_config, task_file, capfd):
    worker, success = run_task(task_file, worker_config=notebook_config, terminate_on_completion=False)
    with worker:
        assert not success
        url = worker.open_notebook(get_url_only=True)
        status, page = get(url, "/lab")
        assert (status, b"JupyterLab" in page, b"Error" in page) == (200, True, False)
        listed = json.loads(get(url, "/api/contents")[1])
        assert {entry["name"] for entry in listed["content"]} == {"my_log.txt", "task_3.py"}
        for path in ("/lab", "/api/contents", "/api/status"):
            assert get(url, path, token=False)[1] != get(url, path)[1]
        assert get(url, "/api/contents", token=False)[0] == 403
        code = "import os, airflow_provider_tasks\nprint(open('my_log.txt').read(), os.environ['COLOUR'])"
        assert run_in_a_kernel(url, code) == "so far blue\n"
        assert worker.open_notebook(get_url_only=True) == url
        assert not worker.run_task(task_file)  # which ends whatever it leaves running, and nothing else
        assert get(url, "/api/contents")[0] == 200
        assert url.partition("token=")[2] not in worker.logs()
    worker.terminate()
    with pytest.raises(urllib.error.URLError):
        get(url, "/api/contents")
    assert url.partition("token=")[2] not in capfd.readouterr().err


def test_another_process_finds_the_notebook_that_is_open(notebook_config, task_file):
    worker, _ = run_task(task_file, worker_config=notebook_config, terminate_on_completion=False)
    with worker:
        url = worker.open_notebook(get_url_only=True)
        found = Worker.get(worker.name, notebook_config)
        again = found.open_notebook(get_url_only=True)
        assert again.partition("token=")[2] == url.partition("token=")[2]
        assert get(again, "/api/contents")[0] == 200


def test_the_browser_is_opened(task_file, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or len(opened) == 1)
    with Worker() as worker:
        url = worker.open_notebook()
        assert url not in capsys.readouterr().err
        # On the browser's command line, which all can read, is a file that only this user can.
        assert url.partition("token=")[2] not in opened[0]
        page = Path(url2pathname(urlsplit(opened[0]).path))
        assert url in page.read_text()
        assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
        worker.open_notebook()
        assert f"Open {url}" in capsys.readouterr().err  # where there is no browser


def test_a_worker_without_jupyter_says_how_to_get_it(bare_python, task_file):
    with Worker({"python": bare_python}) as worker, pytest.raises(ConfigurationError) as raised:
        worker.open_notebook(get_url_only=True)
    assert "finds neither jupyterlab nor notebook" in str(raised.value)
    assert 'startup_script="pip install jupyterlab"' in str(raised.value)


def test_jupyter_is_that_of_the_startup_script(tmp_path, task_file):
    """A layer of its own has it, here one that looks as if it had and says so."""
    script = f"""
    packages=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    mkdir -p "$packages/jupyterlab"
    echo 'print("the layer has it"); raise SystemExit(1)' > "$packages/jupyterlab/__main__.py"
    touch "$packages/jupyterlab/__init__.py" {tmp_path}/ran
    """
    with Worker({"startup_script": script}) as worker, pytest.raises(ConfigurationError, match="the layer has it"):
        worker.open_notebook(get_url_only=True)
    assert (tmp_path / "ran").exists()


def test_a_notebook_outlives_the_tasks_beside_it(task_file):
    """Its Python is that of a startup script's environment, which each task makes anew."""
    with Worker({"startup_script": "true"}) as worker:
        worker.run_task(task_file)
        url = worker.open_notebook(get_url_only=True)
        worker.run_task(task_file)
        assert run_in_a_kernel(url, "import sys; print('request-' in sys.executable)") == "True\n"
        told = "from airflow_provider_tasks import get_default_region as region; print(region().name)"
        assert run_in_a_kernel(url, told) == "local\n"


def test_what_a_task_leaves_does_not_confuse_it(task_file):
    with Worker() as worker:
        worker.exec(f"cp {sys.executable} python; echo /bin/false > python-")
        assert get(worker.open_notebook(get_url_only=True), "/api/contents")[0] == 200


def test_no_setting_of_jupyter_opens_it_to_others(task_file, tmp_path):
    settings = {"ServerApp": {"ip": "0.0.0.0", "token": "", "base_url": "/elsewhere/"}}
    (tmp_path / "jupyter_server_config.json").write_text(json.dumps(settings))
    with Worker({"env_variables": {"JUPYTER_CONFIG_PATH": str(tmp_path)}}) as worker:
        url = worker.open_notebook(get_url_only=True)
        assert get(url, "/api/contents")[0] == 200
        listening = subprocess.run(["ss", "-ltn"], capture_output=True, text=True, check=False).stdout
        assert f"0.0.0.0:{urlsplit(url).port} " not in listening


def test_a_server_whose_record_is_lost_is_ended(task_file):
    with Worker() as worker:
        url = worker.open_notebook(get_url_only=True)
        shutil.rmtree(Path(worker.place) / "jupyter" / "runtime")
        again = worker.open_notebook(get_url_only=True)
        assert again != url
        with pytest.raises(urllib.error.URLError):
            get(url, "/api/contents")


def test_a_server_that_does_not_answer_is_not_replaced(task_file):
    with Worker() as worker:
        worker.open_notebook(get_url_only=True)
        (record,) = (Path(worker.place) / "jupyter" / "runtime").glob("jpserver-*.json")
        pid = json.loads(record.read_text())["pid"]
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ConfigurationError, match=f"does not answer .process {pid}"):
            worker.open_notebook(get_url_only=True)


def test_an_ended_worker_has_no_notebook(task_file):
    worker, _ = run_task(task_file)
    with pytest.raises(ConfigurationError, match="is terminated"):
        worker.open_notebook()


@pytest.mark.parametrize(
    "said", [b"", b"null", b"[]", b'{"port": 1}', b'{"port": "80", "token": "x"}', b'{"port": 70000, "token": "x"}']
)
def test_an_answer_of_a_worker_that_is_none(said):
    with pytest.raises(PayloadError, match="did not say where"):
        read_server(said, "", 0)


def test_the_token_of_a_worker_can_not_change_the_address():
    server = read_server(b'{"port": 80, "token": "a@evil.example/#&x=1"}', "", 0)
    assert server.url == "http://127.0.0.1:80/?token=a%40evil.example%2F%23%26x%3D1"


@pytest.mark.kubernetes
def test_who_may_not_forward_ports_is_told(pods, task_file, monkeypatch):
    if pods.tests.image_notebook is None:
        pytest.skip("TEST_KUBERNETES_IMAGE_NOTEBOOK is not set")
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__INSTALLATION", "contract")
    config = pods.settings(image=pods.tests.image_notebook).config
    with Worker(config) as worker, pytest.raises(ConfigurationError, match="pods/portforward"):
        worker.open_notebook(get_url_only=True)


def test_no_process_of_a_notebook_is_left(task_file):
    with Worker() as worker:
        worker.open_notebook(get_url_only=True)
        mark = f"AIRFLOW_WORKER_NAME={worker.name}"
        listed = subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout
        assert mark in listed
    listed = subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout
    assert mark not in listed
