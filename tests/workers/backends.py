"""The backends that the contract is held against, each as a :class:`WorkerBackend`.

`local` and `kubernetes` are the product's own. `deferrable` is a pod as a deferrable operator has it: made in an
Airflow worker, waited for in the triggerer, its outcome taken by another Airflow worker. `dag.test` is the same as
`dag.test()` does it, which runs the trigger itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from airflow_provider_tasks.operators import deferral
from airflow_provider_tasks.operators.base import WorkerOperator
from airflow_provider_tasks.runtime.messages import Environment, Request
from airflow_provider_tasks.runtime.outcome import Outcome
from airflow_provider_tasks.workers.base import WorkerBackend
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import KilledError
from airflow_provider_tasks.workers.kubernetes.api import Api
from airflow_provider_tasks.workers.kubernetes.connection import Cluster
from airflow_provider_tasks.workers.kubernetes.identity import Identity
from airflow_provider_tasks.workers.kubernetes.worker import KubernetesWorker
from airflow_provider_tasks.workers.settings import Settings
from airflow_provider_tasks.workers.sizes import WorkerSize
from tests.kubernetes.cluster import TestCluster

INSTALLATION = "contract"
CONNECTION = "contract_cluster"
"""The Airflow connection of the tests' cluster."""


class Pods:
    """Makes workers in pods of the tests' cluster."""

    def __init__(self, cluster: TestCluster, cache_folder: Path) -> None:
        self.cluster = Cluster(kube_config_path=cluster.kubeconfig)
        self.tests = cluster
        self._cache_folder = cache_folder
        self.labels = Identity.selector(INSTALLATION)

    @property
    def connection(self) -> tuple[str, str]:
        """The environment variable, and its value, of the Airflow connection that leads to the cluster."""
        extra = {"kube_config_path": self.tests.kubeconfig}
        return f"AIRFLOW_CONN_{CONNECTION.upper()}", json.dumps({"conn_type": "kubernetes", "extra": extra})

    def settings(self, *, size: WorkerSize = WorkerSize(), image: str | None = None, **config: Any) -> Settings:
        return Settings(
            config=WorkerConfig(
                **{
                    "backend": "kubernetes",
                    "kubernetes_conn_id": CONNECTION,
                    "namespace": self.tests.namespace,
                    "worker_image": image or self.tests.image,
                    "image_pull_policy": "IfNotPresent",
                    **config,
                }
            ),
            size=size,
            cache_folder=self._cache_folder,
            installation=INSTALLATION,
        )

    def identity(self) -> Identity:
        """A task of its own, called like the test that runs."""
        test = re.sub(r"\[.*|.*::", "", os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0])
        return Identity(INSTALLATION, "contract", uuid.uuid4().hex, test)

    def open(
        self,
        backend: str,
        *,
        many: bool = False,
        identity: Identity | None = None,
        on_note: Callable[[str], None] = print,
        **settings: Any,
    ) -> WorkerBackend:
        """A worker that is not started yet; with `many` it takes more than one request."""
        identity, resolved = identity or self.identity(), self.settings(**settings)
        if backend == "kubernetes":
            return KubernetesWorker(self.cluster, resolved, identity, many=many, on_note=on_note)
        assert not many, f"{backend} runs one request"
        return DeferredWorker(self.cluster, resolved, identity, in_triggerer=backend == "deferrable")

    def execute(self, pod: str, *command: str) -> None:
        """Run a command in a pod's container, whatever this thread does otherwise."""

        async def execute() -> int:
            async with Api(self.cluster, self.tests.namespace) as api:
                return (await api.exec(pod, command, stdout=print)).exit_code

        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(asyncio.run, execute()).result(60) == 0


class _Waits(WorkerOperator):
    """An operator of which the tests take the outcome, instead of what Airflow makes of it."""

    def prepare(self, context: Any, node: Any) -> Any:
        raise NotImplementedError

    def finish(self, outcome: Outcome) -> Any:
        return outcome


class DeferredWorker:
    """A pod that a trigger waits for; see the module.

    Args:
        cluster: where.
        settings: what the worker is.
        identity: whose pod it is.
        in_triggerer: run the trigger as Airflow's triggerer does, which gives it an id, cancels it when it has its
            event, and then calls its `on_kill`.

    """

    def __init__(self, cluster: Cluster, settings: Settings, identity: Identity, *, in_triggerer: bool) -> None:
        self._cluster = cluster
        self._settings = settings
        self._identity = identity
        self._in_triggerer = in_triggerer
        self._worker: KubernetesWorker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kill = asyncio.Event()
        self._killed = False
        self.name = identity.name
        self.xcoms: dict[str, Any] = {}

    @property
    def place(self) -> str:
        return f"pod {self.name}"

    @property
    def environment(self) -> Environment:
        return {}

    def run(self, request: Request, on_output: Callable[[str], None]) -> Outcome:
        arguments = self._defer(request)
        event = asyncio.run(self._wait(arguments, on_output))
        return self._resume(event)

    def kill(self) -> None:
        """End the task, as `on_kill` of the operator does, or of the trigger when it is deferred."""
        self._killed = True
        if self._worker is not None:
            self._worker.kill()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._kill.set)

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _defer(self, request: Request) -> dict[str, Any]:
        """Have the pod made, and give the arguments of the trigger as Airflow's database has them."""
        from airflow.sdk.exceptions import TaskDeferred

        if self._killed:
            raise KilledError("the worker was told to end before it ran the task")
        about = {"worker": self.name}
        with KubernetesWorker(self._cluster, self._settings, self._identity) as self._worker:
            try:
                deferral.defer_where_asked(_operator(), self._worker, self._settings, request, about)
            except TaskDeferred as deferred:
                _, arguments = deferred.trigger.serialize()
                return dict(json.loads(json.dumps(arguments)))
            finally:
                self._worker = None
        raise AssertionError("the task was not deferred")

    async def _wait(self, arguments: dict[str, Any], on_output: Callable[[str], None]) -> Any:
        """Run the trigger until its event, and give that as it comes out of Airflow's database."""
        from airflow.sdk.serde import serialize
        from airflow.triggers.base import DiscrimatedTriggerEvent
        from pydantic import TypeAdapter

        from airflow_provider_tasks.triggers.worker import WorkerTrigger

        xcoms = self.xcoms

        class Trigger(WorkerTrigger):
            def _print(self, line: str) -> None:
                on_output(line)

            async def _push(self, key: str, value: Any) -> None:
                xcoms[key] = json.loads(json.dumps(serialize(value)))

        trigger = Trigger(**arguments)
        event = await (self._as_the_triggerer(trigger) if self._in_triggerer else anext(trigger.run()))
        adapter: TypeAdapter[Any] = TypeAdapter(DiscrimatedTriggerEvent)
        return adapter.validate_json(adapter.dump_json(event))

    async def _as_the_triggerer(self, trigger: Any) -> Any:
        trigger.trigger_id = 1
        self._loop = asyncio.get_running_loop()
        if self._killed:
            self._kill.set()
        event = self._loop.create_future()

        async def run() -> None:
            async for found in trigger.run():
                event.set_result(found)

        running, killed = asyncio.create_task(run()), asyncio.create_task(self._kill.wait())
        try:
            await asyncio.wait({running, event, killed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._loop = None
            for task in (killed, running):
                task.cancel()
            await asyncio.wait({running})
            await trigger.on_kill()
        if not running.cancelled():
            running.result()
        if self._killed:
            raise KilledError("the worker was told to end")
        return event.result()

    def _resume(self, event: Any) -> Outcome:
        from airflow.triggers.base import BaseTaskEndEvent

        if isinstance(event, BaseTaskEndEvent):
            return _outcome_of(self.xcoms)
        context: Any = {"ti": SimpleNamespace(xcom_push=self.xcoms.__setitem__)}
        outcome: Outcome = deferral.resume(_operator(), context, event.payload)
        return outcome


def _operator() -> _Waits:
    from airflow.sdk import DAG

    with DAG("contract"):
        return _Waits(task_id="waits", deferrable=True)


def _outcome_of(xcoms: dict[str, Any]) -> Outcome:
    """What a task that ended in the triggerer leaves behind, as an outcome."""
    from airflow.sdk.serde import deserialize

    told = deserialize(xcoms["outcome"])
    result = deserialize(xcoms["return_value"]) if "return_value" in xcoms else None
    fields = ("status", "category", "message", "timeline", "peak_memory", "exit_code", "signal", "python")
    has_result = told["status"] == "success"
    return Outcome(**{name: told[name] for name in fields}, has_result=has_result, result=result)


@contextlib.contextmanager
def kept_pod(pods: Pods) -> Iterator[Callable[[], WorkerBackend]]:
    """Give a function that gives a pod which takes many requests: always the same, unless it has come to grief."""
    with contextlib.ExitStack() as stack:
        opened: list[_Careful] = []

        def kept() -> WorkerBackend:
            if not opened or opened[-1].has_failed:
                opened.append(_Careful(stack.enter_context(pods.open("kubernetes", many=True))))
            return opened[-1]  # type: ignore[return-value]

        yield kept


class _Careful:
    """A worker that knows whether it has failed."""

    def __init__(self, worker: WorkerBackend) -> None:
        self._worker = worker
        self.has_failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worker, name)

    def run(self, request: Request, on_output: Callable[[str], None]) -> Outcome:
        try:
            return self._worker.run(request, on_output)
        except BaseException:
            self.has_failed = True
            raise
