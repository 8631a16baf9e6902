"""Each category is explained: what happened, what to do, whether trying again can help."""

from __future__ import annotations

import pickle

import pytest

from airflow_provider_tasks.runtime.outcome import ExceptionInfo, Outcome
from airflow_provider_tasks.runtime.protocol import CATEGORIES
from airflow_provider_tasks.workers.diagnosis import diagnose
from airflow_provider_tasks.workers.failures import BY_CATEGORY, WorkerError
from airflow_provider_tasks.workers.sizes import WorkerSize


def failed(category, message="what happened", **fields):
    return diagnose(Outcome("failure", category, message, **fields))


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_has_advice_and_an_exception_class_that_survives_pickling(category):
    diagnosis = failed(category)
    assert (diagnosis.category, diagnosis.summary) == (category, "what happened")
    assert diagnosis.advice.endswith(".")
    error = BY_CATEGORY[category](diagnosis.summary, diagnosis.advice, retry=False, outcome=Outcome("skipped"))
    assert error.category == category
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.retry, again.outcome) == (type(error), str(error), False, error.outcome)
    assert str(error) == f"what happened\n{diagnosis.advice}"


def test_the_classes_are_one_for_each_category():
    assert set(BY_CATEGORY) == set(CATEGORIES)
    assert all(issubclass(cls, WorkerError) for cls in BY_CATEGORY.values())


HELPLESS = {"image", "python_mismatch", "value", "payload", "configuration"}


@pytest.mark.parametrize("category", CATEGORIES)
def test_what_can_not_get_better_by_itself_is_not_tried_again(category):
    assert failed(category).retry is (category not in HELPLESS)


def test_a_task_that_raised_points_at_the_traceback():
    diagnosis = failed("task", "ValueError: x", exceptions=(ExceptionInfo("ValueError", "x"),), exit_code=0)
    assert diagnosis.advice == "The traceback above is the task's own."


def test_a_task_that_ended_its_process_is_told_what_can_do_so():
    assert failed("task", exit_code=3).advice.startswith("Something in it ended the process: os._exit")


def test_a_script_is_told_where_its_reason_and_its_packages_are():
    diagnosis = failed("task", "a.py ended with exit code 1", exceptions=(ExceptionInfo("x.ScriptFailedError", "a"),))
    assert diagnosis.advice.startswith("What the script printed says why.")


def test_a_command_that_is_not_there_is_told_apart_from_one_that_fails():
    detail = {"exit_code": "127", "output": "sh: aptget: not found\n"}
    assert failed("environment", detail=detail).advice.startswith("The worker has no such command")


def test_a_task_that_asked_for_no_retry_gets_none():
    diagnosis = failed("task", retry=False, exceptions=(ExceptionInfo("FailTask", "x"),))
    assert (diagnosis.retry, diagnosis.advice) == (False, "The task asked not to be tried again (FailTask).")


def test_memory_is_told_beside_its_limit_with_a_size_that_may_do():
    diagnosis = failed("memory", peak_memory=3 * 2**29, detail={"memory_limit": str(2**30)})
    assert diagnosis.summary == "the task held 1,610,612,736 bytes of memory, its limit is 1 GiB"
    assert diagnosis.advice == "Give it a larger worker_size (at least 2 GiB), or let it hold less at a time."


def test_a_failed_command_shows_the_end_of_its_output():
    detail = {"output": "\n".join(map(str, range(100))), "root": "yes"}
    assert failed("environment", detail=detail).summary.splitlines() == [
        "what happened", *(f"    {number}" for number in range(80, 100))
    ]  # fmt: skip


@pytest.mark.parametrize("output", ["E: are you root?", "Permission denied", "must be root", "requires superuser"])
def test_a_command_that_wants_root_says_so_where_there_is_none(output):
    lead = "The command needs root, which the worker does not run as: run the command by hand"
    assert failed("environment", detail={"output": output, "root": "no"}).advice.startswith(lead)
    assert not failed("environment", detail={"output": output, "root": "yes"}).advice.startswith(lead)


def test_a_missing_module_comes_with_the_requirement():
    diagnosis = failed("environment", detail={"module": "yaml.nodes"})
    assert diagnosis.advice == (
        "Add a requirement to the task (requirements = ['pip install PyYAML']), or use a worker that has it."
    )
    assert diagnosis.retry is False


def test_no_package_is_offered_that_nobody_here_knows():
    assert failed("environment", detail={"module": "no_such_package"}).advice == (
        "Add a requirement to the task that installs the package with 'no_such_package' "
        "(requirements = ['pip install …']), or use a worker that has it."
    )


def test_a_python_mismatch_names_the_version_to_use():
    advice = failed("python_mismatch", detail={"airflow_python": "3.12", "worker_python": "3.9"}).advice
    assert advice.startswith("Give the worker Python 3.12, with WorkerConfig(python=…)")


@pytest.mark.parametrize(
    ("category", "detail"),
    [("environment", {"module": "a"}), ("environment", {"output": " \n "}), ("memory", {"memory_limit": "many"}),
     ("memory", {"memory_limit": "²"}), ("memory", {"memory_limit": "-5"}), ("python_mismatch", {"worker_python": ""})],
)  # fmt: skip
def test_a_worker_that_lies_is_explained_as_far_as_it_goes(category, detail):
    assert failed(category, detail=detail, peak_memory=1).category == category


def pod(state, **status):
    container = {"name": "worker", "image": "a", "resources": {"limits": {"memory": "1Gi"}}}
    statuses = [{"name": "worker", "state": {"terminated": state}}]
    spec = {"nodeName": "b", "containers": [container]}
    return {
        "metadata": {"name": "p"},
        "spec": spec,
        "status": {"phase": "Failed", "containerStatuses": statuses, **status},
    }


OUT_OF_MEMORY = pod({"exitCode": 137, "reason": "OOMKilled"})
TOLD_TO_END = Outcome("failure", "killed", "the worker was told to end")


def test_the_cluster_knows_why_a_worker_was_told_to_end():
    evicted = pod(
        {"exitCode": 143, "reason": "Error"}, reason="Evicted", message="The node was low on resource: memory."
    )
    diagnosis = diagnose(TOLD_TO_END, evicted)
    assert (diagnosis.category, diagnosis.retry) == ("evicted", True)
    assert diagnosis.summary == "pod p on node b was evicted: The node was low on resource: memory"
    assert diagnose(TOLD_TO_END, pod({"exitCode": 143}), deleted=True).summary == (
        "pod p on node b was deleted while its worker ran"
    )


def test_a_worker_that_was_told_to_end_by_nobody_knows_who_says_what_it_knows():
    assert diagnose(TOLD_TO_END, pod({"exitCode": 143, "reason": "Error"})) == diagnose(TOLD_TO_END)


def test_a_process_that_the_kernel_killed_for_memory_is_told_as_that():
    killed = failed("killed", signal=9)
    assert killed.category == "killed"
    diagnosis = diagnose(Outcome("failure", "killed", "what happened", signal=9), OUT_OF_MEMORY)
    assert diagnosis.category == "memory"
    assert diagnosis.summary == "the worker in pod p on node b needed more memory than its limit of 1 GiB"
    assert diagnosis.advice == "Give it a larger worker_size ('Small' has 2 GiB), or let it hold less at a time."


def test_a_task_that_lost_a_process_to_memory_keeps_its_error_and_learns_of_it():
    diagnosis = diagnose(Outcome("failure", "task", "BrokenProcessPool"), OUT_OF_MEMORY)
    assert (diagnosis.category, diagnosis.summary) == ("task", "BrokenProcessPool")
    assert diagnosis.advice.endswith("was killed for want of memory: a larger worker_size may help.")


@pytest.mark.parametrize("category", sorted(set(CATEGORIES) - {"killed", "task"}))
def test_what_a_worker_reports_of_itself_stands_whatever_became_of_its_pod(category):
    outcome = Outcome("failure", category, "what happened")
    assert diagnose(outcome, OUT_OF_MEMORY, deleted=True) == diagnose(outcome)


def test_the_next_size_is_one_of_the_installations():
    sizes = {
        "huge": WorkerSize(memory=2**40),
        "next": WorkerSize(memory=2**31),
        "same": WorkerSize(memory=2**30),
        "none": WorkerSize(),
    }
    assert "larger worker_size ('next' has 2 GiB)" in diagnose(None, OUT_OF_MEMORY, sizes=sizes).advice
    assert "larger worker_size (at least 2 GiB)" in diagnose(None, OUT_OF_MEMORY, sizes={}).advice
