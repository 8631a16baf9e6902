"""What the test kit gives to people who test their own tasks and DAGs; ``dags_examples`` are such DAGs."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from airflow.sdk import DAG, task

from airflow_provider_tasks import (
    FailTask,
    Failure,
    Node,
    Pipeline,
    SkipTask,
    Success,
    Task,
    TaskDispatcher,
    get_context,
    is_successful,
)
from airflow_provider_tasks.model.errors import DispatchError
from airflow_provider_tasks.operators import NotebookOperator, PipelineOperator, TaskOperator
from airflow_provider_tasks.runtime.outcome import Outcome
from airflow_provider_tasks.runtime.protocol import CATEGORIES
from airflow_provider_tasks.runtime.values import ValueEncodeError
from airflow_provider_tasks.testing import dispatch, fake_outcome
from airflow_provider_tasks.workers.diagnosis import diagnose
from airflow_provider_tasks.workers.failures import EvictedError, MemoryExceededError, TaskRaisedError
from tests.airflow.conftest import EXAMPLES


class Divide(Task):
    requirements = ["echo prepared"]

    def __init__(self, number: int, by: int) -> None:
        self.number, self.by = number, by

    def run(self) -> int:
        print("dividing")
        return self.number // self.by


class Say(Task):
    def __init__(self, word: str) -> None:
        self.word = word

    def run(self) -> str:
        return f"{self.word}, {get_context()['params']['who']}"


class Greet(TaskDispatcher):
    def dispatch(self, node: Node) -> Task:
        return Say({"no": "hei", "fr": "salut"}[node["language"]])


@task.worker
def shout(text: str) -> str:
    return text.upper()


OSLO = Node("oslo", {"language": "no"})


def test_a_task_runs_in_a_worker_with_its_requirements(run_in_worker) -> None:
    ran = run_in_worker(Divide(7, 2))
    assert (ran.result, ran.output, ran.error) == (Success(3), ["prepared", "dividing"], None)
    assert ran.outcome.timeline["run"] >= 0


def test_the_class_of_a_task_is_not_run_as_a_function(run_in_worker) -> None:
    with pytest.raises(TypeError, match="that is a class; make an instance of it: Divide"):
        run_in_worker(Divide)


def test_requirements_can_be_left_out(run_in_worker) -> None:
    assert run_in_worker(Divide(7, 2), requirements=False).output == ["dividing"]


def test_what_a_task_raises_is_there_as_airflow_would_have_it(run_in_worker) -> None:
    ran = run_in_worker(Divide(7, 0), requirements=False)
    assert not is_successful(ran.result)
    assert isinstance(ran.error, TaskRaisedError)
    assert "ZeroDivisionError" in str(ran.error)
    assert ran.outcome.exceptions[-1].frames[-1].source == "return self.number // self.by"


def test_a_dispatcher_and_a_decorated_function_run_too(run_in_worker) -> None:
    greeting = run_in_worker(Greet(), node=OSLO, context={"params": {"who": "Kari"}})
    assert greeting.result == Success("hei, Kari")
    assert run_in_worker(shout, "quiet").result == Success("QUIET")


def test_a_dispatchers_choice_is_told_without_a_worker() -> None:
    chosen = dispatch(Greet(), OSLO)
    assert isinstance(chosen, Say)
    assert chosen.word == "hei"
    with pytest.raises(DispatchError, match="KeyError"):
        dispatch(Greet(), Node("graz", {"language": "de"}))


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_can_be_had(category) -> None:
    diagnosis = diagnose(fake_outcome(category))
    assert diagnosis.category == category
    assert diagnosis.summary
    assert diagnosis.advice


def test_a_value_that_could_not_travel_is_refused() -> None:
    assert fake_outcome(Success({"rows": (1, 2)})).result == {"rows": (1, 2)}
    with pytest.raises(ValueEncodeError):
        fake_outcome(Success(object()))


def test_what_is_no_outcome_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a category as 'memory'"):
        fake_outcome(3)


def test_a_dag_sees_a_made_up_failure_as_a_real_one(run_dag, capfd) -> None:
    run = run_dag(EXAMPLES / "example_first_task.py", outcomes={"primes": "memory", "greeting": Success("hello")})
    assert run.state == "failed"
    assert run.states == {"greeting": "success", "primes": "failed", "Total": "upstream_failed"}
    (error,) = run.errors("primes")
    assert isinstance(error, MemoryExceededError)
    assert str(error) in capfd.readouterr().out
    outcome = run.xcom("primes", "outcome")
    assert (outcome["category"], outcome["backend"]) == ("memory", "local")
    assert run.xcom("greeting") == "hello"


def test_each_try_can_have_an_outcome_and_none_waits(run_dag) -> None:
    with DAG("tries") as dag:
        TaskOperator(task_id="divide", task=Divide(7, 2), retries=5, retry_exponential_backoff=2)
        shout.override(task_id="many", retries=1).expand(text=["a", "b"])
    run = run_dag(dag, outcomes={"divide": ["evicted", ValueError("odd"), None], "many[1]": Failure("too quiet")})
    assert run.states == {"divide": "success", "many[0]": "success", "many[1]": "failed"}
    assert run.xcom("divide") == 3
    evicted, raised = run.errors("divide")
    assert isinstance(evicted, EvictedError)
    assert "ValueError: odd" in str(raised)
    assert "the task returned a Failure: too quiet" in str(run.errors("many", 1)[1])
    assert dag.get_task("divide").retry_exponential_backoff == 2


def test_skips_ends_and_outcomes_that_are_made_by_hand(run_dag) -> None:
    with DAG("ends") as dag:
        for name in ("skipped", "given_up", "by_hand"):
            TaskOperator(task_id=name, task=Divide(7, 2), retries=1)
    by_hand = Outcome("failure", "environment", "no disk", timeline={"environment": 3.0})
    run = run_dag(dag, outcomes={"skipped": SkipTask("nothing new"), "given_up": FailTask("gone"), "by_hand": by_hand})
    assert run.states == {"skipped": "skipped", "given_up": "failed", "by_hand": "failed"}
    assert (len(run.errors("given_up")), len(run.errors("by_hand"))) == (1, 2)
    assert run.xcom("by_hand", "outcome")["timeline"] == {"environment": 3.0}


def test_pipelines_and_notebooks_have_outcomes_of_their_form(run_dag, tmp_path) -> None:
    (tmp_path / "report.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    with DAG("forms") as dag:
        PipelineOperator(task_id="good", pipeline=Pipeline([Say("hei")]))
        PipelineOperator(task_id="bad", pipeline=Pipeline([Say("hei")]))
        NotebookOperator(task_id="report", notebook="report.ipynb", files_path=str(tmp_path))
    outcomes = {
        "good": Success({"Say": [Success("hei")]}),
        "bad": Failure({"Say": [Failure("no voice")]}),
        "report": Success({"total": 3}),
    }
    run = run_dag(dag, outcomes=outcomes)
    assert run.states == {"good": "success", "bad": "failed", "report": "success"}
    assert run.xcom("good") == {"Say": [{"result_type": "Success", "result": "hei"}]}
    assert run.xcom("bad") == {"Say": [{"result_type": "Failure", "result": "no voice"}]}
    assert "1 of 1 tasks failed: Say: no voice" in str(run.errors("bad")[0])
    assert run.xcom("report") == {"total": 3}


def test_an_outcome_of_no_task_is_refused_with_the_nearest(run_dag) -> None:
    with pytest.raises(ValueError, match="'example_first_task' has no task 'prime'; did you mean 'primes'"):
        run_dag(EXAMPLES / "example_first_task.py", outcomes={"prime": "memory"})


def test_a_dag_file_that_can_not_be_parsed_says_why(run_dag, tmp_path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0  # DAG airflow")
    with pytest.raises(ImportError, match="division by zero"):
        run_dag(tmp_path / "broken.py")


MORE_TESTS = """
import os

def test_that_is_wrong(run_dag):
    assert run_dag("ping_all.py", outcomes={"ping": "evicted"}).states["ping"] == "success"

def test_the_home_is_nobodys():
    assert os.environ["AIRFLOW_HOME"] != "/nobody/comes/here"
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in os.environ
"""

PAGE = EXAMPLES.parent / "docs" / "howto" / "testing.md"


def test_the_project_of_the_page_passes_and_a_wrong_test_fails(pytester, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", "/nobody/comes/here")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production/airflow")
    files = re.findall(r"<!-- test: file (\S+) -->\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    for name, text in files:
        pytester.path.joinpath(name).write_text(text)
    assert len(files) == 5
    pytester.makepyfile(test_more=MORE_TESTS)
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=8, failed=1)
    result.stdout.fnmatch_lines(["*assert 'failed' == 'success'*"])


def test_airflow_that_was_imported_too_early_is_told(pytester) -> None:
    pytester.makeconftest('import airflow\npytest_plugins = ["airflow_provider_tasks.testing"]')
    pytester.makepyfile("def test(run_dag): pass")
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*something imported Airflow before*addopts = *"])


def test_loading_the_kit_does_not_load_airflow() -> None:
    heavy = "{'airflow', 'pandas', 'lightkube'}"
    code = f"import sys, airflow_provider_tasks.testing; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
