"""What a pod is made of, what can change it, and what can't.

The manifests of a handful of settings are in `manifests/`; ``WRITE_MANIFESTS=1`` writes them anew.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tasks import Architecture, Node, WorkerConfig
from airflow_provider_tasks.runtime.pod import RUNTIME
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.kubernetes import pod
from airflow_provider_tasks.workers.kubernetes.identity import Identity
from airflow_provider_tasks.workers.kubernetes.pod import pod_manifest
from airflow_provider_tasks.workers.settings import Settings
from airflow_provider_tasks.workers.sizes import SIZES, WorkerSize
from tests.kubernetes.cluster import SERVICE_ACCOUNT

MANIFESTS = Path(__file__).with_name("manifests")
SOMEONE = Identity("airflow", "sales", "manual__2026-01-01T00:00:00+00:00", "load.count", try_number=2)
EDGE = Node("edge", architecture=Architecture.LINUX_ARM64)
COMMAND = ("python3", "-I", "-S", RUNTIME, "pod", "0")

TEMPLATE = """
apiVersion: v1
kind: Pod
metadata:
  name: template
  creationTimestamp: null
  labels: {team: data, stage: test}
spec:
  restartPolicy: Never
  activeDeadlineSeconds: 600
  priorityClassName: system-cluster-critical
  securityContext: {runAsUser: 1000, supplementalGroups: [2000]}
  imagePullSecrets: [{name: registry}]
  tolerations: [{key: dedicated, operator: Exists}]
  initContainers:
  - {name: fetch, image: "example.com/fetch:1", volumeMounts: [{name: work, mountPath: /out}]}
  containers:
  - name: base
    image: example.com/team/python:3.12
    command: []
    env: [{name: PROXY, value: "http://proxy"}, {name: LEVEL, value: "1"}]
    resources: {limits: {memory: 4Gi, ephemeral-storage: 1Gi}}
    volumeMounts: [{name: cache, mountPath: /cache}]
  volumes: [{name: cache, emptyDir: {}}]
status: {}
"""

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "settings": {
        "config": {
            "worker_image": "example.com:5000/team/python:3.12@sha256:" + 64 * "0",
            "service_account_name": SERVICE_ACCOUNT,
            "image_pull_policy": "IfNotPresent",
            "image_pull_secrets": ["registry", "other-registry"],
            "secrets": {"DB_PASSWORD": "database/password", "TOKEN": "tokens.example.com/api.key"},
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data"}, "mount_path": "/data"},
                {"name": "settings", "configMap": {"name": "settings"}, "mount_path": "/etc/settings.ini",
                 "sub_path": "settings.ini", "read_only": True},
            ],
            "labels": {"team": "data", "example.com/cost-centre": "7"},
            "annotations": {"example.com/note": "anything: at all"},
            "node_selector": {"pool": "workers", "kubernetes.io/arch": "amd64"},
            "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "workers", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]}}},
            "priority_class_name": "system-cluster-critical",
            "env_variables": {"LEVEL": "not in the manifest"},
            "startup_script": "echo not in the manifest",
        },
        "size": SIZES["X-Small"], "node": EDGE, "request_parts": 3, "active_deadline": 3600,
    },
    "root_with_gpu": {
        "config": {"run_as_root": True},
        "size": WorkerSize(cpu=1.5, memory=3 * 2**29, gpu=2, gpu_resource="amd.com/gpu"),
        "node": Node("edge", architecture=Architecture.LINUX_AMD64), "active_deadline": 60, "keep": True,
    },
    "template_and_override": {
        "config": {
            "pod_template_file": TEMPLATE,
            "worker_image": "example.com/team/python:3.13",
            "labels": {"stage": "production"},
            "volumes": [{"name": "cache", "hostPath": {"path": "/var/cache"}, "mount_path": "/cache"}],
            "pod_override": {
                "metadata": {"annotations": {"sidecar.istio.io/inject": "false"}},
                "spec": {
                    "securityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
                    "hostAliases": [{"ip": "10.0.0.5", "hostnames": ["edge"]}],
                    "containers": [
                        {"name": "proxy", "image": "example.com/proxy:2"},
                        {"name": "worker", "env": [{"name": "LEVEL", "value": "2"}],
                         "securityContext": {"readOnlyRootFilesystem": True}},
                    ],
                },
            },
        },
        "size": SIZES["Small"], "active_deadline": 3600,
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def default_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests are the same whatever Python runs the tests."""
    monkeypatch.setattr(pod, "DEFAULT_IMAGE", "python:3.12-slim")


def manifest(folder: Path, config: Mapping[str, Any] = {}, **options: Any) -> dict[str, Any]:
    config = dict(config)
    if "pod_template_file" in config:
        template = folder / "template.yaml"
        template.write_text(config["pod_template_file"])
        config["pod_template_file"] = str(template)
    settings = Settings(
        config=WorkerConfig(**config), size=options.pop("size", WorkerSize()), cache_folder=Path("/nowhere")
    )
    given = {"node": None, "identity": SOMEONE, "command": COMMAND, "request_parts": 1, "runtime_secret": "runtime-1",
             "active_deadline": None, "keep": False, **options}  # fmt: skip
    return pod_manifest(settings, **given)


def to_yaml(data: Any) -> str:
    import yaml

    return yaml.safe_dump(data)


def worker_of(made: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["spec"]["containers"][0]
    assert found["name"] == "worker"
    return found


def with_worker(**worker: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "worker", **worker}]}}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_manifest_is_as_it_was(tmp_path: Path, name: str) -> None:
    path = MANIFESTS / f"{name}.yaml"
    made = to_yaml(manifest(tmp_path, **CONFIGURATIONS[name]))
    if os.environ.get("WRITE_MANIFESTS"):
        path.write_text(made)
    assert made == path.read_text()


def test_nothing_of_the_task_is_in_it(tmp_path: Path) -> None:
    assert "not in the manifest" not in str(manifest(tmp_path, **CONFIGURATIONS["settings"]))


def test_what_is_given_is_left_as_it_is(tmp_path: Path) -> None:
    config = CONFIGURATIONS["template_and_override"]["config"]
    before = copy.deepcopy(config)
    manifest(tmp_path, config)
    assert config == before


def test_a_template_is_weaker_than_settings_and_an_override_is_stronger(tmp_path: Path) -> None:
    template = to_yaml(with_worker(image="a", imagePullPolicy="Always", workingDir="/a"))
    config = {"pod_template_file": template, "image_pull_policy": "Never", "worker_image": "b"}
    config["pod_override"] = with_worker(image="c")
    worker = worker_of(manifest(tmp_path, config))
    assert (worker["workingDir"], worker["imagePullPolicy"], worker["image"]) == ("/a", "Never", "c")


def test_a_deadline_can_be_lowered_and_not_be_taken_away(tmp_path: Path) -> None:
    def deadline(seconds: int | None, limit: int | None) -> int | None:
        override = {"spec": {"activeDeadlineSeconds": seconds}}
        made = manifest(tmp_path, {"pod_override": override}, active_deadline=limit)
        return made["spec"].get("activeDeadlineSeconds")

    assert [deadline(60, 90), deadline(120, 90), deadline(None, 90), deadline(60, None)] == [60, 90, 90, 60]
    assert deadline(None, None) is None


def test_run_as_root_is_for_the_worker_alone(tmp_path: Path) -> None:
    made = manifest(tmp_path, {"run_as_root": True})
    context = worker_of(made)["securityContext"]
    assert (context["runAsUser"], context["runAsNonRoot"]) == (0, False)
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"]["drop"] == ["ALL"]
    assert made["spec"]["securityContext"]["runAsUser"] == pod.USER


def test_run_as_root_false_goes_before_a_template(tmp_path: Path) -> None:
    template = to_yaml(with_worker(securityContext={"runAsUser": 0, "runAsNonRoot": False}))
    assert worker_of(manifest(tmp_path, {"pod_template_file": template}))["securityContext"]["runAsUser"] == 0
    worker = worker_of(manifest(tmp_path, {"pod_template_file": template, "run_as_root": False}))
    assert (worker["securityContext"]["runAsUser"], worker["securityContext"]["runAsNonRoot"]) == (pod.USER, True)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [(Architecture.UNKNOWN, None),
     (Architecture.LINUX_AMD64, {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}),
     (Architecture.WINDOWS_ARM64, {"kubernetes.io/os": "windows", "kubernetes.io/arch": "arm64"})],
)  # fmt: skip
def test_the_architecture_of_a_node_places_the_pod(
    tmp_path: Path, architecture: Architecture, expected: dict[str, str] | None
) -> None:
    made = manifest(tmp_path, node=Node("edge", architecture=architecture))
    assert made["spec"].get("nodeSelector") == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [(with_worker(command=["sh"]), r"spec.containers\[worker\].command is the provider's own"),
     (with_worker(args=["-c"]), r"spec.containers\[worker\].args is the provider's own"),
     ({"spec": {"containers": [{"name": "base", "command": ["sh"]}]}}, r"containers\[worker\].command"),
     (with_worker(terminationMessagePath="/x"), r"terminationMessagePath is '/x', expected '/dev/termination-log'"),
     (with_worker(terminationMessagePolicy="FallbackToLogsOnError"), "terminationMessagePolicy"),
     (with_worker(volumeMounts=[{"name": "a", "mountPath": "/airflow/own"}]), r"\[/airflow/own\]: /airflow"),
     (with_worker(volumeMounts=[{"name": "a"}]), r"spec.containers\[worker\].volumeMounts\[0\] has no mountPath"),
     ({"spec": {"restartPolicy": "Always"}}, "spec.restartPolicy is 'Always', expected 'Never'"),
     ({"spec": {"volumes": [{"name": "request", "emptyDir": {}}]}}, r"spec.volumes\[request\] is the provider's own"),
     ({"spec": {"activeDeadlineSeconds": 0}}, "spec.activeDeadlineSeconds is 0, expected a whole number from 1"),
     ({"spec": {"containers": [{"image": "a"}]}}, r"spec.containers\[0\] has no name"),
     ({"spec": {"containers": {"name": "a"}}}, "spec.containers is a dict, expected a list"),
     ({"spec": []}, "spec is a list, expected a mapping"),
     ({"spec": {"nodeSelector": {"pool": {1}}}}, "spec.nodeSelector.pool is a set, expected plain data"),
     ({"metadata": {"labels": {"airflow-worker/try": "1"}}}, r"metadata.labels\[airflow-worker/try\]"),
     ({"metadata": {"labels": {"dag_id": "x"}}}, r"metadata.labels\[dag_id\] is the provider's own"),
     ({"metadata": {"annotations": {"airflow-worker/keep": "x"}}}, r"metadata.annotations\[airflow-worker/keep\]"),
     ({"kind": "Deployment"}, "kind is 'Deployment', expected 'Pod'"),
     ({"containers": []}, "unknown key 'containers', expected a pod: metadata and spec")],
)  # fmt: skip
def test_what_is_the_providers_own_can_not_be_changed(tmp_path: Path, override: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"WorkerConfig\(pod_override=…\): .*{message}"):
        WorkerConfig(pod_override=override)
    with pytest.raises(ConfigurationError, match=rf"pod_template_file .*template.yaml: .*{message}"):
        manifest(tmp_path, {"pod_template_file": to_yaml(override)})


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "is a list, expected a pod"), ("", "is a NoneType, expected a pod"), ("a: [", "is no YAML")],
)
def test_a_template_that_is_none_is_refused_by_its_path(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"template.yaml:? {message}"):
        manifest(tmp_path, {"pod_template_file": content})


def test_a_template_that_is_not_there_is_refused_by_its_path(tmp_path: Path) -> None:
    settings = Settings(
        config=WorkerConfig(pod_template_file=str(tmp_path / "none.yaml")), size=WorkerSize(), cache_folder=tmp_path
    )
    with pytest.raises(ConfigurationError, match=r"none\.yaml can't be read"):
        pod_manifest(settings, node=None, identity=SOMEONE, command=COMMAND, request_parts=1, runtime_secret="r",
                     active_deadline=None, keep=False)  # fmt: skip


def test_a_namespace_of_a_template_has_to_be_that_of_the_settings(tmp_path: Path) -> None:
    config = {"pod_template_file": "metadata: {namespace: other}"}
    with pytest.raises(ConfigurationError, match=r"metadata\.namespace of the pod is 'other', the settings have None"):
        manifest(tmp_path, config)
    assert "namespace" not in manifest(tmp_path, {**config, "namespace": "other"})["metadata"]


def test_an_image_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the image of container 'worker' is 'a image', expected an image, as"):
        manifest(tmp_path, {"pod_override": with_worker(image="a image")})


def test_objects_of_the_kubernetes_client_are_plain_data_at_once(tmp_path: Path) -> None:
    k8s = pytest.importorskip("kubernetes.client")
    override = k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(labels={"team": "data"}),
        spec=k8s.V1PodSpec(
            containers=[k8s.V1Container(name="base", env=[k8s.V1EnvVar(name="LEVEL", value="2")])],
            host_aliases=[k8s.V1HostAlias(ip="10.0.0.5", hostnames=["edge"])],
        ),
    )
    config = {
        "pod_override": override,
        "tolerations": [k8s.V1Toleration(key="dedicated", toleration_seconds=60)],
        "affinity": k8s.V1Affinity(node_affinity=k8s.V1NodeAffinity()),
        "volumes": [{"name": "a", "emptyDir": k8s.V1EmptyDirVolumeSource(size_limit="1Gi"), "mount_path": "/a"}],
    }
    made = WorkerConfig(**config)
    assert made.to_dict() == {
        "volumes": [{"name": "a", "emptyDir": {"sizeLimit": "1Gi"}, "mount_path": "/a"}],
        "tolerations": [{"key": "dedicated", "tolerationSeconds": 60}],
        "affinity": {"nodeAffinity": {}},
        "pod_override": {
            "metadata": {"labels": {"team": "data"}},
            "spec": {
                "containers": [{"name": "base", "env": [{"name": "LEVEL", "value": "2"}]}],
                "hostAliases": [{"ip": "10.0.0.5", "hostnames": ["edge"]}],
            },
        },
    }
    assert {"name": "LEVEL", "value": "2"} in worker_of(manifest(tmp_path, made.to_dict()))["env"]
