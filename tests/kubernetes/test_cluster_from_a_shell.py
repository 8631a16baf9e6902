"""`airflow-tasks doctor` and `nodes snapshot`, with the least Role, with none, and as the admin of a real cluster."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_tasks import Architecture, Nodes
from airflow_provider_tasks.cli.command import main
from airflow_provider_tasks.workers.checkup import PERMISSIONS
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.kubernetes.snapshot import node_of
from tests.kubernetes.cluster import ROLE, TestCluster, config_of, write_kubeconfig


@pytest.fixture
def connect(cluster: TestCluster, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], list[str]]:
    """Make the connection of a kubeconfig, and give the options that name it."""

    def connect(kubeconfig: str, namespace: str = cluster.namespace) -> list[str]:
        extra = {"kube_config_path": kubeconfig, "namespace": namespace}
        monkeypatch.setenv("AIRFLOW_CONN_SHELL", json.dumps({"conn_type": "kubernetes", "extra": extra}))
        monkeypatch.setenv("AIRFLOW__WORKER_TASKS__WORKER_IMAGE", cluster.image)
        return ["--conn-id", "shell"]

    return connect


@pytest.fixture
def nobody(cluster: TestCluster, tmp_path: Path) -> str:
    """A kubeconfig of a service account that no Role is bound to."""
    about = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}}
    if cluster.admin.get("ServiceAccount", "nobody") is None:
        cluster.admin.create(about)
    ask = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    path = f"{cluster.admin.path('ServiceAccount', 'nobody')}/token"
    token = cluster.admin.request("POST", path, body=ask).json()["status"]["token"]
    config = config_of(cluster.kubeconfig).cluster
    reach = {"server": config.server, "certificate-authority-data": config.certificate_auth_data}
    write_kubeconfig(tmp_path / "nobody.kubeconfig", reach, token, cluster.namespace)
    return str(tmp_path / "nobody.kubeconfig")


def checks_of(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    return {check["check"]: check for check in json.loads(capsys.readouterr().out)["checks"]}


def test_the_doctor_asks_for_what_the_role_allows() -> None:
    import yaml

    role = next(found for found in yaml.safe_load_all(ROLE.read_text()) if found["kind"] == "Role")
    rules = {resource: tuple(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}
    assert rules == PERMISSIONS


def test_the_doctor_names_what_a_user_may_not(
    cluster: TestCluster, connect: Callable[..., list[str]], nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--backend", "kubernetes", "--json", *connect(nobody)]) == 2
    checks = checks_of(capsys)
    assert checks["API server"]["status"] == "ok"
    assert "verbs: [create, get, list, watch, delete]" in checks["may pods"]["fix"]
    assert checks["may pods/exec"]["status"] == "failed"
    assert checks["test pod"]["status"] == "not done"
    assert not cluster.admin.pods("dag_id=by-hand,task_id=doctor")


def test_the_doctor_asks_no_pod_where_none_is_wanted(
    cluster: TestCluster, connect: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    mark = cluster.audit_mark()
    assert main(["doctor", "--backend", "kubernetes", "--json", "--no-pod", *connect(cluster.kubeconfig)]) == 0
    checks = checks_of(capsys)
    assert "may not be asked" in checks["namespace"]["message"]
    assert checks["test pod"]["status"] == "not done"
    assert set(cluster.requests(mark)) == {"create selfsubjectaccessreviews"}


@pytest.mark.parametrize(
    ("options", "fails", "says"),
    [
        (["--image", "docker.io/local/none:1"], "test pod", "docker.io/local/none:1"),
        (["--namespace", "no-such-namespace"], "namespace", "kubectl create namespace no-such-namespace"),
    ],
)
def test_the_doctor_says_what_the_cluster_lacks(
    cluster: TestCluster,
    connect: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    fails: str,
    says: str,
) -> None:
    kubeconfig = os.environ["TEST_KUBECONFIG"] if fails == "namespace" else cluster.kubeconfig
    assert main(["doctor", "--backend", "kubernetes", "--json", *connect(kubeconfig), *options]) == 2
    check = checks_of(capsys)[fails]
    assert check["status"] == "failed"
    assert says in f"{check['message']} {check['fix']}"


def test_the_doctor_says_that_nothing_answers(
    cluster: TestCluster,
    connect: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("airflow_provider_tasks.workers.checkup.PATIENCE", 0.5)
    write_kubeconfig(tmp_path / "away", {"server": "https://127.0.0.1:9"}, "token", cluster.namespace)
    assert main(["doctor", "--backend", "kubernetes", "--json", *connect(str(tmp_path / "away"))]) == 2
    checks = checks_of(capsys)
    assert "gave no answer" in checks["API server"]["message"]
    assert checks["may pods"]["status"] == checks["test pod"]["status"] == "not done"


def test_nodes_become_a_file_that_dispatchers_read(
    connect: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = connect(os.environ["TEST_KUBECONFIG"])
    for name in ("nodes.yaml", "nodes.json"):
        file = tmp_path / name
        assert main(["nodes", "snapshot", *options, "-o", str(file)]) == 0
        nodes = Nodes.from_file(file)
        assert nodes[0]["ipv4"]
        assert nodes[0].architecture is not Architecture.UNKNOWN
        assert main(["nodes", "snapshot", *options, "-o", str(file)]) == 2
        assert "is there already" in capsys.readouterr().err
    assert main(["nodes", "snapshot", *options, "-o", str(tmp_path / "nodes.txt")]) == 2
    assert main(["nodes", "snapshot", *options, "-l", "no=node"]) == 0
    assert main(["nodes", "snapshot", *options, "-l", "a=b=c"]) == 2
    assert main(["nodes", "snapshot", "--conn-id", "none"]) == 2


def test_who_may_not_list_nodes_is_told_who_may(
    cluster: TestCluster, connect: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nodes", "snapshot", *connect(cluster.kubeconfig)]) == 2
    told = capsys.readouterr().err
    assert "does not allow to list nodes in the cluster" in told
    assert "ClusterRole" in told


def test_a_pod_gets_to_a_node_by_what_the_snapshot_says() -> None:
    taints = [
        {"key": "dedicated", "value": "edge", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"},
        {"key": "gpu", "effect": "NoExecute"},
        {"key": "spot", "effect": "PreferNoSchedule"},
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
    ]
    addresses = [{"type": "InternalIP", "address": "10.0.0.5"}, {"type": "InternalIP", "address": "fd00::5"}]
    info = {"operatingSystem": "windows", "architecture": "arm64", "osImage": "Windows"}
    capacity = {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "1", "hugepages-2Mi": "0", "amd.com/gpu": "0"}
    labels = {"kubernetes.io/hostname": "edge.example.com", "build": "12e3"}
    node = node_of(
        {
            "metadata": {"name": "edge", "labels": labels},
            "spec": {"taints": taints},
            "status": {"addresses": addresses, "nodeInfo": info, "capacity": capacity},
        }
    )
    assert (node.name, node.architecture) == ("edge", Architecture.WINDOWS_ARM64)
    assert (node["ipv4"], node["ipv6"], node["labels"]["build"]) == ("10.0.0.5", "fd00::5", "12e3")
    assert node["capacity"] == {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "1"}
    config = WorkerConfig.from_dict(node["worker_config"])
    assert config.node_selector == {"kubernetes.io/hostname": "edge.example.com"}
    assert list(config.tolerations or ()) == [
        {"key": "dedicated", "value": "edge", "effect": "NoSchedule", "operator": "Equal"},
        {"key": "gpu", "effect": "NoExecute", "operator": "Exists"},
    ]


def test_text_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    from airflow_provider_tasks.cli.nodes import as_yaml

    odd = {"12e3": "12e3", "no": "no", "true": "true", "1": "1.0", "null": "~", "a": "x: y # z", "u": "å\n", "e": ""}
    node = node_of({"metadata": {"name": "12e3", "labels": odd}})
    (tmp_path / "nodes.yaml").write_text(as_yaml([node], "made by hand"), encoding="utf-8")
    assert Nodes.from_file(tmp_path / "nodes.yaml")[0] == node
