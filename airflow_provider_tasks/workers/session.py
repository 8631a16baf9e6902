"""A worker that takes one request after another, and of which nothing runs in this process between them."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_tasks.model.node import as_node
from airflow_provider_tasks.runtime import protocol, values
from airflow_provider_tasks.workers import kept
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ClusterError, ConfigurationError, PayloadError
from airflow_provider_tasks.workers.kept import Record
from airflow_provider_tasks.workers.local import LocalWorker
from airflow_provider_tasks.workers.opening import BY_HAND, Owner, open_worker
from airflow_provider_tasks.workers.outcomes import error_of, timeline_line
from airflow_provider_tasks.workers.places import LocalPlace, Place, PodPlace, in_a_thread
from airflow_provider_tasks.workers.region import region_of, user
from airflow_provider_tasks.workers.requests import complete
from airflow_provider_tasks.workers.sizes import WorkerSize, find_size
from airflow_provider_tasks.workers.terminal import Output, Progress, say

if TYPE_CHECKING:
    from typing import Self

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.runtime.messages import Environment, Request
    from airflow_provider_tasks.runtime.outcome import Outcome
    from airflow_provider_tasks.workers.base import WorkerBackend
    from airflow_provider_tasks.workers.settings import Settings


class Session:
    """A worker from the first request to the last.

    Args:
        settings: what it is.
        node: the node that it is for.
        task: what it is called in the names of pods.

    """

    def __init__(self, settings: Settings, node: Node | None = None, task: str = "worker") -> None:
        self.node = node
        self.settings = settings
        self.place: Place | None = None
        self.name = ""
        self.status = "new"
        self._owner = Owner(BY_HAND, uuid.uuid4().hex, task)
        self._backend: WorkerBackend | None = None
        self._lines: list[str] = []
        self._pod: dict[str, Any] | None = None

    @classmethod
    def of_record(cls, record: Record, settings: Settings) -> Self:
        """Return that of a local worker that is kept."""
        config = replace(WorkerConfig.of(record.config), terminate_on_completion=False)
        size = find_size(config.worker_size, settings.sizes) if config.worker_size else WorkerSize()
        session = cls(replace(settings, config=config, size=size), as_node(record.node))
        session.name = record.name
        session.status = "running" if kept.is_used(settings, record.name) else "idle"
        session.place = LocalPlace(Path(record.folder), session.settings)
        return session

    @classmethod
    def of_pod(cls, pod: dict[str, Any], settings: Settings) -> Self:
        """Return that of a pod that is kept."""
        from airflow_provider_tasks.workers.connections import connected_cluster

        config = replace(settings.config, terminate_on_completion=False)
        session = cls(replace(settings, config=config))
        session.name, session.status = pod["metadata"]["name"], "idle"
        cluster = connected_cluster(config.kubernetes_conn_id)
        session.place = PodPlace(cluster, pod["metadata"]["namespace"], session.name, session.settings)
        session._pod = pod
        return session

    def start(self) -> None:
        """Start it now, unless it has started: its startup script runs.

        Raises:
            WorkerError: it does not start; says why.

        """
        if self.status == "new":
            nothing: Request = {"version": protocol.VERSION, "call": "nothing", "arguments": values.encode({})}
            outcome = self.run(nothing, show=True)
            if not outcome.is_success:
                raise error_of(outcome)

    def where(self) -> Place:
        """Return where it is; it starts if it has not."""
        self.check()
        self.start()
        assert self.place is not None
        return self.place

    def check(self) -> None:
        """Refuse to go on with one that is terminated."""
        if self.status == "terminated":
            raise ConfigurationError(f"worker {self.name} is terminated", "Make another one.")

    def logs(self) -> str:
        """Return what its tasks have printed."""
        if self.status == "terminated" or self.place is None:
            return "\n".join(self._lines)
        return "\n".join(self.place.log())

    def terminate(self) -> None:
        """End it: its processes, its pod, its folder. Twice is fine, and so is once more after an error."""
        if self.status == "terminated":
            return
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.kill()
            backend.close()
        place = self.place
        if place is None and isinstance(backend, LocalWorker):
            place = LocalPlace(backend.folder, self.settings)
        if place is not None:
            place.remove()
        kept.forget(self.settings, self.name)
        self.status = "terminated"

    def run(self, what: Request, *, show: bool, is_complete: bool = False) -> Outcome:
        """Run a request; one that is complete is only told where its worker is."""
        self.check()
        was_there = self.place is not None
        with contextlib.ExitStack() as stack:
            if was_there:
                stack.enter_context(kept.use(self.settings, self.name))
            try:
                backend = self._started(stack)
                request = _moved(what, self.settings, backend) if is_complete else self._completed(what, backend)
                self.status = "running"
                progress = stack.enter_context(Progress(f"worker {backend.name} starts"))
                output = stack.enter_context(Output(progress, self.place, self._lines, show=show))
                outcome = backend.run(request, output.take)
            except BaseException as error:
                if was_there and isinstance(error, (ClusterError, ConfigurationError, PayloadError)):
                    self._rest()  # what earlier tasks left there is not lost with this one
                else:
                    self.terminate()
                raise
            self.name = backend.name
            self._know_place(backend)
            say(f"Worker {backend.name}: {timeline_line(outcome)}")
            self._rest()
            return outcome

    def _completed(self, what: Request, backend: WorkerBackend) -> Request:
        return complete(
            what,
            self.settings,
            requirements=[],
            context={"node": None if self.node is None else self.node.to_json(), "params": {}},
            variables={},
            here=backend.environment,
        )

    def _rest(self) -> None:
        """Have nothing of a worker that is kept run in this process until the next task."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()
        self.status = "idle"
        self.record()

    def _started(self, stack: contextlib.ExitStack) -> WorkerBackend:
        self._backend = self._opened()
        self._backend.__enter__()
        if isinstance(self._backend, LocalWorker) and self.place is None:
            self.name = self._backend.name
            stack.enter_context(kept.use(self.settings, self.name))
            self._know_place(self._backend)
        self.record()
        return self._backend

    def record(self) -> None:
        """Let other processes find a local worker that is kept, for as long as it is from now on."""
        if isinstance(self.place, LocalPlace) and self.settings.config.terminate_on_completion is False:
            Record.of(self.settings, self.node, self.name, self.place.folder).write(self.settings)

    def _opened(self) -> WorkerBackend:
        """Return what runs requests: anew, or where one left off."""
        if isinstance(self.place, LocalPlace):
            python, cache = self.settings.config.python, self.settings.cache_folder
            return LocalWorker(
                cache_folder=cache, python=python, keep=True, folder=self.place.folder, ends_with_parent=False
            )
        read = self.place.read_log(lambda _: None) if isinstance(self.place, PodPlace) else None
        if read is not None and read.outcomes == 0:
            raise ConfigurationError(
                f"worker {self.name} runs a task, the one that it was made for", "Wait for its end."
            )
        backend = open_worker(
            self.settings, self._owner, node=self.node, implementation=lambda: self._owner.run_id, on_note=say
        )
        if read is not None and self._pod is not None:
            from airflow_provider_tasks.workers.kubernetes.worker import KubernetesWorker

            assert isinstance(backend, KubernetesWorker)
            backend.take_up(self._pod, read.outcomes, read.lines)
        return backend

    def _know_place(self, backend: WorkerBackend) -> None:
        if self.place is not None:
            return
        if isinstance(backend, LocalWorker):
            self.place = LocalPlace(backend.folder, self.settings)
            return
        from airflow_provider_tasks.workers.connections import connected_cluster
        from airflow_provider_tasks.workers.kubernetes.worker import KubernetesWorker

        assert isinstance(backend, KubernetesWorker)
        self._pod = backend.pod
        cluster = connected_cluster(self.settings.config.kubernetes_conn_id)
        self.place = PodPlace(cluster, backend.namespace, backend.name, self.settings)


def kept_pods(settings: Settings) -> list[dict[str, Any]]:
    """Return the pods of this installation that are kept and run."""
    from airflow_provider_tasks.workers.connections import connected_cluster
    from airflow_provider_tasks.workers.kubernetes.identity import Identity
    from airflow_provider_tasks.workers.kubernetes.submit import container_state, is_kept

    async def work() -> list[dict[str, Any]]:
        from airflow_provider_tasks.workers.kubernetes.api import Api

        async with Api(connected_cluster(settings.config.kubernetes_conn_id), settings.config.namespace) as api:
            pods, _ = await api.list_pods(Identity.selector(settings.installation))
            return pods

    pods = in_a_thread(work)
    return [
        pod
        for pod in pods
        if is_kept(pod) and container_state(pod, "running") is not None and not pod["metadata"].get("deletionTimestamp")
    ]


def _moved(request: Request, settings: Settings, backend: WorkerBackend) -> Request:
    """Return a request with what is of the place where it runs as it is of another place."""
    environment = cast("Environment", dict(request.get("environment", {})))
    environment.pop("setup_variables", None)
    environment.pop("cache", None)
    environment.update(backend.environment)
    context = values.decode(request["context"]) if "context" in request else {}
    context["region"] = region_of(settings, user())._asdict()
    return {**request, "environment": environment, "context": values.encode(context)}
