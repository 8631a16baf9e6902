"""Whatever ends a task or its worker, no process of it is left, nor its folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from airflow_provider_tasks.runtime import processes
from airflow_provider_tasks.workers.failures import KilledError
from airflow_provider_tasks.workers.local import MARK, LocalWorker
from airflow_provider_tasks.workers.payload import pack

from .conftest import AT_MOST, run_in


@pytest.fixture
def worker(cache_folder):
    with LocalWorker(cache_folder=cache_folder) as worker:
        yield worker


def wait_until(condition):
    end = time.monotonic() + AT_MOST
    while not condition():
        assert time.monotonic() < end, "it never came to it"
        time.sleep(0.01)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def leave_children_behind(tell):
    """Start a family that tries to get away, and `tell` the ids of all its members."""
    pids = []
    for starts in (fork, fork_in_a_session_of_its_own, start_without_environment):
        pids.append(starts())
    tell(" ".join(map(str, [os.getpid(), *pids])))


def fork():
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        wait_forever()
    return pid


def fork_in_a_session_of_its_own():
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return int(os.read(read, 20))
    os.setsid()
    grandchild = os.fork()
    if grandchild:
        os.write(write, str(grandchild).encode())
        os._exit(0)
    return wait_forever()


def start_without_environment():
    argv = [sys.executable, "-S", "-c", "import signal\nwhile True: signal.pause()"]
    return subprocess.Popen(argv, env={}, start_new_session=True).pid


def wait_forever():
    while True:
        signal.pause()


def family_of(lines):
    assert len(lines) == 1
    pids = list(map(int, lines[0].split()))
    assert len(set(pids)) == 4
    return pids


def is_all_gone(name, folder, pids):
    return not processes.marked(MARK, name) and not os.path.exists(folder) and not any(map(is_alive, pids))


@pytest.mark.parametrize("ends", [lambda: None, lambda: 1 / 0, lambda: os._exit(3), lambda: os.kill(os.getpid(), 9)],
                         ids=["success", "failure", "exit", "kill"])  # fmt: skip
def test_nothing_is_left_of_a_task_when_its_outcome_is_there(worker, ends):
    def leaves():
        leave_children_behind(print)
        ends()

    pids = family_of(run_in(worker, leaves).lines)
    assert not any(map(is_alive, pids))
    worker.close()
    assert is_all_gone(worker.name, worker.folder, pids)


def never_ends():
    leave_children_behind(print)
    wait_forever()


def run_until_it_prints(worker, then):
    """Run a task that never ends, and call `then` when its family is there; return the family and the error."""
    pids = []

    def on_output(line):
        pids.extend(family_of([line]))
        then()

    with pytest.raises(KilledError) as caught:
        worker.run(pack(never_ends, (), {}), on_output)
    return pids, caught.value


@pytest.mark.parametrize("how", ["kill", "close"])
def test_nothing_is_left_after_kill_and_close_from_another_thread(worker, how):
    called = threading.Thread(target=getattr(worker, "kill"))
    pids, error = run_until_it_prints(worker, called.start)
    called.join()
    getattr(worker, how)()
    worker.close()
    worker.close()
    assert error.summary == "the worker was told to end"
    assert is_all_gone(worker.name, worker.folder, pids)


def test_kill_may_be_called_from_a_signal_handler_and_twice(worker):
    def handler(*_):
        worker.kill()
        worker.kill()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGUSR1])
        pids, error = run_until_it_prints(worker, timer.start)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert error.summary == "the worker was told to end"
    worker.close()
    assert is_all_gone(worker.name, worker.folder, pids)


def test_kill_works_while_a_requirement_fills_the_log_that_nobody_reads(worker):
    request = {**pack(print, (), {}), "environment": {"requirements": ["yes"]}}
    with pytest.raises(KilledError, match="told to end"):
        worker.run(request, lambda _: worker.kill())
    worker.close()
    assert is_all_gone(worker.name, worker.folder, [])


def test_a_worker_that_was_killed_before_it_ran_does_not_run(worker):
    worker.kill()
    with pytest.raises(KilledError, match="the worker was told to end before it ran the task"):
        worker.run(pack(print, (), {}), print)
    assert not processes.marked(MARK, worker.name)


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def kills(level):
    pid = os.getpid()
    for _ in range(level):
        pid = parent_of(pid)
    leave_children_behind(print)
    os.kill(pid, signal.SIGKILL)
    wait_forever()


def test_nothing_is_left_after_the_supervisor_is_killed(worker):
    lines = []
    with pytest.raises(KilledError, match="the worker ended with signal SIGKILL"):
        worker.run(pack(kills, (1,), {}), lines.append)
    pids = family_of(lines)
    worker.close()
    assert is_all_gone(worker.name, worker.folder, pids)


def test_nothing_is_left_after_the_guardian_is_killed(worker):
    ran = run_in(worker, kills, 2)
    assert (ran.outcome.category, ran.outcome.message) == ("killed", "the worker was told to end")
    worker.close()
    wait_until(lambda: is_all_gone(worker.name, worker.folder, family_of(ran.lines)))


HOLDER = """
    import sys
    from pathlib import Path
    from airflow_provider_tasks.workers.local import LocalWorker
    from airflow_provider_tasks.workers.payload import pack
    from tests.workers.test_no_process_is_left import never_ends

    worker = LocalWorker(cache_folder=Path(sys.argv[1]), keep=sys.argv[2] == "keep")
    print(worker.name, worker.folder, flush=True)
    worker.run(pack(never_ends, (), {}), lambda line: print(line, flush=True))
"""


def hold_a_worker(cache_folder, keep=""):
    argv = [sys.executable, "-c", textwrap.dedent(HOLDER), str(cache_folder), keep]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("keep", ["", "keep"])
def test_nothing_is_left_when_the_process_that_holds_the_worker_is_killed(cache_folder, keep):
    with hold_a_worker(cache_folder, keep) as holder:
        name, folder = holder.stdout.readline().split()
        pids = family_of([holder.stdout.readline()])
        assert processes.marked(MARK, name)
        holder.kill()
    if keep:
        wait_until(lambda: not processes.marked(MARK, name) and not any(map(is_alive, pids)))
        assert os.path.isdir(folder)
        subprocess.run(["rm", "-r", folder], check=True)
    else:
        wait_until(lambda: is_all_gone(name, folder, pids))


def test_nothing_is_left_when_holder_and_supervisor_are_killed_together(cache_folder):
    with hold_a_worker(cache_folder) as holder:
        name, folder = holder.stdout.readline().split()
        pids = family_of([holder.stdout.readline()])
        supervisor = parent_of(pids[0])
        os.kill(holder.pid, signal.SIGSTOP)
        os.kill(supervisor, signal.SIGKILL)
        holder.kill()
    wait_until(lambda: is_all_gone(name, folder, pids))


def test_a_kept_worker_leaves_its_folder_and_no_process(cache_folder):
    with LocalWorker(cache_folder=cache_folder, keep=True) as worker:
        pids = family_of(run_in(worker, leave_children_behind, print).lines)
    assert not processes.marked(MARK, worker.name)
    assert not any(map(is_alive, pids))
    assert (worker.folder / "task").is_dir()
    subprocess.run(["rm", "-r", worker.folder], check=True)


def test_a_folder_that_the_task_locked_is_removed(worker):
    def locks():
        os.makedirs("a/b/c")
        open("a/b/c/file", "w").close()
        os.symlink("/", "a/root")
        for folder in ("a/b/c", "a/b", "a", "."):
            os.chmod(folder, 0)

    run_in(worker, locks)
    worker.close()
    assert not worker.folder.exists()


def test_a_worker_that_never_ran_leaves_nothing(cache_folder):
    with LocalWorker(cache_folder=cache_folder) as worker:
        assert worker.folder.is_dir()
    worker.close()
    assert not worker.folder.exists()


LISTENS = """
import socket
held = b"x" * (100 * 2**20)  # a process that has much to give back takes its time to end
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
listening.accept()
"""


def test_a_process_that_was_ended_holds_no_port_any_more():
    argv = [sys.executable, "-S", "-c", LISTENS]
    with subprocess.Popen(argv, env={"A_MARK": "of this test"}, stdout=subprocess.PIPE) as process:
        port = int(process.stdout.readline())
        processes.kill_marked("A_MARK", "of this test")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
