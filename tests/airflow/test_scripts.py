"""Scripts in workers: their folder goes along, they take parameters, and give results, exit codes and skips."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest


def test_a_shell_script_takes_arguments_and_parameters_and_gives_a_result(run, files):
    files(
        clean_DOT_sh="""
            set -e
            . ./helpers/greet.sh
            test "$day" = 2026-01-02 && test "$keep" = 7
            python3 -c 'import json, os; assert json.loads(os.environ["AIRFLOW_TASK_PARAMETERS"])["keep"] == 7'
            echo "{\\"said\\": \\"$(greet "$1")\\", \\"folder\\": \\"$(basename "$PWD")\\"}" > "$AIRFLOW_TASK_RESULT"
            """,
        helpers__greet_DOT_sh='greet() { echo "hello $1"; }\n',
    )
    done = run("""
        with DAG("scripts", params={"who": "edge"}):
            ScriptOperator(
                task_id="clean", file_name="work/clean.sh", args=["{{ params.who }}"],
                parameters={"day": "{{ '2026-01-02' }}", "keep": 7},
            )
        """)
    assert done.states == {"clean": "success"}
    assert done.xcom("clean") == {"said": "hello edge", "folder": "task"}


def test_a_python_script_imports_what_lies_beside_it_and_sets_any_result(run, files):
    files(
        count_DOT_py="""
            import sys
            from decimal import Decimal
            from airflow_provider_tasks import set_result
            import helper

            if __name__ == "__main__":
                set_result({"sum": Decimal(helper.add(*map(int, sys.argv[1:]))), "raw": b"1"})
            """,
        helper_DOT_py="def add(*numbers):\n    return sum(numbers)\n",
    )
    done = run("""
        from decimal import Decimal
        @task
        def check(found):
            assert found == {"sum": Decimal(6), "raw": b"1"}, found
        with DAG("scripts"):
            check(ScriptOperator(task_id="count", file_name="count.py", files_path="work", args=[1, 2, 3]).output)
        """)
    assert done.states == {"count": "success", "check": "success"}


@pytest.mark.parametrize(("written", "expected"), [("echo 3", 3), ("echo three", "three"), ("true", None)])
def test_a_result_is_json_or_text_or_nothing(run, files, written, expected):
    files(result_DOT_sh=f'{written} > new; [ -s new ] && mv new "$AIRFLOW_TASK_RESULT"; true')
    done = run("""
        @task
        def take(found):
            return [found]
        with DAG("scripts"):
            take(ScriptOperator(task_id="result", file_name="work/result.sh").output)
        """)
    assert done.states == {"result": "success", "take": "success"}
    assert done.xcom("take") == [expected]


@pytest.mark.parametrize(
    ("line", "state", "status", "message", "code"),
    [
        ("exit 3", "failed", "failure", "end.sh ended with exit code 3", 3),
        ("kill -KILL $$", "failed", "failure", "end.sh was ended by SIGKILL", None),
        ("exit 99", "skipped", "skipped", "end.sh ended with exit code 99", None),
    ],
)
def test_how_a_script_ends_is_how_its_task_does(run, files, line, state, status, message, code):
    files(end_DOT_sh=f"echo before\n{line}\n")
    done = run("""
        with DAG("scripts"):
            ScriptOperator(task_id="end", file_name="work/end.sh")
        """)
    assert done.states == {"end": state}
    outcome = done.xcom("end", "outcome")
    assert (outcome["status"], outcome["message"]) == (status, message)
    if code is not None:
        assert outcome["exit_code"] == code


def test_the_mode_of_a_file_is_kept_and_its_first_line_counts(run, files):
    folder = files(
        tool_DOT_sh="""\
            #!/usr/bin/env -S python3 -I
            import os
            assert os.access("bin/inner", os.X_OK)
            os.execv("bin/inner", ["inner"])
            """,
        bin__inner="#!/bin/sh\necho '[1]' > \"$AIRFLOW_TASK_RESULT\"\n",
    )
    os.chmod(folder / "bin" / "inner", 0o755)
    done = run("""
        with DAG("scripts"):
            ScriptOperator(task_id="tool", file_name="work/tool.sh")
        """)
    assert done.xcom("tool") == [1]


def test_what_workerignore_names_stays(run, files):
    folder = files(
        list_DOT_sh='find . -type f | sort | paste -sd, > "$AIRFLOW_TASK_RESULT"\n',
        data__big_DOT_csv="1",
        notes_DOT_md="",
        __pycache__="",
    )
    (folder / ".workerignore").write_text("data/\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("")
    done = run("""
        with DAG("scripts"):
            ScriptOperator(task_id="list", file_name="work/list.sh")
        """)
    found = done.xcom("list").split(",")
    assert [name for name in found if "result" not in name] == ["./.workerignore", "./list.sh", "./notes.md"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("ScriptOperator(task_id='t', file_name='work/none.sh')", "there is no file"),
        ("ScriptOperator(task_id='t', file_name='work/folder.sh')", "is a folder, expected a file"),
        ("ScriptOperator(task_id='t', file_name='work/many/a.sh')", "holds 301 files, at most 250 go to a worker"),
        ("ScriptOperator(task_id='t', file_name='work/large/a.sh')", "the largest: data.bin 2 GiB"),
        ("ScriptOperator(task_id='t', file_name='work/script.txt')", r"none of the files that it runs: *.py, *.sh"),
        ("ScriptOperator(task_id='t', file_name='work/a.sh', args='-v')", "expected a list of arguments"),
        ("ScriptOperator(task_id='t', file_name='work/a.sh', max_files_to_upload=1)", "at most 1 go to a worker"),
        ("ScriptOperator(task_id='t', file_name='work/a.sh', file_path_on_worker='/b.sh')", "upload_files=False"),
        ("ScriptOperator(task_id='t', file_name='../dag_file.py', files_path='work')", "not in the folder"),
        ("ScriptOperator(task_id='t', file_name='work/a.sh', parameters=[1])", "expected a mapping"),
        ("ScriptOperator(task_id='t', file_name='work/a.sh', parameters={'a=b': 1})", "'a=b' is no name"),
        ("ScriptOperator(task_id='t', file_name='work/a.sh', parameters={'a': {1}})", "parameters['a']"),
        ("ScriptOperator(task_id='t', file_name='work/a.sh', requirements=[' '])", "is blank"),
        ("ScriptOperator(task_id='t', file_name='work/a.sh', skip_on_exit_code='99')", "expected a number"),
        ("NotebookOperator(task_id='t', notebook='work/none')", "there is no file"),
        ("NotebookOperator(task_id='t', notebook='work/a', papermill_options={'cwd': '/'})", "cwd can't be set"),
    ],
)
def test_what_is_wrong_is_an_import_error(parse, files, body, message):
    folder = files(a_DOT_sh="", b_DOT_sh="", many__a_DOT_sh="", large__a_DOT_sh="", folder_DOT_sh__a="")
    for number in range(300):
        (folder / "many" / str(number)).touch()
    with open(folder / "large" / "data.bin", "wb") as data:
        data.truncate(2 * 2**30)
    assert message in parse(f"with DAG('scripts'):\n    {body}").error


def test_a_link_that_leads_outside_is_refused(parse, files, tmp_path):
    folder = files(a_DOT_sh="")
    (folder / "out").symlink_to(tmp_path)
    error = parse("with DAG('scripts'):\n    ScriptOperator(task_id='t', file_name='work/a.sh')").error
    assert "is a link that leads outside of" in error


def test_a_change_of_any_file_that_goes_along_is_a_change_of_the_dag(parse, files):
    def shown():
        body = "ScriptOperator(task_id='t', file_name='work/a.sh')"
        return str(parse(f"with DAG('scripts'):\n    {body}").dag.get_task("t").implementation)

    files(a_DOT_sh="true\n", lib__b_DOT_sh="1")
    first = shown()
    assert first == shown()
    files(lib__b_DOT_sh="22")
    assert shown() != first


def test_a_script_that_is_in_the_worker_already(run, tmp_path):
    script = tmp_path / "there.py"
    script.write_text("from airflow_provider_tasks import set_result; set_result(1)")
    done = run(f"""
        with DAG("scripts"):
            ScriptOperator(task_id="t", file_name="there.py", upload_files=False, file_path_on_worker={str(script)!r})
        """)
    assert done.xcom("t") == 1


def test_requirements_find_the_files(run, files):
    files(job__run_DOT_sh='cat wanted > "$AIRFLOW_TASK_RESULT"', list_DOT_txt="3")
    done = run("""
        with DAG("scripts"):
            ScriptOperator(
                task_id="t", file_name="job/run.sh", files_path="work", requirements=["cp list.txt wanted"],
            )
        """)
    assert done.xcom("t") == 3


def test_scripts_can_be_mapped_and_what_comes_from_other_tasks_is_no_template(run, files):
    files(say_DOT_sh='printf %s "$1" > "$AIRFLOW_TASK_RESULT"\n')
    done = run("""
        @task
        def words():
            return [["a"], ["{{ ds }}"]]
        with DAG("scripts"):
            ScriptOperator.partial(task_id="say", file_name="work/say.sh").expand(args=words())
        """)
    assert [done.xcom("say", map_index=number) for number in (0, 1)] == ["a", "{{ ds }}"]


def test_a_templated_name_stays_in_the_folder(run, files):
    files(a_DOT_sh='echo 1 > "$AIRFLOW_TASK_RESULT"\n')
    text = """
        with DAG("scripts", params={"name": "a"}):
            ScriptOperator(task_id="t", file_name="{{ params.name }}.sh", files_path="work")
        """
    assert run(text).xcom("t") == 1
    done = run(text, conf={"name": "../../outside"})
    assert done.states == {"t": "failed"}


def test_a_python_script_has_the_context_of_its_airflow_task(run, files):
    files(
        tell_DOT_py="""
            import os
            from airflow_provider_tasks import get_context, set_result

            found = get_context()
            mode = os.stat(os.environ["AIRFLOW_TASK_CONTEXT"]).st_mode & 0o777
            told = [found[key] for key in ("dag_id", "task_id", "params", "logical_date")]
            set_result([*told, found["node"]["name"], mode])
            """,
    )
    done = run(
        """
        @task
        def check(found):
            assert found[3].isoformat() == "2026-01-02T00:00:00+00:00"
            return [*found[:3], *found[4:]]
        with DAG("scripts", params={"limit": 3}):
            check(ScriptOperator(task_id="tell", file_name="work/tell.py", node=Node("edge")).output)
        """,
        logical_date=datetime(2026, 1, 2, tzinfo=UTC),
    )
    assert done.xcom("check") == ["scripts", "tell", {"limit": 3}, "edge", 0o600]


def test_a_script_runs_with_a_virtual_environment_of_its_home(run, files, tmp_path):
    files(where_DOT_py="import sys; from airflow_provider_tasks import set_result; set_result(sys.prefix)")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv" / "mine"], check=True)
    done = run(f"""
        with DAG("scripts"):
            for name in ("mine", "other"):
                ScriptOperator(
                    task_id=name, file_name="work/where.py",
                    worker_config=WorkerConfig(python_venv_name=name, env_variables={{"HOME": {str(tmp_path)!r}}}),
                )
        """)
    assert done.states == {"mine": "success", "other": "failed"}
    assert done.xcom("mine") == str(tmp_path / ".venv" / "mine")
    message = done.xcom("other", "outcome")["message"]
    assert "the worker has no virtual environment 'other'" in message
    assert "found mine" in message
