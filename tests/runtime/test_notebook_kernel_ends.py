"""The kernel ends with the call, however that ends, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from airflow_provider_tasks import execute_notebook
from airflow_provider_tasks.runtime.notebook_results import NotebookKernelError

from .notebooks import write

AT_MOST = 60
"""Seconds after which something that should have ended is taken for hanging."""

SLEEPS = (
    "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint('ids', os.getpid(), child.pid, flush=True)"
)


@pytest.fixture
def sleeps(tmp_path, monkeypatch):
    """A notebook that says which processes it is, and then sleeps."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    write(tmp_path / "sleeps.ipynb", f"import os, time\n{SLEEPS}", "time.sleep(600)")
    return "sleeps"


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_for(what) -> None:
    end = time.monotonic() + AT_MOST
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def children() -> set[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(os.getpid())], stdout=subprocess.PIPE, text=True, check=False
    )
    return {pid for pid in map(int, listed.stdout.split()) if is_running(pid)}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
class TestNothingIsLeft:
    def test_after_a_notebook_that_ends_well(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write(tmp_path / "well.ipynb", ("result", "import os; os.getpid()"))
        before = children()
        pid = execute_notebook("well").results["result"]
        assert not os.path.exists(f"/proc/{pid}")
        assert children() == before

    def test_its_exit_handlers_have_run(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write(tmp_path / "handlers.ipynb", "import atexit, pathlib\natexit.register(pathlib.Path('said').touch)")
        execute_notebook("handlers")
        assert os.path.exists("said")

    @pytest.mark.parametrize("exception", [KeyboardInterrupt, TimeoutError, BaseException])
    def test_after_an_exception_in_the_caller(self, sleeps, tmp_path, capsys, exception):
        class Interrupted(exception):
            pass

        heard = []

        def interrupt(*_):
            shown = capsys.readouterr().out
            heard.append(shown)
            if "cell 2 of 2" in "".join(heard):
                signal.setitimer(signal.ITIMER_REAL, 0)
                raise Interrupted

        before = children()
        handler = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
        try:
            with pytest.raises(Interrupted):
                execute_notebook(sleeps)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
        kernel, child = ids_in("".join(heard))
        assert not is_running(kernel)
        assert not is_running(child)
        assert children() == before
        assert os.listdir(tmp_path / "temporary") == []
        assert os.path.isfile("sleeps_output.ipynb")

    @pytest.mark.parametrize("after", [0.0, 0.3, 0.6])
    def test_after_an_exception_at_any_time(self, sleeps, tmp_path, after):
        class Interrupted(BaseException):
            pass

        def interrupt(*_):
            raise Interrupted

        execute_notebook(write(tmp_path / "warm.ipynb"))  # what is imported once would take most of the time
        before = children()
        handler = signal.signal(signal.SIGALRM, interrupt)
        try:
            # Once more where Python swallows the first, as it does in what a garbage collection calls.
            signal.setitimer(signal.ITIMER_REAL, 0.02 + after, 30)
            with pytest.raises(Interrupted):
                execute_notebook(sleeps)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
        assert children() == before
        assert os.listdir(tmp_path / "temporary") == []

    def test_after_a_cell_that_took_too_long(self, sleeps, capsys):
        assert not execute_notebook(sleeps, execution_timeout=3).success
        kernel, child = ids_in(capsys.readouterr().out)
        assert not is_running(kernel)
        assert not is_running(child)

    @pytest.mark.parametrize(
        ("number", "waiting"),
        [
            (signal.SIGINT, "time.sleep(600)"),
            (signal.SIGTERM, "time.sleep(600)"),
            # No other thread of the kernel gets to run.
            (signal.SIGKILL, "sum(range(10**12))"),
        ],
    )
    def test_after_a_signal_to_the_caller(self, sleeps, number, waiting):
        write(Path("sleeps.ipynb"), f"import os, time\n{SLEEPS}", waiting)
        code = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from airflow_provider_tasks import execute_notebook; execute_notebook('sleeps')"
        )
        argv = [sys.executable, "-c", code]
        env = {**os.environ, "TMPDIR": tempfile.gettempdir()}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(argv, env=env, **pipes, text=True) as process:
            shown = ""
            for line in process.stdout:
                shown += line
                if line.startswith("cell 2"):
                    break
            kernel, child = ids_in(shown)
            assert is_running(kernel)
            process.send_signal(number)
            try:
                assert process.wait(AT_MOST) != 0
            finally:
                process.kill()
        wait_for(lambda: not is_running(kernel))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)

    def test_and_the_next_notebook_runs_as_if_nothing_had_been(self, sleeps, tmp_path, caplog, capsys):
        class Interrupted(BaseException):
            pass

        def interrupt(*_):
            raise Interrupted

        handler = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 3, 30)
            with pytest.raises(Interrupted):
                execute_notebook(sleeps)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
        caplog.clear()
        capsys.readouterr()
        write(tmp_path / "next.ipynb", "import time; time.sleep(2)", ("result", "1"))
        assert execute_notebook(tmp_path / "next").results == {"result": 1}
        assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
        assert len(capsys.readouterr().out.splitlines()) == 4

    def test_of_a_kernel_that_does_not_start(self, sleeps, tmp_path, monkeypatch):
        spec = tmp_path / "kernels" / "broken" / "kernel.json"
        spec.parent.mkdir(parents=True)
        spec.write_text('{"argv": ["false", "{connection_file}"], "display_name": "", "language": "python"}')
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
        before = children()
        with pytest.raises(NotebookKernelError, match=r"the kernel 'broken' of sleeps\.ipynb did not start: .*died"):
            execute_notebook(sleeps, kernel_name="broken", start_timeout=30)
        assert children() == before
        assert os.listdir(tmp_path / "temporary") == []


def ids_in(shown: str) -> tuple[int, int]:
    lines = [line for line in shown.splitlines() if line.startswith("ids ")]
    assert lines, f"the notebook did not say its processes; it said: {shown}"
    _, kernel, child = lines[0].split()
    return int(kernel), int(child)
