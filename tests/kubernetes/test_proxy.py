"""The proxy passes everything on as it is, and does each fault to exactly the requests that a test names."""

from __future__ import annotations

import base64
import http.client
import os
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.kubernetes.cluster import TestCluster, client_of, wait_until
from tests.kubernetes.proxy import FaultyProxy, SeenRequest

OWN = {"made-by": "test-proxy"}
"""The label of these tests' Secrets: tests share the namespace with others."""


@pytest.fixture
def client(cluster: TestCluster, proxy: FaultyProxy) -> Iterator[httpx2.Client]:
    """A client that goes through the proxy, with little patience."""
    with client_of(proxy.kubeconfig(cluster.token), timeout=5) as client:
        yield client


@pytest.fixture
def path(cluster: TestCluster) -> str:
    return f"/api/v1/namespaces/{cluster.namespace}"


@pytest.fixture
def talker(cluster: TestCluster) -> Iterator[str]:
    """A pod that wrote 1,000 lines and waits."""
    code = "for n in range(1000): print('line', n)\nimport sys, time; sys.stdout.flush(); time.sleep(600)"
    container = {"name": "worker", "image": cluster.image, "imagePullPolicy": "IfNotPresent"}
    container["command"] = ["python3", "-c", code]
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "talker-"}, "spec": spec}
    name = cluster.admin.create(pod)["metadata"]["name"]
    try:
        wait_until(lambda: cluster.admin.pod(name)["status"]["phase"] == "Running", what="the pod to run")
        wait_until(lambda: cluster.admin.log(name).endswith(b"line 999\n"), what="its output")
        yield name
    finally:
        cluster.admin.delete("Pod", name, grace=0)


def a_secret(name: str, size: int = 0) -> dict[str, Any]:
    data = {"part": base64.b64encode(os.urandom(size)).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": OWN}, "data": data}


def receive(reply: httpx2.Response, got: bytearray) -> None:
    """Add what comes to `got`, also when it ends with an exception."""
    for piece in reply.iter_raw():
        got += piece


def names_of_secrets(cluster: TestCluster) -> set[str]:
    return {secret["metadata"]["name"] for secret in cluster.admin.secrets(OWN)}


def delete_secrets(cluster: TestCluster) -> None:
    for name in names_of_secrets(cluster):
        cluster.admin.delete("Secret", name)


def test_requests_pass_with_body_and_authorization(
    cluster: TestCluster, proxy: FaultyProxy, client: httpx2.Client, path: str
) -> None:
    secret = a_secret("through", size=500_000)
    assert client.post(f"{path}/secrets", json=secret).status_code == 201
    assert client.get(f"{path}/secrets/through").json()["data"] == secret["data"]
    assert client.get("/api/v1/nodes").status_code == 403
    assert client.delete(f"{path}/secrets/through").status_code == 200
    assert [str(request) for request in proxy.requests] == [
        f"POST {path}/secrets -> 201",
        f"GET {path}/secrets/through -> 200",
        "GET /api/v1/nodes -> 403",
        f"DELETE {path}/secrets/through -> 200",
    ]


def test_a_request_without_credentials_gets_none(proxy: FaultyProxy) -> None:
    with httpx2.Client(base_url=proxy.url, trust_env=False) as nobody:
        assert nobody.get("/api/v1/nodes").status_code in (401, 403)


def test_one_connection_serves_many_requests(cluster: TestCluster, proxy: FaultyProxy, path: str) -> None:
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"))
    headers = {"Authorization": f"Bearer {cluster.token}"}
    connection.request("GET", f"{path}/pods", headers=headers)
    assert connection.getresponse().read().startswith(b'{"kind":"PodList"')
    own = connection.sock
    connection.request("GET", f"{path}/pods/none", headers=headers)
    assert connection.getresponse().read().startswith(b'{"kind":"Status"')
    assert connection.sock is own
    connection.close()


def test_a_chunked_request_body_arrives(cluster: TestCluster, proxy: FaultyProxy, path: str) -> None:
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"))
    headers = {"Authorization": f"Bearer {cluster.token}", "Content-Type": "application/json"}
    pieces = [b'{"apiVersion": "v1", "kind": "Secret", ', b'"metadata": {"name": "chunked"}}']
    connection.request("POST", f"{path}/secrets", body=iter(pieces), headers=headers, encode_chunked=True)
    assert connection.getresponse().status == 201
    connection.close()
    cluster.admin.delete("Secret", "chunked")


def test_a_watch_streams_each_event_when_it_happens(cluster: TestCluster, client: httpx2.Client, path: str) -> None:
    version = client.get(f"{path}/pods").json()["metadata"]["resourceVersion"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "watched"}}
    pod["spec"] = {"nodeSelector": {"pool": "none"}, "containers": [{"name": "worker", "image": cluster.image}]}
    with client.stream("GET", f"{path}/pods", params={"watch": "1", "resourceVersion": version}) as watch:
        lines = watch.iter_lines()
        cluster.admin.create(pod)
        assert '"type":"ADDED"' in next(lines)
        cluster.admin.delete("Pod", "watched", grace=0)
        assert any('"type":"DELETED"' in line for line in lines)


def test_a_client_that_goes_ends_its_watch_at_the_server(
    cluster: TestCluster, client: httpx2.Client, path: str
) -> None:
    mark = cluster.audit_mark()
    with client.stream("GET", f"{path}/pods", params={"watch": "1"}):
        assert cluster.requests(since=mark) == []
    wait_until(lambda: cluster.requests(since=mark) == ["watch pods"], what="the end of the watch")


def test_a_websocket_is_a_tunnel(cluster: TestCluster, proxy: FaultyProxy, path: str, talker: str) -> None:
    from websockets.sync.client import connect

    url = proxy.url.replace("http://", "ws://") + f"{path}/pods/{talker}/exec"
    command = "import sys; print(sys.stdin.readline().upper())"
    query = httpx2.QueryParams({"command": ["python3", "-c", command], "stdin": "true", "stdout": "true"})
    headers = {"Authorization": f"Bearer {cluster.token}"}
    with connect(f"{url}?{query}", subprotocols=["v4.channel.k8s.io"], additional_headers=headers) as websocket:
        websocket.send(b"\0hello\n")
        output = b"".join(message[1:] for message in websocket if message[:1] == b"\1")
    assert output == b"HELLO\n\n"
    assert proxy.requests[-1].status == 101


def test_a_refused_request_never_reaches_the_server(
    cluster: TestCluster, proxy: FaultyProxy, client: httpx2.Client, path: str
) -> None:
    refused = proxy.refuse("POST", r"/secrets$", times=2)
    for _ in range(2):
        with pytest.raises(httpx2.RemoteProtocolError):
            client.post(f"{path}/secrets", json=a_secret("refused"))
    assert names_of_secrets(cluster) == set()
    assert client.post(f"{path}/secrets", json=a_secret("refused")).status_code == 201
    assert refused.struck == 2
    assert [request.status for request in proxy.requests] == [None, None, 201]
    delete_secrets(cluster)


def test_a_lost_reply_is_that_of_a_request_that_was_done(
    cluster: TestCluster, proxy: FaultyProxy, client: httpx2.Client, path: str
) -> None:
    seen: list[set[str]] = []
    proxy.lose_reply("POST", r"/secrets$", on_match=lambda _: seen.append(names_of_secrets(cluster)))
    with pytest.raises(httpx2.RemoteProtocolError):
        client.post(f"{path}/secrets", json=a_secret("lost"))
    assert seen == [{"lost"}]
    assert client.post(f"{path}/secrets", json=a_secret("lost")).status_code == 409
    delete_secrets(cluster)


def test_an_answer_of_the_test_takes_the_place_of_the_servers(
    cluster: TestCluster, proxy: FaultyProxy, client: httpx2.Client, path: str
) -> None:
    mark = cluster.audit_mark()
    proxy.answer("GET", r"/pods/a$", 429, {"kind": "Status", "code": 429}, headers={"Retry-After": "1"})
    proxy.answer("GET", r"/pods/a$", 500)
    replies = [client.get(f"{path}/pods/a") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [429, 500, 404]
    assert (replies[0].headers["Retry-After"], replies[0].json()["code"]) == ("1", 429)
    assert cluster.requests(since=mark) == ["get pods"]


@pytest.mark.parametrize("count", [0, 1, 4321])
def test_a_reply_is_cut_after_so_many_bytes(
    cluster: TestCluster, proxy: FaultyProxy, client: httpx2.Client, path: str, talker: str, count: int
) -> None:
    whole = client.get(f"{path}/pods/{talker}/log").content
    proxy.cut_after("GET", r"/log\?follow=true", count)
    got = bytearray()
    with client.stream("GET", f"{path}/pods/{talker}/log?follow=true") as reply:
        assert reply.status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            receive(reply, got)
    assert got == whole[:count]


def test_a_reply_shorter_than_its_cut_passes_whole(proxy: FaultyProxy, client: httpx2.Client, path: str) -> None:
    cut = proxy.cut_after("GET", r"/pods", 1_000_000)
    assert client.get(f"{path}/pods").json()["kind"] == "PodList"
    assert cut.struck == 0


def test_a_reply_falls_silent_until_it_is_released(
    proxy: FaultyProxy, client: httpx2.Client, path: str, talker: str
) -> None:
    whole = client.get(f"{path}/pods/{talker}/log").content
    silence = proxy.silence_after("GET", r"/log", 100)
    with client.stream("GET", f"{path}/pods/{talker}/log", timeout=httpx2.Timeout(30, read=0.5)) as reply:
        got = bytearray()
        with pytest.raises(httpx2.ReadTimeout):
            receive(reply, got)
    assert got == whole[:100]
    again = proxy.silence_after("GET", r"/log", 100, on_match=lambda _: again.release())
    assert client.get(f"{path}/pods/{talker}/log").content == whole
    assert (silence.struck, again.struck) == (1, 1)


def test_a_reply_is_held_until_it_is_released(
    cluster: TestCluster, proxy: FaultyProxy, client: httpx2.Client, path: str
) -> None:
    def release(_: SeenRequest) -> None:
        assert names_of_secrets(cluster) == {"held"}
        held.release()

    held = proxy.hold("POST", r"/secrets$", on_match=release)
    assert client.post(f"{path}/secrets", json=a_secret("held")).status_code == 201
    proxy.hold("GET", r"/secrets$")
    with pytest.raises(httpx2.ReadTimeout):
        client.get(f"{path}/secrets", timeout=0.5)
    delete_secrets(cluster)


def test_a_delayed_request_waits_before_it_reaches_the_server(
    cluster: TestCluster, proxy: FaultyProxy, client: httpx2.Client, path: str
) -> None:
    mark = cluster.audit_mark()
    proxy.delay("GET", r"/pods/late$", 600)
    with pytest.raises(httpx2.ReadTimeout):
        client.get(f"{path}/pods/late", timeout=0.5)
    assert cluster.requests(since=mark) == []
    proxy.delay("GET", r"/pods/late$", 0.1)
    assert client.get(f"{path}/pods/late").status_code == 404


def test_a_fault_strikes_the_nth_request_that_matches_method_and_query(
    proxy: FaultyProxy, client: httpx2.Client, path: str
) -> None:
    proxy.let_pass("GET", r"/pods\?limit=2$", times=2)
    proxy.answer("GET", r"/pods\?limit=2$", 500, times=None)
    urls = [f"{path}/pods?limit={limit}" for limit in (2, 1, 2, 1, 2, 2)]
    assert [client.get(url).status_code for url in urls] == [200, 200, 200, 200, 500, 500]
    assert client.delete(f"{path}/pods/none?limit=2").status_code == 404
    proxy.clear()
    assert client.get(f"{path}/pods?limit=2").status_code == 200


def test_the_test_knows_when_a_request_came(proxy: FaultyProxy, client: httpx2.Client, path: str) -> None:
    rule = proxy.let_pass("GET", r"/pods$")
    with pytest.raises(AssertionError, match="no GET request"):
        rule.wait(at_most=0)
    client.get(f"{path}/pods")
    rule.wait()


def test_what_on_match_raises_fails_the_test(cluster: TestCluster) -> None:
    def on_match(_: SeenRequest) -> None:
        raise ValueError("not this one")

    proxy = FaultyProxy(cluster.kubeconfig).__enter__()
    proxy.let_pass("GET", "/", on_match=on_match)
    with httpx2.Client(base_url=proxy.url, trust_env=False) as client, pytest.raises(httpx2.RemoteProtocolError):
        client.get("/version")
    with pytest.raises(RuntimeError, match="on_match failed") as raised:
        proxy.__exit__()
    assert isinstance(raised.value.__cause__, ValueError)


def test_all_connections_can_be_closed_at_once(proxy: FaultyProxy, client: httpx2.Client, path: str) -> None:
    with client.stream("GET", f"{path}/pods", params={"watch": "1"}) as watch:
        proxy.close_connections()
        with pytest.raises(httpx2.RemoteProtocolError):
            watch.read()


def test_a_proxy_that_has_ended_takes_no_connections(cluster: TestCluster) -> None:
    with FaultyProxy(cluster.kubeconfig) as proxy:
        host, _, port = proxy.url.removeprefix("http://").partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
