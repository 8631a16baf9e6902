"""The trigger of a task that waits for its pod in Airflow's triggerer."""

from __future__ import annotations

import asyncio
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk.log import redact  # type: ignore[attr-defined]
from airflow.triggers.base import BaseTrigger, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from airflow_provider_tasks.operators.log import RunLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_tasks.workers.kubernetes.connection import Cluster
    from airflow_provider_tasks.workers.kubernetes.follow import Finish, Follower

PERSISTED_SECONDS = 60.0
"""Seconds after which an event of a trigger has been written to Airflow's database, or never will be."""

_ENDING: set[asyncio.Task[None]] = set()
"""What has to go on though Airflow has cancelled it: the event loop keeps no task alive by itself."""

_ARGUMENTS = [
    "pod",
    "uid",
    "namespace",
    "kubernetes_conn_id",
    "installation",
    "startup_timeout",
    "keep",
    "deadline",
    "ends_task",
    "submitted",
    "handed_over",
    "about",
]


class WorkerTrigger(BaseTrigger):
    """Waits for a worker's pod; its output goes to the task's log while it runs.

    All tasks of a triggerer that wait in the same namespace share one watch. A task whose outcome is short ends
    here; for the others an Airflow worker goes on. The pod is removed when Airflow has the event, so that a
    triggerer that is lost before takes nothing with it: the next one finds the pod as it was.

    Args:
        pod: its name; ``uid``, ``namespace`` and ``kubernetes_conn_id`` say which and where.
        uid: the pod's.
        namespace: the pod's.
        kubernetes_conn_id: the Airflow connection; None is the cluster that the triggerer finds itself in.
        installation: whose pods the watch is for.
        startup_timeout: seconds that the pod may take until it runs.
        keep: leave the pod when it has ended.
        deadline: seconds since the epoch at which the task's ``execution_timeout`` is over.
        ends_task: whether a success ends the task here.
        submitted: seconds since the epoch at which the pod was made.
        handed_over: the ``connections`` and ``variables`` that the worker was given, whose secrets no log shows.
        about: what the XCom ``outcome`` says beside the outcome.

    """

    def __init__(
        self,
        *,
        pod: str,
        uid: str,
        namespace: str,
        kubernetes_conn_id: str | None,
        installation: str,
        startup_timeout: float,
        keep: bool,
        deadline: float | None,
        ends_task: bool,
        submitted: float,
        handed_over: dict[str, list[str]],
        about: dict[str, Any],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pod = pod
        self.uid = uid
        self.namespace = namespace
        self.kubernetes_conn_id = kubernetes_conn_id
        self.installation = installation
        self.startup_timeout = startup_timeout
        self.keep = keep
        self.deadline = deadline
        self.ends_task = ends_task
        self.submitted = submitted
        self.handed_over = handed_over
        self.about = about
        self._is_ours_to_remove = True
        self._has_ended = False
        self._ending: asyncio.Task[None] | None = None
        self._found: Cluster | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another triggerer needs to go on."""
        return f"{__name__}.WorkerTrigger", {name: getattr(self, name) for name in _ARGUMENTS}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the pod to end."""
        from airflow_provider_tasks.workers.failures import WorkerError

        try:
            await asyncio.to_thread(_load)
            try:
                await asyncio.to_thread(self._mask)
                event = await self._wait()
            except WorkerError as error:
                told = {"category": error.category, "summary": error.summary, "advice": error.advice}
                event = self._tell("failed", **told, retry=error.retry)
            self._has_ended = True
            if not self._is_in_triggerer:
                await self._remove()
            yield event
            # Airflow cancels this trigger as soon as it has the event, and calls on_kill.
            await asyncio.sleep(PERSISTED_SECONDS)
            await self.on_kill()
        except asyncio.CancelledError as error:
            # Airflow 3.3 cancels again, each second, what it has cancelled: it may never come to on_kill. The end of
            # the triggerer, which leaves the pod to the next one, cancels without a word.
            if error.args:
                self._end()
            raise

    def _mask(self) -> None:
        """Have this process mask what is secret in what the worker was given: asking Airflow for it does."""
        from airflow_provider_tasks.workers.config import WorkerConfig
        from airflow_provider_tasks.workers.connections import handed_over

        handed_over(WorkerConfig.from_dict(self.handed_over))

    async def on_kill(self) -> None:
        """Remove the pod: somebody ended the task, or Airflow has what came of it."""
        await asyncio.shield(self._end())

    def _end(self) -> asyncio.Task[None]:
        """Have the pod removed once, whatever is cancelled meanwhile."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._remove_if_unwanted())
            _ENDING.add(self._ending)
            self._ending.add_done_callback(_ENDING.discard)
        return self._ending

    async def _remove_if_unwanted(self) -> None:
        """Remove the pod, unless another triggerer follows it.

        Airflow also cancels the trigger where another triggerer has taken over, as this one was silent for too long:
        then the task is still deferred, and the pod is that triggerer's.
        """
        try:
            if not await asyncio.to_thread(self._is_waited_for):
                await self._remove()
        except Exception:  # there is nobody to raise it to
            self.log.exception("The pod %s is left to whoever removes orphans", self.pod)

    def _is_waited_for(self) -> bool:
        """Whether the task is still deferred."""
        from airflow_provider_tasks.operators.states import TaskKey, state_of

        ti = self.task_instance
        if ti is None:
            return False
        return state_of(TaskKey(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)) == "deferred"

    async def _wait(self) -> TriggerEvent:
        from airflow_provider_tasks.workers.failures import ClusterError
        from airflow_provider_tasks.workers.kubernetes.follow import Follower, NotStartedError
        from airflow_provider_tasks.workers.kubernetes.identity import Identity
        from airflow_provider_tasks.workers.kubernetes.output import OutputReader
        from airflow_provider_tasks.workers.kubernetes.submit import Submitter
        from airflow_provider_tasks.workers.kubernetes.watch import SharedWatch

        self._note(f"Following the output of {self.pod}, from its beginning")
        selector = Identity.selector(self.installation)
        async with SharedWatch.subscribe(await self._cluster(), self.namespace, selector, self.pod) as shared:
            follower = Follower(
                shared.api,
                self.pod,
                shared,
                OutputReader(self._print),
                on_note=self._warn,
                startup_timeout=self.startup_timeout,
                pause=lambda: asyncio.sleep(0),
                mend=lambda: Submitter(shared.api, None, self._note).ensure_runtime(again=True),
                fetches=False,
            )
            left = None if self.deadline is None else max(0.0, self.deadline - time.time())
            try:
                finish = await asyncio.wait_for(follower.follow(), left)
            except TimeoutError:
                return self._tell("timeout")
            except ClusterError as error:
                # The pod may be well: the next try takes it over.
                self._is_ours_to_remove = isinstance(error, NotStartedError)
                raise
            finally:
                await follower.close()
                self._lines.close()
        return await self._event(finish, follower)

    async def _event(self, finish: Finish, follower: Follower) -> TriggerEvent:
        """Return what Airflow is told of ``finish``."""
        from airflow_provider_tasks.operators.outcomes import outcome_xcom
        from airflow_provider_tasks.operators.xcom import to_xcom
        from airflow_provider_tasks.workers.kubernetes.result import outcome_of_finish
        from airflow_provider_tasks.workers.settings import read_sizes

        timeline, elapsed = follower.timeline, time.time() - self.submitted
        times = {"timeline": timeline, "elapsed": elapsed}
        if finish.is_announced:
            self._is_ours_to_remove = False
            where = {"kubernetes_conn_id": self.kubernetes_conn_id, "namespace": self.namespace}
            return self._tell("fetch", pod=self.pod, uid=self.uid, keep=self.keep, **where, **times)
        outcome = outcome_of_finish(finish, timeline, elapsed, read_sizes())
        if not self.ends_task or not self._is_in_triggerer or outcome.status == "failure":
            return self._tell("ended", message=finish.message, **times)
        self._lines.result(self.pod, outcome, self.about.get("memory_limit"))
        # Not as XComs of the event: Airflow 3.3 writes those as the text of their JSON.
        await self._push("outcome", redact(outcome_xcom(outcome, **self.about)))
        if outcome.status == "skipped":
            self.log.info("Skipped: %s", outcome.message)
            return TaskSkippedEvent()
        if outcome.result is not None:
            await self._push("return_value", to_xcom(outcome.result))
        return TaskSuccessEvent()

    async def _push(self, key: str, value: Any) -> None:
        from airflow.sdk.execution_time.xcom import XCom

        ti = self.task_instance
        assert ti is not None
        await XCom.aset(
            key=key, value=value, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index
        )

    def _tell(self, kind: str, **what: Any) -> TriggerEvent:
        """Return what an Airflow worker goes on with."""
        return TriggerEvent(_Told({"kind": kind, "about": self.about, "handed_over": self.handed_over, **what}))  # type: ignore[no-untyped-call]

    @property
    def _is_in_triggerer(self) -> bool:
        """Whether this runs in Airflow's triggerer; ``dag.test()`` knows only events that an Airflow worker takes."""
        return self.trigger_id is not None

    @cached_property
    def _lines(self) -> RunLog:
        return RunLog(self.log)

    def _print(self, line: str) -> None:
        """Take a line of the pod's output."""
        self._lines.output(line)

    def _note(self, line: str) -> None:
        """Take a line about the pod."""
        self._lines.note(line)

    def _warn(self, line: str) -> None:
        """Take a line that somebody should look at."""
        self._lines.trouble(line)

    async def _cluster(self) -> Cluster:
        from airflow.sdk import Connection

        from airflow_provider_tasks.workers.connections import cluster_of

        if self._found is None:
            conn_id = self.kubernetes_conn_id
            self._found = cluster_of(await Connection.async_get(conn_id) if conn_id else None)
        return self._found

    async def _remove(self) -> None:
        # One that is to be kept is so when its task has ended, not where somebody ended it.
        if (self.keep and self._has_ended) or not self._is_ours_to_remove:
            return
        from airflow_provider_tasks.workers.kubernetes.api import Api

        async with Api(await self._cluster(), self.namespace) as api:
            await api.delete_pod(self.pod, uid=self.uid)


def _load() -> None:
    """Import what takes a while, which would hold up all other triggers."""
    import httpx2
    import lightkube.config.client_adapter

    from airflow_provider_tasks.operators import outcomes, xcom
    from airflow_provider_tasks.workers.kubernetes import client, follow, watch

    del httpx2, lightkube, outcomes, xcom, client, follow, watch


class _Told(dict[str, Any]):
    """What an event holds; Airflow writes its ``repr`` into the task's log, where an outcome is no use."""

    def __repr__(self) -> str:
        return str(self["kind"])
