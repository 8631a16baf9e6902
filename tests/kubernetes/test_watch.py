"""What happens to pods is told once and in order, whatever happens to the connection; many may share one watch."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from airflow_provider_tasks.workers.failures import ClusterError, ConfigurationError
from airflow_provider_tasks.workers.kubernetes.api import Api
from airflow_provider_tasks.workers.kubernetes.connection import Cluster
from airflow_provider_tasks.workers.kubernetes.watch import SharedWatch, Subscription, follow_pods
from tests.kubernetes.cluster import AdminError, TestCluster, wait_until
from tests.kubernetes.faults import Faults
from tests.kubernetes.proxy import FaultyProxy

pytestmark = pytest.mark.kubernetes

GONE = {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old"}


def a_pod(name: str, group: str) -> dict[str, Any]:
    """A pod that no node takes."""
    container = {"name": "worker", "image": "docker.io/local/python:3.11", "imagePullPolicy": "IfNotPresent"}
    spec = {"restartPolicy": "Never", "nodeSelector": {"pool": "none"}, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"group": group}}, "spec": spec}


class Seen:
    """What a follower was told."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, dict[str, Any]]] = []
        self._news = asyncio.Event()

    def take(self, kind: str, pod: dict[str, Any]) -> None:
        self.changes.append((kind, pod))
        self._news.set()

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Each kind of change and pod, with changes that follow one another and are the same said once."""
        said = [(kind, str(pod["metadata"]["name"])) for kind, pod in self.changes]
        return [one for place, one in enumerate(said) if place == 0 or one != said[place - 1]]

    @property
    def versions(self) -> list[tuple[str, str]]:
        return [(kind, str(pod["metadata"]["resourceVersion"])) for kind, pod in self.changes]

    async def until(self, kind: str, name: str) -> dict[str, Any]:
        """Wait for a change, and give the pod."""
        async with asyncio.timeout(60):
            while True:
                for seen, pod in self.changes:
                    if (seen, pod["metadata"]["name"]) == (kind, name):
                        return pod
                self._news.clear()
                await self._news.wait()


@contextlib.asynccontextmanager
async def following(api: Api, **options: Any) -> AsyncIterator[Seen]:
    """Follow pods; at the end the follower must still be at it."""
    seen = Seen()

    async def follow() -> None:
        async with contextlib.aclosing(follow_pods(api, **options)) as changes:
            async for kind, pod in changes:
                seen.take(kind, pod)

    task = asyncio.create_task(follow())
    try:
        yield seen
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait({task})


def through(proxy: FaultyProxy, cluster: TestCluster) -> Cluster:
    return Cluster(kube_config_path=proxy.kubeconfig(cluster.token))


def watches(proxy: FaultyProxy) -> list[str]:
    return [request.target for request in proxy.requests if "watch=1" in request.target]


def lists(proxy: FaultyProxy) -> list[str]:
    found = (request for request in proxy.requests if request.method == "GET" and "watch=1" not in request.target)
    return [request.target for request in found if request.target.split("?")[0].endswith("/pods")]


# --- one follower


def test_a_follower_is_told_what_is_there_and_then_what_changes(cluster: TestCluster) -> None:
    async def follow() -> None:
        async with Api(Cluster(kube_config_path=cluster.kubeconfig)) as api:
            await api.create_pod(a_pod("first", "plain"))
            await api.create_pod(a_pod("other", "beside"))
            async with following(api, labels={"group": "plain"}) as seen:
                await seen.until("ADDED", "first")
                await api.create_pod(a_pod("second", "plain"))
                await seen.until("ADDED", "second")
                for name in ("first", "second", "other"):
                    await api.delete_pod(name, grace_seconds=0)
                await seen.until("DELETED", "second")
            assert seen.kinds[0] == ("ADDED", "first")
            assert {name for _, name in seen.kinds} == {"first", "second"}
            assert "managedFields" not in seen.changes[-1][1]["metadata"]

    asyncio.run(follow())


def test_a_follower_of_one_pod_begins_where_it_was_told(cluster: TestCluster) -> None:
    async def follow() -> None:
        async with Api(Cluster(kube_config_path=cluster.kubeconfig)) as api:
            pod = await api.create_pod(a_pod("alone", "one"))
            await api.create_pod(a_pod("beside", "one"))
            async with following(api, name="alone", resource_version=pod["metadata"]["resourceVersion"]) as seen:
                await api.delete_pod("beside", grace_seconds=0)
                await api.delete_pod("alone", grace_seconds=0)
                await seen.until("DELETED", "alone")
            assert {kind for kind, _ in seen.kinds} == {"MODIFIED", "DELETED"}

    mark = cluster.audit_mark()
    asyncio.run(follow())
    assert "list pods" not in cluster.requests(mark)


def test_nothing_is_lost_and_nothing_told_twice_however_often_the_connection_is_cut(
    cluster: TestCluster, proxy: FaultyProxy
) -> None:
    def change(number: int) -> None:
        path = cluster.admin.path("Pod", "changing")
        pod = cluster.admin.request("GET", path).json()
        pod["metadata"]["annotations"] = {"number": str(number), "long": "x" * 3000}
        cluster.admin.request("PUT", path, body=pod)

    async def follow() -> None:
        own = Cluster(kube_config_path=cluster.kubeconfig)
        async with Api(own) as direct, Api(through(proxy, cluster)) as api:
            created = await direct.create_pod(a_pod("changing", "cuts"))
            for count in (0, 1, 700, 5000, 9000):  # in the middle of a line
                proxy.cut_after("GET", "watch=1", count)
            options = {"name": "changing", "resource_version": created["metadata"]["resourceVersion"]}
            async with following(direct, **options) as undisturbed, following(api, **options) as seen:
                for number in range(25):
                    with contextlib.suppress(AdminError):  # the scheduler may have written it meanwhile
                        await asyncio.to_thread(change, number)
                    if number % 5 == 4:
                        await asyncio.to_thread(proxy.close_connections)
                await direct.delete_pod("changing", grace_seconds=0)
                await undisturbed.until("DELETED", "changing")
                await seen.until("DELETED", "changing")
            assert seen.versions == undisturbed.versions
            assert len(seen.versions) > 20

    asyncio.run(follow())
    assert len(watches(proxy)) > 5
    assert not lists(proxy)


def test_a_watch_that_falls_silent_is_made_again(cluster: TestCluster, proxy: FaultyProxy) -> None:
    async def follow() -> None:
        async with Api(through(proxy, cluster)) as api:
            pod = await api.create_pod(a_pod("quiet", "silence"))
            silent = proxy.silence_after("GET", "watch=1", 0)
            version = pod["metadata"]["resourceVersion"]
            async with following(api, name="quiet", resource_version=version, idle=0.5) as seen:
                await api.delete_pod("quiet", grace_seconds=0)
                await seen.until("DELETED", "quiet")
            assert silent.struck == 1

    asyncio.run(follow())


def test_watches_that_let_nothing_through_are_made_up_for_by_lists(cluster: TestCluster, proxy: FaultyProxy) -> None:
    async def follow() -> None:
        async with Api(through(proxy, cluster)) as api:
            pod = await api.create_pod(a_pod("buffered", "silence"))
            proxy.silence_after("GET", "watch=1", 0, times=None)
            version = pod["metadata"]["resourceVersion"]
            async with following(api, name="buffered", resource_version=version, known=[pod], idle=0.3) as seen:
                await api.delete_pod("buffered", grace_seconds=0)
                await seen.until("DELETED", "buffered")

    asyncio.run(follow())


@pytest.mark.parametrize("way", ["status", "event"])
def test_what_changed_while_the_server_forgot_is_told_as_a_difference(
    cluster: TestCluster, proxy: FaultyProxy, way: str
) -> None:
    async def follow() -> None:
        async with Api(through(proxy, cluster)) as api:
            for name in ("stays", "goes", "again"):
                await api.create_pod(a_pod(name, way))
            items, version = await api.list_pods({"group": way})
            old = {pod["metadata"]["name"]: pod for pod in items}
            await api.delete_pod("goes", grace_seconds=0)
            await api.delete_pod("again", grace_seconds=0)
            await api.create_pod(a_pod("again", way))
            await api.create_pod(a_pod("new", way))
            event = json.dumps({"type": "ERROR", "object": GONE}).encode() + b"\n"
            proxy.answer("GET", "watch=1", 410 if way == "status" else 200, GONE if way == "status" else event)
            async with following(api, labels={"group": way}, resource_version=version, known=items) as seen:
                await seen.until("ADDED", "new")
                await api.create_pod(a_pod("last", way))
                await seen.until("ADDED", "last")
                changes = {(kind, pod["metadata"]["name"]): pod for kind, pod in seen.changes}
                assert changes["DELETED", "goes"] == old["goes"]
                assert changes["DELETED", "again"] == old["again"]
                assert changes["ADDED", "again"]["metadata"]["uid"] != old["again"]["metadata"]["uid"]
                assert ("DELETED", "stays") not in changes
                assert ("ADDED", "stays") not in changes
            for name in ("stays", "again", "new", "last"):
                await api.delete_pod(name, grace_seconds=0)

    asyncio.run(follow())
    assert len(lists(proxy)) == 2


def test_a_version_that_a_real_server_has_forgotten_leads_to_a_list(cluster: TestCluster) -> None:
    async def follow() -> None:
        async with Api(Cluster(kube_config_path=cluster.kubeconfig)) as api:
            await api.create_pod(a_pod("ancient", "real"))
            async with following(api, labels={"group": "real"}, resource_version="1") as seen:
                await seen.until("ADDED", "ancient")
            await api.delete_pod("ancient", grace_seconds=0)

    asyncio.run(follow())


def test_a_pod_that_went_unseen_is_told_as_deleted(cluster: TestCluster, proxy: FaultyProxy) -> None:
    async def follow() -> None:
        async with Api(through(proxy, cluster)) as api:
            proxy.answer("GET", "watch=1", 410, GONE)
            async with following(api, name="never-seen", resource_version="1") as seen:
                pod = await seen.until("DELETED", "never-seen")
            assert pod["metadata"] == {"name": "never-seen", "namespace": cluster.namespace}

    asyncio.run(follow())


def test_a_server_that_stays_away_ends_it_when_patience_does(cluster: TestCluster, proxy: FaultyProxy) -> None:
    async def follow() -> None:
        async with Api(through(proxy, cluster), patience=1) as api:
            changes = follow_pods(api, labels={"group": "away"})
            proxy.refuse("GET", "watch=1", times=None)
            with pytest.raises(ClusterError, match="gave no answer for 1 s, asked to watch pods"):
                await anext(changes)

    asyncio.run(follow())


def test_a_server_that_breaks_every_watch_ends_it_when_patience_does(cluster: TestCluster, proxy: FaultyProxy) -> None:
    failure = {"kind": "Status", "code": 500, "message": "etcd is away"}
    proxy.answer("GET", "watch=1", 200, json.dumps({"type": "ERROR", "object": failure}).encode() + b"\n", times=None)
    proxy.answer("GET", "/pods", 500, times=None)

    async def follow() -> None:
        async with Api(through(proxy, cluster), patience=1) as api:
            with pytest.raises(ClusterError):
                await anext(follow_pods(api, name="any", resource_version="1"))

    asyncio.run(follow())


def test_a_server_that_is_killed_and_comes_back_costs_nothing(cluster: TestCluster, breaks_the_cluster: Faults) -> None:
    async def follow() -> None:
        async with Api(Cluster(kube_config_path=cluster.kubeconfig)) as api:
            await api.create_pod(a_pod("outlives", "killed"))
            async with following(api, labels={"group": "killed"}) as seen:
                await seen.until("ADDED", "outlives")
                await asyncio.to_thread(breaks_the_cluster.kill, "kube-apiserver")
                creating = asyncio.create_task(api.create_pod(a_pod("meanwhile", "killed")))
                await asyncio.to_thread(breaks_the_cluster.start)
                await creating
                await seen.until("ADDED", "meanwhile")
                await api.delete_pod("outlives", grace_seconds=0)
                await api.delete_pod("meanwhile", grace_seconds=0)
                await seen.until("DELETED", "meanwhile")
            assert [kind for kind in seen.kinds if kind[0] == "ADDED"] == [
                ("ADDED", "outlives"),
                ("ADDED", "meanwhile"),
            ]

    asyncio.run(follow())


# --- many on one watch


async def until(pods: Subscription, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        async for seen, pod in pods:
            if seen == kind:
                return pod
    raise AssertionError("a subscription has no end")


def test_many_share_one_watch_and_one_connection_and_it_ends_with_the_last(
    cluster: TestCluster, proxy: FaultyProxy
) -> None:
    labels = {"group": "shared"}
    names = [f"shared-{number}" for number in range(10)]

    async def wait_for(own: Cluster, name: str) -> str:
        async with SharedWatch.subscribe(own, None, labels, name) as pods:
            kind, pod = await anext(pods)
            assert (kind, pod["metadata"]["name"]) == ("ADDED", name)
            await pods.api.delete_pod(name, grace_seconds=0)
            gone = await until(pods, "DELETED")
            return str(gone["metadata"]["name"])

    async def share() -> None:
        own = through(proxy, cluster)
        async with Api(Cluster(kube_config_path=cluster.kubeconfig)) as api:
            for name in names:
                await api.create_pod(a_pod(name, "shared"))
        # A cluster is the same if its fields are, whoever made it.
        waiting = [wait_for(Cluster(kube_config_path=own.kube_config_path, name=name), name) for name in names]
        assert await asyncio.gather(*waiting) == names
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(share())
    assert len(watches(proxy)) == 1
    assert len(lists(proxy)) == 1
    gc.collect()  # whatever was left open is a warning, and warnings are errors


def test_a_subscriber_is_told_of_a_pod_that_the_watch_has_not_come_to(cluster: TestCluster, proxy: FaultyProxy) -> None:
    async def share() -> None:
        own, labels = through(proxy, cluster), {"group": "late"}
        late = proxy.silence_after("GET", "watch=1", 0)
        async with (
            Api(Cluster(kube_config_path=cluster.kubeconfig)) as api,
            SharedWatch.subscribe(own, None, labels, "early") as early,
        ):
            assert (await anext(early))[0] == "DELETED"
            created = await api.create_pod(a_pod("late", "late"))
            async with SharedWatch.subscribe(own, None, labels, "late") as pods:
                kind, pod = await anext(pods)
                assert (kind, pod["metadata"]["uid"]) == ("ADDED", created["metadata"]["uid"])
                late.release()
                await api.delete_pod("late", grace_seconds=0)
                told = []
                async for kind, pod in pods:
                    told.append(kind)
                    if kind == "DELETED":
                        break
                assert "ADDED" not in told

    asyncio.run(share())


def test_a_pod_that_is_gone_already_is_told_as_deleted(cluster: TestCluster) -> None:
    async def share() -> None:
        own = Cluster(kube_config_path=cluster.kubeconfig)
        async with SharedWatch.subscribe(own, cluster.namespace, "group=none", "was-here") as pods:
            kind, pod = await anext(pods)
            assert (kind, pod["metadata"]["name"]) == ("DELETED", "was-here")

    asyncio.run(share())


def test_two_may_wait_for_the_same_pod_and_leaving_one_leaves_the_other(
    cluster: TestCluster, proxy: FaultyProxy
) -> None:
    async def share() -> None:
        own, labels = through(proxy, cluster), {"group": "same"}
        async with SharedWatch.subscribe(own, None, labels, "same") as stays:
            await stays.api.create_pod(a_pod("same", "same"))
            async with SharedWatch.subscribe(own, None, labels, "same") as leaves:
                await until(leaves, "ADDED")
            async with SharedWatch.subscribe(own, None, labels, "same") as waits:
                await anext(waits)
                waiting = asyncio.ensure_future(until(waits, "DELETED"))
                waiting.cancel()
                await asyncio.wait({waiting})
            await stays.api.delete_pod("same", grace_seconds=0)
            await until(stays, "DELETED")

    asyncio.run(share())
    assert len(watches(proxy)) == 1


def test_what_ends_a_shared_watch_reaches_all_and_the_next_begins_anew(
    cluster: TestCluster, proxy: FaultyProxy
) -> None:
    async def share() -> None:
        own, labels = through(proxy, cluster), {"group": "fails"}

        async def fail(name: str) -> ClusterError:
            async with SharedWatch.subscribe(own, None, labels, name, patience=1) as pods:
                begun.append(await anext(pods))
                with pytest.raises(ClusterError) as ended:
                    await anext(pods)
                return ended.value

        begun: list[Any] = []
        waiting = [asyncio.create_task(fail(f"fails-{number}")) for number in range(3)]
        while len(begun) < 3:
            await asyncio.sleep(0.01)
        proxy.refuse("GET", "watch=1", times=None)
        await asyncio.to_thread(proxy.close_connections)
        errors = await asyncio.gather(*waiting)
        assert len({id(error) for error in errors}) == 3
        assert len({str(error) for error in errors}) == 1
        proxy.clear()
        async with SharedWatch.subscribe(own, None, labels, "fails-0") as pods:
            assert (await anext(pods))[0] == "DELETED"

    asyncio.run(share())


def test_a_watch_that_is_not_allowed_says_so_to_all(cluster: TestCluster) -> None:
    async def share() -> None:
        async def refused(name: str) -> None:
            async with SharedWatch.subscribe(
                Cluster(kube_config_path=cluster.kubeconfig), "default", "a=b", name
            ) as pods:
                with pytest.raises(ConfigurationError, match="does not allow to list pods in the namespace 'default'"):
                    await anext(pods)

        await asyncio.gather(refused("a"), refused("b"))
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(share())


def test_each_event_loop_has_a_watch_of_its_own(cluster: TestCluster, proxy: FaultyProxy) -> None:
    own = through(proxy, cluster)

    async def share() -> None:
        async with SharedWatch.subscribe(own, None, "group=loops", "a") as pods:
            await anext(pods)
            await asyncio.to_thread(wait_until, lambda: watches(proxy), what="the watch")

    asyncio.run(share())
    asyncio.run(share())
    assert len(watches(proxy)) == 2
