"""Mapped scripts and notebooks: what is wrong is an import error, and their digest is that of what would run."""

from __future__ import annotations

import os

import pytest

from tests.runtime.notebooks import write

PREAMBLE = """
S, N = ScriptOperator, NotebookOperator
@task
def words():
    return [["a"]]
"""


@pytest.fixture
def shown(parse):
    """Give the digest in the DAG, as Airflow stores it, of a mapped operator with the id ``t``."""

    def shown(body):
        from airflow.serialization.serialized_objects import DagSerialization

        stored = DagSerialization.to_dict(parse(f"{PREAMBLE}with DAG('mapped'):\n    {body}").dag)
        (found,) = [one["__var"] for one in stored["dag"]["tasks"] if one["__var"]["task_id"] == "t"]
        return found["partial_kwargs"]["implementation"]

    return shown


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("S.partial(task_id='t', file_name='work/none.sh').expand(args=[['a']])", "there is no file"),
        ("S.partial(task_id='t', file_name='work/none.sh').expand(args=words())", "there is no file"),
        ("S.partial(task_id='t', file_name='work/none.sh').expand_kwargs(words())", "there is no file"),
        ("S.partial(task_id='t').expand(file_name=['work/a.sh', 'work/none.sh'])", "there is no file"),
        ("S.partial(task_id='t').expand_kwargs([{'file_name': 'work/a.exe'}])", "none of the files that it runs"),
        ("S.partial(task_id='t', file_name='work/a.sh', max_files_to_upload=1).expand(args=[[]])", "at most 1"),
        ("S.partial(task_id='t', file_name='work/a.sh').expand(args=[['a'], '-v'])", "expected a list of arguments"),
        ("S.partial(task_id='t', file_name='work/a.sh', args='-v').expand(parameters=[{}])", "a list of arguments"),
        ("S.partial(task_id='t', file_name='work/a.sh').expand(parameters=[{}, {'a b': 1}])", "'a b' is no name"),
        ("S.partial(task_id='t', file_name='work/a.sh').expand_kwargs([{'parameters': [1]}])", "expected a mapping"),
        ("S.partial(task_id='t', file_name='work/a.sh').expand(worker_config=[{'worker_size': 'Tyni'}])", "Tyni"),
        ("S.partial(task_id='t', file_name='work/a.sh').expand(node=[{'nmae': 'edge'}])", "nmae"),
        ("S.partial(task_id='t', file_name='work/a.sh').expand(file=['a'])", "unexpected keyword argument 'file'"),
        ("N.partial(task_id='t', notebook='work/none').expand(parameters=[{'day': 1}])", "there is no file"),
        ("N.partial(task_id='t', notebook='work/r').expand(papermill_options=[{'cwd': '/'}])", "cwd can't be set"),
    ],
)
def test_what_is_wrong_is_an_import_error(parse, files, body, message):
    files(a_DOT_sh="", r_DOT_ipynb="")
    assert message in parse(f"{PREAMBLE}with DAG('mapped'):\n    {body}").error


@pytest.mark.parametrize(
    "body",
    [
        "S.partial(task_id='t', file_name='work/a.sh').expand(args=words())",
        "S.partial(task_id='t', file_name='work/a.sh').expand_kwargs(words())",
        "S.partial(task_id='t', file_name='work/a.sh').expand(parameters=[{'a': 1}, {'a': 2}])",
        "S.partial(task_id='t').expand(file_name=['work/a.sh', 'work/lib/b.sh'])",
        "S.partial(task_id='t', file_name='{{ ds }}.sh', files_path='work').expand(args=[[1]])",
        "N.partial(task_id='t').expand_kwargs([{'notebook': 'work/r', 'parameters': {'day': 1}}])",
    ],
)
def test_what_goes_along_counts_and_when_it_was_written_does_not(shown, files, body):
    folder = files(a_DOT_sh="", r_DOT_ipynb="", lib__b_DOT_txt="1", lib__b_DOT_sh="")
    first = shown(body)
    os.utime(folder / "a.sh", (1, 1))
    assert shown(body) == first
    files(lib__b_DOT_txt="2")
    changed = shown(body)
    assert changed != first
    (folder / "lib" / "b.txt").chmod(0o755)
    assert shown(body) != changed


def test_the_settings_of_a_mapped_script_count_also_those_in_a_file(shown, files):
    files(a_DOT_sh="", worker__a_DOT_yaml="env_variables: {A: '1'}")
    (files() / ".workerignore").write_text("worker/")
    body = "S.partial(task_id='t', file_name='work/a.sh', worker_config='work/worker/a.yaml').expand(args=words())"
    first = shown(body)
    files(worker__a_DOT_yaml="# a remark\nenv_variables: {A: '1'}")
    assert shown(body) == first
    files(worker__a_DOT_yaml="env_variables: {A: '2'}")
    assert shown(body) != first


def test_scripts_of_several_files_and_notebooks_of_several_days_run(run, files, tmp_path):
    folder = files(
        a_DOT_sh='echo \'"a"\' > "$AIRFLOW_TASK_RESULT"',
        b_DOT_py="import airflow_provider_tasks as t; t.set_result('b')",
    )
    write(folder / "report.ipynb", ("parameters", "day = 0"), ("result", "day * 2"))
    done = run(f"""
        with DAG("mapped"):
            ScriptOperator.partial(task_id="say").expand(file_name=["work/a.sh", "work/b.py"])
            NotebookOperator.partial(
                task_id="report", notebook="work/report", output_path="{tmp_path}/{{{{ ti.map_index }}}}.ipynb"
            ).expand(parameters=[{{"day": 1}}, {{"day": 2}}])
        """)
    assert set(done.states.values()) == {"success"}, done.states
    assert [done.xcom("say", map_index=index) for index in (0, 1)] == ["a", "b"]
    assert [done.xcom("report", map_index=index) for index in (0, 1)] == [2, 4]
    assert "day = 2" in (tmp_path / "1.ipynb").read_text()


def test_one_look_at_a_folder_is_enough_for_all_operators_of_a_dag_also_for_files_made_in_between(parse, files):
    files(a_DOT_sh="")
    parsed = parse("""
        from pathlib import Path
        from airflow_provider_tasks.workers import upload
        looked, find_files = [], upload.find_files
        upload.find_files = lambda *args: looked.append(args) or find_files(*args)
        with DAG("many") as dag:
            for number in range(5):
                ScriptOperator(task_id=f"t{number}", file_name="work/a.sh")
            dag.doc_md = str(len(looked))
            Path(__file__).with_name("work").joinpath("new.sh").write_text("true")
            ScriptOperator(task_id="new", file_name="work/new.sh")
        upload.find_files = find_files
        """)
    assert parsed.dag.doc_md == "1"
