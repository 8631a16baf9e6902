"""What pip commands install is there in the task, with no network and no root."""

from __future__ import annotations

import base64

import pytest

from airflow_provider_tasks.workers.diagnosis import diagnose

from .conftest import deferrable_too, run_in
from .test_layers import write_wheel


@pytest.fixture
def wheel(tmp_path):
    """A startup script that writes a wheel, which is nowhere else, into the task's folder."""
    write_wheel(tmp_path, "tinydep", "1.0", "VALUE = 1\n")
    (path,) = tmp_path.iterdir()
    return f"echo {base64.b64encode(path.read_bytes()).decode()} | base64 -d > {path.name}"


INSTALL = "pip install --no-index --find-links . tinydep"


def uses_it():
    import tinydep

    return tinydep.VALUE


@deferrable_too
def test_a_requirement_is_there_in_the_task(run, wheel):
    ran = run(uses_it, environment={"startup_script": wheel, "requirements": [INSTALL]})
    assert (ran.outcome.result, ran.outcome.message) == (1, "")
    assert "Successfully installed tinydep-1.0" in ran.lines
    assert ran.outcome.timeline["environment"] > ran.outcome.timeline["run"]


def test_a_requirement_installs_for_one_request_alone(many_worker, wheel):
    environment = {"startup_script": wheel, "requirements": [INSTALL, "python -c 'import tinydep'"]}
    assert run_in(many_worker, uses_it, environment=environment).outcome.result == 1
    outcome = run_in(many_worker, uses_it).outcome
    assert (outcome.category, outcome.detail["module"]) == ("environment", "tinydep")


def test_a_package_that_is_not_to_be_had_is_named(run):
    outcome = run(uses_it, environment={"requirements": ["pip install --no-index no-such-package-anywhere"]}).outcome
    assert outcome.category == "environment"
    assert diagnose(outcome).summary.startswith(
        "the requirement failed with exit code 1: pip install --no-index no-such"
    )
    assert "No matching distribution found for no-such-package-anywhere" in outcome.detail["output"]
