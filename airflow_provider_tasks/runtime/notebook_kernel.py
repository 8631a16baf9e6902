"""The kernel that runs a notebook: it is this package's to start and to end.

papermill is given a kernel manager of our own, so that the kernel ends with the call however that ends, and finds this
package. It talks over sockets in a folder of this user's alone: over TCP, any user of the machine could listen.
"""

from __future__ import annotations

import contextvars
import os
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from airflow_provider_tasks.runtime import processes
from airflow_provider_tasks.runtime.context import handed_on
from airflow_provider_tasks.runtime.home import python_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_T = TypeVar("_T")

_MARK = "AIRFLOW_NOTEBOOK_KERNEL"
"""The variable by which the processes of a kernel are known."""

_LONGEST_SOCKET = 90
"""Bytes that a socket's path may have, its number left out: systems allow about 104."""

_PATIENCE = 10.0
"""Seconds that an exception in the caller waits for a notebook, whose kernel is gone, to be put away."""


class StoppedError(Exception):
    """The caller wants no more of the notebook; it never leaves the notebook's thread."""


class Kernel:
    """The kernel of one notebook, which may be stopped from another thread at any time.

    Args:
        name: Which kernel.

    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._mark = os.urandom(8).hex()
        self._manager: Any = None
        self._stopped = False

    def check(self) -> None:
        """Raise `StoppedError` if the kernel was stopped."""
        if self._stopped:
            raise StoppedError

    def stop(self) -> None:
        """End the kernel and all that it started, also one that only begins to start; twice is fine."""
        self._stopped = True
        self._kill()

    def _kill(self) -> None:
        processes.kill_marked(_MARK, self._mark)
        process = getattr(getattr(self._manager, "provisioner", None), "process", None)
        if process is not None:
            process.kill()  # where the system does not list processes

    def tell(self, code: str) -> None:
        """Have the kernel run code of our own; it takes requests in order, and nobody waits for the answer to this."""
        self._manager.clients[-1].execute(code, silent=True, store_history=False, stop_on_error=False)

    @contextmanager
    def managed(self) -> Iterator[Any]:
        """Give a manager for papermill, which starts the kernel with it; at the end no kernel is left.

        After what ends well the kernel is asked to end, so that its exit handlers run; otherwise it is killed.
        """
        from nbclient.util import run_sync

        with tempfile.TemporaryDirectory(prefix="notebook-") as folder, handed_on() as context:
            self._manager = _manager_class()(
                environment={**python_environment(os.environ), **context, _MARK: self._mark},
                before_start=self.check,
                kernel_name=self._name,
                **_connection(folder),
            )
            loop = run_sync(_this_loop)()
            try:
                yield self._manager
                run_sync(self._manager.end)(now=False)
            except BaseException:
                self._kill()
                run_sync(self._manager.end)(now=True)
                raise
            finally:
                run_sync(_cancel_all)()
                loop.close()


def apart(call: Callable[[], _T], stop: Callable[[], None]) -> _T:
    """Call something in a thread of its own, and wait for it.

    An exception that a signal brings (Ctrl-C, a time limit of Airflow's) then meets the caller, who only waits, and
    not Jupyter's sockets and loops half-way, which would leave processes behind or hang.

    Args:
        call: What to call.
        stop: What to call to have that end soon.

    Returns:
        What ``call`` returns.

    Raises:
        BaseException: What ``call`` raises, or the exception that came while it was waited for.

    >>> apart(lambda: 3, lambda: None)
    3
    """
    ended: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            ended.append((True, call()))
        except BaseException as error:
            ended.append((False, error))

    # A context of its own as well: Jupyter keeps the loop of a thread in it.
    thread = threading.Thread(target=contextvars.Context().run, args=(run,), name="notebook", daemon=True)
    try:
        thread.start()
        thread.join()
    except BaseException:
        end = time.monotonic() + _PATIENCE
        while not ended and time.monotonic() < end:
            stop()
            thread.join(0.05)
        raise
    succeeded, outcome = ended.pop()
    if not succeeded:
        raise outcome
    return outcome  # type: ignore[no-any-return]


def _connection(folder: str) -> dict[str, str]:
    file = os.path.join(folder, "kernel.json")
    if sys.platform != "win32" and len(os.fsencode(file)) <= _LONGEST_SOCKET:
        return {"connection_file": file, "transport": "ipc"}
    encryption = {"transport_encryption": "auto"} if hasattr(_manager_class(), "transport_encryption") else {}
    return {"connection_file": file, "transport": "tcp", **encryption}


@cache
def _manager_class() -> Any:
    from jupyter_client import AsyncKernelManager  # type: ignore[attr-defined]

    class OwnKernelManager(AsyncKernelManager):
        """Starts a kernel with `environment`, and ends it with all that talks to it."""

        def __init__(self, environment: Mapping[str, str], before_start: Callable[[], None], **traits: Any) -> None:
            super().__init__(**traits)
            self.environment = dict(environment)
            self.before_start = before_start
            self.clients: list[Any] = []

        async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # that of the class above is async
            self.before_start()
            await super().start_kernel(**{"env": self.environment, **options})

        def client(self, **options: Any) -> Any:
            client = super().client(**options)
            self.clients.append(client)
            return client

        async def end(self, *, now: bool) -> None:
            try:
                if self.has_kernel:
                    await self.shutdown_kernel(now=now)
                else:
                    await self.cleanup_resources()
            finally:
                while self.clients:
                    self.clients.pop().stop_channels()

    return OwnKernelManager


async def _this_loop() -> Any:
    import asyncio

    return asyncio.get_running_loop()


async def _cancel_all() -> None:
    """End what still waits in this loop: for a kernel that is gone."""
    import asyncio

    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
