"""``python -m benchmarks.pods_triggerer``: the process in which Airflow's triggerer runs triggers.

It is Airflow's own `TriggerRunner`, without its loop, which looks for new triggers each second. A line of JSON on
standard input is a task that was deferred; the answer is a line with the event of its trigger, and another one when
Airflow has taken the event and the trigger has ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from airflow.executors.workloads.task import TaskInstanceDTO
from airflow.executors.workloads.trigger import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates, OKResponse, TaskStatesResult

from benchmarks.measuring import memory
from benchmarks.pods_task import log_as_a_task, names_of

_TICK = 0.1


class Triggerer(TriggerRunner):
    """Runs triggers as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.events = _Events()
        self._last = 0
        task_runner.SUPERVISOR_COMMS = _Supervisor()  # takes XComs, and drops them

    async def start(self, tasks: list[tuple[dict[str, Any], dict[str, Any]]]) -> int:
        """Start the triggers of deferred tasks, and return the number of the last."""
        for deferred, told in tasks:
            self._last += 1
            ti = TaskInstanceDTO(**names_of(told), pool_slots=1, priority_weight=1)
            arguments = json.dumps(deferred["trigger_kwargs"])
            self.to_create.append(
                RunTrigger(id=self._last, classpath=deferred["classpath"], encrypted_kwargs=arguments, ti=ti)
            )
        await self.create_triggers()
        if self.failed_triggers:
            raise RuntimeError(f"a trigger can't be made: {self.failed_triggers}")
        return self._last

    async def end(self, number: int) -> None:
        """Have a trigger cancelled whose event Airflow has, as it does when it no longer finds it in its database."""
        running = self.triggers[number]["task"]
        self.to_cancel.append(number)
        await self.cancel_triggers()
        await asyncio.wait({running})
        await self.cleanup_finished_triggers()


class _Supervisor:
    """Answers what triggers ask: of a task whose trigger is cancelled, that it has ended."""

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)

    def send(self, msg: Any) -> Any:
        if isinstance(msg, GetTaskStates):
            tasks = dict.fromkeys(msg.task_ids or (), "success")
            return TaskStatesResult(task_states=dict.fromkeys(msg.run_ids or (), tasks))
        if type(msg).__name__ not in ("SetXCom", "MaskSecret"):
            raise RuntimeError(f"a trigger asked for {msg!r}, which nobody here can answer")
        return OKResponse(ok=True)


class _Events(asyncio.Queue):
    """The events, to be waited for; Airflow's runner appends to a deque."""

    def append(self, entry: Any) -> None:
        self.put_nowait(entry)


async def serve() -> None:
    """Do what standard input says, until it ends."""
    triggerer = Triggerer()
    _tell({"ready": True})
    while line := await asyncio.to_thread(sys.stdin.readline):
        told = json.loads(line)
        if "wait" in told:
            await _wait(triggerer, told)
        cpu = time.process_time()
        number = await triggerer.start([(told["deferred"], told)])
        entry = await asyncio.wait_for(triggerer.events.get(), 300)
        _tell({"at": time.monotonic(), "event": entry.event.model_dump(mode="json")})
        await triggerer.end(number)
        _tell({"cpu": time.process_time() - cpu})


async def _wait(triggerer: Triggerer, told: dict[str, Any]) -> None:
    """Have triggers wait, until this process is ended by the thread that looks on."""
    watchdog = _Watchdog(triggerer, told)
    threading.Thread(target=watchdog.look_on, daemon=True).start()
    await triggerer.start(
        [(one, {"dag": "waiting", "task": str(n), "run": "run"}) for n, one in enumerate(told["wait"])]
    )
    watchdog.all_started.set()
    while True:
        await watchdog.tick()


class _Watchdog:
    """Measures what it takes that triggers wait, in a thread: a triggerer that is overloaded keeps no time."""

    def __init__(self, triggerer: Triggerer, told: dict[str, Any]) -> None:
        self._triggerer = triggerer
        self._told = told
        self.all_started = threading.Event()
        self._ticked = time.monotonic()
        self._longest = 0.0
        self._held = memory("VmRSS")

    async def tick(self) -> None:
        """Wait a little, as Airflow's own watchdog does, and note how much later that ends."""
        self._ticked = time.monotonic()
        await asyncio.sleep(_TICK)
        self._longest = max(self._longest, time.monotonic() - self._ticked - _TICK)

    def look_on(self) -> None:
        self.all_started.wait(self._told["patience"])
        time.sleep(self._told["settle"])
        started = sum(not trigger["task"].done() for trigger in list(self._triggerer.triggers.values()))
        self._longest = 0.0
        begun, cpu = time.time(), time.process_time()
        time.sleep(self._told["seconds"])
        measured = {"begun": begun, "ended": time.time(), "cpu": time.process_time() - cpu, "started": started}
        held_up = max(self._longest, min(time.monotonic() - self._ticked - _TICK, self._told["seconds"]))
        _tell({**measured, "memory": memory("VmRSS") - self._held, "held_up": held_up})
        os._exit(0)  # with triggers that wait


def _tell(told: dict[str, Any]) -> None:
    print(json.dumps(told), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    log_as_a_task(Path(sys.argv[1]))
    asyncio.run(serve())
