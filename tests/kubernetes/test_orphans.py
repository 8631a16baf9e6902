"""Pods that Airflow left behind are found and removed, and those of nobody else."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tasks.workers.kubernetes import orphans
from airflow_provider_tasks.workers.kubernetes.api import Api
from airflow_provider_tasks.workers.kubernetes.connection import Cluster
from airflow_provider_tasks.workers.kubernetes.identity import Identity
from airflow_provider_tasks.workers.kubernetes.orphans import Orphan, clean_up, find_orphans, remove_orphans
from airflow_provider_tasks.workers.kubernetes.submit import RUNTIME_LABELS
from tests.kubernetes.cluster import Manifest, TestCluster, wait_until

AN_AIRFLOW_WORKER = """
import sys
from pathlib import Path

from airflow_provider_tasks.runtime import values
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.kubernetes.connection import Cluster
from airflow_provider_tasks.workers.kubernetes.identity import Identity
from airflow_provider_tasks.workers.kubernetes.worker import KubernetesWorker
from airflow_provider_tasks.workers.payload import pack
from airflow_provider_tasks.workers.settings import Settings
from airflow_provider_tasks.workers.sizes import WorkerSize

kubeconfig, image, cache, installation, run_id, keep, seconds = sys.argv[1:]
config = {"worker_image": image, "image_pull_policy": "IfNotPresent"}
if keep:
    config |= {"terminate_on_completion": False, "keep_seconds": float(keep)}


def task():
    import time

    print("it runs", flush=True)
    time.sleep(float(seconds))


request = {**pack(task, (), {}), "context": values.encode({}), "limits": {"memory": None, "time": None}}
request["environment"] = {"variables": {}, "requirements": []}
settings = Settings(config=WorkerConfig(**config), size=WorkerSize(), cache_folder=Path(cache))
identity = Identity(installation, "orphans", run_id, "task")
with KubernetesWorker(Cluster(kube_config_path=kubeconfig), settings, identity) as worker:
    worker.run(request, lambda line: print(line, flush=True))
    print("it has ended", flush=True)
    sys.stdin.read()
"""
"""A process that runs a task in a pod, as an Airflow worker does, and is there until it is killed."""


class Killed:
    """The pods of Airflow workers that were killed."""

    def __init__(self, cluster: TestCluster, cache: Path) -> None:
        self.cluster = cluster
        self.connection = Cluster(kube_config_path=cluster.kubeconfig)
        self.installation = f"orphans-{uuid.uuid4().hex[:8]}"
        self._cache = cache
        self._processes: list[subprocess.Popen[str]] = []

    def leave(self, *, seconds: float = 600, keep: str = "", installation: str = "") -> str:
        """Kill an Airflow worker whose task takes so long; the name of the pod that it leaves."""
        identity = Identity(installation or self.installation, "orphans", uuid.uuid4().hex, "task")
        argv = [self.cluster.kubeconfig, self.cluster.image, str(self._cache), identity.installation, identity.run_id]
        process = subprocess.Popen(
            [sys.executable, "-c", AN_AIRFLOW_WORKER, *argv, keep, str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._processes.append(process)
        assert process.stdout is not None
        until = "it runs" if seconds else "it has ended"
        for line in process.stdout:
            if line.strip() == until:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        return identity.name

    def find(self, *, after: float, **options: Any) -> list[Orphan]:
        """What is found after so many seconds."""

        async def find() -> list[Orphan]:
            async with Api(self.connection, self.cluster.namespace) as api:
                now = datetime.now(UTC) + timedelta(seconds=after)
                return await find_orphans(api, self.installation, now=now, **options)

        return asyncio.run(find())

    def remove(self, found: list[Orphan]) -> None:
        async def remove() -> None:
            async with Api(self.connection, self.cluster.namespace) as api:
                await remove_orphans(api, found)

        asyncio.run(remove())

    def pods(self) -> dict[str, str]:
        """The pods that are there and not on their way out, and their phases."""
        return {pod["metadata"]["name"]: pod["status"]["phase"] for pod in self._all() if not is_going(pod)}

    def until_ended(self, name: str) -> None:
        wait_until(lambda: self.pods().get(name) == "Succeeded", what=f"the end of {name}")

    def _all(self) -> list[Manifest]:
        return self.cluster.admin.pods({"dag_id": "orphans"})

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        for pod in self._all():
            self.cluster.admin.delete("Pod", pod["metadata"]["name"], grace=0)


@pytest.fixture
def killed(cluster: TestCluster, tmp_path: Path) -> Any:
    made = Killed(cluster, tmp_path)
    yield made
    made.close()


def is_going(pod: Manifest) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def nobody(_: Identity) -> bool:
    return False


LATER = orphans.YOUNG_SECONDS + 1
MUCH_LATER = orphans.UNCOLLECTED_SECONDS + 60


def test_a_pod_whose_task_does_not_run_any_more_is_shown_and_then_removed(killed: Killed) -> None:
    name = killed.leave()
    (found,) = killed.find(after=LATER, is_wanted=nobody)
    assert (found.kind, found.name) == ("pod", name)
    assert found.identity is not None
    assert found.identity.name == name
    assert str(found).startswith(f"pod {name} of orphans.task, run {found.identity.run_id}, try 1: its Airflow task")
    assert killed.pods() == {name: "Running"}
    killed.remove([found])
    assert killed.pods() == {}
    killed.cluster.assert_nothing_left({"dag_id": "orphans"})


def test_a_pod_that_is_wanted_or_young_or_of_another_airflow_is_left_alone(killed: Killed) -> None:
    name = killed.leave()
    killed.leave(installation=f"{killed.installation}-b")
    asked: list[str] = []

    def is_wanted(identity: Identity) -> bool:
        asked.append(identity.name)
        return True

    assert killed.find(after=LATER, is_wanted=is_wanted) == []
    assert asked == [name]
    assert killed.find(after=0, is_wanted=nobody) == []
    assert [orphan.name for orphan in killed.find(after=LATER, is_wanted=nobody)] == [name]


@pytest.mark.parametrize("is_wanted", [None, lambda _: None], ids=["nobody is asked", "nobody knows"])
def test_where_nobody_knows_only_what_ended_a_while_ago_is_left_behind(
    killed: Killed, is_wanted: Callable[[Identity], bool | None] | None
) -> None:
    running, ended = killed.leave(), killed.leave(seconds=0)
    killed.until_ended(ended)
    assert killed.find(after=LATER, is_wanted=is_wanted) == []
    (found,) = killed.find(after=MUCH_LATER, is_wanted=is_wanted)
    assert (found.name, found.reason) == (ended, "it has ended, and nobody came for its outcome")
    killed.remove([found])
    assert killed.pods() == {running: "Running"}


def test_a_pod_that_is_kept_is_left_alone_until_its_time_is_over(killed: Killed) -> None:
    name = killed.leave(seconds=0, keep="5")
    assert killed.find(after=LATER, is_wanted=nobody) == []
    killed.until_ended(name)
    (found,) = killed.find(after=LATER, is_wanted=nobody)
    assert (found.name, found.reason) == (name, "it was kept, and its time is over")


def test_a_pod_that_has_taken_the_name_of_an_orphan_is_not_removed(killed: Killed) -> None:
    name = killed.leave()
    (found,) = killed.find(after=LATER, is_wanted=nobody)
    old = killed.cluster.admin.pod(name)
    assert old is not None
    killed.cluster.admin.delete("Pod", name, grace=0)
    about = {key: old["metadata"][key] for key in ("name", "labels", "annotations")}
    killed.cluster.admin.create({**old, "metadata": about, "spec": {**old["spec"], "nodeSelector": {"pool": "none"}}})
    killed.remove([found])
    assert list(killed.pods()) == [name]


def test_clean_up_says_what_it_would_do_and_does_it(killed: Killed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "YOUNG_SECONDS", 0.0)
    name = killed.leave()
    arguments = (killed.connection, killed.cluster.namespace, killed.installation)
    assert [orphan.name for orphan in clean_up(*arguments, is_wanted=nobody)] == [name]
    assert killed.pods() == {name: "Running"}
    assert [orphan.name for orphan in clean_up(*arguments, remove=True, is_wanted=nobody)] == [name]
    assert killed.pods() == {}
    assert clean_up(*arguments, remove=True, is_wanted=nobody) == []


def test_the_runtime_of_a_version_that_is_not_used_any_more_is_left_behind(killed: Killed) -> None:
    admin = killed.cluster.admin
    for digest in ("old", "used"):
        name = f"airflow-worker-runtime-{digest}"
        about = {"name": name, "labels": RUNTIME_LABELS}
        admin.create({"apiVersion": "v1", "kind": "Secret", "metadata": about, "data": {}})
    pod = killed.leave()
    uses = admin.pod(pod)
    assert uses is not None
    old = {"name": "runtime", "secret": {"secretName": "airflow-worker-runtime-used"}}
    about = {key: uses["metadata"][key] for key in ("labels", "annotations")}
    spec = {**uses["spec"], "volumes": [old, *uses["spec"]["volumes"][1:]], "nodeSelector": {"pool": "none"}}
    spec.pop("nodeName")
    admin.create({**uses, "metadata": {**about, "name": "uses-the-old-runtime"}, "spec": spec, "status": {}})
    assert killed.find(after=29 * 24 * 3600) == []
    found = killed.find(after=31 * 24 * 3600)
    assert [(orphan.kind, orphan.name) for orphan in found] == [("secret", "airflow-worker-runtime-old")]
    killed.remove(found)
    left = [secret["metadata"]["name"] for secret in admin.secrets(RUNTIME_LABELS)]
    assert "airflow-worker-runtime-used" in left
    assert "airflow-worker-runtime-old" not in left
    admin.delete("Secret", "airflow-worker-runtime-used")
