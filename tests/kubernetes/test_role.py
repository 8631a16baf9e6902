"""What `docs/kubernetes/role.yaml` allows is what Airflow's side needs, and it is all that code under test may do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.kubernetes.cluster import TestCluster, client_of, wait_until

METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "v4.channel.k8s.io",
}


@pytest.fixture
def client(cluster: TestCluster) -> Iterator[httpx2.Client]:
    with cluster.client() as client:
        yield client


@pytest.fixture
def path(cluster: TestCluster) -> str:
    return f"/api/v1/namespaces/{cluster.namespace}"


def a_pod(cluster: TestCluster, name: str, code: str = "pass") -> dict[str, Any]:
    container = {"name": "worker", "image": cluster.image, "imagePullPolicy": "IfNotPresent"}
    container["command"] = ["python3", "-c", code]
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def a_secret(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"word": "swordfish"}}


def test_a_pod_can_be_created_seen_followed_and_deleted(cluster: TestCluster, client: httpx2.Client, path: str) -> None:
    created = client.post(f"{path}/pods", json=a_pod(cluster, "role-life", "print('hello')"))
    assert created.status_code == 201, created.text
    version = created.json()["metadata"]["resourceVersion"]
    query = {"watch": "1", "fieldSelector": "metadata.name=role-life", "resourceVersion": version}
    with client.stream("GET", f"{path}/pods", params=query) as watch:
        assert watch.status_code == 200
        assert next(line for line in watch.iter_lines() if '"MODIFIED"' in line)
    assert client.get(f"{path}/pods").status_code == 200
    assert client.get(f"{path}/pods/role-life").status_code == 200
    wait_until(lambda: cluster.admin.pod("role-life")["status"]["phase"] in ("Succeeded", "Failed"), what="its end")
    assert client.get(f"{path}/pods/role-life/log").text.startswith("hello\n")
    events = client.get(f"{path}/events", params={"fieldSelector": "involvedObject.name=role-life"})
    assert [event["reason"] for event in events.json()["items"]].count("Scheduled") == 1
    assert client.delete(f"{path}/pods/role-life").status_code == 200


def test_a_command_can_be_run_in_a_pod_over_a_websocket(cluster: TestCluster, client: httpx2.Client, path: str) -> None:
    cluster.admin.create(a_pod(cluster, "role-exec", "import time; time.sleep(600)"))
    try:
        wait_until(lambda: cluster.admin.pod("role-exec")["status"]["phase"] == "Running", what="the pod to run")
        query = {"command": ["python3", "-V"], "stdout": "true"}
        with client.stream("GET", f"{path}/pods/role-exec/exec", params=query, headers=UPGRADE) as reply:
            assert reply.status_code == 101
    finally:
        cluster.admin.delete("Pod", "role-exec", grace=0)


def test_secrets_can_be_created_got_listed_and_deleted(client: httpx2.Client, path: str) -> None:
    assert client.post(f"{path}/secrets", json=a_secret("role-secret")).status_code == 201
    assert client.get(f"{path}/secrets/role-secret").status_code == 200
    assert client.get(f"{path}/secrets").status_code == 200
    assert client.delete(f"{path}/secrets/role-secret").status_code == 200


def test_the_metadata_of_secrets_can_be_had_without_their_content(client: httpx2.Client, path: str) -> None:
    client.post(f"{path}/secrets", json=a_secret("role-metadata")).raise_for_status()
    try:
        one = client.get(f"{path}/secrets/role-metadata", headers={"Accept": METADATA_ONLY})
        many = client.get(f"{path}/secrets", headers={"Accept": METADATA_LIST_ONLY})
        assert one.json()["kind"] == "PartialObjectMetadata"
        assert many.json()["kind"] == "PartialObjectMetadataList"
        assert "data" not in one.json()
        assert not any("data" in found for found in many.json()["items"])
    finally:
        client.delete(f"{path}/secrets/role-metadata")


@pytest.mark.parametrize(
    ("verb", "of", "other", "metadata_only"),
    [("get", "/role-verb", "", METADATA_ONLY), ("list", "", "/role-verb", METADATA_LIST_ONLY)],
)
def test_metadata_alone_needs_the_same_verb(
    cluster: TestCluster, verb: str, of: str, other: str, metadata_only: str
) -> None:
    """An account with this one verb can read both metadata and content, so a Role can't allow metadata alone."""
    name = f"only-{verb}"
    about = {"name": name, "namespace": cluster.namespace}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": [verb]}]
    rbac = "rbac.authorization.k8s.io/v1"
    binding = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}
    cluster.admin.create({"apiVersion": rbac, "kind": "Role", "metadata": about, "rules": rules})
    cluster.admin.create(
        {"apiVersion": rbac, "kind": "RoleBinding", "metadata": about, "roleRef": binding, "subjects": [subject]}
    )
    cluster.admin.create(a_secret("role-verb"))
    secrets = f"/api/v1/namespaces/{cluster.namespace}/secrets"

    admin = client_of(os.environ["TEST_KUBECONFIG"])

    def status(path: str, accept: str) -> int:
        headers = {"Impersonate-User": name, "Accept": accept}
        return admin.get(path, headers=headers).status_code

    try:
        wait_until(lambda: status(secrets + of, metadata_only) == 200, at_most=20, what="the Role to be known")
        assert status(secrets + of, "application/json") == 200
        assert status(secrets + other, "application/json") == 403
    finally:
        admin.close()
        cluster.admin.delete("Secret", "role-verb")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/v1/namespaces/{own}/secrets/a"),
        ("PATCH", "/api/v1/namespaces/{own}/secrets/a"),
        ("DELETE", "/api/v1/namespaces/{own}/secrets"),
        ("GET", "/api/v1/namespaces/{own}/secrets?watch=1"),
        ("PUT", "/api/v1/namespaces/{own}/pods/a"),
        ("PATCH", "/api/v1/namespaces/{own}/pods/a"),
        ("DELETE", "/api/v1/namespaces/{own}/pods"),
        ("POST", "/api/v1/namespaces/{own}/pods/a/eviction"),
        ("POST", "/api/v1/namespaces/{own}/events"),
        ("GET", "/api/v1/namespaces/{own}/configmaps"),
        ("POST", "/api/v1/namespaces/{own}/serviceaccounts/airflow-tasks/token"),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/{own}/rolebindings"),
        ("GET", "/api/v1/namespaces/default/pods"),
        ("POST", "/api/v1/namespaces/default/pods"),
        ("GET", "/api/v1/namespaces/kube-system/secrets"),
        ("GET", "/api/v1/pods"),
        ("GET", "/api/v1/secrets"),
        ("GET", "/api/v1/namespaces"),
        ("GET", "/api/v1/nodes"),
    ],
)
def test_everything_else_is_refused(cluster: TestCluster, client: httpx2.Client, method: str, path: str) -> None:
    kind = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
    body = None if method in ("GET", "DELETE") else {}
    reply = client.request(method, path.format(own=cluster.namespace), json=body, headers=kind)
    assert (reply.status_code, reply.json()["reason"]) == (403, "Forbidden")


def test_the_user_of_the_tests_is_no_cluster_admin(client: httpx2.Client) -> None:
    whatever = {"resourceAttributes": {"verb": "*", "group": "*", "resource": "*"}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": whatever}
    reply = client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review)
    assert reply.json()["status"]["allowed"] is False


def test_what_the_user_asks_for_is_in_the_audit_log(cluster: TestCluster, client: httpx2.Client, path: str) -> None:
    mark = cluster.audit_mark()
    client.get(f"{path}/pods")
    client.get(f"{path}/pods/none")
    cluster.admin.pods()
    assert cluster.requests(since=mark) == ["list pods", "get pods"]
    assert [line["responseStatus"]["code"] for line in cluster.audit(since=mark)] == [200, 404]


def test_what_is_left_behind_is_named(cluster: TestCluster, client: httpx2.Client, path: str) -> None:
    secret = a_secret("role-left")
    secret["metadata"]["labels"] = {"left": "behind"}
    client.post(f"{path}/secrets", json=secret).raise_for_status()
    with pytest.raises(AssertionError, match="left behind: Secret role-left"):
        cluster.assert_nothing_left({"left": "behind"}, at_most=0)
    client.delete(f"{path}/secrets/role-left").raise_for_status()
    cluster.assert_nothing_left({"left": "behind"})
