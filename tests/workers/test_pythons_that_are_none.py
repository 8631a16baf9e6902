"""A worker's Python that can't be one says so; only the local worker runs a program of this machine."""

from __future__ import annotations

import pytest

from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.local import LocalWorker
from airflow_provider_tasks.workers.payload import pack

ADVICE = "WorkerConfig(python=…) takes the path of a Python 3.9 or newer, or a command that is on the PATH."


def refused(python, cache_folder):
    with pytest.raises(ConfigurationError) as caught, LocalWorker(cache_folder=cache_folder, python=python) as worker:
        worker.run(pack(print, (), {}), print)
    assert caught.value.advice == ADVICE
    return caught.value.summary


def test_a_program_that_is_not_there(cache_folder):
    expected = "/no/such/python can't be a worker's Python: there is no such program on this machine"
    assert refused("/no/such/python", cache_folder) == expected
    assert "no_such_python can't be a worker's Python" in refused("no_such_python", cache_folder)


@pytest.mark.parametrize(("python", "code"), [("/bin/true", 0), ("/bin/false", 1)])
def test_a_program_that_is_no_python(cache_folder, python, code):
    assert refused(python, cache_folder) == (
        f"{python} can't be a worker's Python: it ended with exit code {code} and reported nothing"
    )


def test_a_file_that_is_no_program(cache_folder, tmp_path):
    file = tmp_path / "python"
    file.write_bytes(b"\x00\x01")
    file.chmod(0o700)
    assert refused(str(file), cache_folder).endswith("it can't be started: Exec format error")


def test_a_program_that_reads_and_prints_is_no_python_either(cache_folder, tmp_path):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho hello\nread line\nexit 7\n")
    script.chmod(0o700)
    assert refused(str(script), cache_folder).endswith("it ended with exit code 7 and reported nothing\n    hello")
