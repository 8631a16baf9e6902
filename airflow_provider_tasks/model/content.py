"""``Content``: the nodes and edges of a graph of tasks, in order and with names."""

from __future__ import annotations

import heapq
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.describe import describe
from airflow_provider_tasks.model.foreign import has_random_name
from airflow_provider_tasks.model.task import Task, TaskDispatcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Attributes = Mapping[str, Any]
    Link = tuple[int, int, Attributes]

ROOT = "root"


class Content:
    """What a graph holds at a moment, with nodes told by their place in a list.

    Args:
        nodes: Tasks, dispatchers and synchronisation points, each once.
        links: The edges: place of the source, place of the target, attributes.

    >>> class Ping(Task):
    ...     def run(self): ...
    >>> content = Content(["root", Ping(), Ping()], [(0, 2, {}), (2, 1, {})])
    >>> content.order, content.names
    ([0, 2, 1], ['root', 'Ping_2', 'Ping'])
    """

    def __init__(self, nodes: Sequence[Any], links: Sequence[Link]) -> None:
        self.nodes = nodes
        self.links = links
        self.is_task: list[bool] = [is_task(node) for node in nodes]

    @cached_property
    def order(self) -> list[int]:
        """All places in graph order: after those that strong edges put before, else first come, first served.

        What stands in a cycle of strong edges comes last.

        >>> Content(["root", "b", "a"], [(0, 2, {}), (2, 1, {})]).order
        [0, 2, 1]
        """
        count = len(self.nodes)
        waits_for = [0] * count
        followers: list[list[int]] = [[] for _ in range(count)]
        for source, target, found in self.links:
            if not is_weak(found):
                waits_for[target] += 1
                followers[source].append(target)
        ready = [place for place in range(count) if not waits_for[place]]
        order: list[int] = []
        while ready:
            place = heapq.heappop(ready)
            order.append(place)
            for follower in followers[place]:
                waits_for[follower] -= 1
                if not waits_for[follower]:
                    heapq.heappush(ready, follower)
        return order + sorted(set(range(count)) - set(order))

    @cached_property
    def names(self) -> list[str]:
        """What each node is called, by place.

        A task is called what its ``name`` says, or like its class. A name that is taken, in graph order, gets the
        first free number: ``Ping``, ``Ping_2``. Names of synchronisation points give way to those of tasks.

        >>> Content(["root", 1, 2], [(0, 1, {}), (1, 2, {})]).names
        ['root', '1', '2']
        """
        tasks = [place for place in self.order if self.is_task[place]]
        points = [place for place in self.order if not self.is_task[place]]
        of_tasks = unique_names([_wanted_name(self.nodes[place]) for place in tasks])
        of_points = unique_names([_point_name(self.nodes[place]) for place in points], taken=of_tasks)
        names = dict(zip([*tasks, *points], [*of_tasks, *of_points]))
        return [names[place] for place in range(len(self.nodes))]


def is_task(node: object) -> bool:
    """Tell a task or a dispatcher from a synchronisation point.

    >>> is_task("root")
    False
    """
    return isinstance(node, (Task, TaskDispatcher))


def is_weak(attributes: Attributes) -> bool:
    """Tell a weak edge by its attributes.

    >>> is_weak({"type": "weak"}), is_weak({})
    (True, False)
    """
    return attributes.get("type") == "weak"


def unique_names(wanted: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """Number those names that are there already.

    Args:
        wanted: The names, in order; the first of each keeps it.
        taken: Names that none may have.

    >>> unique_names(["Ping", "Ping", "Ping_2", "Ping"])
    ['Ping', 'Ping_3', 'Ping_2', 'Ping_4']
    """
    given = set(taken)
    all_known = given | set(wanted)
    last: dict[str, int] = {}
    names = []
    for name in wanted:
        found = name
        while found in given or (found != name and found in all_known):
            last[name] = last.get(name, 1) + 1
            found = f"{name}_{last[name]}"
        given.add(found)
        names.append(found)
    return names


def _wanted_name(task: object) -> str:
    name = getattr(task, "name", None)
    if isinstance(name, str) and name.strip() and not has_random_name(task):
        return name
    return type(task).__name__


def _point_name(node: object) -> str:
    return node if isinstance(node, str) and node.strip() else describe(node)
