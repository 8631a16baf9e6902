"""What every worker is, whatever it runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_tasks.runtime.messages import Environment, Request
    from airflow_provider_tasks.runtime.outcome import Outcome


class WorkerBackend(Protocol):
    """A place where one request after another runs.

    ``name`` tells it from all others; ``place`` says where it is, for people. A backend is a context manager:
    leaving it ends whatever runs and removes the worker, unless it is to be kept.
    """

    name: str

    @property
    def place(self) -> str:
        """Where the worker is, for people: a folder, a pod."""

    @property
    def environment(self) -> Environment:
        """What a request's environment must say because it goes to this worker."""

    def run(self, request: Request, on_output: Callable[[str], None]) -> Outcome:
        """Run ``request`` and return its outcome; each line of output goes to ``on_output`` as it comes.

        Raises:
            WorkerError: the worker itself failed.

        """

    def kill(self) -> None:
        """End what runs, its whole family of processes; may be called from a signal handler, and twice."""

    def close(self) -> None:
        """End the worker, and remove it unless it is to be kept; calling it twice is allowed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
