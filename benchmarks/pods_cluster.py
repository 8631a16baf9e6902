"""The cluster of ``TEST_KUBECONFIG``, as the measurements of pods use it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks import installation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kubernetes.cluster import AuditMark, TestCluster
    from tests.kubernetes.faults import ClusterLock

CONNECTION = "kubernetes_default"

_PEERS_ROLE = [
    # What it watches while a pod starts, and the label with which it marks one that has failed.
    {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]},
]
"""What the peer needs beyond our own Role, so that it never falls back to polling."""


class Pods:
    """A namespace in the cluster, and who may use it when.

    Attributes:
        cluster: the namespace, its service account, and its requests in the audit log.
        lock: held while something is measured: nobody breaks the cluster then.

    """

    def __init__(self, cluster: TestCluster, lock: ClusterLock) -> None:
        self.cluster = cluster
        self.lock = lock

    def wait_until_gone(self) -> None:
        """Wait until no pod is there that would take time of the node."""
        self.cluster.admin.wait_until(lambda: not self.cluster.admin.pods(), 180, "all pods to be gone")

    def requests(self, since: AuditMark) -> list[dict[str, Any]]:
        """Return the requests since then, those included whose connection is just being closed."""
        found = self.cluster.audit(since)
        while True:
            time.sleep(0.3)
            before, found = found, self.cluster.audit(since)
            if len(found) == len(before):
                return found


@contextlib.contextmanager
def pods(question: str) -> Iterator[Pods | None]:
    """Give a namespace, and make the environment one in which Airflow finds it; None where there is no cluster."""
    kubeconfig = os.environ.get("TEST_KUBECONFIG")
    if not kubeconfig:
        print(f"{question}: SKIPPED, TEST_KUBECONFIG is not set (docs/benchmarks.md)", file=sys.stderr)
        yield None
        return
    from tests.kubernetes.cluster import TestCluster
    from tests.kubernetes.faults import ClusterLock

    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each request
    lock = ClusterLock(kubeconfig, at_most=3600)
    with lock.shared():
        cluster = TestCluster(kubeconfig, installation.home()).__enter__()
    try:
        _let_the_peer_in(cluster)
        _tell_airflow(cluster)
        yield Pods(cluster, lock)
    finally:
        cluster.close()


def words(request: dict[str, Any]) -> str:
    """Return a line of the audit log as ``create pods`` or ``get pods/log``."""
    about = request["objectRef"]
    return f"{request['verb']} {'/'.join(filter(None, (about['resource'], about.get('subresource'))))}"


def _let_the_peer_in(cluster: TestCluster) -> None:
    from tests.kubernetes.cluster import SERVICE_ACCOUNT

    api = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "peer"}}
    who = {"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": cluster.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "peer"}
    for manifest in (
        {**api, "kind": "Role", "rules": _PEERS_ROLE},
        {**api, "kind": "RoleBinding", "subjects": [who], "roleRef": role},
    ):
        path = cluster.admin.path(manifest["kind"], api_version=manifest["apiVersion"])
        cluster.admin.request("POST", path, body=manifest)


def _tell_airflow(cluster: TestCluster) -> None:
    extra = {
        "kube_config_path": cluster.kubeconfig,
        "namespace": cluster.namespace,
        "xcom_sidecar_container_image": cluster.image,
        "worker_config": {"worker_image": cluster.image, "image_pull_policy": "IfNotPresent"},
    }
    os.environ["AIRFLOW_CONN_" + CONNECTION.upper()] = json.dumps({"conn_type": "kubernetes", "extra": extra})
    os.environ["AIRFLOW__WORKER_TASKS__BACKEND"] = "kubernetes"
    os.environ["AIRFLOW__WORKER_TASKS__KUBERNETES_CONN_ID"] = CONNECTION
    os.environ["BENCHMARK_IMAGE"] = cluster.image
