"""A pod whose Python is not Airflow's says so; what does not depend on it runs."""

from __future__ import annotations

import sys

import pytest

from airflow_provider_tasks.workers.diagnosis import diagnose

from .conftest import in_a_pod, in_pods, run_in, send
from .test_any_python import calling


class Trace:
    """Unpickled, it prints."""

    def __reduce__(self):
        return print, ("unpickled",)


@pytest.fixture
def image(cluster):
    if cluster.image_313 is None:
        pytest.skip("TEST_KUBERNETES_IMAGE_3_13 is not set")
    return cluster.image_313


@in_pods
def test_another_minor_version_is_found_before_anything_is_unpickled(open_worker, image):
    ran = run_in(open_worker(image=image), print, Trace())
    ours = "{}.{}".format(*sys.version_info)
    diagnosis = diagnose(ran.outcome)
    assert (diagnosis.category, diagnosis.retry, ran.lines) == ("python_mismatch", False, [])
    assert diagnosis.summary.startswith(f"the worker runs Python 3.13, the task was packed by Python {ours}")
    assert diagnosis.advice.startswith(f"Give the worker Python {ours}")


@in_a_pod
def test_the_trace_of_the_test_above_works(open_worker):
    assert run_in(open_worker(shared=True), lambda _: None, Trace()).lines == ["unpickled"]


@in_a_pod
def test_what_another_python_can_read_runs_there(open_worker, image):
    worker = open_worker(image=image, many=True)
    ran = send(worker, calling(print, "hi", python="3.13"))
    assert (ran.outcome.status, ran.lines) == ("success", ["hi"])
    assert ran.outcome.python.startswith("3.13.")
    outcome = send(worker, calling(divmod, 1, 0, python="3.13")).outcome
    assert (outcome.category, outcome.exceptions[-1].type) == ("task", "ZeroDivisionError")
