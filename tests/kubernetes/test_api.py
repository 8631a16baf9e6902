"""Requests to a real API server: what comes back, what is tried again, and what a refusal says."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from airflow_provider_tasks import __version__
from airflow_provider_tasks.workers.failures import ClusterError, ConfigurationError, UnschedulableError
from airflow_provider_tasks.workers.kubernetes.answers import Ask, Status, explain
from airflow_provider_tasks.workers.kubernetes.api import (
    AlreadyExistsError,
    Api,
    GoneError,
    NotFoundError,
    RefusedError,
    StreamCutError,
)
from airflow_provider_tasks.workers.kubernetes.channel import converse
from airflow_provider_tasks.workers.kubernetes.connection import Cluster
from tests.kubernetes.cluster import TestCluster, wait_until
from tests.kubernetes.proxy import FaultyProxy

T = TypeVar("T")
Use = Callable[[Api], Awaitable[T]]
ECHO = """
import sys
left = int(sys.argv[1])
while left:
    data = sys.stdin.buffer.read1(min(left, 65536))
    left -= len(data)
    sys.stdout.buffer.write(data)
"""
"""A program that gives back as many bytes as it is told to expect: it is not told where its input ends."""


def a_pod(name: str, **changes: Any) -> dict[str, Any]:
    """A pod that no node takes."""
    container = {"name": "worker", "image": "docker.io/local/python:3.11", "imagePullPolicy": "IfNotPresent"}
    spec = {"restartPolicy": "Never", "nodeSelector": {"pool": "none"}, "containers": [container]}
    metadata = {"name": name, "labels": {"test": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec} | changes


def a_running_pod(cluster: TestCluster, name: str, *command: str) -> dict[str, Any]:
    pod = a_pod(name)
    del pod["spec"]["nodeSelector"]
    pod["spec"] |= {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0}
    pod["spec"]["containers"][0] |= {"image": cluster.image, "command": list(command)}
    return pod


def use(kubeconfig: str, use_of_it: Use[T], *, namespace: str | None = None, patience: float = 20.0) -> T:
    async def open_and_use() -> T:
        async with Api(Cluster(kube_config_path=kubeconfig), namespace, patience=patience) as api:
            return await use_of_it(api)

    return asyncio.run(open_and_use())


async def log_of(api: Api, name: str, **options: Any) -> bytes:
    return b"".join([piece async for piece in api.log(name, **options)])


@pytest.fixture
def faulty(cluster: TestCluster, proxy: FaultyProxy) -> str:
    """A kubeconfig that goes through the proxy."""
    return proxy.kubeconfig(cluster.token)


@pytest.fixture(scope="module")
def talker(cluster: TestCluster) -> Iterator[str]:
    """A pod that wrote 1,000 lines and waits."""
    code = "for n in range(1000): print('line', n)\nimport sys, time; sys.stdout.flush(); time.sleep(600)"
    cluster.admin.create(a_running_pod(cluster, "talker-of-api", "python3", "-c", code))
    wait_until(lambda: cluster.admin.pod("talker-of-api")["status"]["phase"] == "Running", what="the pod to run")
    wait_until(lambda: cluster.admin.log("talker-of-api").endswith(b"line 999\n"), what="its output")
    yield "talker-of-api"
    cluster.admin.delete("Pod", "talker-of-api", grace=0)


LINES = b"".join(b"line %d\n" % n for n in range(1000))


# --- pods, Secrets, events


@pytest.mark.kubernetes
def test_a_pod_is_created_read_listed_and_deleted_with_a_request_each(cluster: TestCluster) -> None:
    async def life(api: Api) -> None:
        assert api.namespace == cluster.namespace
        created = await api.create_pod(a_pod("one"))
        assert created["metadata"]["uid"]
        found = await api.get_pod("one")
        assert found is not None
        assert found["metadata"]["uid"] == created["metadata"]["uid"]
        items, version = await api.list_pods({"test": "one"})
        assert [pod["metadata"]["name"] for pod in items] == ["one"]
        assert version
        assert (await api.list_pods("test in (two)"))[0] == []
        assert len((await api.list_pods(name="one"))[0]) == 1
        await api.delete_pod("one", uid=created["metadata"]["uid"], grace_seconds=0)
        assert await api.get_pod("one") is None

    mark = cluster.audit_mark()
    use(cluster.kubeconfig, life)
    said = ["create pods", "get pods", "list pods", "list pods", "list pods", "delete pods", "get pods"]
    assert cluster.requests(mark) == said
    assert {line["userAgent"] for line in cluster.audit(mark)} == {f"airflow-provider-tasks/{__version__}"}


@pytest.mark.kubernetes
def test_a_second_pod_of_the_same_name_is_told_from_other_refusals(cluster: TestCluster) -> None:
    async def twice(api: Api) -> None:
        await api.create_pod(a_pod("twice"))
        with pytest.raises(AlreadyExistsError, match='pods "twice" already exists'):
            await api.create_pod(a_pod("twice"))
        await api.delete_pod("twice", grace_seconds=0)

    use(cluster.kubeconfig, twice)


@pytest.mark.kubernetes
def test_a_pod_is_deleted_only_if_it_is_the_one_that_is_meant(cluster: TestCluster) -> None:
    async def delete(api: Api) -> None:
        await api.create_pod(a_pod("meant"))
        await api.delete_pod("meant", uid="another")
        assert await api.get_pod("meant") is not None
        await api.delete_pod("meant", grace_seconds=0)
        await api.delete_pod("meant", grace_seconds=0)

    use(cluster.kubeconfig, delete)


@pytest.mark.kubernetes
def test_secrets_are_made_found_and_deleted_without_asking_for_what_is_in_them(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str
) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "labels": {"test": "s"}},
        "data": {"a": "c2VjcmV0"},
    }

    async def life(api: Api) -> None:
        assert not await api.has_secret("s")
        assert await api.create_secret(secret)
        assert not await api.create_secret(secret)
        assert await api.has_secret("s")
        (found,) = await api.list_secrets({"test": "s"})
        assert found["metadata"]["name"] == "s"
        assert "data" not in found
        await api.delete_secret("s")
        await api.delete_secret("s")
        assert await api.list_secrets({"test": "s"}) == []

    use(faulty, life)
    reads = [request for request in proxy.requests if request.method == "GET"]
    assert len(reads) == 4
    assert all("as=PartialObjectMetadata" in request.headers["accept"] for request in reads)


@pytest.mark.kubernetes
def test_the_events_of_a_pod_say_why_it_does_not_start(cluster: TestCluster) -> None:
    async def events(api: Api) -> None:
        pod = await api.create_pod(a_pod("waiting"))
        uid = pod["metadata"]["uid"]
        await asyncio.to_thread(wait_until, lambda: cluster.admin.events("waiting"), what="events")
        *_, event = await api.events(uid)
        assert event["reason"] == "FailedScheduling"
        assert await api.events("of no pod") == []
        await api.delete_pod("waiting", grace_seconds=0)

    use(cluster.kubeconfig, events)


@pytest.mark.kubernetes
def test_more_connections_are_open_at_once_than_httpx_allows_by_default(cluster: TestCluster) -> None:
    async def watch(api: Api, version: str) -> str:
        async for kind, _ in api.watch(name="many", resource_version=version, idle=60):
            if kind == "DELETED":
                return kind
        raise AssertionError("the watch has ended")

    async def many(api: Api) -> None:
        pod = await api.create_pod(a_pod("many"))
        watches = [asyncio.create_task(watch(api, pod["metadata"]["resourceVersion"])) for _ in range(130)]
        await api.delete_pod("many", grace_seconds=0)
        assert await asyncio.gather(*watches) == ["DELETED"] * 130

    use(cluster.kubeconfig, many, patience=60)


# --- refusals


@pytest.mark.kubernetes
def test_a_permission_that_is_missing_is_named_with_the_role(cluster: TestCluster) -> None:
    with pytest.raises(ConfigurationError) as refused:
        use(cluster.kubeconfig, lambda api: api.create_pod(a_pod("a")), namespace="default")
    assert "does not allow to create pods in the namespace 'default'" in str(refused.value)
    assert f'User "{cluster.user}" cannot create resource "pods"' in str(refused.value)
    assert 'needs the verb "create" on "pods"' in refused.value.advice
    assert "docs/kubernetes.md" in refused.value.advice
    with pytest.raises(ConfigurationError, match="to watch pods in the namespace 'default'"):
        use(cluster.kubeconfig, lambda api: anext(api.watch(resource_version="0", idle=5)), namespace="default")


@pytest.mark.kubernetes
def test_a_namespace_that_is_not_there_is_named(cluster: TestCluster) -> None:
    with pytest.raises(ConfigurationError, match="there is no namespace 'nowhere'"):
        use(os.environ["TEST_KUBECONFIG"], lambda api: api.create_pod(a_pod("a")), namespace="nowhere")


@pytest.mark.kubernetes
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metadata": {"name": "Not_A_Name"}}, "the cluster refuses the pod: .*Not_A_Name"),
        ({"spec": {"containers": []}}, "the cluster refuses the pod: .*spec.containers: Required value"),
        ({"spec": {"containers": 7}}, "the cluster refuses the pod: "),
    ],
)
def test_a_pod_that_the_server_does_not_accept_is_a_configuration_error_with_its_reason(
    cluster: TestCluster, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        use(cluster.kubeconfig, lambda api: api.create_pod(a_pod("bad", **changes)))


@pytest.mark.kubernetes
def test_a_quota_that_is_used_up_is_no_missing_permission(cluster: TestCluster) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}
    cluster.admin.create(quota)
    try:
        wait_until(lambda: cluster.admin.get("ResourceQuota", "q")["status"].get("hard"), what="the quota")
        with pytest.raises(UnschedulableError, match="quota 'q' of the namespace has no room") as refused:
            use(cluster.kubeconfig, lambda api: api.create_pod(a_pod("too-many")))
        assert "Role" not in str(refused.value)
    finally:
        cluster.admin.delete("ResourceQuota", "q")


def test_a_refusal_survives_pickling() -> None:
    ask = Ask("get", "pods", "n", "https://s", "p")
    error = explain(ask, Status(404, "NotFound", 'pods "p" not found', {}))
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, NotFoundError)
    assert (again.status, again.reason, str(again)) == (404, "NotFound", str(error))


def test_what_is_no_api_server_is_said_to_be_none() -> None:
    ask = Ask("list", "pods", "n", "https://s")
    error = explain(ask, Status.of_body(302, b"<html>"))
    assert isinstance(error, ClusterError)
    assert "https://s refused to list pods in the namespace 'n': 302" in str(error)


# --- what is tried again


@pytest.mark.kubernetes
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_can_t_for_a_moment_is_asked_again(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str, status: int
) -> None:
    fault = proxy.answer("GET", "/pods", status, b"wait", times=2)
    use(faulty, lambda api: api.list_pods())
    assert fault.struck == 2
    assert [request.status for request in proxy.requests] == [status, status, 200]


@pytest.mark.kubernetes
def test_a_connection_that_is_refused_or_cut_is_made_again(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str
) -> None:
    proxy.refuse("GET", "/pods")
    proxy.cut_after("GET", "/pods", 10)
    use(faulty, lambda api: api.list_pods())
    assert len(proxy.requests) == 3


@pytest.mark.kubernetes
def test_a_lost_reply_to_a_create_ends_in_one_pod_and_already_exists(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str
) -> None:
    lost = proxy.lose_reply("POST", "/pods$")
    with pytest.raises(AlreadyExistsError):
        use(faulty, lambda api: api.create_pod(a_pod("lost")))
    assert lost.struck == 1
    assert len(cluster.admin.pods("test=lost")) == 1
    proxy.lose_reply("DELETE", "/pods/lost")
    use(faulty, lambda api: api.delete_pod("lost", grace_seconds=0))
    assert cluster.admin.pod("lost") is None


@pytest.mark.kubernetes
def test_a_server_that_asks_for_more_time_than_there_is_ends_it_at_once(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str
) -> None:
    proxy.answer("GET", "/pods", 429, b"too many", {"Retry-After": "3600"})
    with pytest.raises(ClusterError, match="429 Answered: too many"):
        use(faulty, lambda api: api.list_pods())
    assert len(proxy.requests) == 1


@pytest.mark.kubernetes
def test_a_server_that_asks_for_time_gets_it(cluster: TestCluster, proxy: FaultyProxy, faulty: str) -> None:
    proxy.answer("GET", "/pods", 429, headers={"Retry-After": "1"})
    slept: list[float] = []
    real = asyncio.sleep

    async def note(seconds: float, *rest: Any) -> None:
        slept.append(seconds)
        await real(seconds, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", note)
        use(faulty, lambda api: api.list_pods())
    assert max(slept) == 1.0


@pytest.mark.kubernetes
def test_patience_ends_with_what_was_asked_of_whom_for_how_long_and_the_last_fault(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str
) -> None:
    proxy.answer("GET", "/pods", 503, {"kind": "Status", "message": "etcd is away"}, times=None)
    with pytest.raises(ClusterError) as ended:
        use(faulty, lambda api: api.get_pod("x"), patience=1)
    said = f"{proxy.url} gave no answer for 1 s, asked to get pods x in the namespace '{cluster.namespace}': 503"
    assert said in str(ended.value)
    assert "etcd is away" in str(ended.value)
    assert ended.value.retry
    assert len(proxy.requests) > 1


def test_a_server_that_is_not_there_is_a_cluster_error(tmp_path: Any) -> None:
    document = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
    }
    (tmp_path / "config").write_text(json.dumps(document))
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:1 gave no answer for .*: ConnectionRefusedError"):
        use(str(tmp_path / "config"), lambda api: api.list_pods(), patience=0.5)


@pytest.mark.kubernetes
def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_patience(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str
) -> None:
    proxy.hold("GET", "/pods", times=None)
    with pytest.raises(ClusterError, match="no answer within 1 s"):
        use(faulty, lambda api: api.list_pods(), patience=1)


@pytest.mark.kubernetes
@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_has_just_started_may_refuse_whom_it_will_know(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str, status: int
) -> None:
    proxy.answer("GET", "/pods", status, times=2)
    proxy.answer("GET", "/readyz", 500)
    proxy.answer("GET", "/readyz", 403)
    use(faulty, lambda api: api.list_pods())
    assert [request.status for request in proxy.requests if "/pods" in request.target] == [status, status, 200]


@pytest.mark.kubernetes
def test_a_server_that_was_away_may_refuse_whom_it_will_know(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str
) -> None:
    proxy.refuse("GET", "/pods")
    proxy.answer("GET", "/pods", 401)
    use(faulty, lambda api: api.list_pods())
    assert [request.status for request in proxy.requests] == [None, 401, 200]


@pytest.mark.kubernetes
def test_an_answer_that_is_no_json_is_a_cluster_error(cluster: TestCluster, proxy: FaultyProxy, faulty: str) -> None:
    proxy.answer("GET", "/pods", 200, b"<html>Sign in</html>")
    with pytest.raises(ClusterError, match="something else than an object in JSON"):
        use(faulty, lambda api: api.list_pods())


# --- logs


@pytest.mark.kubernetes
def test_a_log_comes_whole_and_to_its_end(cluster: TestCluster, talker: str) -> None:
    assert use(cluster.kubeconfig, lambda api: log_of(api, talker, follow=False)) == LINES


@pytest.mark.kubernetes
def test_a_log_that_is_followed_comes_over_one_connection_until_the_container_ends(cluster: TestCluster) -> None:
    code = "import time\nfor n in range(5): print('number', n, flush=True); time.sleep(0.05)"
    cluster.admin.create(a_running_pod(cluster, "follows", "python3", "-c", code))
    wait_until(lambda: cluster.admin.pod("follows")["status"]["phase"] in ("Running", "Succeeded"), what="the pod")
    mark = cluster.audit_mark()
    assert use(cluster.kubeconfig, lambda api: log_of(api, "follows")) == b"".join(b"number %d\n" % n for n in range(5))
    assert cluster.requests(mark) == ["get pods/log"]
    cluster.admin.delete("Pod", "follows", grace=0)


@pytest.mark.kubernetes
def test_a_log_has_times_and_begins_at_one(cluster: TestCluster, talker: str) -> None:
    async def read(api: Api) -> None:
        first = (await log_of(api, talker, follow=False, timestamps=True)).split(b"\n")[0]
        time, _, line = first.partition(b" ")
        assert line == b"line 0"
        datetime.fromisoformat(time.decode()[:26]).astimezone(UTC)
        assert await log_of(api, talker, follow=False, since=time.decode()) == LINES
        assert await log_of(api, talker, follow=False, since="2100-01-01T00:00:00Z") == b""

    use(cluster.kubeconfig, read)


@pytest.mark.kubernetes
def test_a_pod_that_is_not_there_has_no_log(cluster: TestCluster) -> None:
    async def read(api: Api) -> None:
        with pytest.raises(NotFoundError, match='pods "no-pod" not found'):
            await log_of(api, "no-pod")

    use(cluster.kubeconfig, read)


@pytest.mark.kubernetes
def test_a_container_that_has_not_started_refuses_its_log(cluster: TestCluster) -> None:
    pod = a_running_pod(cluster, "imageless", "true")
    pod["spec"]["containers"][0]["image"] = "docker.io/local/no-such-image:1"
    cluster.admin.create(pod)
    wait_until(lambda: cluster.admin.pod("imageless")["status"].get("containerStatuses"), what="its status")
    with pytest.raises(RefusedError, match="is waiting to start") as refused:
        use(cluster.kubeconfig, lambda api: log_of(api, "imageless"))
    assert refused.value.status == 400
    cluster.admin.delete("Pod", "imageless", grace=0)


@pytest.mark.kubernetes
def test_a_log_that_is_cut_says_so_after_what_came(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str, talker: str
) -> None:
    proxy.cut_after("GET", "/log", 100)
    got = bytearray()

    async def read(api: Api) -> None:
        async for piece in api.log(talker):
            got.extend(piece)

    with pytest.raises(StreamCutError, match="the connection to the log was cut"):
        use(faulty, read)
    assert got == LINES[:100]
    assert len(proxy.requests) == 1


# --- exec


@pytest.mark.kubernetes
def test_a_command_in_a_pod_gives_its_output_its_errors_and_its_exit_code(cluster: TestCluster, talker: str) -> None:
    out: list[bytes] = []

    async def run(api: Api) -> None:
        ran = await api.exec(talker, ["sh", "-c", "echo out; echo err >&2; exit 3"], stdout=out.append)
        assert ran == (3, "err\n")
        assert b"".join(out) == b"out\n"
        assert await api.exec(talker, ["true"], stdout=out.append) == (0, "")

    use(cluster.kubeconfig, run)


class Counted(io.RawIOBase):
    """64 MiB that are made as they are read."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = os.urandom(min(size, self.left))
        self.left -= len(data)
        self.digest.update(data)
        return data


@pytest.mark.kubernetes
@pytest.mark.parametrize("size", [0, 1, 65536, 64 * 2**20])
def test_64_mib_go_through_a_command_and_back_with_no_more_than_a_piece_held(
    cluster: TestCluster, talker: str, size: int
) -> None:
    source, digest, count = Counted(size), hashlib.sha256(), 0

    def take(data: bytes) -> None:
        nonlocal count
        count += len(data)
        digest.update(data)

    async def run(api: Api) -> int:
        await api.exec(talker, ["true"], stdout=take)  # what is imported is not what is measured
        tracemalloc.start()
        try:
            ran = await api.exec(talker, ["python3", "-c", ECHO, str(size)], stdin=source, stdout=take)  # type: ignore[arg-type]
            assert ran == (0, "")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak = use(cluster.kubeconfig, run)
    assert (count, digest.digest()) == (size, source.digest.digest())
    assert peak < 8 * 2**20


@pytest.mark.kubernetes
def test_what_a_taker_of_output_raises_comes_out_as_it_is(cluster: TestCluster, talker: str) -> None:
    def refuse(_: bytes) -> None:
        raise LookupError("not that")

    with pytest.raises(LookupError, match="not that"):
        use(cluster.kubeconfig, lambda api: api.exec(talker, ["echo", "a"], stdout=refuse))


@pytest.mark.kubernetes
def test_a_command_that_can_t_run_is_refused(cluster: TestCluster, talker: str) -> None:
    async def run(api: Api) -> None:
        with pytest.raises(RefusedError, match="executable file not found"):
            await api.exec(talker, ["no-such-command"], stdout=print)
        with pytest.raises(RefusedError, match="container other is not valid"):
            await api.exec(talker, ["true"], container="other", stdout=print)
        with pytest.raises(NotFoundError):
            await api.exec("no-pod", ["true"], stdout=print)

    use(cluster.kubeconfig, run)


@pytest.mark.kubernetes
def test_a_command_in_a_pod_that_has_ended_is_refused_at_once(cluster: TestCluster) -> None:
    cluster.admin.create(a_running_pod(cluster, "ended", "true"))
    wait_until(lambda: cluster.admin.pod("ended")["status"]["phase"] == "Succeeded", what="the pod to end")
    with pytest.raises(RefusedError):
        use(cluster.kubeconfig, lambda api: api.exec("ended", ["true"], stdout=print))
    cluster.admin.delete("Pod", "ended", grace=0)


@pytest.mark.kubernetes
def test_a_command_whose_connection_is_cut_says_so(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str, talker: str
) -> None:
    async def run(api: Api) -> None:
        def cut(_: bytes) -> None:
            asyncio.get_running_loop().run_in_executor(None, proxy.close_connections)

        await api.exec(talker, ["sh", "-c", "echo begun; sleep 60"], stdout=cut)

    with pytest.raises(StreamCutError, match="the connection to the command was cut"):
        use(faulty, run)


@pytest.mark.kubernetes
def test_a_command_that_is_silent_for_longer_than_patience_is_given_up(cluster: TestCluster, talker: str) -> None:
    with pytest.raises(StreamCutError, match="said nothing for 1 s"):
        use(cluster.kubeconfig, lambda api: api.exec(talker, ["sleep", "60"], stdout=print), patience=1)


@pytest.mark.kubernetes
def test_a_command_that_does_not_take_its_input_is_given_up(cluster: TestCluster, talker: str) -> None:
    with pytest.raises(StreamCutError, match="said nothing for 1 s"):
        use(
            cluster.kubeconfig,
            lambda api: api.exec(talker, ["sleep", "60"], stdin=bytes(64 * 2**20), stdout=print),
            patience=1,
        )


@pytest.mark.kubernetes
def test_a_command_can_be_cancelled(cluster: TestCluster, talker: str) -> None:
    async def run(api: Api) -> None:
        begun = asyncio.Event()
        command = asyncio.create_task(
            api.exec(talker, ["sh", "-c", "echo begun; sleep 60"], stdin=b"x", stdout=lambda _: begun.set())
        )
        await begun.wait()
        command.cancel()
        with pytest.raises(asyncio.CancelledError):
            await command

    use(cluster.kubeconfig, run)


@pytest.mark.kubernetes
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_command_that_did_not_begin_is_tried_again(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str, talker: str, status: int
) -> None:
    proxy.answer("GET", "/exec", status, b"error dialing backend")
    proxy.refuse("GET", "/exec")
    out: list[bytes] = []
    use(faulty, lambda api: api.exec(talker, ["echo", "here"], stdout=out.append))
    assert out == [b"here\n"]
    assert [request.status for request in proxy.requests] == [status, None, 101]


class Session:
    """A websocket of a server that speaks v5, which no server of 1.20 does."""

    subprotocol = "v5.channel.k8s.io"

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.has_ended = asyncio.Event()

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)
        if data == b"\xff\x00":
            self.has_ended.set()

    async def receive_bytes(self) -> bytes:
        await self.has_ended.wait()
        return b'\x03{"status": "Success"}'


def test_a_newer_server_is_told_where_the_input_ends() -> None:
    async def run() -> list[bytes]:
        session = Session()
        assert await converse(session, stdin=b"abc", stdout=print, silence=5) == (0, "")  # type: ignore[arg-type]
        return session.sent

    assert asyncio.run(run()) == [b"\x00abc", b"\xff\x00"]


# --- watches of one connection


@pytest.mark.kubernetes
def test_a_watch_gives_what_happens_after_a_version_and_the_server_ends_it(cluster: TestCluster) -> None:
    async def watch(api: Api) -> list[str]:
        pod = await api.create_pod(a_pod("watched"))
        await api.create_pod(a_pod("beside"))
        await api.delete_pod("watched", grace_seconds=0)
        await api.delete_pod("beside", grace_seconds=0)
        kinds = []
        async for kind, seen in api.watch(
            labels={"test": "watched"}, resource_version=pod["metadata"]["resourceVersion"], idle=30
        ):
            assert seen["metadata"]["name"] == "watched"
            kinds.append(kind)
            if kind == "DELETED":
                break
        return kinds

    kinds = use(cluster.kubeconfig, watch)
    assert kinds[-1] == "DELETED"
    assert "ADDED" not in kinds


@pytest.mark.kubernetes
@pytest.mark.parametrize("way", ["status", "event", "for real"])
def test_a_version_that_the_server_has_forgotten_is_gone(
    cluster: TestCluster, proxy: FaultyProxy, faulty: str, way: str
) -> None:
    gone = {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old"}
    event = json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n"
    if way == "status":
        proxy.answer("GET", "watch=1", 410, gone)
    elif way == "event":
        proxy.answer("GET", "watch=1", 200, event)
    with pytest.raises(GoneError, match="too old"):
        use(faulty, lambda api: anext(api.watch(resource_version="1", idle=5)))


@pytest.mark.kubernetes
def test_a_watch_that_is_silent_or_cut_says_so(cluster: TestCluster, proxy: FaultyProxy, faulty: str) -> None:
    async def watch(api: Api) -> None:
        _, version = await api.list_pods()
        with pytest.raises(StreamCutError, match="it was silent for too long"):
            await anext(api.watch(name="none", resource_version=version, idle=0.3))
        cut = proxy.answer("GET", "watch=1", 200, b'{"type": "ADD')
        with pytest.raises(StopAsyncIteration):
            await anext(api.watch(resource_version=version, idle=5))
        assert cut.struck == 1

    use(faulty, watch)


# --- weight


def test_nothing_heavy_is_loaded_until_a_cluster_is_used() -> None:
    code = (
        "import sys\n"
        "import airflow_provider_tasks.workers.kubernetes.watch, airflow_provider_tasks.workers.kubernetes.connection\n"
        "from airflow_provider_tasks.workers.kubernetes.connection import Cluster\n"
        "Cluster.from_extra({}, name='k').key\n"
        "print(sorted({'lightkube', 'httpx2', 'httpcore2', 'yaml', 'msgspec', 'anyio', 'wsproto'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
