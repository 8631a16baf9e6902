"""The kubernetes worker: a pod that is made for a request and removed when it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_tasks.runtime.pod import MESSAGE_LIMIT, MESSAGES_LIMIT
from airflow_provider_tasks.workers.failures import ClusterError, KilledError, WorkerError
from airflow_provider_tasks.workers.kubernetes import delivery, fetch
from airflow_provider_tasks.workers.kubernetes.pod import pod_manifest
from airflow_provider_tasks.workers.kubernetes.result import outcome_of_finish
from airflow_provider_tasks.workers.kubernetes.submit import IMPLEMENTATION, Submission, Submitter, container_state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.runtime.messages import Environment, Request
    from airflow_provider_tasks.runtime.outcome import Outcome
    from airflow_provider_tasks.workers.kubernetes.api import Api
    from airflow_provider_tasks.workers.kubernetes.connection import Cluster
    from airflow_provider_tasks.workers.kubernetes.follow import Finish, Follower
    from airflow_provider_tasks.workers.kubernetes.identity import Identity
    from airflow_provider_tasks.workers.kubernetes.submit import Submitted
    from airflow_provider_tasks.workers.settings import Settings

LONGEST_LIFE = 7 * 24 * 3600
"""Seconds after which the cluster ends a pod that has no time limit."""

_TO_END = 900
"""Seconds beyond a task's time limit, and the time that it may take to start, after which the cluster ends its pod."""

_KILL_SECONDS = 4.0  # Airflow gives a task five seconds to end
_LINES_AHEAD = 10_000
_TO_TELL = 10.0
"""Seconds until the cluster has told of a pod's end."""


class KubernetesWorker:
    """A worker in a pod.

    Args:
        cluster: where.
        settings: what the worker is.
        identity: whose pod it is.
        node: the node that the task is for.
        implementation: names what runs; a pod of an earlier try that runs the same is taken over.
        many: take more than one request; the pod then runs until it is closed.
        timeout: seconds after which nobody waits for the task any more.
        on_note: called with a line for people.
        on_trouble: called with what somebody should look at: what keeps the pod from starting, lines of output that
            are lost; ``on_note`` unless given.

    """

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        identity: Identity,
        *,
        node: Node | None = None,
        implementation: str = "",
        many: bool = False,
        timeout: float | None = None,
        on_note: Callable[[str], None] = lambda _: None,
        on_trouble: Callable[[str], None] | None = None,
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._identity = identity
        self._node = node
        self._implementation = implementation
        self._keep = settings.config.terminate_on_completion is False
        self._many = many or self._keep
        self._timeout = timeout
        self._note = on_note
        self._warn = on_trouble or on_note
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="airflow-worker", daemon=True)
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stack = contextlib.AsyncExitStack()
        self._api: Api | None = None
        self._pod: dict[str, Any] | None = None
        self._follower: Follower | None = None
        self._submitting: asyncio.Task[Submitted] | None = None
        self._requests = 0
        self._lines_before = 0
        self._killed = False
        self._detached = False
        self._is_lost = False
        self.name = identity.name

    @property
    def namespace(self) -> str:
        """The pod's namespace, as far as it is known before the cluster has been reached."""
        known = self._api.namespace if self._api is not None else self._settings.config.namespace
        return known or self._cluster.namespace or "default"

    @property
    def pod(self) -> dict[str, Any] | None:
        """The pod as the cluster had it last; None before there is one."""
        return self._pod

    @property
    def place(self) -> str:
        """The pod, as kubectl takes it."""
        return f"pod {self.name} in namespace {self.namespace}"

    @property
    def environment(self) -> Environment:
        """A pod has its environment from its image and its settings."""
        return {}

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._connect(), self._loop)  # while the request is made
        return self

    def __exit__(self, *error: object) -> None:
        from airflow_provider_tasks.workers.kubernetes.follow import NotStartedError

        if isinstance(error[1], ClusterError) and not isinstance(error[1], NotStartedError) and not self._is_lost:
            # The pod may be well: the next try takes it over.
            self._detached = True
        elif error[1] is not None and (not isinstance(error[1], WorkerError) or isinstance(error[1], NotStartedError)):
            self._keep = False  # a pod is kept when its task has ended, not where somebody gave up waiting for it
        self.close()

    def take_up(self, pod: dict[str, Any], requests: int, lines: int) -> None:
        """Go on with a pod that runs already, has run so many requests, and has printed so many lines."""
        self._pod, self._requests, self._lines_before = pod, requests, lines
        self.name = pod["metadata"]["name"]

    def submit(self, request: Request) -> dict[str, Any]:
        """Have the pod made, or take over the one that is there; return it as the cluster has it."""
        data = delivery.pack_request(request)
        submission = Submission(identity=self._identity, manifest=self._manifest(data), request=data)
        pod: dict[str, Any] = self._wait_for(self._submit(submission), lambda _: None)
        if self._keep:
            self._note(f"The pod is kept for {self._settings.keep_seconds:.0f} s when its task has ended: {self.shell}")
        return pod

    def run(self, request: Request, on_output: Callable[[str], None]) -> Outcome:
        """Run ``request``; see :class:`~airflow_provider_tasks.workers.base.WorkerBackend`."""
        begun = time.monotonic()
        if self._killed:
            raise KilledError("the worker was told to end before it ran the task")
        self._requests += 1
        if self._pod is None:
            self.submit(request)
            finish = self._wait_for(self._follow(), on_output)
        else:
            finish = self._wait_for(self._follow_next(delivery.pack_request(request)), on_output)
        self._pod = finish.pod or self._pod
        self._is_lost = finish.outcome is None
        assert self._follower is not None
        timeline = self._follower.timeline if self._requests == 1 else {}
        return outcome_of_finish(finish, timeline, time.monotonic() - begun, self._settings.sizes)

    @property
    def shell(self) -> str:
        """The command that opens a shell in the pod."""
        return f"kubectl exec -it --namespace {self.namespace} {self.name} --container worker -- sh"

    def detach(self) -> None:
        """Leave the pod to whoever waits for it."""
        self._detached = True

    def kill(self) -> None:
        """Remove the pod; may be called from a signal handler, and twice."""
        self._killed = True
        if self._thread.is_alive():
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(self._delete(), self._loop).result(_KILL_SECONDS)
        self._lines.put(None)

    def close(self) -> None:
        """Remove the pod unless it is to be kept, and everything that follows it; calling it twice is allowed."""
        if not self._thread.is_alive():
            return
        closing = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
        try:
            closing.result(60)
        except Exception as error:
            self._note(f"The pod {self.name} could not be removed, and will be when orphans are: {error}")
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
            if not self._thread.is_alive():
                self._loop.close()

    def _manifest(self, data: bytes) -> dict[str, Any]:
        seconds = self._settings.keep_seconds if self._keep else LONGEST_LIFE if self._many else 0
        limit = min((found for found in (self._settings.time_limit, self._timeout) if found), default=None)
        manifest = pod_manifest(
            self._settings,
            node=self._node,
            identity=self._identity,
            command=[*fetch.ENTRY, "pod", f"{seconds:.0f}"],
            request_parts=delivery.count_parts(data),
            runtime_secret=delivery.runtime_name(),
            active_deadline=int(
                (self._settings.startup_timeout + limit + seconds if limit else LONGEST_LIFE) + _TO_END
            ),
            keep=self._keep,
        )
        manifest["metadata"].setdefault("annotations", {})[IMPLEMENTATION] = self._implementation
        spec = manifest["spec"]
        containers = len(spec["containers"]) + len(spec.get("initContainers") or ())
        if containers * MESSAGE_LIMIT > MESSAGES_LIMIT:
            spec["containers"][0]["command"].append(str(MESSAGES_LIMIT // containers))
        return manifest

    async def _connect(self) -> Api:
        if self._api is None:
            from airflow_provider_tasks.workers.kubernetes.api import Api

            self._api = await self._stack.enter_async_context(Api(self._cluster, self._settings.config.namespace))
        return self._api

    async def _submit(self, submission: Submission) -> dict[str, Any]:
        submitter = Submitter(await self._connect(), self._settings.cache_folder / "clusters", self._note)
        self._submitting = asyncio.create_task(submitter.submit(submission))
        # Whoever gives up waiting leaves nobody's pod behind: it is made, and then removed.
        self._pod = (await asyncio.shield(self._submitting)).pod
        self.name = self._pod["metadata"]["name"]
        return self._pod

    async def _follow(self) -> Finish:
        from airflow_provider_tasks.workers.kubernetes.follow import Follower
        from airflow_provider_tasks.workers.kubernetes.output import OutputReader
        from airflow_provider_tasks.workers.kubernetes.watch import follow_pods

        assert self._pod is not None
        api = await self._connect()
        if self._follower is None:
            version = self._pod["metadata"]["resourceVersion"]
            changes = _with_present(self._pod, follow_pods(api, name=self.name, resource_version=version))
            self._follower = Follower(
                api,
                self.name,
                changes,
                OutputReader(self._lines.put, after=self._lines_before),
                on_note=self._warn,
                startup_timeout=self._settings.startup_timeout,
                pause=self._let_lines_be_read,
                mend=self._mend,
            )
        return await self._follower.follow(self._requests)

    async def _follow_next(self, data: bytes) -> Finish:
        """Send one more request to the pod, and follow it."""
        try:
            await fetch.send_request(await self._connect(), self.name, self._requests, data)
        except WorkerError:
            # A pod that has ended takes nothing, and its end says more.
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(self._follow(), _TO_TELL)
            raise
        return await self._follow()

    async def _mend(self) -> None:
        submitter = Submitter(await self._connect(), self._settings.cache_folder / "clusters", self._note)
        await submitter.ensure_runtime(again=True)

    async def _let_lines_be_read(self) -> None:
        while self._lines.qsize() > _LINES_AHEAD:
            await asyncio.sleep(0.01)

    async def _delete(self) -> None:
        if self._pod is None and self._submitting is not None:
            with contextlib.suppress(Exception):
                self._pod = (await asyncio.wait_for(self._submitting, _KILL_SECONDS / 2)).pod
        if self._pod is None or self._api is None:
            return
        grace = 0 if container_state(self._pod, "terminated") is not None else None
        await self._api.delete_pod(self.name, uid=self._pod["metadata"]["uid"], grace_seconds=grace)

    async def _close(self) -> None:
        try:
            if self._follower is not None:
                await self._follower.close()
            if not self._detached and not (self._keep and not self._killed):
                await self._delete()
        finally:
            await self._stack.aclose()

    def _wait_for(self, work: Coroutine[Any, Any, Any], on_output: Callable[[str], None]) -> Any:
        """Wait for ``work`` in the other thread, and hand on the output that comes meanwhile.

        This thread only waits, so that a signal handler that raises (a timeout) or kills does so at once.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.add_done_callback(lambda _: self._lines.put(None))
        try:
            while not (future.done() and self._lines.empty()):
                line = self._lines.get()
                if line is not None:
                    on_output(line)
                if self._killed:
                    raise KilledError("the worker was told to end")
        except BaseException:
            future.cancel()
            raise
        if self._killed:
            raise KilledError("the worker was told to end")
        return future.result()


async def _with_present(
    pod: dict[str, Any], changes: AsyncIterator[tuple[str, dict[str, Any]]]
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield the state that ``pod`` is in, which may be its last, before its ``changes``."""
    yield "ADDED", pod
    async for change in changes:
        yield change
