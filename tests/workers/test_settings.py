"""Quantities, sizes and settings: what is taken, what is refused, and which of two settings counts."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.quantities import format_bytes, format_cores, format_memory, parse_quantity
from airflow_provider_tasks.workers.settings import Installation, resolve
from airflow_provider_tasks.workers.sizes import SIZES, WorkerSize, parse_sizes


@given(
    st.integers(0, 2**60),
    st.sampled_from([("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30), ("k", 1e3), ("M", 1e6), ("", 1)]),
)
def test_a_quantity_is_its_number_times_its_unit(number, unit):
    assert parse_quantity(f"{number}{unit[0]}") == float(number) * unit[1]


@pytest.mark.parametrize("text", ["", "1 Gi", "-1", "1gb", "Gi", "1e3", "١", None, True, float("nan")])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="is no quantity, expected a number with one of"):
        parse_quantity(text)


def test_bytes_are_written_for_people():
    assert [format_bytes(number) for number in (0, 1023, 1024, 1536 * 2**20, 3000 * 2**30)] == [
        "0 B", "1023 B", "1 KiB", "1.5 GiB", "3000 GiB"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [({"worker_sise": "Small"}, "unknown key 'worker_sise' for WorkerConfig; did you mean 'worker_size'?"),
     ({"time_limit": 0}, "time_limit=0.*expected seconds above 0, or a timedelta"),
     ({"time_limit": True}, "time_limit=True"),
     ({"env_variables": {"A": 1}}, "A is a int, expected text"),
     ({"env_variables": {"A=B": "c"}}, "'A=B' can't be a variable's name"),
     ({"connections": "one"}, "expected a list of text"),
     ({"backend": "docker"}, "expected one of local, kubernetes"),
     ({"startup_script": 3}, "startup_script=3.*expected text"),
     ({"terminate_on_completion": "no"}, "terminate_on_completion='no'.*expected True or False"),
     ({"namespace": "My_Space"}, "namespace='My_Space'.*expected small letters, digits and '-'"),
     ({"namespace": "a" * 64}, "namespace=.*at most 63"),
     ({"worker_image": "python 3"}, "worker_image='python 3'.*expected an image, as 'python:3.12-slim'"),
     ({"worker_image": ""}, "worker_image=''"),
     ({"service_account_name": "Robot"}, "service_account_name='Robot'"),
     ({"image_pull_policy": "always"}, "image_pull_policy='always'.*expected one of Always, IfNotPresent, Never"),
     ({"image_pull_policy": 3}, "image_pull_policy=3.*expected text"),
     ({"image_pull_secrets": "registry"}, "image_pull_secrets='registry'.*expected a list of text"),
     ({"image_pull_secrets": ["My Registry"]}, "image_pull_secrets=….*'My Registry', expected small letters"),
     ({"priority_class_name": "High!"}, "priority_class_name='High!'"),
     ({"labels": {"a b": "c"}}, "labels=….*the key 'a b', expected letters"),
     ({"labels": {"{{ a }}": "c"}}, "the key '{{ a }}'"),
     ({"labels": {"team": "a b"}}, "labels=….*'team' is 'a b', expected at most 63"),
     ({"labels": {"dag_id": "a"}}, "'dag_id' is the provider's own; choose another name"),
     ({"labels": {"airflow-worker/try": "a"}}, "'airflow-worker/try' is the provider's own"),
     ({"labels": ["team"]}, "labels=.*expected a mapping of text to text"),
     ({"annotations": {"airflow-worker/keep": "a"}}, "'airflow-worker/keep' is the provider's own"),
     ({"annotations": {"note": 1}}, "annotations=….*note is a int, expected text"),
     ({"node_selector": {"pool": "a/b"}}, "node_selector=….*'pool' is 'a/b'"),
     ({"secrets": {"1A": "a/b"}}, "secrets=….*the key '1A', expected a variable's name"),
     ({"secrets": {"A": "b"}}, "the value of 'A', expected a Secret's name and one of its keys"),
     ({"tolerations": [{"toleration_seconds": 3}]}, "unknown key 'toleration_seconds', expected one of key, operator"),
     ({"tolerations": {"key": "a"}}, "tolerations=.*expected a list of mappings"),
     ({"tolerations": ["a"]}, "tolerations='a'.*expected a mapping of key, operator"),
     ({"affinity": {"node_affinity": {}}}, "unknown key 'node_affinity', expected one of nodeAffinity"),
     ({"affinity": {"nodeAffinity": {1: 2}}}, "nodeAffinity has the key 1, expected text"),
     ({"pod_override": {"spec": {"x": object()}}}, "pod_override=….*spec.x is a object, expected plain data"),
     ({"pod_override": "spec"}, "pod_override='spec'.*expected a mapping, or a V1Pod"),
     ({"pod_template_file": 3}, "pod_template_file=3.*expected text"),
     ({"run_as_root": 1}, "run_as_root=1.*expected True or False"),
     ({"startup_timeout": -1}, "startup_timeout=-1.*expected seconds above 0"),
     ({"keep_seconds": float("nan")}, "keep_seconds=nan.*expected seconds above 0")],
)  # fmt: skip
def test_a_wrong_setting_is_refused_by_its_name(values, message):
    with pytest.raises(ConfigurationError, match=message):
        WorkerConfig.from_dict(values)


DATA = {"name": "data", "emptyDir": {}, "mount_path": "/data"}


@pytest.mark.parametrize(
    ("volume", "message"),
    [({"name": "work"}, "the volume 'work' is the provider's own"),
     ({"name": "Data"}, "a volume has the name 'Data', expected small letters"),
     ({"name": None}, "a volume has the name None"),
     ({"mount_path": "data"}, "mount_path of 'data' is 'data', expected an absolute path without ':'"),
     ({"mount_path": "/a:b"}, "mount_path of 'data' is '/a:b'"),
     ({"mount_path": "//airflow/./scratch/x"}, "mount_path of 'data' is '.*', which is the provider's own"),
     ({"sub_path": "../x"}, "sub_path of 'data' is '../x', expected a relative path without"),
     ({"read_only": "maybe"}, "'maybe'.*expected True or False"),
     ({"hostPath": {}}, "the volume 'data' has the sources .*'emptyDir', 'hostPath'.*, expected one"),
     ({"emptyDir": None, "empty_dir": {}}, "has the sources")],
)  # fmt: skip
def test_a_wrong_volume_is_refused_by_its_name(volume, message):
    with pytest.raises(ConfigurationError, match=message):
        WorkerConfig(volumes=[{**DATA, **volume}])


def test_volumes_have_names_of_their_own():
    with pytest.raises(ConfigurationError, match="the name 'data' is there twice"):
        WorkerConfig(volumes=[DATA, {**DATA, "mount_path": "/other"}])


@pytest.mark.parametrize(
    "image",
    ["python", "python:3.12-slim", "example.com:5000/a/b_c/d--e", "localhost/x:V1", "[::1]:5000/x",
     "python@sha256:" + 64 * "a", "python:3.12@sha256:" + 64 * "a", "{{ params.image }}"],
)  # fmt: skip
def test_an_image_is_named_as_container_engines_do(image):
    assert WorkerConfig(worker_image=image).worker_image == image


@pytest.mark.parametrize("image", ["Python", "python:", "a//b", "python:a:b", "/python", "pyt\nhon", "a@b", "x" * 2000])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ConfigurationError, match="expected an image"):
        WorkerConfig(worker_image=image)


T = "{{ params.x }}"


def test_every_setting_may_be_a_template():
    for field in dataclasses.fields(WorkerConfig):
        config = WorkerConfig.from_dict({field.name: T})
        assert config.to_dict() == {field.name: T}
        assert WorkerConfig.from_dict(config.to_dict()).over(WorkerConfig()) == config
    nested = {"volumes": [{"name": T, "emptyDir": {"sizeLimit": T}, "mount_path": T, "sub_path": T, "read_only": T}],
              "labels": {"a": T}, "secrets": {"A": T}, "image_pull_secrets": [T], "tolerations": [{"key": T}],
              "env_variables": {"A": T}, "pod_override": {"spec": {"hostname": T}}}  # fmt: skip
    assert WorkerConfig.from_dict(nested).to_dict() == nested


def test_what_templates_come_to_as_text_is_read():
    config = WorkerConfig(run_as_root="False", terminate_on_completion="true", time_limit="1.5", keep_seconds="60")
    assert (config.run_as_root, config.terminate_on_completion) == (False, True)
    assert (config.time_limit, config.keep_seconds) == (1.5, 60)
    assert WorkerConfig(volumes=[{**DATA, "read_only": "True"}]).volumes[0]["read_only"] is True


def test_what_is_given_can_change_later_and_the_configuration_does_not():
    labels, override = {"team": "a"}, {"spec": {"containers": [{"name": "worker"}]}}
    config = WorkerConfig(labels=labels, pod_override=override)
    labels["team"] = "b"
    override["spec"]["containers"].clear()
    assert config.to_dict() == {
        "labels": {"team": "a"}, "pod_override": {"spec": {"containers": [{"name": "worker"}]}}
    }  # fmt: skip


@pytest.mark.parametrize("name", ["config.yaml", "config.json"])
def test_a_file_of_either_kind_is_read(tmp_path, name):
    path = tmp_path / name
    path.write_text('{"worker_size": "Small", "time_limit": 60}')
    assert WorkerConfig.of(path) == WorkerConfig(worker_size="Small", time_limit=timedelta(minutes=1))
    path.write_text('{"worker_sise": 1}')
    with pytest.raises(ConfigurationError, match=f"{name}: unknown key 'worker_sise'"):
        WorkerConfig.of(str(path))


def installation(**config):
    return Installation(config=WorkerConfig(**config), sizes=SIZES, cache_folder=Path("/cache"))


def test_the_stronger_setting_counts_and_variables_are_put_together():
    layers = [WorkerConfig(namespace="default-args", env_variables={"A": "1", "B": "1"}), WorkerConfig(),
              WorkerConfig(env_variables={"B": "2"}, worker_size="Small")]  # fmt: skip
    settings = resolve(
        installation(namespace="cfg", python="/cfg", kubernetes_conn_id="conn", worker_size="Large"),
        layers,
        lambda conn_id: WorkerConfig(namespace="connection", python_venv_name=conn_id),
    )
    assert settings.config.namespace == "default-args"
    assert settings.config.python == "/cfg"
    assert settings.config.python_venv_name == "conn"
    assert settings.config.env_variables == {"A": "1", "B": "2"}
    assert (settings.size, settings.backend) == (SIZES["Small"], "local")


@pytest.mark.parametrize("name", ["env_variables", "secrets", "labels", "annotations", "node_selector"])
def test_mappings_of_names_are_put_together_and_lists_are_not(name):
    one, other = ({"A": "a/1", "B": "a/1"}, {"B": "b/2"}) if name == "secrets" else ({"A": "1", "B": "1"}, {"B": "2"})
    weak = WorkerConfig(**{name: one}, image_pull_secrets=["a", "b"], pod_override={"metadata": {}})
    merged = WorkerConfig(**{name: other}, image_pull_secrets=["c"], pod_override={"spec": {}}).over(weak)
    assert getattr(merged, name) == {**one, **other}
    assert merged.image_pull_secrets == ("c",)
    assert merged.pod_override == {"spec": {}}
    assert getattr(weak, name) == one


def test_no_value_that_may_be_secret_is_in_the_log():
    config = WorkerConfig(
        env_variables={"TOKEN": "swordfish"},
        startup_script="swordfish\n",
        volumes=[{"name": "data", "csi": {"volumeAttributes": {"password": "swordfish"}}, "mount_path": "/data"}],
        pod_override={"spec": {"containers": [{"name": "proxy", "env": [{"name": "A", "value": "swordfish"}]}]}},
    )
    text = str(resolve(installation(), [config]))
    assert "startup_script=(1 lines), env_variables=(TOKEN), volumes=(data at /data)" in text
    assert "pod_override=(spec.containers)" in text
    assert "swordfish" not in text


def test_a_relative_template_starts_at_the_folder_of_the_dag_file():
    def path(given):
        return resolve(installation(), [WorkerConfig(pod_template_file=given)], None, "/dags").config.pod_template_file

    assert [path("pod.yaml"), path("/etc/pod.yaml")] == ["/dags/pod.yaml", "/etc/pod.yaml"]
    assert path("~/pod.yaml") == str(Path("~/pod.yaml").expanduser())


def test_a_dag_holds_no_path_of_the_machine_that_read_it():
    from airflow.sdk import DAG

    from airflow_provider_tasks import Task
    from airflow_provider_tasks.operators import TaskOperator

    class Hello(Task):
        def run(self):
            return "hello"

    with DAG("hello"):
        operator = TaskOperator(task_id="hello", task=Hello(), worker_config={"pod_template_file": "pod.yaml"})
    assert operator.worker_config == {"pod_template_file": "pod.yaml"}
    assert operator.settings(None).config.pod_template_file == str(Path(__file__).with_name("pod.yaml"))


def test_what_nobody_sets_has_its_default():
    settings = resolve(installation(), [])
    assert (settings.startup_timeout, settings.keep_seconds, settings.installation) == (600, 8 * 3600, "airflow")
    config = WorkerConfig(startup_timeout=timedelta(minutes=1), keep_seconds=60)
    settings = resolve(installation(), [config])
    assert (settings.startup_timeout, settings.keep_seconds) == (60, 60)


def test_an_installation_has_a_name(monkeypatch):
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__INSTALLATION", "staging")
    assert Installation.read().name == "staging"
    assert resolve(Installation.read(), []).installation == "staging"
    monkeypatch.setenv("AIRFLOW__WORKER_TASKS__INSTALLATION", "my staging")
    with pytest.raises(ConfigurationError, match=r"installation = 'my staging', expected at most 63 letters"):
        Installation.read()


def test_a_time_limit_goes_before_that_of_the_size():
    sizes = parse_sizes('{"Tiny": {"time_limit": 60}}')
    weakest = Installation(config=WorkerConfig(worker_size="Tiny"), sizes=sizes, cache_folder=Path("/cache"))
    assert resolve(weakest, []).time_limit == 60
    assert resolve(weakest, [WorkerConfig(time_limit=5)]).time_limit == 5
    assert sizes["Tiny"] == WorkerSize(time_limit=60)


def test_a_size_has_gpus_of_a_resource():
    sizes = parse_sizes('{"A": {"gpu": 1}, "B": {"cpu": 2, "gpu": 4, "gpu_resource": "amd.com/gpu"}}')
    assert sizes == {"A": WorkerSize(gpu=1), "B": WorkerSize(cpu=2, gpu=4, gpu_resource="amd.com/gpu")}
    assert sizes["A"].gpu_resource == "nvidia.com/gpu"


@given(st.integers(1, 2**53))
def test_memory_is_written_as_it_is_read(number):
    assert int(parse_quantity(format_memory(number))) == number


@given(st.integers(1, 10**7))
def test_cores_are_written_as_they_are_read(thousandths):
    assert parse_quantity(format_cores(thousandths / 1000)) == pytest.approx(thousandths / 1000)


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"A": {"ram": 1}}', '{"A": {"gpu": 0.5}}', '{"A": {"gpu": true}}', '{"A": {"gpu_resource": "gpu"}}',
     '{"A": 3}', "{", '{"A": {"memory": "1 Gi"}}'],
)  # fmt: skip
def test_a_table_of_sizes_that_can_not_be_read_is_refused(text):
    with pytest.raises(ConfigurationError, match="sizes can't be read"):
        parse_sizes(text)


def test_an_unknown_size_names_those_that_are_known():
    with pytest.raises(ConfigurationError, match="unknown worker_size 'Huge', expected one of X-Small, Small, Medium"):
        resolve(installation(worker_size="Huge"), [])
