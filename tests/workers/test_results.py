"""What a task returns, raises and skips, as its outcome says it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from airflow_provider_tasks import FailTask, Failure, SkipTask, Success
from airflow_provider_tasks.runtime.values import Opaque
from airflow_provider_tasks.workers.diagnosis import diagnose

from .conftest import deferrable_too, however_deferred, in_a_shared_pod

PLAIN = [None, 3, "ü\n\0", 2.5, float("inf"), [1, {"a": [None]}], (1, 2), {1: "a"}, {1, 2}, b"\xff", Decimal("1.10"),
         datetime(2026, 1, 2, tzinfo=UTC)]  # fmt: skip


@in_a_shared_pod
@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_a_plain_value_arrives_as_it_is(run, value):
    outcome = run(lambda: value).outcome
    assert (outcome.status, outcome.has_result, outcome.category) == ("success", True, None)
    assert (outcome.result, type(outcome.result)) == (value, type(value))


@however_deferred
@pytest.mark.parametrize("value", [None, "ü\n\0", (*PLAIN, {"all": PLAIN})], ids=["None", "text", "all"])
def test_plain_values_arrive_whichever_way_the_outcome_takes(run, value):
    outcome = run(lambda: value).outcome
    assert (outcome.status, outcome.has_result, outcome.category) == ("success", True, None)
    assert (outcome.result, type(outcome.result)) == (value, type(value))
    assert list(map(type, outcome.result or ())) == list(map(type, value or ()))


@in_a_shared_pod
def test_a_success_is_its_value(run):
    outcome = run(lambda: Success([1, 2])).outcome
    assert (outcome.status, outcome.result) == ("success", [1, 2])


@deferrable_too
def test_a_failure_is_kept_with_its_value(run):
    outcome = run(lambda: Failure({"code": 7})).outcome
    assert (outcome.status, outcome.category, outcome.result) == ("failure", "task", {"code": 7})
    assert (outcome.message, outcome.exceptions, outcome.retry) == ("the task returned a Failure", (), True)


@in_a_shared_pod
def test_a_failure_of_an_exception_is_its_text(run):
    outcome = run(lambda: Failure(ValueError("no route"))).outcome
    assert (outcome.status, outcome.result) == ("failure", "no route")


@in_a_shared_pod
def test_what_is_raised_is_a_failure_of_its_text(run):
    def fails():
        raise KeyError("who")

    outcome = run(fails).outcome
    assert (outcome.status, outcome.category, outcome.result) == ("failure", "task", "'who'")
    assert outcome.message == "KeyError: 'who'"


@in_a_shared_pod
@pytest.mark.parametrize(
    ("raised", "text"), [(SystemExit(3), "3"), (KeyboardInterrupt(), ""), (SystemExit(), "")], ids=repr
)
def test_leaving_python_is_a_failure_too(run, raised, text):
    def leaves():
        raise raised

    outcome = run(leaves).outcome
    assert (outcome.status, outcome.category, outcome.result) == ("failure", "task", text)
    assert outcome.message == f"{type(raised).__name__}: {text}"


@however_deferred
def test_skipping_is_neither_success_nor_failure(run):
    def skips():
        raise SkipTask("nothing new")

    outcome = run(skips).outcome
    assert (outcome.status, outcome.category, outcome.message) == ("skipped", None, "nothing new")


@deferrable_too
def test_failing_for_good_asks_for_no_retry(run):
    def fails():
        raise FailTask("the table is gone")

    outcome = run(fails).outcome
    assert (outcome.status, outcome.category, outcome.retry) == ("failure", "task", False)
    diagnosis = diagnose(outcome)
    assert diagnosis.summary == "FailTask: the table is gone"
    assert diagnosis.advice == "The task asked not to be tried again (FailTask)."
    assert diagnosis.retry is False


@deferrable_too
def test_an_unsupported_value_names_its_place_and_its_type(run):
    outcome = run(lambda: {"rows": [1, object()]}).outcome
    assert outcome.category == "value"
    diagnosis = diagnose(outcome)
    assert diagnosis.summary.startswith("result['rows'][1] is of type object")
    assert "pickle_results=True" in diagnosis.advice
    assert diagnosis.retry is False


class Opened:
    """Leaves a trace in the process that unpickles it."""

    def __init__(self, value):
        self.value = value

    def __setstate__(self, state):
        sys.opened = True
        self.__dict__.update(state)


@however_deferred
def test_an_opaque_value_goes_from_worker_to_worker_and_is_not_opened_between(run):
    opaque = run(lambda: {"inner": Opened(41)}, pickle_results=True).outcome.result["inner"]
    assert isinstance(opaque, Opaque)
    outcome = run(lambda given: (given.value + 1, sys.opened), opaque).outcome
    assert outcome.result == (42, True)
    assert not hasattr(sys, "opened")


def test_a_larger_result_says_how_large_it_may_be(run):
    outcome = run(lambda: "a" * (97 * 2**20)).outcome
    assert outcome.category == "value"
    assert outcome.message == "the result takes 101,711,874 bytes as JSON, expected at most 100,663,296"
    assert diagnose(outcome).advice == "Write it to a storage and return where it is."


@however_deferred
def test_the_outcome_tells_where_the_time_went_and_what_was_held(run, backend):
    outcome = run(lambda: sum(range(10**6))).outcome
    of_pods = [] if backend == "local" else ["scheduled", "image"]
    assert list(outcome.timeline) == [*of_pods, "started", "environment", "run", "result"]
    assert outcome.peak_memory > 2**20
    assert outcome.python.startswith("{}.{}.".format(*sys.version_info))
    assert outcome.exit_code == 0
