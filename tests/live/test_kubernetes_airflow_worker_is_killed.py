"""An Airflow worker that dies at any stage of a task's life: the next try takes over the pod, the code runs once."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator

import pytest

from tests.kubernetes.proxy import FaultyProxy, OnMatch, Rule
from tests.live.airflow_on_kubernetes import AirflowOnKubernetes

DAG = "kubernetes_killed"

STAGES = [
    "before_create",
    "before_the_reply_to_create",
    "before_its_secret",
    "before_it_watches",
    "while_it_streams",
    "before_it_fetches",
    "while_it_fetches",
    "before_it_deletes",
    # Where the triggerer waits for the pod:
    "before_it_defers",
    "when_it_goes_on",
]
"""When the Airflow worker of a task is killed; each is a task of the DAG."""

MADE_TWICE = ["before_the_reply_to_create", "before_its_secret"]
"""The stages in which a pod is left that never runs, as its Secret is not there."""


@pytest.fixture
def airflow(airflow_on_kubernetes: AirflowOnKubernetes) -> AirflowOnKubernetes:
    return airflow_on_kubernetes


@pytest.fixture
def proxies(airflow: AirflowOnKubernetes) -> Iterator[dict[str, FaultyProxy]]:
    """A proxy for each stage, with a connection that leads through it."""
    with contextlib.ExitStack() as stack:
        found = {}
        for stage in STAGES:
            found[stage] = stack.enter_context(FaultyProxy(airflow.cluster.kubeconfig))
            airflow.connect(f"kubernetes_{stage}", found[stage].kubeconfig(airflow.cluster.token))
        yield found


def strike(stage: str, proxy: FaultyProxy, kill: OnMatch) -> Rule:
    """Call `kill` when the requests of an Airflow worker say that it has come to a stage."""
    match stage:
        case "before_create":
            return proxy.refuse("POST", r"/pods$", on_match=kill)
        case "before_the_reply_to_create":
            return proxy.lose_reply("POST", r"/pods$", on_match=kill)
        case "before_its_secret":
            return proxy.refuse("POST", r"/secrets$", on_match=kill)
        case "before_it_defers":
            return proxy.lose_reply("POST", r"/secrets$", on_match=kill)
        case "before_it_watches":
            return proxy.refuse("GET", r"[?&]watch=1", on_match=kill)
        case "while_it_streams":
            return proxy.cut_after("GET", r"/log\?", 200, on_match=kill)
        case "before_it_fetches" | "when_it_goes_on":
            return proxy.refuse("GET", r"/exec\?", on_match=kill)
        case "while_it_fetches":
            return proxy.cut_after("GET", r"/exec\?", 20_000, on_match=kill)
        case "before_it_deletes":
            return proxy.refuse("DELETE", r"/pods/", on_match=kill)
    raise AssertionError(stage)


def test_the_code_runs_once_whenever_the_airflow_worker_is_killed(
    airflow: AirflowOnKubernetes, proxies: dict[str, FaultyProxy]
) -> None:
    airflow.have_the_runtime()
    run_id = f"killed-{uuid.uuid4()}"
    killed = {stage: threading.Event() for stage in STAGES}

    def kill(stage: str) -> None:
        airflow.kill_worker(DAG, run_id, stage)
        killed[stage].set()

    for stage, proxy in proxies.items():
        strike(stage, proxy, lambda _, stage=stage: kill(stage))  # type: ignore[misc]
    mark = airflow.cluster.audit_mark()
    airflow.trigger(DAG, run_id=run_id)
    for stage in STAGES:
        assert killed[stage].wait(120), stage
    # The pod still runs when the next try comes; all others have ended by then.
    airflow.wait_until(
        "the second try", lambda: airflow.task_instance(DAG, run_id, "while_it_streams")["try_number"] == 2 or None, 60
    )
    airflow.wait_for_task_state(DAG, run_id, "while_it_streams", "running")
    airflow.wait_until(
        "the pod to be taken over",
        lambda: "Taking over the pod of try 1" in airflow.log(DAG, run_id, "while_it_streams", 2) or None,
        60,
    )
    airflow.let_end(DAG, run_id)
    assert airflow.wait_for_run(DAG, run_id, 180) == "success"
    made = [
        line["objectRef"]["name"]
        for line in airflow.cluster.audit(mark)
        if line["verb"] == "create"
        and line["objectRef"]["resource"] == "pods"
        and "subresource" not in line["objectRef"]
    ]
    for stage in STAGES:
        assert airflow.task_instance(DAG, run_id, stage)["try_number"] == 2
        assert len(airflow.noted(DAG, run_id, stage)) == 1, stage
        assert airflow.containers_started(DAG, stage) == 1
        assert "run" in airflow.xcom(DAG, run_id, stage)
        log = airflow.log(DAG, run_id, stage, 2)
        # All of the output is there, though most of it was printed before this try began.
        assert [log.count(f"line {number}\n") for number in range(100)] == [1] * 100, stage
        mine = [name for name in made if name.startswith(f"kubernetes-killed-{stage.replace('_', '-')}-")]
        assert len(mine) == (2 if stage in MADE_TWICE else 1), made
    airflow.assert_no_pod_is_left(DAG)
