"""`run_pipeline`: a pipeline in a worker without Airflow, on this machine and in a pod."""

from __future__ import annotations

import json

import pytest

from airflow_provider_tasks import (
    CyclePipeline,
    DockerImage,
    Failure,
    Node,
    Pipeline,
    Success,
    Task,
    TaskDispatcher,
    run_pipeline,
)
from airflow_provider_tasks.workers.failures import ConfigurationError, EnvironmentFailedError


class Say(Task):
    def __init__(self, word):
        self.word = word

    def run(self):
        print(self.word)
        return self.word


class Fail(Task):
    def run(self):
        raise ValueError("no")


class Loud(TaskDispatcher):
    def dispatch(self, node):
        return Say(node.name.upper())


class Level(Task):
    def run(self):
        import os

        return os.environ["LEVEL"]


def test_all_that_succeed_are_a_success_and_output_is_printed(config, capsys):
    result = run_pipeline(Pipeline([Say("one"), Loud()]), Node("edge"), config)
    assert result == Success({"Say": [Success("one")], "Say_2": [Success("EDGE")]})
    assert capsys.readouterr().out.splitlines()[:2] == ["[Say] one", "[Say_2] EDGE"]


def test_one_that_fails_makes_a_failure_of_the_same(config):
    result = run_pipeline(Pipeline([[Say("one"), Fail()]], early_stopping=False), worker_config=config)
    assert result == Failure({"Say": [Success("one")], "Fail": [Failure("no")]})


def test_what_is_no_tasks_fault_is_an_exception(config):
    pipeline = Pipeline([Say("one")], environment_definition=DockerImage(commands=["echo it is broken; exit 3"]))
    with pytest.raises(EnvironmentFailedError, match="exit code 3"):
        run_pipeline(pipeline, worker_config=config)


def test_every_run_of_a_cycle_has_a_result():
    assert run_pipeline(CyclePipeline([Say("a")], cycles=2)) == Success({"Say": [Success("a"), Success("a")]})


def test_settings_from_a_file_and_a_node(tmp_path):
    file = tmp_path / "worker.json"
    file.write_text(json.dumps({"env_variables": {"LEVEL": "of the file"}}))
    assert run_pipeline(Pipeline([Level()]), None, file) == Success({"Level": [Success("of the file")]})
    node = {"name": "edge", "properties": {"worker_config": {"env_variables": {"LEVEL": "of the node"}}}}
    assert run_pipeline(Pipeline([Level()]), node) == Success({"Level": [Success("of the node")]})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([Say("a")],), TypeError, "has a Pipeline or an ExecutionGraph"),
        ((Pipeline([Loud()]),), ValueError, "Loud"),
        ((Pipeline([Say("a")]), None, {"worker_sise": "Small"}), ConfigurationError, "worker_size"),
        ((Pipeline([Say("a")]), None, {"worker_size": "Tyni"}), ConfigurationError, "Tyni"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(arguments, error, message):
    with pytest.raises(error, match=message):
        run_pipeline(*arguments)
