"""Tries of Airflow tasks that run in pods while something goes wrong, and what has to be true of them afterwards.

::

    def test_a_lost_reply_makes_no_second_pod(tries, proxy):
        proxy.lose_reply("POST", r"/pods$")
        tries.start("kubernetes", through=proxy).assert_ran_once()

A try runs in a thread of its own, so that the test can break things meanwhile. Its code prints a number that no other
run of it prints; who watches the pods as the admin (:class:`Census`) sees each pod and each container that ever was.

A module of tests imports what it needs, the fixtures among it: `folder_fixture`, `leftovers_fixture`, `tries_fixture`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from airflow_provider_tasks.runtime import values
from airflow_provider_tasks.runtime.outcome import Outcome
from airflow_provider_tasks.triggers.worker import WorkerTrigger
from airflow_provider_tasks.workers.base import WorkerBackend
from airflow_provider_tasks.workers.failures import ClusterError, WorkerError
from airflow_provider_tasks.workers.kubernetes.api import Api
from airflow_provider_tasks.workers.kubernetes.connection import Cluster
from airflow_provider_tasks.workers.kubernetes.identity import TASK, TRY, Identity
from airflow_provider_tasks.workers.kubernetes.server import Server
from airflow_provider_tasks.workers.kubernetes.submit import Submitter
from airflow_provider_tasks.workers.kubernetes.worker import KubernetesWorker
from airflow_provider_tasks.workers.payload import pack
from tests.kubernetes.cluster import Manifest, TestCluster, client_of, wait_until
from tests.kubernetes.proxy import FaultyProxy
from tests.workers.backends import INSTALLATION, Pods

WAYS = ["kubernetes", "deferrable"]
"""Who waits for the pod: the Airflow worker all the time, or a trigger."""

LARGE = 300_000
"""Bytes of a result that no termination message holds."""

GO = "/airflow/scratch/go"
"""The file in a pod for which a task waits that was started with ``waits=True``."""

AT_MOST = 150
"""Seconds after which a try that should have ended is taken for one that hangs."""

TEXTS = ("", "é", "🛰 ", "~" * 70, "é🛰~" * 3000)
"""What lines of output hold beside their number, in turn; the last one goes through the log in pieces."""


@dataclass(frozen=True)
class Speech:
    """What a task does: it prints who runs and some lines, and returns random bytes and what is known of them.

    Args:
        lines: how many lines it prints at once.
        waits: it then prints more, twenty a second, until it is told to end.
        texts: what is in its lines, in turn.
        size: how many bytes it returns.
        carries: how many bytes go with it to its worker.
        raises: it fails in the end.

    """

    lines: int = 3
    waits: bool = False
    texts: Sequence[str] = TEXTS
    size: int = 10
    carries: int = 0
    raises: bool = False

    def request(self) -> Any:
        """What a worker is asked to run."""
        request: dict[str, Any] = {**pack(self._task(), (), {}), "environment": {"variables": {}, "requirements": []}}
        return {**request, "limits": {"memory": None, "time": AT_MOST}, "context": values.encode({})}

    def output(self, run: str, lines: int) -> list[str]:
        """What a run prints that prints so many lines in all."""
        texts = self.texts
        return [f"run {run}", *(f"line {number} {texts[number % len(texts)]}" for number in range(lines)), "the end"]

    def _task(self) -> Callable[[], dict[str, Any]]:
        lines, waits, texts, size, raises = self.lines, self.waits, self.texts, self.size, self.raises
        carried, go = os.urandom(self.carries), GO

        def speak() -> dict[str, Any]:
            import hashlib
            import os
            import time
            import uuid

            print("run", uuid.uuid4().hex)
            count = 0
            while count < lines or (waits and not os.path.exists(go)):
                if count >= lines:
                    time.sleep(0.05)
                print("line", count, texts[count % len(texts)])
                count += 1
            if raises:
                raise ValueError("it went wrong")
            data = os.urandom(size)
            print("the end")
            digest = hashlib.sha256(data).hexdigest()
            return {"lines": count, "data": data, "digest": digest, "carried": len(carried)}

        return speak


class Census:
    """Counts the pods and containers of tasks: it watches the namespace as the admin from when it is made."""

    def __init__(self, cluster: TestCluster) -> None:
        self._admin = cluster.admin
        self._path = self._admin.path("Pod")
        listed = self._admin.request("GET", self._path, limit=1).json()
        self._version = listed["metadata"]["resourceVersion"]
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[str, set[str]]] = {}
        self._names: set[str] = set()
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="census", daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._be_seen()

    def pods(self, task: str) -> int:
        """How many pods there have been of a task, all of its tries together."""
        self._catch_up()
        return sum(of == task for of, _ in self._seen.values())

    def starts(self, task: str) -> int:
        """How often a container of the task's pods has started."""
        self._catch_up()
        with self._lock:
            containers = set().union(*(found for of, found in self._seen.values() if of == task))
            uids = {uid for uid, (of, _) in self._seen.items() if of == task}
        events = [event for event in self._admin.events() if event["involvedObject"].get("uid") in uids]
        told = sum(event.get("count") or 1 for event in events if event["reason"] == "Started")
        # An event may be lost with the kubelet that wrote it, and a container be gone before anybody saw it.
        return max(len(containers), told)

    def _catch_up(self) -> None:
        """Return when everything has been seen that happened before."""
        name = self._be_seen()
        wait_until(lambda: name in self._names, what="the census to see a pod")

    def _be_seen(self) -> str:
        """Make and delete a pod, and give its name."""
        spec = {"nodeSelector": {"pool": "none"}, "containers": [{"name": "none", "image": "none"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "census-"}, "spec": spec}
        name = str(self._admin.create(pod)["metadata"]["name"])
        self._admin.delete("Pod", name, grace=0)
        return name

    def _watch(self) -> None:
        with client_of(os.environ["TEST_KUBECONFIG"], timeout=600) as client:
            while not self._ended.is_set():
                try:
                    self._follow(client)
                except httpx2.TransportError:
                    self._ended.wait(0.1)

    def _follow(self, client: httpx2.Client) -> None:
        with client.stream("GET", self._path, params={"watch": "1", "resourceVersion": self._version}) as reply:
            for line in reply.iter_lines():
                event = json.loads(line)
                if event.get("type") not in ("ADDED", "MODIFIED", "DELETED"):
                    self._list(client)
                    return
                self._take(event["object"])
                self._version = event["object"]["metadata"]["resourceVersion"]
                if self._ended.is_set():
                    return

    def _list(self, client: httpx2.Client) -> None:
        """Go on where a server that was away no longer knows what happened since."""
        reply = client.get(self._path)
        if not reply.is_success:  # it has just started
            self._ended.wait(0.1)
            return
        for pod in reply.json()["items"]:
            self._take(pod)
        self._version = reply.json()["metadata"]["resourceVersion"]

    def _take(self, pod: Manifest) -> None:
        metadata = pod["metadata"]
        statuses = pod.get("status", {}).get("containerStatuses") or ()
        ids = {status["containerID"] for status in statuses if status.get("containerID")}
        with self._lock:
            _, containers = self._seen.setdefault(metadata["uid"], (metadata.get("labels", {}).get(TASK, ""), set()))
            containers |= ids
            self._names.add(metadata["name"])


class Try:
    """One try of a task; made by :class:`Tries`.

    Attributes:
        lines: the output so far, as it reached Airflow.
        notes: what was said to people so far.

    """

    def __init__(self, tries: Tries, identity: Identity, speech: Speech, worker: WorkerBackend) -> None:
        self.identity = identity
        self.speech = speech
        self.worker = worker
        self.lines: list[str] = []
        self.notes: list[str] = []
        self._cluster = tries.cluster
        self._census = tries.census
        self._leftovers = tries.leftovers
        self._outcome: Future[Outcome] = Future()

    def start(self) -> None:
        """Run it in a thread."""
        request = self.speech.request()

        def run() -> None:
            try:
                with self.worker as worker:
                    outcome = worker.run(request, self.lines.append)
            except BaseException as error:
                self._outcome.set_exception(error)
            else:
                self._outcome.set_result(outcome)

        threading.Thread(target=run, name=f"try of {self.identity.name}", daemon=True).start()

    def submit(self) -> None:
        """Have its pod made, if that can be, by an Airflow worker that is lost then."""
        assert isinstance(self.worker, KubernetesWorker)
        with contextlib.suppress(ClusterError), self.worker as worker:
            worker.submit(self.speech.request())
            worker.detach()
        self._outcome.cancel()

    @property
    def pod(self) -> Manifest | None:
        """The pod of the task's last try as the cluster has it; None where there is none."""
        found = self._cluster.admin.pods(self.identity.selector_of_tries)
        return max(found, key=lambda pod: int(pod["metadata"]["labels"][TRY]), default=None)

    @property
    def name(self) -> str:
        """The pod's name, waiting for it to be there."""
        pod = wait_until(lambda: self.pod, what="a pod")
        return str(pod["metadata"]["name"])

    def until(self, condition: Callable[[Manifest], object], what: str) -> None:
        """Return when something is true of the pod."""
        wait_until(lambda: (pod := self.pod) and condition(pod), what=f"{what}: {self.identity.name}")

    def until_made(self) -> None:
        self.until(lambda _: True, "to be there")

    def until_running(self) -> None:
        self.until(lambda pod: state_of(pod, "running"), "to run")

    def until_ended(self) -> None:
        self.until(lambda pod: state_of(pod, "terminated"), "to end")

    def until_line(self, number: int) -> None:
        """Return when this line of the output is here."""

        def is_here() -> bool:
            assert not self._outcome.done(), self._outcome.exception() or self._outcome.result()
            return len(self.lines) > number + 1

        wait_until(is_here, what=f"line {number} of the output")

    def tell_to_end(self) -> None:
        """Make the file that the task waits for, as soon as the node lets somebody in."""

        def told() -> bool:
            with contextlib.suppress(AssertionError):
                self._cluster.kubectl("exec", self.name, "--", "touch", GO)
                return True
            return False

        wait_until(told, what=f"to get into {self.identity.name}")

    def delete_pod(self, *, grace: int | None = 0) -> None:
        """Delete the pod behind everybody's back."""
        self._cluster.admin.delete("Pod", self.name, grace=grace)

    @property
    def has_ended(self) -> bool:
        return self._outcome.done()

    def outcome(self, at_most: float = AT_MOST) -> Outcome:
        """What came of it; raises what it raised."""
        return self._outcome.result(at_most)

    def error(self, at_most: float = AT_MOST) -> WorkerError:
        """What it raised."""
        error = self._outcome.exception(at_most)
        assert isinstance(error, WorkerError), repr(error or self._outcome.result())
        return error

    def assert_ran_once(self, *, pods: int = 1) -> Outcome:
        """Assert that it succeeds, having run once, with all of its output and its result, and that nothing is left.

        Args:
            pods: how many pods there may have been, of which one has run.

        """
        outcome = self.outcome()
        assert outcome.status == "success", outcome
        self.assert_output(outcome)
        self.assert_nothing_left()
        self.assert_counts(pods=pods, starts=1)
        return outcome

    def counts(self) -> tuple[int, int]:
        """How many pods the task had in all of its tries, and how often a container of theirs has started."""
        return self._census.pods(self.identity.task), self._census.starts(self.identity.task)

    def assert_counts(self, *, pods: int, starts: int) -> None:
        """Assert that it had so many pods, and that their containers have started so often."""
        found = self.counts()
        assert found == (pods, starts), f"{found} pods and starts of their containers, expected {(pods, starts)}"

    def assert_output(self, outcome: Outcome) -> None:
        """Assert that the result is whole, and that each line of the output is here once and in order."""
        result = outcome.result
        assert hashlib.sha256(result["data"]).hexdigest() == result["digest"]
        assert_same(self.lines, self.speech.output(self.run, result["lines"]))

    @property
    def run(self) -> str:
        """The number that its run printed, the only one."""
        runs = [line for line in self.lines if line.startswith("run ")]
        assert len(runs) == 1, runs
        assert re.fullmatch("run [0-9a-f]{32}", runs[0])
        return runs[0].removeprefix("run ")

    def assert_nothing_left(self) -> None:
        """Assert that what is there of the task is on its way out.

        A kubelet takes ten seconds for that, which the fixture `leftovers` waits for when all tests are done.
        """
        self._leftovers.append(self.identity)
        admin, selector = self._cluster.admin, self.identity.selector_of_tries

        def stays() -> list[str]:
            pods = {pod["metadata"]["uid"]: pod for pod in admin.pods(selector)}
            wanted = [pod for pod in pods.values() if not pod["metadata"].get("deletionTimestamp")]
            secrets = admin.secrets(selector)
            alone = [one for one in secrets if one["metadata"]["ownerReferences"][0]["uid"] not in pods]
            return [str(one["metadata"]["name"]) for one in (*wanted, *alone)]

        wait_until(lambda: not stays(), what=f"{stays()} to go")


class Tries:
    """Starts tries of tasks; what the fixture `tries` gives."""

    def __init__(
        self, cluster: TestCluster, folder: Path, monkeypatch: pytest.MonkeyPatch, leftovers: list[Identity]
    ) -> None:
        self.cluster = cluster
        self.leftovers = leftovers
        self.census = Census(cluster)
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._started: list[Try] = []
        for method in ("_note", "_warn"):
            monkeypatch.setattr(WorkerTrigger, method, lambda trigger, line: self._note(trigger.pod, line))

    def start(
        self,
        way: str,
        *,
        through: FaultyProxy | None = None,
        of: Identity | None = None,
        try_number: int = 1,
        folder: Path | None = None,
        worker: dict[str, Any] | None = None,
        **speech: Any,
    ) -> Try:
        """Start a try of a task.

        Args:
            way: one of :data:`WAYS`.
            through: the proxy that is between Airflow and the cluster.
            of: the task; a new one unless given.
            try_number: which try of it this is.
            folder: the folder of caches; all tries have the same unless given.
            worker: settings of its worker.
            speech: what it does; see :class:`Speech`.

        """
        started = self._make(way, through, of, try_number, folder, worker or {}, speech)
        started.start()
        return started

    def leave(
        self,
        *,
        through: FaultyProxy | None = None,
        implementation: str = "",
        worker: dict[str, Any] | None = None,
        **speech: Any,
    ) -> Try:
        """Have the pod of a first try made by an Airflow worker that is lost then.

        `implementation` says what it runs, for those who compare; for the other arguments see `start`.
        """
        left = self._make("kubernetes", through, None, 1, None, worker or {}, speech)
        assert isinstance(left.worker, KubernetesWorker)
        left.worker._implementation = implementation
        left.submit()
        return left

    @property
    def last(self) -> Try:
        """The try that was started last."""
        return self._started[-1]

    def close(self) -> None:
        """Leave nothing of the tries to the next test."""
        for one in self._started:
            if not one.has_ended:
                one.worker.kill()
            for pod in self.cluster.admin.pods(one.identity.selector_of_tries):
                self.cluster.admin.delete("Pod", pod["metadata"]["name"], grace=0)
        self.census.close()

    def be_impatient(self, seconds: float = 1.5) -> None:
        """From now on, have everybody give an API server that does not answer only so long."""
        impatience: Any = property(lambda _: seconds, lambda one, own: one.__dict__.update(_patience=own))
        self._monkeypatch.setattr(Server, "_patience", impatience, raising=False)

    def be_patient(self) -> None:
        """Undo `be_impatient`."""
        self._monkeypatch.delattr(Server, "_patience")

    def _make(
        self,
        way: str,
        through: FaultyProxy | None,
        of: Identity | None,
        try_number: int,
        folder: Path | None,
        worker: dict[str, Any],
        speech: dict[str, Any],
    ) -> Try:
        kubeconfig = through.kubeconfig(self.cluster.token) if through else self.cluster.kubeconfig
        connection = f"faulty_{uuid.uuid4().hex}"
        described = json.dumps({"conn_type": "kubernetes", "extra": {"kube_config_path": kubeconfig}})
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{connection.upper()}", described)
        place: Any = SimpleNamespace(kubeconfig=kubeconfig, namespace=self.cluster.namespace, image=self.cluster.image)
        identity = replace(of or a_task(), try_number=try_number)
        pods = Pods(place, folder or self._folder)
        made = Try(
            self,
            identity,
            Speech(**speech),
            pods.open(
                way,
                identity=identity,
                on_note=lambda line: made.notes.append(line),
                kubernetes_conn_id=connection,
                **worker,
            ),
        )
        self._started.append(made)
        return made

    def _note(self, pod: str, line: str) -> None:
        for one in self._started:
            if one.identity.name == pod:
                one.notes.append(line)


class HeldBack:
    """Keeps pods from starting until it is called: they mount a Secret that it makes then.

    Attributes:
        worker: the settings of their workers.

    """

    def __init__(self, cluster: TestCluster) -> None:
        self._admin = cluster.admin
        self._name = f"late-{uuid.uuid4().hex}"
        volume = {"name": "late", "secret": {"secretName": self._name}}
        mounts = [{"name": "late", "mountPath": "/late"}]
        spec = {"volumes": [volume], "containers": [{"name": "worker", "volumeMounts": mounts}]}
        self.worker = {"pod_override": {"spec": spec}}

    def __call__(self) -> None:
        self._admin.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self._name}})


def a_task() -> Identity:
    """A task of its own, called like the test that runs."""
    test = re.sub(r"\[.*|.*::", "", os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0])
    return Identity(INSTALLATION, "faults", uuid.uuid4().hex, test)


def state_of(pod: Manifest, state: str) -> Any:
    """What the status of a worker's container says of its being `state`."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return next((status["state"].get(state) for status in statuses), None)


def assert_same(found: list[str], expected: list[str]) -> None:
    """Compare output; a difference is told by its first line."""
    for number, (one, other) in enumerate(zip(found, expected, strict=False)):
        assert one == other, f"line {number} of the output, of {len(expected)}"
    assert len(found) == len(expected)


@pytest.fixture(scope="module", name="leftovers")
def leftovers_fixture(cluster: TestCluster) -> Iterator[list[Identity]]:
    """The tasks of which nothing may be left when all tests of the module are done."""
    tasks: list[Identity] = []
    yield tasks
    for task in tasks:
        cluster.assert_nothing_left(task.selector_of_tries)


@pytest.fixture(scope="module", name="folder_of_tries")
def folder_fixture(cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of caches of all tries that are given no other; the namespace has the runtime's Secret."""
    folder = tmp_path_factory.mktemp("cache")

    async def ensure_runtime() -> None:
        async with Api(Cluster(kube_config_path=cluster.kubeconfig)) as api:
            await Submitter(api, folder, print).ensure_runtime()

    asyncio.run(ensure_runtime())
    return folder


@pytest.fixture(name="tries")
def tries_fixture(
    cluster: TestCluster, folder_of_tries: Path, monkeypatch: pytest.MonkeyPatch, leftovers: list[Identity]
) -> Iterator[Tries]:
    tries = Tries(cluster, folder_of_tries, monkeypatch, leftovers)
    try:
        yield tries
    finally:
        tries.close()
