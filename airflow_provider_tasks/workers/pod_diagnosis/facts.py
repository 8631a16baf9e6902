"""What is known of a pod, read from the API's JSON.

Everything here takes any JSON: what is missing or of another type reads as nothing, so that an old server, a new one
or a strange one makes a diagnosis poorer and never an error. The fields are those of
https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ and
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

WORKER = "worker"
"""The container that runs the task."""

_TEXT_LIMIT = 4000


class Condition(NamedTuple):
    """One of the pod's conditions."""

    type: str
    status: str
    reason: str
    message: str


class State(NamedTuple):
    """How a container is: ``waiting``, ``running``, ``terminated``, or nothing where the status does not say."""

    name: str
    kind: str
    is_init: bool
    reason: str
    message: str
    exit_code: int | None
    signal: int | None
    """What ended it, also where only the exit code tells (128 and more)."""

    @property
    def has_failed(self) -> bool:
        """Whether it ended otherwise than well."""
        return self.kind == "terminated" and self.exit_code != 0


class Event(NamedTuple):
    """An event of the pod, which came ``times`` times; ``first`` and ``last`` are seconds since 1970, 0 for unknown."""

    reason: str
    message: str
    times: int
    first: float
    last: float


@dataclass(frozen=True)
class Facts:
    """What is known of a pod; ``events`` stand in the order in which they came last."""

    name: str
    node: str
    phase: str
    reason: str
    message: str
    nominated_node: str
    is_deleted: bool
    spec: Mapping[str, Any]
    conditions: tuple[Condition, ...]
    states: tuple[State, ...]
    events: tuple[Event, ...]

    @classmethod
    def read(cls, pod: object, events: object = (), *, deleted: bool = False) -> Facts:
        """Read a pod and its events, whatever they hold."""
        metadata, spec, status = (mapping(mapping(pod).get(key)) for key in ("metadata", "spec", "status"))
        uid = text(metadata.get("uid"))
        found = (event for event in items(events) if not uid or text(_about(event).get("uid")) in ("", uid))
        name = text(metadata.get("name")) or next(
            (text(_about(event).get("name")) for event in items(events) if _about(event).get("name")), ""
        )
        return cls(
            name=name,
            node=text(spec.get("nodeName")),
            phase=text(status.get("phase")),
            reason=text(status.get("reason")),
            message=text(status.get("message")),
            nominated_node=text(status.get("nominatedNodeName")),
            is_deleted=deleted or bool(metadata.get("deletionTimestamp")),
            spec=spec,
            conditions=tuple(
                Condition(*(text(item.get(key)) for key in Condition._fields))
                for item in items(status.get("conditions"))
            ),
            states=tuple(
                _state(item, is_init=is_init)
                for key, is_init in (("initContainerStatuses", True), ("containerStatuses", False))
                for item in items(status.get(key))
            ),
            events=tuple(sorted(map(_event, found), key=lambda event: event.last)),
        )

    @property
    def pod(self) -> str:
        """The pod, for people."""
        return f"pod {self.name}" if self.name else "the worker's pod"

    @property
    def pod_on_node(self) -> str:
        """The pod and where it is, for people."""
        return f"{self.pod} on node {self.node}" if self.node else self.pod

    @property
    def worker(self) -> State | None:
        """The state of the worker's container; of the only one, where none has its name."""
        own = [state for state in self.states if not state.is_init]
        return next((state for state in own if state.name == WORKER), own[0] if len(own) == 1 else None)

    @property
    def others(self) -> list[State]:
        """The states of the containers that are not the worker's."""
        return [state for state in self.states if state is not self.worker]

    @property
    def has_started(self) -> bool:
        """Whether the worker's container runs or has run."""
        return self.worker is not None and self.worker.kind in ("running", "terminated")

    def condition(self, kind: str, status: str) -> Condition | None:
        """Return the condition ``kind`` where it has ``status``."""
        return next((item for item in self.conditions if (item.type, item.status) == (kind, status)), None)

    def last_event(self, *reasons: str) -> Event | None:
        """Return the newest event of one of ``reasons``; of all of them where none is given."""
        return next((event for event in reversed(self.events) if not reasons or event.reason in reasons), None)

    def container(self, name: str = WORKER) -> Mapping[str, Any]:
        """Return the container ``name`` of the pod's spec; the only one, where none has the name."""
        own = [*items(self.spec.get("containers"))]
        named = [*own, *items(self.spec.get("initContainers"))]
        default = own[0] if len(own) == 1 else {}
        return next((item for item in named if item.get("name") == name), default)

    def amount(self, resource: str, kind: str = "requests", container: str = WORKER) -> str:
        """Return how much of ``resource`` a container asks for, or may have (``limits``), as its spec says it."""
        amount = mapping(mapping(self.container(container).get("resources")).get(kind)).get(resource)
        is_number = isinstance(amount, (int, float)) and abs(amount) < 2**63
        return str(amount) if is_number else text(amount)


def mapping(value: object) -> Mapping[str, Any]:
    """Return ``value`` where it is an object, or an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def items(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list."""
    many: Iterable[object] = value if isinstance(value, (list, tuple)) else ()
    return (cast("Mapping[str, Any]", item) for item in many if isinstance(item, dict))


def text(value: object) -> str:
    r"""Return ``value`` where it is text, in one line that every log takes.

    >>> text("a\n b\0"), text(None), text(3)
    ('a b\\x00', '', '')
    """
    if not isinstance(value, str):
        return ""
    line = " ".join(value[:_TEXT_LIMIT].split())
    return line.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def find(pattern: str, message: str) -> str:
    """Return what the first group of ``pattern`` finds in ``message``; everything where it has no group.

    >>> find('secret "([^"]+)" not found', 'secret "a" not found')
    'a'
    """
    match = re.search(pattern, message, re.IGNORECASE)
    return "" if match is None else (match[1] if match.re.groups else match[0]) or ""


def without_rpc(message: str) -> str:
    """Return a message of the container runtime without what only its authors need.

    >>> without_rpc('rpc error: code = NotFound desc = failed to resolve reference "a": not found')
    'failed to resolve reference "a": not found'
    """
    return re.sub(r"^(?:.*?)rpc error: code = \w+ desc = ", "", message)


def shortened(message: str, length: int = 300) -> str:
    """Return ``message`` without its full stop, and its middle left out where it is long: its ends matter most.

    >>> shortened("no space left."), shortened("0123456789", 6)
    ('no space left', '01 … 6789')
    """
    message = message.rstrip(" .")
    if len(message) <= length:
        return message
    return f"{message[: length // 3]} … {message[-(length - length // 3) :]}"


def _about(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(event.get("involvedObject"))


def _state(item: Mapping[str, Any], *, is_init: bool) -> State:
    state = mapping(item.get("state"))
    kind = next((kind for kind in ("terminated", "running", "waiting") if isinstance(state.get(kind), dict)), "")
    found = mapping(state.get(kind))
    exit_code = _integer(found.get("exitCode"))
    signal = _integer(found.get("signal")) or None
    if signal is None and exit_code is not None and 128 < exit_code <= 128 + 64:
        signal = exit_code - 128
    reason, message = text(found.get("reason")), text(found.get("message"))
    return State(text(item.get("name")), kind, is_init, reason, message, exit_code, signal)


def _event(item: Mapping[str, Any]) -> Event:
    series = mapping(item.get("series"))
    first = _seconds(item.get("firstTimestamp")) or _seconds(item.get("eventTime"))
    last = max(_seconds(item.get("lastTimestamp")), _seconds(series.get("lastObservedTime")), first)
    count = _integer(series.get("count")) or _integer(item.get("count")) or 1
    return Event(text(item.get("reason")), text(item.get("message")), count, first or last, last)


def _integer(value: object) -> int | None:
    return value if type(value) is int and abs(value) < 2**31 else None


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        return 0.0
    try:
        found = datetime.fromisoformat(value)
        return max(0.0, (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return 0.0
