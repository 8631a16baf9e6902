"""Every way in which a task in a pod fails, through a real Airflow task: the end of its log names cause and fix."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import pytest

from tests.kubernetes.airflow_tasks import Ended, TaskInAPod, beside
from tests.kubernetes.cluster import wait_until
from tests.kubernetes.faults import Faults
from tests.kubernetes.proxy import FaultyProxy

SIZES = '{"Tiny": {"cpu": "0.1", "memory": "64Mi"}, "Small": {"cpu": "0.1", "memory": "256Mi"}}'

DISK = '{"spec": {"containers": [{"name": "worker", "resources": {"limits": {"ephemeral-storage": "4Mi"}}}]}}'
FILLS_THE_DISK = 'open("/airflow/scratch/big", "wb").write(bytes(2**25)); time.sleep(600)'
FILLS_THE_MEMORY = "held = [bytearray(2**20) for _ in range(600)]"


class Failure(NamedTuple):
    """What the body of a function does in a worker, and what the end of the log says of it."""

    body: str
    category: str
    raised: str
    cause: str
    fix: str
    config: str = ""
    """Arguments of `WorkerConfig`."""
    before: tuple[str, ...] = ()
    """What the log says before."""


def waiting(cause: str) -> tuple[str, ...]:
    return (f"The pod does not start yet: {cause}", "startup_timeout")


FAILURES = {
    "raises": Failure(
        'raise ValueError("no route")',
        "task", "TaskRaisedError", "ValueError: no route", "The traceback above is the task's own.",
        before=('raise ValueError("no route")', "ValueError: no route"),
    ),
    "exit-code": Failure(
        "os._exit(3)", "task", "TaskRaisedError", "ended with exit code 3 before", "Something in it ended the process"
    ),
    "fails-for-good": Failure(
        'raise FailTask("the table is gone")',
        "task", "TaskFailedForGoodError", "the table is gone", "The task asked not to be tried again",
    ),
    "signal": Failure(
        "os.kill(os.getpid(), 9)",
        "killed", "KilledError", "was ended by SIGKILL", "Look at who sent the signal",
    ),
    "startup-script": Failure(
        "raise AssertionError",
        "environment", "EnvironmentFailedError", "exit code 4", "the disk is full",
        config='startup_script="echo the disk is full >&2; exit 4"',
        before=("the disk is full",),
    ),
    "module": Failure(
        "import a_package_that_nobody_has",
        "environment", "EnvironmentFailedError", "no module 'a_package_that_nobody_has'", "Add a requirement",
    ),
    "memory": Failure(
        FILLS_THE_MEMORY, "memory", "MemoryExceededError", "64 MiB", "larger worker_size", config='worker_size="Tiny"'
    ),
    "image": Failure(
        "pass", "image", "ImageError", "the image docker.io/local/none:1 of pod", "Check that worker_image names",
        config='worker_image="docker.io/local/none:1"', before=waiting("the image docker.io/local/none:1"),
    ),
    "image-not-there": Failure(
        "pass", "image", "ImageError", "is not on its node, and imagePullPolicy is Never", "Set image_pull_policy",
        config='worker_image="docker.io/local/none:2", image_pull_policy="Never"',
    ),
    "image-without-python": Failure(
        "pass", "image", "ImageError", "docker.io/local/pause:1", "Choose a worker_image that has Python",
        config='worker_image="docker.io/local/pause:1"',
    ),
    "unschedulable": Failure(
        "pass", "unschedulable", "UnschedulableError", "within 3 s (startup_timeout): no node can take pod", "node_sel",
        config='node_selector={"pool": "gpu"}, startup_timeout=3', before=waiting("no node can take pod"),
    ),
    "evicted": Failure(
        FILLS_THE_DISK, "evicted", "EvictedError", "was evicted", "Let it write less to its disk",
        config=f"pod_override={DISK}",
    ),
    "time-limit": Failure(
        "time.sleep(600)", "timeout", "TimeLimitError", "ran into its time limit", "Raise time_limit",
        config="time_limit=1",
    ),
    "active-deadline": Failure(
        "time.sleep(600)", "timeout", "TimeLimitError", "ran into its time limit of 4 s", "Raise time_limit",
        config='pod_override={"spec": {"activeDeadlineSeconds": 4}}',
    ),
    "value": Failure(
        "return [1, object()]", "value", "ValueNotSupportedError", "object", "pickle_results=True",
    ),
    "payload": Failure(
        "return len(LARGE)",
        "payload",
        "PayloadError",
        "expected at most 16 MiB; the largest: global 'LARGE'",
        "Put large data into a storage",
    ),
    "priority-class": Failure(
        "pass", "configuration", "ConfigurationError", "no PriorityClass 'urgent'", "Correct priority_class_name",
        config='priority_class_name="urgent"',
    ),
    "secret": Failure(
        "pass", "configuration", "ConfigurationError", "Secret 'database', which its namespace does not have",
        "Create or complete Secret 'database'", config='secrets={"PASSWORD": "database/password"}',
    ),
    "forbidden": Failure(
        "pass", "configuration", "ConfigurationError", "does not allow to", "Give it the Role",
        config='namespace="default"',
    ),
}  # fmt: skip

SEEN_BY_THE_CLUSTER = ["memory", "image", "unschedulable", "active-deadline", "secret", "forbidden"]
"""Those of which the triggerer learns from the cluster alone, or that end before there is anything to defer for."""


@pytest.fixture(autouse=True)
def sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__SIZES", SIZES)


def run(tasks: TaskInAPod, body: str, config: str = "", *, deferrable: bool = False, large: bool = False) -> Ended:
    return tasks(f"""
{"import random; LARGE = random.Random(1).randbytes(26_000_000)" if large else ""}

@task.worker(deferrable={deferrable}, retries=0, worker_config=WorkerConfig({config}))
def task_in_a_pod():
    {body}
""")


def check(ended: Ended, category: str, raised: str, cause: str, fix: str) -> None:
    assert ended.state == "failed"
    assert ended.raised == raised
    assert cause in ended.last_lines
    assert fix in ended.last_lines
    assert ended.last_lines.index(cause) <= ended.last_lines.index(fix)
    assert ended.run.xcom("task_in_a_pod", "outcome")["category"] == category


@pytest.mark.parametrize("name", FAILURES)
def test_the_end_of_the_log_names_cause_and_fix(name: str, airflow_tasks: TaskInAPod) -> None:
    failure = FAILURES[name]
    ended = run(airflow_tasks, failure.body, failure.config, large=name == "payload")
    check(ended, failure.category, failure.raised, failure.cause, failure.fix)
    ended.order(*failure.before, ended.last_lines)


@pytest.mark.parametrize("name", SEEN_BY_THE_CLUSTER)
def test_so_it_does_when_a_trigger_waited(name: str, airflow_tasks: TaskInAPod) -> None:
    failure = FAILURES[name]
    ended = run(airflow_tasks, failure.body, failure.config, deferrable=True)
    check(ended, failure.category, failure.raised, failure.cause, failure.fix)
    ended.order(*failure.before, ended.last_lines)


def test_a_requirement_that_fails_is_named_with_its_output(airflow_tasks: TaskInAPod) -> None:
    ended = airflow_tasks(
        """
        class Unprepared(Task):
            requirements = ["echo preparing", "echo no such package >&2; exit 4"]
            def run(self):
                raise AssertionError("never")
        """,
        "TaskOperator(task_id='task_in_a_pod', task=Unprepared())",
    )
    check(
        ended,
        "environment",
        "EnvironmentFailedError",
        "the requirement failed with exit code 4: echo no such package >&2; exit 4",
        "    no such package\nRun the command by hand",
    )
    ended.order("preparing", "no such package", ended.last_lines)


def test_a_worker_of_another_python_is_told_before_its_code_is_loaded(airflow_tasks: TaskInAPod) -> None:
    image = airflow_tasks.cluster.image_313
    if image is None:
        pytest.skip("TEST_KUBERNETES_IMAGE_3_13 is not set")
    ended = run(airflow_tasks, "print('loaded')", f"worker_image={image!r}")
    check(ended, "python_mismatch", "PythonMismatchError", "3.13", "worker_image that has it")
    assert "loaded " not in ended.log


def test_a_namespace_that_is_not_there_is_named(airflow_tasks: TaskInAPod, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who may work in one namespace is refused before anybody looks whether there is another.
    airflow_tasks.connect(os.environ["TEST_KUBECONFIG"])
    ended = run(airflow_tasks, "pass", 'namespace="no-such-namespace"')
    check(ended, "configuration", "ConfigurationError", "there is no namespace 'no-such-namespace' in", "Create it")


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_pod_deleted_by_hand_is_told_as_such(airflow_tasks: TaskInAPod, deferrable: bool) -> None:
    admin = airflow_tasks.cluster.admin

    def delete() -> None:
        name = wait_until(lambda: running(airflow_tasks))
        admin.delete("Pod", name, grace=0)

    with beside(delete):
        ended = run(airflow_tasks, "time.sleep(600)", deferrable=deferrable)
    check(ended, "killed", "KilledError", "was deleted while its worker ran", "trying again makes a new pod")


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_api_server_that_does_not_answer_is_named(
    airflow_tasks: TaskInAPod, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    from airflow_provider_tasks.workers.kubernetes.api import Api

    defaults: dict[str, Any] = Api.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "patience", 2.0)  # instead of two minutes
    airflow_tasks.connect(proxy.kubeconfig(airflow_tasks.cluster.token))
    proxy.refuse("*", ".*", times=None)
    ended = run(airflow_tasks, "pass", deferrable=deferrable)
    check(ended, "cluster", "ClusterError", f"{proxy.url} gave no answer", "Trying again may find the cluster well")
    proxy.clear()


def test_a_node_that_is_lost_is_named(
    airflow_tasks: TaskInAPod, breaks_the_cluster: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_tasks.workers.kubernetes.follow.NODE_SECONDS", 3.0)

    def lose() -> None:
        wait_until(lambda: running(airflow_tasks))
        breaks_the_cluster.kill("kubelet")

    with beside(lose):
        ended = run(airflow_tasks, "time.sleep(600)")
    check(ended, "node_lost", "NodeLostError", "node localhost, which ran pod", "Trying again runs it on another node")


def running(tasks: TaskInAPod) -> str:
    """The name of the task's pod once it runs."""
    for pod in tasks.cluster.admin.pods({"dag_id": tasks.name}):
        statuses = pod["status"].get("containerStatuses") or [{}]
        if "running" in statuses[0].get("state", {}):
            return str(pod["metadata"]["name"])
    return ""
