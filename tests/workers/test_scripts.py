"""A script is a request without a pickle: any Python runs it, on this machine and in pods."""

from __future__ import annotations

from datetime import date

import pytest

from airflow_provider_tasks.runtime import protocol, values
from airflow_provider_tasks.workers.failures import ConfigurationError, PayloadError
from airflow_provider_tasks.workers.upload import as_text, find_files, pack_folder

from .conftest import deferrable_too, in_a_pod, send


def script(folder, file, **arguments):
    """Ask a worker for a script of a folder."""
    request = {"version": protocol.VERSION, "call": "script", "arguments": values.encode({"file": file, **arguments})}
    return {**request, "files": as_text(pack_folder(str(folder)))}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "greet.sh").write_text('greet() { echo "hello $1"; }\n')
    (tmp_path / "greet.sh").write_text(
        '. lib/greet.sh\ngreet "$who"\necho "[\\"$1\\", $number]" > "$AIRFLOW_TASK_RESULT"\n'
    )
    (tmp_path / "versions.py").write_text(
        "import sys\nfrom airflow_provider_tasks import set_result\nset_result((sys.version_info[1], {1, 2}))\n"
    )
    (tmp_path / "fails.py").write_text("import sys\nprint('last words')\nsys.exit(3)\n")
    (tmp_path / "dies.sh").write_text("kill -KILL $$\n")
    return tmp_path


@deferrable_too
def test_a_script_with_files_arguments_parameters_and_a_result(worker, folder):
    asked = script(folder, "greet.sh", args=["é"], parameters={"who": "edge", "number": 3})
    ran = send(worker, asked)
    assert (ran.outcome.status, ran.lines, ran.outcome.result) == ("success", ["hello edge"], ["é", 3])


@deferrable_too
@pytest.mark.parametrize(
    ("file", "message", "exit_code", "signal"),
    [
        ("fails.py", "fails.py ended with exit code 3", 3, None),
        ("dies.sh", "dies.sh was ended by SIGKILL", None, 9),
    ],
)
def test_a_script_that_fails(worker, folder, file, message, exit_code, signal):
    outcome = send(worker, script(folder, file)).outcome
    found = (outcome.category, outcome.message, outcome.exit_code, outcome.signal)
    assert found == ("task", message, exit_code, signal)


def test_a_code_may_be_a_skip_and_a_file_may_be_missing(many_worker, folder):
    outcome = send(many_worker, script(folder, "fails.py", skip_on_exit_code=[3])).outcome
    assert (outcome.status, outcome.message) == ("skipped", "fails.py ended with exit code 3")
    outcome = send(many_worker, script(folder, "none.py")).outcome
    assert "its folder holds: " in outcome.message
    assert "fails.py, greet.sh, lib" in outcome.message


def test_a_python_script_has_the_context_and_nobody_after_it(many_worker, folder):
    (folder / "context.py").write_text(
        "import os\nfrom airflow_provider_tasks import get_context, set_result\n"
        "set_result([get_context()['day'], os.environ['AIRFLOW_TASK_CONTEXT']])\n"
    )
    (folder / "after.sh").write_text('[ ! -e "$1" ]')
    day = date(2026, 1, 2)
    found, path = send(many_worker, script(folder, "context.py"), context={"day": day}).outcome.result
    assert found == day
    assert send(many_worker, script(folder, "after.sh", args=[path])).outcome.is_success


@in_a_pod
def test_another_python_than_airflows_runs_scripts(open_worker, folder, cluster):
    if cluster.image_313 is None:
        pytest.skip("TEST_KUBERNETES_IMAGE_3_13 is not set")
    assert send(open_worker(image=cluster.image_313), script(folder, "versions.py")).outcome.result == (13, {1, 2})


def test_an_archive_is_the_same_for_the_same_content(folder):
    first = pack_folder(str(folder))
    (folder / "greet.sh").touch()
    assert pack_folder(str(folder)) == first
    (folder / "dies.sh").chmod(0o755)
    assert pack_folder(str(folder)) != first


def test_what_stays(folder):
    for name in (".git/config", "__pycache__/a.pyc", ".venv/bin/python", "data/a.csv", "data/keep.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    (folder / ".workerignore").write_text("data/*\n!data/keep.csv\nlib\n")
    assert find_files(str(folder)) == [
        ".workerignore", "data/keep.csv", "dies.sh", "fails.py", "greet.sh", "versions.py",
    ]  # fmt: skip


def test_a_link_inside_is_what_it_leads_to(folder, many_worker):
    (folder / "link.sh").symlink_to("greet.sh")
    ran = send(many_worker, script(folder, "link.sh", args=["a"], parameters={"who": "link", "number": 1}))
    assert (ran.lines, ran.outcome.result) == (["hello link"], ["a", 1])


def test_a_link_to_a_folder_inside_is_what_is_in_it_and_one_to_itself_is_refused(folder):
    (folder / "current").symlink_to("lib")
    assert {"current/greet.sh", "lib/greet.sh"} <= set(find_files(str(folder)))
    (folder / "lib" / "again").symlink_to("..")
    with pytest.raises(ConfigurationError, match="is a link to a folder that it lies in itself"):
        find_files(str(folder))


def test_too_many_or_too_large_files_are_named(folder):
    (folder / "data").mkdir()
    for number in range(4):
        (folder / "data" / str(number)).write_text("")
    with pytest.raises(ConfigurationError, match=r"holds 9 files, at most 5 .* most are in: .*data/ 4"):
        find_files(str(folder), 5)
    (folder / "data" / "large").write_bytes(b"")
    with open(folder / "data" / "large", "r+b") as file:
        file.truncate(200 * 2**20)
    with pytest.raises(PayloadError, match=r"the largest: data/large 200"):
        pack_folder(str(folder))
