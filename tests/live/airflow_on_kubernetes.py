"""A real Airflow whose tasks run in pods of the tests' cluster, for all live tests of the kubernetes worker.

What the code of a task does is counted where it outlives pod and Airflow: every pod has a folder of this machine at
`/seen`, in which the code of `dags_kubernetes/seen.py` notes each of its runs, and finds the file that lets it end.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kubernetes.cluster import MADE_BY, ROLE, TESTS, Manifest, TestCluster, wait_until
from tests.live import processes
from tests.live.airflow_installation import AirflowInstallation, Component

DAGS = Path(__file__).parent / "dags_kubernetes"
CONNECTION = "kubernetes_default"

_SETTINGS = {
    "core": {"parallelism": "16"},
    "worker_tasks": {
        "backend": "kubernetes",
        "kubernetes_conn_id": CONNECTION,
        "sizes": '{"Tiny": {"cpu": "0.01", "memory": "128Mi"}}',
    },
    # A triggerer that was killed is taken for dead when its heartbeat is this old; the default is 30 s.
    "triggerer": {"triggerer_health_check_threshold": "6"},
}


class AirflowOnKubernetes(AirflowInstallation):
    """An Airflow with the DAGs of `dags_kubernetes` and the connection `kubernetes_default`.

    Attributes:
        cluster: the cluster, and the namespace in it, in which the pods are.
        other_namespace: another namespace in which this Airflow may run pods.
        seen: the folder that all pods share.

    """

    def __init__(self, home: Path, cluster: TestCluster) -> None:
        super().__init__(home, dags={"kubernetes": DAGS}, overrides=_SETTINGS)
        self.cluster = cluster
        self.other_namespace = f"{cluster.namespace}-b"
        self.seen = home / "seen"

    def start(self, timeout: float = 240) -> None:
        super().start(timeout)
        self.seen.mkdir()
        # The user of a pod is nobody here.
        self.seen.chmod(0o777)
        self.connect(CONNECTION, self.cluster.kubeconfig)
        self._make_other_namespace()

    def stop(self) -> None:
        super().stop()
        self.cluster.admin.delete("Namespace", self.other_namespace)

    def environment(self) -> dict[str, str]:
        image = self.cluster.image_313 or ""
        more = {"TESTS_OTHER_NAMESPACE": self.other_namespace, "TESTS_OTHER_IMAGE": image}
        return {**super().environment(), **more}

    def connect(self, conn_id: str, kubeconfig: str) -> None:
        """Make a connection that leads to the cluster through this kubeconfig."""
        folder = {"name": "seen", "hostPath": {"path": str(self.seen)}, "mount_path": "/seen"}
        config = {
            "worker_image": self.cluster.image,
            "image_pull_policy": "IfNotPresent",
            "worker_size": "Tiny",
            "volumes": [folder],
        }
        extra = {"kube_config_path": kubeconfig, "namespace": self.cluster.namespace, "worker_config": config}
        body = {"connection_id": conn_id, "conn_type": "kubernetes", "extra": json.dumps(extra)}
        self.request("POST", "/connections", body=body)

    def _make_other_namespace(self) -> None:
        import yaml

        about: Manifest = {"name": self.other_namespace, "labels": {TESTS: ""}}
        about["annotations"] = {MADE_BY: f"{socket.gethostname()}/{os.getpid()}"}
        self.cluster.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": about})
        for manifest in yaml.safe_load_all(ROLE.read_text()):
            manifest["metadata"]["namespace"] = self.other_namespace
            for subject in manifest.get("subjects", []):
                subject["namespace"] = self.cluster.namespace
            if manifest["kind"] != "ServiceAccount":
                self.cluster.admin.create(manifest)

    # --- Airflow's database ------------------------------------------------------------------------

    @property
    def sql_alchemy_conn(self) -> str:
        """Give where Airflow's database is."""
        config = configparser.ConfigParser()
        config.read(self.home / "airflow.cfg")
        return config["database"]["sql_alchemy_conn"]

    # --- what a task's code has done ---------------------------------------------------------------

    def noted(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[str]:
        """Give what each run of a task's code has noted, which is the try that it was told of."""
        path = self.seen / f"{dag_id}.{task_id}.{map_index}.{run_id}"
        return path.read_text().splitlines() if path.exists() else []

    def let_end(self, dag_id: str, run_id: str) -> None:
        """Let the tasks of a run end that wait for it."""
        (self.seen / f"{dag_id}.{run_id}.go").touch()

    def wait_until_noted(self, dag_id: str, run_id: str, task_id: str, times: int = 1) -> None:
        """Wait until the code of a task has begun as often."""
        self.wait_until(
            f"the code of {task_id}", lambda: len(self.noted(dag_id, run_id, task_id)) >= times, 90,
            lambda: self._states(dag_id, run_id),
        )  # fmt: skip

    # --- pods --------------------------------------------------------------------------------------

    def pods(self, dag_id: str, **labels: str) -> list[Manifest]:
        """Give the pods of a DAG's tasks, but for those that are being removed."""
        found = self.cluster.admin.pods({"dag_id": dag_id, **labels})
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def containers_started(self, dag_id: str, task_id: str) -> int:
        """Give how many containers the cluster ever started for a task, in all of its runs."""
        start = re.sub(r"[^a-z0-9]+", "-", f"{dag_id}-{task_id}")
        events = self.cluster.admin.events()
        return sum(
            event.get("count") or 1
            for event in events
            if event["reason"] == "Started"
            and re.fullmatch(rf"{start}-\d+-[0-9a-f]{{16}}", event["involvedObject"]["name"])
        )

    def assert_no_pod_is_left(self, dag_id: str) -> None:
        """Assert that pods and Secrets of a DAG's tasks go, and that its tasks have processes no more."""
        self.cluster.assert_nothing_left({"dag_id": dag_id})

    def have_the_runtime(self) -> None:
        """See to it that the cluster has the Secret that all pods share, which the first task would make."""
        from airflow_provider_tasks.workers.kubernetes import delivery
        from airflow_provider_tasks.workers.kubernetes.submit import RUNTIME_LABELS

        if self.cluster.admin.get("Secret", delivery.runtime_name()) is None:
            self.cluster.admin.create(delivery.runtime_secret(RUNTIME_LABELS))

    # --- triggerers --------------------------------------------------------------------------

    def start_second_triggerer(self) -> subprocess.Popen[bytes]:
        """Start one more triggerer and return when it is alive; `stop` ends it too."""
        with (self.home / "processes" / "triggerer-2.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=self.home, env=self.environment(), start_new_session=True,
            )  # fmt: skip
        wait_until(lambda: len(self.living_triggerers()) > 1, what="a second triggerer")
        return process

    def living_triggerers(self) -> list[Mapping[str, Any]]:
        """Give the jobs of the triggerers that have not ended and whose heartbeat is fresh."""
        jobs = self.request("GET", "/jobs", params={"job_type": "TriggererJob", "is_alive": "true"})["jobs"]
        return [job for job in jobs if job["state"] == "running"]

    @contextmanager
    def frozen(self, component: Component) -> Iterator[None]:
        """Have a component, and all that it started, do nothing for a while."""
        frozen = processes.with_descendants(self._running[component].pid)
        for process in frozen:
            process.suspend()
        try:
            yield
        finally:
            for process in reversed(frozen):
                process.resume()

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        """End a process and all that it started with SIGKILL."""
        processes.kill(processes.with_descendants(process.pid))
        process.wait()
