"""A connection of type ``kubernetes`` leads to its cluster, with credentials of every kind, or says why not."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shlex
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.kubernetes import connection
from airflow_provider_tasks.workers.kubernetes.api import Api
from airflow_provider_tasks.workers.kubernetes.client import open_client, proxy_for
from airflow_provider_tasks.workers.kubernetes.connection import Cluster
from tests.kubernetes.cluster import TestCluster, config_of, wait_until
from tests.kubernetes.proxy import FaultyProxy, SeenRequest

SECRET = "c2VjcmV0-of-the-cluster"


def a_kubeconfig(**changes: Any) -> dict[str, Any]:
    document = {
        "current-context": "here",
        "clusters": [{"name": "one", "cluster": {"server": "https://one:6443"}}],
        "users": [{"name": "me", "user": {"token": SECRET}}],
        "contexts": [
            {"name": "here", "context": {"cluster": "one", "user": "me", "namespace": "of-context"}},
            {"name": "there", "context": {"cluster": "one", "user": "me"}},
        ],
    }
    return document | changes


def kubeconfig_of(
    cluster: TestCluster, user: dict[str, Any], server: str | None = None, **changes: Any
) -> dict[str, Any]:
    """A kubeconfig for the tests' namespace with another user, server, or other fields of the cluster."""
    document = json.loads(Path(cluster.kubeconfig).read_text())
    if server is not None:
        document["clusters"][0]["cluster"] = {"server": server}
    document["clusters"][0]["cluster"].update(changes)
    document["users"][0]["user"] = user
    return dict(document)


def list_pods(cluster: Cluster, patience: float = 5.0) -> list[dict[str, Any]]:
    async def ask() -> list[dict[str, Any]]:
        async with Api(cluster, patience=patience) as api:
            return (await api.list_pods())[0]

    return asyncio.run(ask())


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without a cluster: no service account, no kubeconfig; gives its home."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


# --- the connection's fields


@pytest.mark.parametrize("prefix", ["", "extra__kubernetes__"])
@pytest.mark.parametrize("flag", [True, "true", "True", "1", "yes"])
def test_the_fields_of_a_connection_are_read_with_and_without_the_old_prefix(prefix: str, flag: object) -> None:
    fields = {
        "kube_config_path": "/a/config",
        "cluster_context": "there",
        "namespace": "airflow",
        "disable_verify_ssl": flag,
        "disable_tcp_keepalive": flag,
        "in_cluster": "",
        "kube_config": None,
    }
    found = Cluster.from_extra({prefix + key: value for key, value in fields.items()}, name="k")
    assert found == Cluster(
        kube_config_path="/a/config",
        cluster_context="there",
        namespace="airflow",
        disable_verify_ssl=True,
        disable_tcp_keepalive=True,
    )


@pytest.mark.parametrize("flag", [False, "false", "False", "0", "no", "", None])
def test_a_field_that_is_false_in_any_way_is_false(flag: object) -> None:
    assert Cluster.from_extra({"in_cluster": flag, "kube_config_path": "/c"}, name="k").in_cluster is False


def test_a_field_without_prefix_is_stronger_than_one_with_it() -> None:
    extra = {"namespace": "new", "extra__kubernetes__namespace": "old"}
    assert Cluster.from_extra(extra, name="k").namespace == "new"
    assert Cluster.from_extra(extra | {"namespace": ""}, name="k").namespace is None


def test_fields_of_others_are_left_alone() -> None:
    extra = {"xcom_sidecar_container_image": "alpine", "worker_config": {"worker_size": "Small"}, "team": "data"}
    assert Cluster.from_extra(extra, name="k") == Cluster()


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()))
def test_extras_are_a_cluster_or_a_configuration_error(extra: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigurationError):
        hash(Cluster.from_extra(extra, name="k"))


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"in_cluster": True, "kube_config": {"a": 1}}, "in_cluster and kube_config exclude each other"),
        ({"kube_config_path": "/c", "kube_config": "a: 1"}, "kube_config_path and kube_config exclude each other"),
        ({"kube_config_pth": "/c"}, "unknown field 'kube_config_pth'; did you mean 'kube_config_path'?"),
        ({"in_cluster": "maybe"}, "in_cluster is 'maybe', expected true or false"),
        ({"namespace": 7}, "namespace is a int, expected text"),
        ({"kube_config": 7}, "kube_config is a int, expected a kubeconfig as JSON or YAML"),
    ],
)
def test_a_wrong_field_is_refused_by_name(extra: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Cluster.from_extra(extra, name="the one")
    assert "connection 'the one'" in str(refused.value)
    assert said in str(refused.value)


def test_equal_clusters_have_the_same_key_and_others_another() -> None:
    one = Cluster(kube_config=a_kubeconfig(), name="connection 'a'")
    same = Cluster(kube_config=a_kubeconfig(), name="connection 'b'")
    assert one == same
    assert hash(one) == hash(same)
    assert one.key == same.key
    others = [Cluster(), Cluster(kube_config=a_kubeconfig(), namespace="n"), Cluster(in_cluster=True)]
    assert len({cluster.key for cluster in (one, *others)}) == 4


def test_a_cluster_shows_nothing_of_its_kubeconfig() -> None:
    assert SECRET not in repr(Cluster(kube_config=a_kubeconfig()))


# --- kubeconfigs


def as_yaml(document: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(document))


@pytest.mark.parametrize("form", [dict, json.dumps, as_yaml])
def test_a_kubeconfig_by_content_may_be_a_mapping_json_or_yaml(form: Any) -> None:
    config = Cluster(kube_config=form(a_kubeconfig())).load()
    assert (config.context_name, config.cluster.server) == ("here", "https://one:6443")
    assert config.user is not None
    assert config.user.token == SECRET


def test_the_namespace_is_the_clusters_own_or_the_contexts_or_default() -> None:
    def namespace(**fields: Any) -> str:
        return Cluster(kube_config=a_kubeconfig(), **fields).load().namespace

    assert namespace(namespace="own") == "own"
    assert namespace() == "of-context"
    assert namespace(cluster_context="there") == "default"


def test_relative_paths_are_relative_to_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    exec_ = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}
    user = {"client-certificate": "c.crt", "client-key": "c.key", "tokenFile": "token", "exec": exec_}
    cluster = {"server": "https://one", "certificate-authority": "pki/ca.crt"}
    document = a_kubeconfig(users=[{"name": "me", "user": user}], clusters=[{"name": "one", "cluster": cluster}])
    (folder / "config").write_text(as_yaml(document))
    config = Cluster(kube_config_path="conf/config").load()
    assert config.user is not None
    assert config.user.exec is not None
    assert config.cluster.certificate_auth == f"{folder}/pki/ca.crt"
    assert [config.user.client_cert, config.user.client_key, config.user.token_file, config.user.exec.command] == [
        f"{folder}/{name}" for name in ("c.crt", "c.key", "token", "plugin")
    ]


def test_a_command_without_a_folder_is_found_on_the_path() -> None:
    exec_ = {"apiVersion": "client.authentication.k8s.io/v1", "command": "plugin"}
    config = Cluster(kube_config=a_kubeconfig(users=[{"name": "me", "user": {"exec": exec_}}])).load()
    assert config.user is not None
    assert config.user.exec is not None
    assert config.user.exec.command == "plugin"


def test_several_kubeconfigs_are_merged_and_the_first_is_the_strongest(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = alone / "a" / "config", alone / "b" / "config"
    users = [{"name": "me", "user": {"tokenFile": "token"}}]
    for file in (first, second):
        file.parent.mkdir()
    first.write_text(json.dumps({"current-context": "there", "users": users}))
    second.write_text(json.dumps(a_kubeconfig()))
    monkeypatch.setenv("KUBECONFIG", f"{first}:{alone / 'missing'}:{second}")
    config = Cluster().load()
    assert config.context_name == "there"
    assert config.user is not None
    assert config.user.token_file == str(first.parent / "token")


def test_nothing_set_is_the_kubeconfig_of_the_home_folder(alone: Path) -> None:
    (alone / ".kube").mkdir()
    (alone / ".kube" / "config").write_text(json.dumps(a_kubeconfig()))
    assert Cluster().load().cluster.server == "https://one:6443"


def test_no_cluster_at_all_says_what_to_set(alone: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Cluster.from_extra({}, name="k").load()
    assert "connection 'k': the kubeconfig" in str(refused.value)
    assert "runs in no cluster" in str(refused.value)
    assert "Set in_cluster, kube_config_path or kube_config" in refused.value.advice


def test_in_cluster_outside_of_a_cluster_says_so(alone: Path) -> None:
    with pytest.raises(ConfigurationError, match="in_cluster is set, and this process runs in no cluster"):
        Cluster(in_cluster=True).load()


USER = {"name": "me", "user": {"token": SECRET}}


@pytest.mark.parametrize(
    ("kube_config", "said"),
    [
        (f"users: [{{token: {SECRET}}}\nclusters: ][", "is neither YAML nor JSON, line 2"),
        (f"token: {SECRET}: {SECRET}", "is neither YAML nor JSON, line 1"),
        (f'["{SECRET}"]', "is a list, expected a mapping"),
        (a_kubeconfig(**{"current-context": "nowhere"}), "has no context 'nowhere'"),
        (a_kubeconfig(**{"current-context": ""}), "has no current context"),
        (a_kubeconfig(clusters=[]), "has no cluster 'one', which the context 'here' names"),
        (a_kubeconfig(users=[]), "has no user 'me', which the context 'here' names"),
        (a_kubeconfig(users=[USER | {"name": "you"}]), "It has these users: 'you'"),
        (a_kubeconfig(users=USER), "users is no list of mappings"),
        (a_kubeconfig(users=[{"name": "me", "user": SECRET}]), "the user 'me' is no mapping"),
        (a_kubeconfig(users=[{"name": "me", "user": {"token": [SECRET]}}]), "Expected `str | null`, got `array`"),
        (a_kubeconfig(users=[{"name": "me", "user": {"tokenFile": "t"}}]), "names the file 't', and relative to what"),
        (a_kubeconfig(users=[{"name": "me", "user": {"auth-provider": {"name": "gcp"}}}]), "has an auth-provider"),
        (a_kubeconfig(clusters=[{"name": "one", "cluster": {"server": "one:6443"}}]), "the cluster's server is no URL"),
    ],
)
def test_a_kubeconfig_that_can_t_be_used_says_why_and_shows_no_secret(kube_config: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Cluster.from_extra({"kube_config": kube_config}, name="k").load()
    assert said in str(refused.value)
    assert "connection 'k'" in str(refused.value)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"the kubeconfig {tmp_path}/none is not there"):
        Cluster(kube_config_path=str(tmp_path / "none")).load()


@pytest.mark.parametrize(
    "user",
    [
        {"client-certificate": "/no/such.crt", "client-key": "/no/such.key"},
        {"client-certificate-data": "!", "client-key-data": "!"},
        {"client-certificate-data": base64.b64encode(b"no certificate").decode(), "client-key-data": "bm9uZQ=="},
    ],
)
def test_certificates_that_can_t_be_read_are_a_configuration_error(user: dict[str, str]) -> None:
    access = Cluster(kube_config=a_kubeconfig(users=[{"name": "me", "user": user}])).access()
    with pytest.raises(ConfigurationError, match="certificates of the context 'here' can't be read"):
        open_client(access, keepalive=True)


def test_what_is_not_verified_needs_no_authority() -> None:
    cluster = {"server": "https://one", "certificate-authority-data": "!"}
    document = a_kubeconfig(clusters=[{"name": "one", "cluster": cluster}])
    config = Cluster(kube_config=document, disable_verify_ssl=True).load()
    assert config.cluster.insecure
    assert config.cluster.certificate_auth_data is None


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://k:6443", {}, None),
        ("https://k:6443", {"https_proxy": "http://p:1"}, "http://p:1"),
        ("https://k:6443", {"HTTPS_PROXY": "http://weak:1", "https_proxy": "http://p:1"}, "http://p:1"),
        ("https://k:6443", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://k:6443", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("https://k:6443", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ("https://k:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ("https://k:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a, k"}, None),
        ("https://k:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "k:443"}, "http://p:1"),
        ("https://k:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "k:6443"}, None),
        ("https://a.b.c", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "b.c"}, None),
        ("https://a.b.c", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*.b.c"}, None),
        ("https://ab.c", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "b.c"}, "http://p:1"),
        ("https://10.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.1.0.0/16"}, None),
        ("https://10.2.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.1.0.0/16"}, "http://p:1"),
        ("https://[fd00::1]:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "fd00::/8"}, None),
    ],
)
def test_the_environment_names_the_proxy_and_who_goes_without(
    url: str, environ: dict[str, str], proxy: str | None
) -> None:
    assert proxy_for(url, environ) == proxy


# --- credentials, on the real cluster


def token_of(cluster: TestCluster, bound_to: str | None = None) -> str:
    """A new token of the tests' service account; it ends with the Secret that it is bound to."""
    spec: dict[str, Any] = {"expirationSeconds": 3600}
    if bound_to is not None:
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Secret", "name": bound_to}
    ask = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = cluster.admin.path("ServiceAccount", "airflow-tasks")
    return str(cluster.admin.request("POST", f"{path}/token", body=ask).json()["status"]["token"])


def bound_token(cluster: TestCluster, name: str) -> str:
    """A token that is good until the Secret ``name``, which this makes, is deleted."""
    cluster.admin.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}})
    return token_of(cluster, bound_to=name)


def end_token(cluster: TestCluster, name: str, token: str) -> None:
    """Delete the Secret that a token is bound to, and wait until the API server refuses the token."""
    cluster.admin.delete("Secret", name)
    path = cluster.admin.path("Pod")
    with cluster.client() as client:
        headers = {"Authorization": f"Bearer {token}"}
        wait_until(lambda: client.get(path, headers=headers, auth=None).status_code == 401, what="the token to end")


class Script:
    """A credential plugin that gives what the file ``answer`` holds, and notes how it was called."""

    def __init__(self, folder: Path) -> None:
        self.answer = folder / "answer"
        self.calls = folder / "calls"
        self.command = folder / "plugin"
        code = (
            "import json, os, sys\n"
            f"with open({str(self.calls)!r}, 'a') as file:\n"
            "    told = [os.environ.get(name) for name in ('KUBERNETES_EXEC_INFO', 'FLAVOUR')]\n"
            "    print(json.dumps([sys.argv[1:], *told]), file=file)\n"
            f"sys.stdout.write(open({str(self.answer)!r}).read())\n"
        )
        self.command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n')
        self.command.chmod(0o755)

    def gives(self, version: str = "v1", **status: str) -> None:
        group = "client.authentication.k8s.io"
        self.answer.write_text(
            json.dumps({"apiVersion": f"{group}/{version}", "kind": "ExecCredential", "status": status})
        )

    def user(self, version: str = "v1", **changes: Any) -> dict[str, Any]:
        spec = {"apiVersion": f"client.authentication.k8s.io/{version}", "command": str(self.command), **changes}
        return {"exec": spec}

    def called(self) -> list[tuple[list[str], dict[str, Any], str | None]]:
        lines = self.calls.read_text().splitlines()
        return [(args, json.loads(info), flavour) for args, info, flavour in map(json.loads, lines)]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.mark.kubernetes
@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_credential_plugin_is_told_what_it_is_asked_for(cluster: TestCluster, script: Script, version: str) -> None:
    script.gives(version, token=cluster.token)
    user = script.user(
        version,
        args=["get-token", "--fast"],
        env=[{"name": "FLAVOUR", "value": "sweet"}],
        provideClusterInfo=True,
        interactiveMode="IfAvailable",
    )
    extensions = [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}}]
    document = kubeconfig_of(cluster, user, extensions=extensions)
    list_pods(Cluster(kube_config=document))
    ((args, info, flavour),) = script.called()
    assert (args, flavour) == (["get-token", "--fast"], "sweet")
    assert info["apiVersion"] == f"client.authentication.k8s.io/{version}"
    assert info["kind"] == "ExecCredential"
    assert info["spec"]["interactive"] is False
    told = document["clusters"][0]["cluster"]
    assert info["spec"]["cluster"] == {
        "server": told["server"],
        "certificate-authority-data": told["certificate-authority-data"],
        "config": {"audience": "a"},
    }


@pytest.mark.kubernetes
def test_a_credential_plugin_that_does_not_ask_is_not_told_of_the_cluster(cluster: TestCluster, script: Script) -> None:
    script.gives(token=cluster.token)
    list_pods(Cluster(kube_config=kubeconfig_of(cluster, script.user())))
    assert script.called()[0][1]["spec"] == {"interactive": False}


@pytest.mark.kubernetes
def test_a_plugin_is_found_beside_the_kubeconfig(cluster: TestCluster, script: Script, tmp_path: Path) -> None:
    script.gives(token=cluster.token)
    (tmp_path / "config").write_text(json.dumps(kubeconfig_of(cluster, script.user(command="./plugin"))))
    list_pods(Cluster(kube_config_path=str(tmp_path / "config")))
    assert len(script.called()) == 1


@pytest.mark.kubernetes
def test_a_plugin_runs_again_when_its_token_has_expired_and_once_for_all(cluster: TestCluster, script: Script) -> None:
    first = bound_token(cluster, "of-a-token")
    script.gives(token=first)

    async def ask() -> None:
        async with Api(Cluster(kube_config=kubeconfig_of(cluster, script.user())), patience=5) as api:
            for _ in range(3):
                await api.list_pods()
            assert len(script.called()) == 1
            await asyncio.to_thread(end_token, cluster, "of-a-token", first)
            script.gives(token=token_of(cluster))
            await asyncio.gather(*(api.list_pods() for _ in range(20)))
            assert len(script.called()) == 2

    asyncio.run(ask())


@pytest.mark.kubernetes
def test_a_plugin_may_give_a_client_certificate(cluster: TestCluster, script: Script) -> None:
    config = config_of(os.environ["TEST_KUBECONFIG"])
    user = config.user
    assert user is not None
    if not user.client_cert or not user.client_key:
        pytest.skip("the admin of TEST_KUBECONFIG has no client certificate in a file")
    certificate, key = (Path(config.abs_file(path)).read_text() for path in (user.client_cert, user.client_key))
    script.gives(clientCertificateData=certificate, clientKeyData=key)
    list_pods(Cluster(kube_config=kubeconfig_of(cluster, script.user()), namespace="kube-system"))


@pytest.mark.kubernetes
@pytest.mark.parametrize(
    ("script_text", "said"),
    [
        ("echo 'no session' >&2; exit 3", "failed with exit code 3\n    no session"),
        ("echo nonsense", "gave no JSON"),
        ("echo '{}'", "gave no status"),
        ('echo \'{"status": {"token": "t"}, "apiVersion": "v2"}\'', "gave one of 'v2'"),
        (
            'echo \'{"status": {}, "apiVersion": "client.authentication.k8s.io/v1"}\'',
            "gave neither a token nor a client certificate",
        ),
    ],
)
def test_a_plugin_that_fails_is_named(cluster: TestCluster, tmp_path: Path, script_text: str, said: str) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\n{script_text}\n")
    plugin.chmod(0o755)
    spec = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "args": [SECRET]}
    with pytest.raises(ConfigurationError) as refused:
        list_pods(Cluster(kube_config=kubeconfig_of(cluster, {"exec": spec})))
    assert f"the credential plugin '{plugin}' {said}" in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"command": "no-such-plugin"}, "'no-such-plugin' can't be started: No such file or directory\nGet it from"),
        ({"apiVersion": "client.authentication.k8s.io/v9"}, "speaks 'client.authentication.k8s.io/v9', expected"),
        ({"interactiveMode": "Always"}, "there is no terminal here"),
    ],
)
def test_a_plugin_that_can_t_run_here_is_named(script: Script, changes: dict[str, Any], said: str) -> None:
    user = script.user(installHint="Get it from the shelf.", **changes)
    with pytest.raises(ConfigurationError) as refused:
        list_pods(Cluster(kube_config=a_kubeconfig(users=[{"name": "me", "user": user}])))
    assert said in str(refused.value)
    assert not refused.value.retry


@pytest.mark.kubernetes
def test_a_plugin_that_fails_for_a_while_does_not_end_what_has_begun(
    cluster: TestCluster, proxy: FaultyProxy, script: Script
) -> None:
    def fail(_: SeenRequest) -> None:
        script.answer.unlink()

    def mend(_: SeenRequest) -> None:
        wait_until(lambda: len(script.called()) == 2, what="the plugin to run again")
        script.gives(token=cluster.token)

    script.gives(token=cluster.token)
    proxy.let_pass("GET", "/pods")
    proxy.answer("GET", "/pods", 401, on_match=fail)
    proxy.answer("GET", "/pods", 401)

    async def ask() -> None:
        async with Api(Cluster(kube_config=kubeconfig_of(cluster, script.user(), proxy.url)), patience=20) as api:
            await api.list_pods()
            asking = asyncio.create_task(api.list_pods())
            await asyncio.to_thread(mend, proxy.requests[0])
            await asking

    asyncio.run(ask())
    assert len(script.called()) >= 3


@pytest.mark.kubernetes
def test_a_token_in_a_file_is_read_again_when_it_has_expired(cluster: TestCluster, tmp_path: Path) -> None:
    token = bound_token(cluster, "of-a-file")
    file = tmp_path / "token"
    file.write_text(token)

    async def ask() -> None:
        async with Api(Cluster(kube_config=kubeconfig_of(cluster, {"tokenFile": str(file)})), patience=5) as api:
            await api.list_pods()
            await asyncio.to_thread(end_token, cluster, "of-a-file", token)
            file.write_text(token_of(cluster))
            await api.list_pods()

    asyncio.run(ask())


@pytest.mark.kubernetes
def test_a_token_that_has_expired_says_so(cluster: TestCluster) -> None:
    token = bound_token(cluster, "of-nobody")
    end_token(cluster, "of-nobody", token)
    with pytest.raises(ConfigurationError) as refused:
        list_pods(Cluster(kube_config=kubeconfig_of(cluster, {"token": token})), patience=30)
    assert "refused the credentials (401 Unauthorized)" in str(refused.value)
    assert token not in str(refused.value)


@pytest.mark.kubernetes
@pytest.mark.parametrize("token", [f"{SECRET}\n{SECRET}", f"{SECRET}\x00"])
def test_a_token_that_no_header_can_hold_is_not_shown(cluster: TestCluster, token: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        list_pods(Cluster(kube_config=kubeconfig_of(cluster, {"token": token})))
    assert "holds characters that HTTP forbids" in str(refused.value)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.kubernetes
def test_a_pods_service_account_is_used_in_the_cluster(
    cluster: TestCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = json.loads(Path(cluster.kubeconfig).read_text())["clusters"][0]["cluster"]
    (tmp_path / "token").write_text(cluster.token)
    (tmp_path / "namespace").write_text(cluster.namespace)
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(told["certificate-authority-data"]))
    host, _, port = told["server"].removeprefix("https://").rpartition(":")
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    for reached in (Cluster(), Cluster(in_cluster=True)):
        assert reached.load().namespace == cluster.namespace
        list_pods(reached)


# --- TLS and proxies


@pytest.mark.kubernetes
def test_a_server_that_is_not_trusted_is_refused_at_once_unless_that_is_wanted(cluster: TestCluster) -> None:
    document = kubeconfig_of(cluster, {"token": cluster.token})
    del document["clusters"][0]["cluster"]["certificate-authority-data"]
    with pytest.raises(ConfigurationError, match=r"is not to be trusted: .*certificate"):
        list_pods(Cluster(kube_config=document))
    list_pods(Cluster(kube_config=document, disable_verify_ssl=True))


@pytest.mark.kubernetes
def test_the_name_in_the_certificate_may_be_another_than_the_servers(cluster: TestCluster) -> None:
    def named(name: str) -> Cluster:
        return Cluster(kube_config=kubeconfig_of(cluster, {"token": cluster.token}, **{"tls-server-name": name}))

    list_pods(named("kubernetes.default.svc"))
    with pytest.raises(ConfigurationError, match="not valid for 'elsewhere'"):
        list_pods(named("elsewhere"))


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """A server on loopback that does ``serve`` with each connection; gives its address."""
    connections: list[asyncio.Task[Any]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.append(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def test_a_server_that_speaks_no_tls_is_named() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read()

    async def ask() -> None:
        async with serving(refuse) as address:
            document = a_kubeconfig(clusters=[{"name": "one", "cluster": {"server": f"https://{address}"}}])
            async with Api(Cluster(kube_config=document), patience=5) as api:
                await api.list_pods()

    with pytest.raises(ConfigurationError, match="does not speak TLS"):
        asyncio.run(ask())


async def tunnel(asked: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Make a tunnel, as the proxies of companies do."""
    line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode()
    asked.append(line)
    host, _, port = line.split()[1].rpartition(":")
    upstream, to_upstream = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    try:
        await asyncio.gather(pump(reader, to_upstream), pump(upstream, writer))
    finally:
        to_upstream.transport.abort()


@pytest.mark.kubernetes
@pytest.mark.parametrize("by", ["environment", "kubeconfig"])
def test_the_way_leads_through_a_proxy_where_one_is_named(
    cluster: TestCluster, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    asked: list[str] = []

    async def ask() -> None:
        async with serving(partial(tunnel, asked)) as address:
            url = f"http://{address}"
            changes = {"proxy-url": url} if by == "kubeconfig" else {}
            if by == "environment":
                monkeypatch.setenv("HTTPS_PROXY", url)
            document = kubeconfig_of(cluster, {"token": cluster.token}, **changes)
            async with Api(Cluster(kube_config=document), patience=5) as api:
                await api.list_pods()

    asyncio.run(ask())
    server = json.loads(Path(cluster.kubeconfig).read_text())["clusters"][0]["cluster"]["server"]
    assert asked == [f"CONNECT {server.removeprefix('https://')} HTTP/1.1"]
