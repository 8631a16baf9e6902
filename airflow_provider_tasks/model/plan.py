"""A graph of tasks as plain lists of names: what is drawn, walked, made into a group, or written as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.content import Content, is_weak
from airflow_provider_tasks.model.describe import describe
from airflow_provider_tasks.model.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from airflow_provider_tasks.model.reading import Source


@dataclass(frozen=True)
class Edge:
    """An edge of a plan, from one name to another.

    Args:
        source: What has to end for the edge to be walked.
        target: What the edge starts.
        weak: Whether its target does not wait for it.
        counter: How often it may be walked in all; None is without end.
        traverse_on: ``success``, ``failure`` or ``any``; None is what ``early_stopping`` makes of it.

    >>> Edge("b", "a", weak=True, counter=2)
    Edge(source='b', target='a', weak=True, counter=2, traverse_on=None)
    """

    source: str
    target: str
    weak: bool = False
    counter: int | None = None
    traverse_on: str | None = None

    def attributes(self) -> dict[str, Any]:
        """Return those attributes that say something, as they stand on an edge of ``ExecutionGraph.graph``.

        >>> Edge("b", "a", weak=True, counter=2).attributes()
        {'type': 'weak', 'counter': 2}
        """
        found = {"type": "weak" if self.weak else None, "counter": self.counter, "traverse_on": self.traverse_on}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Plan:
    """A graph whose nodes are names; see ``Content`` for both names and order.

    Args:
        nodes: All names, in graph order, the root first.
        tasks: Those among them that are tasks or dispatchers, in graph order, each with its implementation: the
            name of its class.
        edges: All edges, in the order of their sources.
        early_stopping: Whether a failure for which no edge is walked ends everything.
    """

    nodes: tuple[str, ...]
    tasks: Mapping[str, str]
    edges: tuple[Edge, ...]
    early_stopping: bool

    def to_json(self) -> dict[str, Any]:
        """Write the plan as JSON, the arguments of ``GraphWalk``.

        >>> make_plan(Content(["root", 1], [(0, 1, {})]), early_stopping=True).to_json()
        {'nodes': ['root', '1'], 'tasks': {}, 'edges': [['root', '1', {}]], 'early_stopping': True}
        """
        return {
            "nodes": list(self.nodes),
            "tasks": dict(self.tasks),
            "edges": [[edge.source, edge.target, edge.attributes()] for edge in self.edges],
            "early_stopping": self.early_stopping,
        }

    @classmethod
    def read(cls, source: Source) -> Self:
        """Read a plan from where it stands in a document.

        Args:
            source: The value and its place.

        Raises:
            NodeFormatError: If a key is unknown or missing, or a value is of another type or unknown.

        >>> from airflow_provider_tasks.model.reading import Source
        >>> Plan.read(Source({"nodes": ["root"], "tasks": {}, "edges": [], "early_stopping": True}, "plan")).nodes
        ('root',)
        """
        source.expect_keys(["nodes", "tasks", "edges", "early_stopping"])
        nodes = tuple(node.text() for node in source.key("nodes").items())
        tasks = source.key("tasks")
        tasks.expect_keys((), nodes)
        early_stopping = source.key("early_stopping")
        if not isinstance(early_stopping.value, bool):
            raise early_stopping.error(f"is {describe(early_stopping.value)}; expected true or false")
        return cls(
            nodes,
            {name: tasks.key(name).text() for name in tasks.value},
            tuple(_read_edge(edge, nodes) for edge in source.key("edges").items()),
            early_stopping.value,
        )

    def label(self, name: str) -> str:
        """Return what a node is shown as: its name, and the implementation where the name does not tell it.

        >>> plan = Plan(("root", "Ping", "first"), {"Ping": "Ping", "first": "Ping"}, (), early_stopping=True)
        >>> plan.label("Ping"), plan.label("first")
        ('Ping', 'first (Ping)')
        """
        kind = self.tasks.get(name, name)
        return name if name == kind or name.startswith(f"{kind}_") else f"{name} ({kind})"

    def summary(self) -> str:
        """Return the graph in a line: its stages, and its weak edges.

        >>> edges = (Edge("root", "a"), Edge("root", "b"), Edge("b", "c"), Edge("c", "b", weak=True))
        >>> Plan(("root", "a", "b", "c"), {"a": "a", "b": "Ping", "c": "c"}, edges, early_stopping=True).summary()
        'a | b (Ping) → c; c ⇢ b'
        """
        stages = " → ".join(" | ".join(map(self.label, stage)) for stage in self.stages())
        weak = [f"{edge.source} ⇢ {edge.target}" for edge in self.edges if edge.weak]
        return "; ".join([stages, *weak])

    def stages(self) -> list[list[str]]:
        """Return the tasks in stages: each as early as its strong edges let it.

        >>> edges = (Edge("root", "a"), Edge("root", "b"), Edge("b", "c"))
        >>> Plan(("root", "a", "b", "c"), {"a": "a", "b": "b", "c": "c"}, edges, early_stopping=True).stages()
        [['a', 'b'], ['c']]
        """
        stage_of = dict.fromkeys(self.nodes, 0)
        place = {name: index for index, name in enumerate(self.nodes)}
        stages: dict[int, list[str]] = {}
        incoming: dict[str, list[str]] = {name: [] for name in self.nodes}
        for edge in self.edges:
            if not edge.weak and place[edge.source] < place[edge.target]:  # not so in a cycle, which is drawn too
                incoming[edge.target].append(edge.source)
        for name in self.nodes:
            stage_of[name] = max((stage_of[source] for source in incoming[name]), default=0) + (name in self.tasks)
            if name in self.tasks:
                stages.setdefault(stage_of[name], []).append(name)
        return [stages[number] for number in sorted(stages)]


def make_plan(content: Content, *, early_stopping: bool) -> Plan:
    """Write a graph as a plan; it is not checked.

    Args:
        content: The nodes and edges.
        early_stopping: As in the graph.

    Returns:
        The plan.

    >>> make_plan(Content(["root", 1], [(0, 1, {"counter": 2})]), early_stopping=True).edges
    (Edge(source='root', target='1', weak=False, counter=2, traverse_on=None),)
    """
    names = content.names
    rank = {place: index for index, place in enumerate(content.order)}
    edges = [
        Edge(names[source], names[target], is_weak(found), found.get("counter"), found.get("traverse_on"))
        for source, target, found in sorted(content.links, key=lambda link: rank[link[0]])
    ]
    tasks = {names[place]: type(content.nodes[place]).__name__ for place in content.order if content.is_task[place]}
    return Plan(tuple(names[place] for place in content.order), tasks, tuple(edges), early_stopping)


def _read_edge(source: Source, nodes: Sequence[str]) -> Edge:
    if not isinstance(source.value, list) or len(source.value) != 3:
        raise source.error(f"is {describe(source.value)}; expected a list of source, target and attributes")
    for end in (source.item(0), source.item(1)):
        if end.text() not in nodes:
            raise end.error(f"{end.value!r} is no node of the graph; {did_you_mean(end.value, nodes)}")
    attributes = source.item(2)
    attributes.expect_keys((), ("type", "counter", "traverse_on"))
    found = dict(attributes.value)
    for name, known in (("type", ("strong", "weak")), ("traverse_on", ("success", "failure", "any"))):
        if name in found and attributes.key(name).text() not in known:
            raise attributes.key(name).error(f"{found[name]!r} is unknown; {did_you_mean(found[name], known)}")
    if "counter" in found:
        attributes.key("counter").whole_number(at_least=1)
    return Edge(source.value[0], source.value[1], is_weak(found), found.get("counter"), found.get("traverse_on"))
