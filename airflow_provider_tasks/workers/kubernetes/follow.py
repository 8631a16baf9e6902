"""One pod from its start to its end: what happens to it, what it prints, and what came of its request.

Nothing here waits a fixed time for something that the cluster tells: the pod's states come from a watch, its output
from a log that is followed. The same code serves a task that waits in an Airflow worker and one that waits in the
triggerer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.runtime.outcome import MalformedOutcomeError, Outcome
from airflow_provider_tasks.workers.failures import BY_CATEGORY, ClusterError, PayloadError, WorkerError
from airflow_provider_tasks.workers.kubernetes.answers import NotFoundError, RefusedError, StreamCutError
from airflow_provider_tasks.workers.kubernetes.fetch import fetch_outcome
from airflow_provider_tasks.workers.kubernetes.message import parse_message
from airflow_provider_tasks.workers.kubernetes.submit import container_state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from airflow_provider_tasks.workers.kubernetes.api import Api
    from airflow_provider_tasks.workers.kubernetes.output import OutputReader
    from airflow_provider_tasks.workers.pod_diagnosis import Trouble

LOOKS = (2.0, 3.0, 5.0, 10.0, 20.0)
"""Seconds between two looks at the events of a pod that does not start; the last one again and again."""

CUT_WAITS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds until a log that was cut is read again; the last one again and again."""

QUIET = (60.0, 120.0, 240.0, 480.0, 960.0)
"""Seconds without output after which the log is read again, the last one again and again: the connection may be dead,
and some kubelets forget who follows a log when they begin a new one."""

_SILENCE = 5.0
"""Seconds after which a log that gives nothing, though its container has ended, is taken for one that was cut."""

_LAST_WORDS = 3.0
"""Seconds for which the output of a pod that is gone may still come: kubelets give a container two to end."""

ROTATED_BYTES = 8 * 2**20
"""Bytes of a log beyond which a cluster may have begun a new one; the kubelet's own limit is 10 MiB."""

NODE_SECONDS = 120.0
"""Seconds for which the cluster may have heard nothing of a running pod's node, until the node is taken for lost; the
cluster itself takes five minutes unless it is told otherwise, and where no node answers it waits for ever."""

DELETION_SECONDS = 15.0
"""Seconds beyond its own that a pod which is being deleted may take, until its node is taken for lost."""

_READ_AGAIN = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 5.0)
"""Seconds before each reading of the log of a pod that has ended, until all lines of it are there.

A busy container engine writes the last ones when it has told of the end already. As long as a reading brings more,
another one follows.
"""


class NotStartedError(ClusterError):
    """The pod did not start in time, and its settings are not to blame."""


@dataclass(kw_only=True)
class Finish:
    """How a request ended: its ``outcome``, or what is known of a pod that reported none.

    ``is_announced`` says that there is one, which has not been fetched; ``message`` is the pod's termination message.
    """

    outcome: Outcome | None = None
    is_announced: bool = False
    message: str = ""
    pod: dict[str, Any] | None = None
    deleted: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)


class Follower:
    """Follows one pod.

    Args:
        api: the cluster.
        name: the pod.
        pods: its states as they come, each with what happened (``ADDED``, ``MODIFIED``, ``DELETED``).
        reader: takes its output.
        on_note: called with a line for people: what a pod that does not start is waiting for.
        startup_timeout: seconds that it may take until it runs.
        pause: awaited after each piece of output, so that whoever writes it down can keep up.
        mend: called when the pod waits for a Secret of the provider's own.
        fetches: fetch an outcome that is too long for a termination message.

    """

    def __init__(
        self,
        api: Api,
        name: str,
        pods: AsyncIterator[tuple[str, dict[str, Any]]],
        reader: OutputReader,
        *,
        on_note: Callable[[str], None],
        startup_timeout: float,
        pause: Callable[[], Awaitable[None]] | None = None,
        mend: Callable[[], Awaitable[None]] | None = None,
        fetches: bool = True,
    ) -> None:
        self._api = api
        self._name = name
        self._pods = pods
        self._reader = reader
        self._note = on_note
        self._startup_timeout = startup_timeout
        self._pause = pause
        self._mend = mend
        self._fetches = fetches
        self._pod: dict[str, Any] | None = None
        self._events: list[dict[str, Any]] = []
        self._began = time.monotonic()
        self._seen: dict[str, float] = {}
        self._told: set[str] = set()
        self._lost = 0
        self._trouble: Trouble | None = None
        self._change: asyncio.Future[tuple[str, dict[str, Any]]] | None = None
        self._log: asyncio.Task[None] | None = None
        self._progress = asyncio.Event()
        self._over = asyncio.Event()
        self._has_ended = False

    @property
    def timeline(self) -> dict[str, float]:
        """Seconds that went by until the pod had a node, and from there until its container ran."""
        scheduled = self._seen.get("scheduled")
        return {} if scheduled is None else {"scheduled": scheduled - self._began, "image": self._seconds_of_image()}

    async def follow(self, number: int = 1) -> Finish:
        """Wait until request ``number`` of the pod has ended.

        Raises:
            WorkerError: the pod can't start, or the cluster does not answer.

        """
        looks = iter(LOOKS)
        look: asyncio.Task[None] | None = None
        fetch: asyncio.Task[Outcome] | None = None
        leave: asyncio.Task[None] | None = None
        lost: asyncio.Task[None] | None = None
        try:
            while True:
                if self._change is None:
                    self._change = asyncio.ensure_future(anext(self._pods))
                if look is None and self._log is None:
                    look = asyncio.create_task(asyncio.sleep(next(looks, LOOKS[-1])))
                if self._reader.outcomes >= number and not self._fetches:
                    self._tell_lost()
                    return Finish(is_announced=True, pod=self._pod)
                if fetch is None and self._reader.outcomes >= number:
                    fetch = asyncio.create_task(fetch_outcome(self._api, self._name, number))
                progress = asyncio.create_task(self._progress.wait())
                tasks = {task for task in (self._change, look, fetch, leave, lost, progress) if task is not None}
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                progress.cancel()
                self._progress.clear()
                if fetch is not None and fetch in done:
                    self._tell_lost()
                    return Finish(outcome=fetch.result(), pod=self._pod)
                if self._change in done:
                    (kind, self._pod), self._change = self._change.result(), None
                    if kind == "DELETED" or container_state(self._pod, "terminated") or _phase(self._pod) == "Failed":
                        return await self._finish(deleted=kind == "DELETED")
                    if self._is_running() and self._log is None:
                        self._log = asyncio.create_task(self._read_log())
                        await _cancel(look)
                        look = None
                    if leave is None and self._pod["metadata"].get("deletionTimestamp"):
                        leave = asyncio.create_task(asyncio.sleep(_seconds_to_end(self._pod)))
                    if lost is None and _has_lost_its_node(self._pod):
                        lost = asyncio.create_task(asyncio.sleep(NODE_SECONDS))
                    elif lost is not None and not _has_lost_its_node(self._pod):
                        await _cancel(lost)
                        lost = None
                if lost is not None and lost in done:
                    self._events = []  # its end is told by the latest
                    return await self._finish(deleted=False)
                if leave is not None and leave in done:
                    # Its node does not answer: nobody will ever say that it has ended.
                    return await self._finish(deleted=True)
                if look is not None and look in done:
                    look = None
                    await self._look()
        finally:
            await _cancel(look, fetch, leave, lost)

    async def close(self) -> None:
        """Stop following."""
        self._over.set()
        await _cancel(self._log, self._change)

    def _is_running(self) -> bool:
        """Take note of the pod's state; whether its container runs."""
        assert self._pod is not None
        if self._pod.get("spec", {}).get("nodeName"):
            self._seen.setdefault("scheduled", time.monotonic())
        if container_state(self._pod, "running") is not None:
            return True
        self._tell_trouble()
        return False

    def _tell_trouble(self) -> None:
        """Say what keeps the pod from starting; where waiting can't help, end it."""
        from airflow_provider_tasks.workers.pod_diagnosis import startup_trouble

        assert self._pod is not None
        trouble = startup_trouble(self._pod, self._events)
        if trouble is None:
            return
        self._trouble = trouble
        if trouble.final:
            raise BY_CATEGORY[trouble.category](trouble.summary, trouble.advice, retry=trouble.retry)
        if trouble.summary not in self._told:
            self._told.add(trouble.summary)
            left = max(0.0, self._startup_timeout - (time.monotonic() - self._began))
            self._note(f"The pod does not start yet: {trouble.summary}")
            self._note(f"{trouble.advice} It may take {left:.0f} s more (startup_timeout).")

    async def _look(self) -> None:
        """Look at the events of a pod that does not start."""
        if self._pod is None:
            return
        self._events = await self._api.events(self._pod["metadata"]["uid"])
        if self._mend is not None and _waits_for_volumes(self._pod, self._events):
            await self._mend()
        self._tell_trouble()
        waited = time.monotonic() - self._began
        if waited < self._startup_timeout:
            return
        summary = f"the pod did not start within {self._startup_timeout:.0f} s (startup_timeout)"
        if self._trouble is None:
            raise NotStartedError(f"{summary}: {_last_event(self._events)}", "Raise startup_timeout for slow starts.")
        trouble = self._trouble
        cls = {**BY_CATEGORY, ClusterError.category: NotStartedError}[trouble.category]
        raise cls(f"{summary}: {trouble.summary}", trouble.advice, retry=trouble.retry)

    async def _read_log(self) -> None:
        """Follow the log, again after each cut, until the pod has ended."""
        waits, quiets = iter(CUT_WAITS), iter(QUIET)
        while not self._over.is_set():
            before = self._reader.lines
            try:
                async for data in self._api.log(self._name, follow=True, idle=next(quiets, QUIET[-1])):
                    await self._take(data)
                # It ends when the container has ended, of which the watch is about to tell.
                wait = _SILENCE
            except (WorkerError, OSError):
                if self._reader.lines > before:
                    waits, quiets = iter(CUT_WAITS), iter(QUIET)
                wait = next(waits, CUT_WAITS[-1])
            if self._has_ended:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), wait)
            self._reader.start_again()

    async def _take(self, data: bytes) -> None:
        outcomes = self._reader.outcomes
        self._reader.feed(data)
        if self._has_ended or self._reader.outcomes > outcomes:
            self._progress.set()
        if self._pause is not None:
            await self._pause()

    async def _finish(self, *, deleted: bool) -> Finish:
        """Return what came of a pod that has ended, when all of its output has been read."""
        assert self._pod is not None
        finish = Finish(pod=self._pod, deleted=deleted, events=self._events)
        terminated = container_state(self._pod, "terminated") or {}
        try:
            message = parse_message(terminated.get("message"))
        except MalformedOutcomeError as error:
            raise PayloadError(f"the worker's outcome can't be read: {error}") from error
        lines = message.lines if message is not None else None
        if not deleted and terminated:
            await self._read_rest(lines)
        elif self._log is not None:
            self._over.set()
            await asyncio.wait({self._log}, timeout=_LAST_WORDS)
            await _cancel(self._log)  # or it would go on with a line that is told as the last one now
        self._reader.end(lines)
        self._tell_lost()
        if message is not None:
            finish.outcome = message.outcome
            finish.message = str(terminated.get("message"))
        uid = self._pod["metadata"].get("uid")  # which one that was never seen has not
        if finish.outcome is None and not finish.events and uid:
            with contextlib.suppress(WorkerError):
                finish.events = await self._api.events(uid)
        return finish

    def _tell_lost(self) -> None:
        lost, self._lost = self._reader.lost - self._lost, self._reader.lost
        if lost:
            self._note(f"{lost:,} lines of output are missing: the cluster no longer had them.")

    async def _read_rest(self, lines: int | None) -> None:
        """Read what is left of the output of a container that has ended."""
        self._has_ended = True
        if lines is not None and self._reader.expected_bytes(lines) > ROTATED_BYTES:
            # Only who follows it still sees what the cluster has rotated away.
            await self._read_on(lines)
        await _cancel(self._log)
        before = -1
        for number, wait in enumerate(itertools.chain(_READ_AGAIN, itertools.repeat(_READ_AGAIN[-1]))):
            brought_none, before = self._reader.lines == before, self._reader.lines
            if (lines is not None and before >= lines) or (number >= len(_READ_AGAIN) and brought_none):
                return
            await asyncio.sleep(wait)
            self._reader.start_again()
            try:
                # Which takes a fraction of the time: a log that is followed comes line by line.
                async for data in self._api.log(self._name, follow=False, idle=QUIET[0]):
                    await self._take(data)
            except NotFoundError:
                return
            except (RefusedError, StreamCutError, OSError):
                continue
            except WorkerError:
                return  # there was no answer for as long as there is patience, and the outcome is known
            if lines is None and wait and self._reader.lines == before:
                return

    async def _read_on(self, lines: int) -> None:
        """Follow the log as long as that brings something."""
        while self._log is not None and not self._log.done() and self._reader.lines < lines:
            self._progress.clear()
            progress = asyncio.create_task(self._progress.wait())
            done, _ = await asyncio.wait({self._log, progress}, timeout=_SILENCE, return_when=asyncio.FIRST_COMPLETED)
            progress.cancel()
            if not done:
                return

    def _seconds_of_image(self) -> float:
        for event in self._events:
            words = str(event.get("message", "")).split(" in ")
            if event.get("reason") == "Pulled" and len(words) > 1:
                with contextlib.suppress(ValueError):
                    return float(words[1].split("s")[0])
        return 0.0


def _seconds_to_end(pod: dict[str, Any]) -> float:
    """Return how long a pod that is being deleted may take until it is gone."""
    seconds = pod["metadata"].get("deletionGracePeriodSeconds")
    return float(seconds if isinstance(seconds, int) else 30) + DELETION_SECONDS


def _has_lost_its_node(pod: dict[str, Any]) -> bool:
    """Whether the cluster says that a container which runs is not ready: its node has not been heard of."""
    conditions = {found.get("type"): found.get("status") for found in pod["status"].get("conditions") or ()}
    is_running = container_state(pod, "running") is not None
    return is_running and conditions.get("Ready") == "False" and conditions.get("ContainersReady") == "True"


def _phase(pod: dict[str, Any]) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def _waits_for_volumes(pod: dict[str, Any], events: list[dict[str, Any]]) -> bool:
    """Whether a node has the pod and has not come to its image yet: a Secret of ours may be gone.

    Kubelets tell late of a Secret that is not there, some only after two minutes.
    """
    has_node = bool(pod.get("spec", {}).get("nodeName"))
    return has_node and not any(event.get("reason") in ("Pulling", "Pulled", "Failed", "BackOff") for event in events)


def _last_event(events: list[dict[str, Any]]) -> str:
    if not events:
        return "the cluster tells of nothing that happened to it"
    return f"{events[-1].get('reason')}: {events[-1].get('message')}"


async def _cancel(*tasks: asyncio.Future[Any] | None) -> None:
    for task in tasks:
        if task is not None and not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
