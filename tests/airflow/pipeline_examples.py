"""What each example of pipelines has to come to, whatever its workers are."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.airflow.conftest import Run


def capture(run: Run) -> None:
    sent, seen = map(int, re.findall(r"\d+", run.xcom("report")))
    assert sent == 200_000
    assert seen >= sent
    assert set(run.states.values()) == {"success"}


def experiment(run: Run) -> None:
    assert set(run.states.values()) == {"success"}
    picked = {
        task_id.split(".")[1]: run.xcom(task_id, "outcome")["implementation"]
        for task_id in run.states
        if "Timer" in task_id
    }
    router, probe = "TimerOfRouter", "TimerOfProbe"
    assert picked == {"router-1": router, "router-2": router, "probe-1": probe, "probe-2": probe}
    systems = [stages[0][0] for stages in run.xcom("measure.collect")]
    assert systems == [{"result_type": "Success", "result": "Linux"}] * 4
    medians = run.xcom("medians")
    assert len(medians) == 4
    assert min(medians) >= 0.001


def cycle(run: Run) -> None:
    found = run.xcom("watch")
    assert len(found["Load"]) == 3
    assert found["Trend"][0]["result"] == "first"
    assert {result["result"] for result in found["Trend"][1:]} <= {"more", "not more"}


def failure_path(run: Run) -> None:
    source = "[Errno 2] No such file or directory: '/no/such/file'"
    told = f"source: <Failure: {source}>, mirror: <Success: 1>"
    in_one_worker = run.xcom("in_one_worker")
    assert in_one_worker["result_type"] == "Failure"
    assert in_one_worker["result"]["Notice"] == [{"result_type": "Success", "result": told}]
    assert run.states["as_a_group.source"] == "failed"
    assert run.states["as_a_group.mirror"] == "success"
    assert run.xcom("as_a_group.Notice") == told


EXAMPLES: dict[str, Callable[[Run], None]] = {
    "example_capture": capture,
    "example_cycle": cycle,
    "example_experiment": experiment,
    "example_failure_path": failure_path,
}
