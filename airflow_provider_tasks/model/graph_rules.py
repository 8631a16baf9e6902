"""The rules of a graph of tasks: each with the message that a person gets who breaks it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from airflow_provider_tasks.model.content import ROOT, Content, is_weak
from airflow_provider_tasks.model.describe import describe
from airflow_provider_tasks.model.errors import GraphError
from airflow_provider_tasks.model.suggest import did_you_mean
from airflow_provider_tasks.model.task import Task, TaskDispatcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_tasks.model.content import Link

_TYPES = ("strong", "weak")
_TRAVERSE_ON = ("success", "failure", "any")
_KNOWN = ("type", "counter", "traverse_on")


def check_graph(content: Content) -> None:
    """Refuse a graph that can't be run.

    Args:
        content: The nodes and edges.

    Raises:
        GraphError: If there is no root or no task; if an attribute of an edge is wrong; if a node can't be reached
            from the root, or only over weak edges; if strong edges make a cycle; or if a loop has no task in it.

    >>> check_graph(Content(["root", 1], [(0, 1, {})]))
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.model.errors.GraphError: there is no task in the graph: \
add one with pipeline.then(task), or with graph.add_edge('root', task)
    """
    if ROOT not in content.nodes:
        raise GraphError("the graph has no node 'root', where it starts: add graph.add_edge('root', first_task)")
    for node in content.nodes:
        if inspect.isclass(node) and issubclass(node, (Task, TaskDispatcher)):
            raise GraphError(
                f"{node.__name__} in the graph is a class, which does not run; make an instance: {node.__name__}(…)"
            )
    if not any(content.is_task):
        raise GraphError(
            "there is no task in the graph: add one with pipeline.then(task), or with graph.add_edge('root', task)"
        )
    for link in content.links:
        if link[2]:
            _check_attributes(content, link)
    _check_reachable(content)
    _check_loops_of_points(content)


def check_type_of_graph(graph: object) -> None:
    """Refuse anything but a directed graph with at most one edge from one node to another.

    Args:
        graph: What somebody has put in the place of a graph.

    Raises:
        GraphError: If it is something else.

    >>> check_type_of_graph({"root": []})
    Traceback (most recent call last):
    ...
    airflow_provider_tasks.model.errors.GraphError: the graph is of type dict; expected a networkx.DiGraph
    """
    # By its methods: importing networkx takes longer than all else that happens where a DAG is parsed.
    if not all(hasattr(graph, name) for name in ("is_directed", "is_multigraph", "nodes", "edges")):
        raise GraphError(f"the graph is of type {type(graph).__name__}; expected a networkx.DiGraph")
    if not graph.is_directed():  # type: ignore[attr-defined]
        raise GraphError(
            f"the graph is undirected (a networkx.{type(graph).__name__}), so nothing says which task comes first; "
            "use networkx.DiGraph"
        )
    if graph.is_multigraph():  # type: ignore[attr-defined]
        raise GraphError(
            f"the graph is a networkx.{type(graph).__name__}, which may hold several edges from one task to another; "
            "use networkx.DiGraph"
        )


def _check_attributes(content: Content, link: Link) -> None:
    source, target, attributes = link
    edge = f"the edge {content.names[source]} → {content.names[target]}"
    kind = attributes.get("type")
    if kind is not None and kind not in _TYPES:
        raise GraphError(f"{edge} has type {kind!r}; {did_you_mean(str(kind), _TYPES)}")
    counter = attributes.get("counter")
    if counter is not None and (not isinstance(counter, int) or isinstance(counter, bool) or counter < 1):
        raise GraphError(
            f"{edge} has counter {describe(counter)}; expected how often it may be walked, a whole number of at least 1"
        )
    traverse_on = attributes.get("traverse_on")
    if traverse_on is not None:
        if traverse_on not in _TRAVERSE_ON:
            raise GraphError(f"{edge} has traverse_on {traverse_on!r}; {did_you_mean(str(traverse_on), _TRAVERSE_ON)}")
        if not content.is_task[source]:
            raise GraphError(
                f"{edge} has traverse_on {traverse_on!r}, but {content.names[source]} is a synchronisation point, "
                "which neither succeeds nor fails; leave traverse_on out, or put it on the edge of a task"
            )
    for name in attributes:
        if name not in _KNOWN and (meant := did_you_mean(str(name), _KNOWN)).startswith("did you mean"):
            raise GraphError(f"{edge} has the attribute {name!r}, which does nothing; {meant}")


def _check_reachable(content: Content) -> None:
    links = content.links
    strong = [link for link in links if not is_weak(link[2])]
    cycle = _find_cycle(strong)
    if not cycle and not _not_reached(content, strong):
        return  # and so all that follows is in order
    if lost := _not_reached(content, [*links, *((target, source, {}) for source, target, _ in links)]):
        raise GraphError(
            f"the graph falls into parts: {_listed(lost)} not connected with 'root'; "
            "add an edge that leads there, or remove what is too much"
        )
    if lost := _not_reached(content, links):
        raise GraphError(
            f"{_listed(lost)} never reached: edges lead from there to the rest of the graph, but none leads there "
            "from 'root'; add one, or turn one round"
        )
    if cycle:
        shown = [content.names[place] for place in [*cycle, cycle[0]]]
        raise GraphError(
            f"strong edges make a cycle, in which each waits for the others: {' → '.join(shown)}; "
            "make the edge that leads back weak, as in graph.add_edge(…, …, type='weak', counter=2)"
        )
    raise GraphError(
        f"{_listed(_not_reached(content, strong))} reached over weak edges only, which start a task and are not waited "
        "for; lead strong edges there from 'root'"
    )


def _check_loops_of_points(content: Content) -> None:
    """Refuse a loop that would be walked without end and without a task being run."""
    endless = [
        link
        for link in content.links
        if not content.is_task[link[0]] and not content.is_task[link[1]] and link[2].get("counter") is None
    ]
    if cycle := _find_cycle(endless):
        shown = [content.names[place] for place in [*cycle, cycle[0]]]
        raise GraphError(
            f"the loop {' → '.join(shown)} has no task in it and no end; "
            "put a task into it, or a counter on one of its edges"
        )


def _not_reached(content: Content, links: Iterable[Link]) -> list[str]:
    """Return the names of the nodes that edges do not lead to from the root."""
    followers: dict[int, list[int]] = {}
    for source, target, _ in links:
        followers.setdefault(source, []).append(target)
    pending = [content.nodes.index(ROOT)]
    found = set(pending)
    while pending:
        for place in followers.get(pending.pop(), ()):
            if place not in found:
                found.add(place)
                pending.append(place)
    if len(found) == len(content.nodes):
        return []
    return [content.names[place] for place in content.order if place not in found]


def _find_cycle(links: Sequence[Link]) -> list[int]:
    """Return the places of one cycle, in order; none if there is none."""
    followers: dict[int, list[int]] = {}
    waits_for: dict[int, int] = {}
    for source, target, _ in links:
        followers.setdefault(source, []).append(target)
        waits_for.setdefault(source, 0)
        waits_for[target] = waits_for.get(target, 0) + 1
    pending = [place for place, count in waits_for.items() if not count]
    while pending:
        place = pending.pop()
        del waits_for[place]
        for follower in followers.get(place, ()):
            waits_for[follower] -= 1
            if not waits_for[follower]:
                pending.append(follower)
    if not waits_for:
        return []
    # What is left has someone left before it: going back from anywhere ends in a circle.
    before = {target: source for source, target, _ in links if source in waits_for and target in waits_for}
    path = [next(iter(waits_for))]
    while before[path[-1]] not in path:
        path.append(before[path[-1]])
    cycle = path[path.index(before[path[-1]]) :][::-1]
    start = cycle.index(min(cycle))
    return cycle[start:] + cycle[:start]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"
