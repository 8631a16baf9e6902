"""The ready retry policy: what it tries again and when, and that the next try has the memory which one lacked."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider_tasks.operators.retries import FIRST, LONGEST, SOON, WorkerRetryPolicy
from airflow_provider_tasks.workers.failures import BY_CATEGORY, ConfigurationError, EvictedError, MemoryExceededError

GIB = 2**30

NEVER = {"image", "python_mismatch", "value", "payload", "configuration"}
AS_THE_TASK_SAYS = {"task", "environment", "memory", "timeout"}


def decide(error, try_number=1, **options):
    return WorkerRetryPolicy(**options).evaluate(error, try_number, 5)


@pytest.mark.parametrize("category", BY_CATEGORY)
def test_each_category_is_decided_by_whether_it_may_pass(category):
    decision = decide(BY_CATEGORY[category]("it went wrong"))
    if category in NEVER:
        assert decision.action is RetryAction.FAIL
        assert decision.reason == f"{category}: trying again does not help"
    elif category in AS_THE_TASK_SAYS:
        assert decision.action is RetryAction.DEFAULT
    elif category in ("evicted", "node_lost", "killed"):
        assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, SOON)
    else:
        assert decision.action is RetryAction.RETRY
        assert FIRST * 0.75 <= decision.retry_delay <= FIRST


def test_what_is_known_of_a_failure_goes_before_its_category():
    assert decide(BY_CATEGORY["environment"]("no module", retry=False)).action is RetryAction.FAIL
    assert decide(BY_CATEGORY["image"]("the registry is away", retry=True)).action is RetryAction.RETRY


def test_trouble_with_the_cluster_is_waited_for_longer_and_longer():
    error = BY_CATEGORY["cluster"]("no answer")
    third, last = decide(error, 3).retry_delay, decide(error, 2000).retry_delay
    assert FIRST * 3 <= third <= FIRST * 4
    assert LONGEST * 0.75 <= last <= LONGEST


def test_failures_of_the_task_itself_can_be_left_out():
    error = BY_CATEGORY["task"]("ValueError: no route")
    assert decide(error, retry_task_failures=False).action is RetryAction.FAIL
    assert decide(EvictedError("it was evicted"), retry_task_failures=False).action is RetryAction.RETRY


def test_what_is_no_failure_of_a_worker_is_left_to_airflow():
    assert decide(AirflowTaskTimeout()).action is RetryAction.DEFAULT


def test_a_policy_that_makes_no_sense_is_refused():
    with pytest.raises(ConfigurationError, match=r"memory_factor=0\.5\): expected a number from 1"):
        WorkerRetryPolicy(memory_factor=0.5)
    with pytest.raises(ConfigurationError, match=r"max_memory='16 GB'\): '16 GB' is no quantity"):
        WorkerRetryPolicy(max_memory="16 GB")


def test_the_next_memory_grows_by_the_factor_to_the_largest_there_is():
    from airflow_provider_tasks.workers.sizes import SIZES

    policy = WorkerRetryPolicy(memory_factor=1.5)
    assert policy.next_memory(2 * GIB, SIZES) == 3 * GIB
    assert policy.next_memory(2 * GIB, SIZES, peak=5 * GIB) == 5 * GIB
    assert policy.next_memory(60 * GIB, SIZES) == 64 * GIB
    assert policy.next_memory(64 * GIB, SIZES) is None
    assert WorkerRetryPolicy(max_memory=2 * GIB).next_memory(2 * GIB, SIZES) is None
    assert WorkerRetryPolicy(memory_factor=1).next_memory(2 * GIB, SIZES) is None


def test_an_error_that_has_more_memory_ahead_keeps_that():
    error = MemoryExceededError("too much")
    error.next_memory = 2 * GIB
    decision = decide(pickle.loads(pickle.dumps(error)))
    assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, timedelta(0))


def test_airflows_own_rules_take_the_exceptions_of_workers():
    failures = "airflow_provider_tasks.workers.failures"
    policy = ExceptionRetryPolicy(
        [
            RetryRule(f"{failures}.EvictedError", RetryAction.RETRY, timedelta(seconds=3)),
            RetryRule([f"{failures}.TaskRaisedError", f"{failures}.TimeLimitError"], RetryAction.FAIL),
            RetryRule(f"{failures}.WorkerError", RetryAction.RETRY, timedelta(hours=1)),
        ]
    )
    policy = ExceptionRetryPolicy.deserialize(policy.serialize())
    found = {name: policy.evaluate(cls("it went wrong"), 1, 3) for name, cls in BY_CATEGORY.items()}
    assert found["evicted"].retry_delay == timedelta(seconds=3)
    assert found["task"].action is found["timeout"].action is RetryAction.FAIL
    assert found["cluster"].retry_delay == timedelta(hours=1)


def test_every_operator_takes_the_policy(parse, dags_folder):
    from airflow.serialization.serialized_objects import DagSerialization

    (dags_folder / "clean.sh").write_text("exit 0\n")
    dag = parse("""
        from airflow_provider_tasks.operators import PipelineOperator, WorkerRetryPolicy

        class Ping(Task):
            def run(self):
                return 1

        @task.worker(retry_policy=WorkerRetryPolicy(memory_factor=3))
        def mapped(number):
            return number

        with DAG("policies", default_args={"retries": 2, "retry_policy": WorkerRetryPolicy(max_memory="8Gi")}):
            TaskOperator(task_id="one", task=Ping())
            ScriptOperator(task_id="script", file_name="clean.sh")
            PipelineOperator(task_id="pipeline", pipeline=Pipeline([Ping()]))
            pipeline_group(Pipeline([Ping()]), group_id="group", retry_policy=WorkerRetryPolicy(memory_factor=4))
            mapped.expand(number=[1, 2])
        """).dag
    factors = {name: dag.get_task(name).retry_policy.memory_factor for name in dag.task_ids}
    assert factors == {"one": 2, "script": 2, "pipeline": 2, "group.Ping": 4, "mapped": 3}
    assert dag.get_task("one").retry_policy.max_memory == "8Gi"
    data = DagSerialization.to_dict(dag)
    assert DagSerialization.from_dict(data).get_task("one").has_retry_policy


def test_memory_that_an_override_sets_is_not_taken_for_that_of_the_size(tmp_path):
    from airflow_provider_tasks import WorkerConfig
    from airflow_provider_tasks.operators.memory import limit_of
    from airflow_provider_tasks.workers.settings import Installation, resolve
    from airflow_provider_tasks.workers.sizes import SIZES

    def limit(name, **resources):
        pod = {"spec": {"containers": [{"name": name, "resources": {"limits": resources}}]}}
        config = WorkerConfig(worker_size="Small", pod_override=pod)
        return limit_of(resolve(Installation(config=WorkerConfig(), sizes=SIZES, cache_folder=tmp_path), [config]))

    assert limit("worker", memory="3Gi") is limit("base", memory="3Gi") is None
    assert limit("worker", cpu="2") == limit("proxy", memory="3Gi") == 2 * GIB


SIZES = '{"Tiny": {"memory": "48Mi"}, "Large": {"memory": "1Gi"}}'


def test_a_task_that_ran_out_of_memory_gets_more_next_time(run, capfd, monkeypatch):
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__SIZES", SIZES)
    done = run("""
        from airflow_provider_tasks.operators import WorkerRetryPolicy

        @task.worker(retries=2, retry_policy=WorkerRetryPolicy(memory_factor=4),
            worker_config=WorkerConfig(worker_size="Tiny"))
        def hold(try_number):
            import time

            if try_number == "2":
                raise ValueError("of another cause")
            held = bytearray(2**20 * 90)
            time.sleep(0.5)
            return len(held)

        with DAG("memory", default_args={"retry_delay": 0}):
            hold("{{ ti.try_number }}")
        """)
    assert done.states == {"hold": "success"}
    assert done.xcom("hold", "outcome")["memory_limit"] == 192 * 2**20
    log = capfd.readouterr().out
    warning = log.index("memory: peak ")
    assert " MiB of 48 MiB; next try " in log[warning : warning + 60]
    assert warning < log.index("MemoryExceededError")
    assert log.count("An earlier try ran out of memory: this one gets 192 MiB") == 2


def test_where_no_more_is_allowed_there_is_no_next_try(run, capfd, monkeypatch):
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__SIZES", SIZES)
    done = run("""
        from airflow_provider_tasks.operators import WorkerRetryPolicy

        @task.worker(retries=2, retry_policy=WorkerRetryPolicy(max_memory="48Mi"),
            worker_config=WorkerConfig(worker_size="Tiny"))
        def hold():
            import time

            held = bytearray(2**20 * 90)
            time.sleep(0.5)

        with DAG("memory_cap"):
            hold()
        """)
    assert done.states == {"hold": "failed"}
    log = capfd.readouterr().out
    assert log.count("Running hold") == 1
    assert "of 48 MiB; the retry policy allows no more, so there is no next try" in log
