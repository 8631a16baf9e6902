"""Tries of a task in pods: what one learned, the next one has."""

from __future__ import annotations

import pytest

from tests.airflow.test_log import seen, task_log
from tests.kubernetes.airflow_tasks import TaskInAPod


def test_the_next_pod_has_the_memory_that_one_lacked(
    airflow_tasks: TaskInAPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = '{"Tiny": {"cpu": "0.1", "memory": "64Mi"}, "Small": {"memory": "320Mi"}}'
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__SIZES", sizes)
    ended = airflow_tasks("""
        from airflow_provider_tasks.operators import WorkerRetryPolicy

        @task.worker(retries=1, deferrable=True, retry_policy=WorkerRetryPolicy(memory_factor=4),
            worker_config=WorkerConfig(worker_size="Tiny"))
        def task_in_a_pod():
            limit = next(open(path).read() for path in (
                "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes") if os.path.exists(path))
            print("holding", len(bytearray(b"x") * (2**20 * 150)))
            return int(limit)
        """)
    assert ended.state == "success", ended.log
    assert ended.run.xcom("task_in_a_pod") == 256 * 2**20
    ended.order("64 MiB; next try 256 MiB", "MemoryExceededError", "this one gets 256 MiB", "holding 157286400")
    shown = seen(task_log(ended.log))
    assert "holding 157286400" in shown
    assert shown.count("> Settings") == shown.count("> Start-up") / 2 == 2
    assert shown.count("> Result") == 1
    assert not any("Following the output" in line for line in shown)
