"""The runtime is one archive, made the same way every time, that runs on a plain Python from 3.9 on."""

from __future__ import annotations

import base64
import os
import pickle
import shutil
import subprocess
import sys

import pytest

from airflow_provider_tasks.runtime.outcome import parse_outcome
from airflow_provider_tasks.workers.archive import build_archive
from airflow_provider_tasks.workers.failures import ConfigurationError
from tests.pythons import python_or_skip

from .conftest import on_this_machine, run_in, send

VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
TOO_OLD = ["3.6", "3.7", "3.8"]


def calling(function, *args, python):
    """A request that any Python can read: a builtin, by an old protocol of pickle."""
    payload = base64.b64encode(pickle.dumps((function, args, {}), protocol=4)).decode()
    return {"version": 1, "python": python, "payload": payload}


@on_this_machine
@pytest.mark.parametrize("version", VERSIONS)
def test_a_worker_runs_on_every_python_that_is_here(open_worker, version):
    worker = open_worker(python=python_or_skip(version))
    outcome, lines = send(worker, calling(print, "hi", python=version))
    assert (outcome.status, lines) == ("success", ["hi"])
    assert outcome.python.startswith(f"{version}.")
    outcome = send(worker, calling(divmod, 1, 0, python=version)).outcome
    assert (outcome.category, outcome.exceptions[-1].type) == ("task", "ZeroDivisionError")


@on_this_machine
@pytest.mark.parametrize("version", TOO_OLD)
def test_an_older_python_says_what_a_worker_needs(open_worker, version):
    worker = open_worker(python=python_or_skip(version))
    with pytest.raises(ConfigurationError, match=f"this is Python {version}, a worker needs 3.9 or newer"):
        send(worker, calling(print, "hi", python=version))


@on_this_machine
@pytest.mark.parametrize("version", [version for version in VERSIONS if not sys.version.startswith(version)])
def test_another_minor_version_is_found_before_anything_is_unpickled(tmp_path, version, open_worker):
    trace = tmp_path / "unpickled"
    worker = open_worker(python=python_or_skip(version))
    outcome = send(worker, calling(print, Trace(str(trace)), python="{}.{}".format(*sys.version_info))).outcome
    assert (outcome.category, outcome.retry) == ("python_mismatch", True)
    assert f"the worker runs Python {version}, the task was packed by Python" in outcome.message
    assert not trace.exists()


class Trace:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_the_trace_of_the_test_above_works(local_worker, tmp_path):
    run_in(local_worker, lambda _: None, Trace(str(tmp_path / "unpickled")))
    assert (tmp_path / "unpickled").exists()


def build_in_a_process(seed):
    code = "import sys; from airflow_provider_tasks.workers.archive import build_archive\n"
    code += "sys.stdout.buffer.write(build_archive())"
    env = {**os.environ, "PYTHONHASHSEED": seed}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout


def test_the_archive_is_the_same_bytes_each_time_and_small():
    first, second = build_in_a_process("1"), build_in_a_process("2")
    assert first == second == build_archive()
    assert len(first) < 2**20


@pytest.mark.parametrize("unpacked", [False, True], ids=["zip", "folder"])
@pytest.mark.parametrize("version", ["3.9", "{}.{}".format(*sys.version_info)])
def test_the_archive_runs_as_a_zip_and_unpacked(tmp_path, bare_python, unpacked, version):
    python = bare_python if sys.version.startswith(version) else python_or_skip(version)
    archive = tmp_path / "runtime.zip"
    archive.write_bytes(build_archive())
    if unpacked:
        shutil.unpack_archive(archive, tmp_path / "runtime")
        archive = tmp_path / "runtime"
    import json

    (tmp_path / "request").write_text(json.dumps(calling(sorted, [2, 1], python=version)))
    argv = [python, "-I", "-S", archive, "run", "request", tmp_path / "outcome", tmp_path / "task", tmp_path / "own"]
    subprocess.run(argv, cwd=tmp_path, check=True, env={})
    assert parse_outcome((tmp_path / "outcome").read_bytes()).result == [1, 2]
