"""``ExecutionGraph``: tasks and the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.content import ROOT, Content
from airflow_provider_tasks.model.describe import describe
from airflow_provider_tasks.model.environment_definition import DockerImage, check_environment_definition
from airflow_provider_tasks.model.graph_rules import check_graph, check_type_of_graph
from airflow_provider_tasks.model.plan import Plan, make_plan

if TYPE_CHECKING:
    from typing import Self

    from networkx import DiGraph

    from airflow_provider_tasks.model.drawing import Drawing
    from airflow_provider_tasks.model.environment_definition import EnvironmentDefinition
    from airflow_provider_tasks.model.task import Task, TaskDispatcher


class ExecutionGraph:
    """Tasks in the order that a directed graph gives them.

    ``.graph`` is a networkx ``DiGraph``, which people add their edges to. Its nodes are tasks, dispatchers and
    anything else that can be hashed: a synchronisation point, which runs nothing. ``"root"`` is where it starts.
    A node that has ended walks its edges, and an edge that is walked starts its target. What an edge may say:

    * ``type``: ``strong``, as it is without, or ``weak``. A task runs when all strong edges that lead to it have
      been walked. A weak edge is not waited for: it starts its target once more, and with it all that strong
      edges start from there. So a loop is closed by a weak edge.
    * ``traverse_on``: walked on ``success`` or on ``failure`` of its source, or on ``any`` end. Without it: on
      success, or with ``early_stopping=False`` on any end.
    * ``counter``: how often it may be walked in all, without end if it is not there. A strong edge whose counter
      is used up is not waited for any more.

    A failure for which no edge is walked ends everything, unless ``early_stopping=False``.

    Args:
        early_stopping: Whether a failure for which no edge is walked ends everything.
        environment_definition: What the tasks need around them; the worker as it is, unless given.

    Raises:
        TypeError: If an argument is of another type.

    >>> from airflow_provider_tasks.model.task import Task
    >>> class Say(Task):
    ...     def run(self):
    ...         return self.name
    >>> fetch, count, alarm = Say("fetch"), Say("count"), Say("alarm")
    >>> work = ExecutionGraph()
    >>> work.graph.add_edge("root", fetch)
    >>> work.graph.add_edge(fetch, count)
    >>> work.graph.add_edge(fetch, alarm, traverse_on="failure")
    >>> work.graph.add_edge(count, fetch, type="weak", counter=2)
    >>> work.check()
    >>> print(work.draw())
    ExecutionGraph: 3 tasks, early stopping
      1.  fetch (Say)
      2.  count (Say) | alarm (Say)
    <BLANKLINE>
      root  → fetch
      fetch → count
      fetch → alarm  on failure
      count ⇢ fetch  weak, 2 times
    """

    def __init__(
        self, early_stopping: bool = True, environment_definition: EnvironmentDefinition | None = None
    ) -> None:
        if not isinstance(early_stopping, bool):
            raise TypeError(
                f"early_stopping is {describe(early_stopping)}; expected True or False. "
                "All stages go into one list: Pipeline([first, [second, third]])"
            )
        self.early_stopping = early_stopping
        if environment_definition is None:
            environment_definition = DockerImage()
        check_environment_definition(environment_definition)
        self.environment_definition = environment_definition
        # Until somebody asks for .graph: importing networkx takes longer than all else of a DAG file.
        self._nodes: dict[Any, None] = {ROOT: None}
        self._edges: dict[tuple[Any, Any], dict[str, Any]] = {}
        self._graph: Any = None

    @property
    def graph(self) -> DiGraph:
        """The networkx ``DiGraph``; may be changed, and replaced by another one.

        Raises:
            ModuleNotFoundError: In a worker without networkx.

        >>> list(ExecutionGraph().graph.nodes)
        ['root']
        """
        if self._graph is None:
            try:
                from networkx import DiGraph
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(
                    "ExecutionGraph.graph is a graph of networkx, which is not installed here: pip install networkx. "
                    "A Pipeline that is made with then() needs none",
                    name="networkx",
                ) from error
            self._graph = DiGraph()
            self._graph.add_nodes_from(self._nodes)
            self._graph.add_edges_from((source, target, found) for (source, target), found in self._edges.items())
        graph: DiGraph = self._graph
        return graph

    @graph.setter
    def graph(self, graph: DiGraph) -> None:
        check_type_of_graph(graph)
        self._graph = graph

    def check(self) -> None:
        """Refuse a graph that can't be run; whatever runs one does this first.

        Raises:
            GraphError: If it breaks one of the rules, which the message names.

        >>> ExecutionGraph().check()
        Traceback (most recent call last):
        ...
        airflow_provider_tasks.model.errors.GraphError: there is no task in the graph: \
add one with pipeline.then(task), or with graph.add_edge('root', task)
        """
        check_graph(self._content())

    def plan(self) -> Plan:
        """Return the graph as plain lists of names.

        Raises:
            GraphError: If it breaks one of the rules.

        >>> from airflow_provider_tasks.model.pipeline import Pipeline
        >>> from airflow_provider_tasks.model.task import Task
        >>> class Ping(Task):
        ...     def run(self): ...
        >>> Pipeline([Ping(), Ping()]).plan().nodes
        ('root', 'Ping', '1', 'Ping_2', '2')
        """
        content = self._content()
        check_graph(content)
        return make_plan(content, early_stopping=self.early_stopping)

    def tasks_by_name(self) -> dict[str, Task | TaskDispatcher]:
        """Return all tasks and dispatchers by the names that ``plan`` gives them, in graph order.

        >>> from airflow_provider_tasks.model.pipeline import Pipeline
        >>> from airflow_provider_tasks.model.task import Task
        >>> class Ping(Task):
        ...     def run(self): ...
        >>> Pipeline([Ping(), Ping()]).tasks_by_name()
        {'Ping': Ping(), 'Ping_2': Ping()}
        """
        content = self._content()
        return {content.names[place]: content.nodes[place] for place in content.order if content.is_task[place]}

    def draw(self) -> Drawing:
        """Draw the graph, also one that breaks the rules.

        Returns:
            A picture that ``print`` shows as text, a notebook as SVG, ``save`` writes it into a file.

        >>> ExecutionGraph().draw()
        ExecutionGraph: 0 tasks, early stopping
        """
        from airflow_provider_tasks.model.drawing import Drawing

        return Drawing(self._plan(), type(self).__name__)

    def copy(self) -> Self:
        """Return a copy of the graph and its environment definition; the tasks are the same.

        >>> from airflow_provider_tasks.model.pipeline import Pipeline
        >>> from airflow_provider_tasks.model.task import Task
        >>> class Ping(Task):
        ...     def run(self): ...
        >>> one = Pipeline([Ping()])
        >>> one.copy().then(Ping()), one
        (Pipeline([[Ping()], [Ping()]]), Pipeline([[Ping()]]))
        """
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        check_environment_definition(self.environment_definition)
        twin.environment_definition = self.environment_definition.copy()
        twin._nodes = dict(self._nodes)
        twin._edges = {ends: dict(found) for ends, found in self._edges.items()}
        twin._graph = None if self._graph is None else self._graph.copy()
        return twin

    def with_tasks(self, replaced: dict[Any, Task | TaskDispatcher]) -> Self:
        """Return a copy with other tasks in the places of some.

        Args:
            replaced: The new task for each one to be replaced.

        >>> from airflow_provider_tasks.model.pipeline import Pipeline
        >>> from airflow_provider_tasks.model.task import Task
        >>> class Ping(Task):
        ...     def run(self): ...
        >>> one = Ping()
        >>> Pipeline([one]).with_tasks({one: Ping("first")})
        Pipeline([[Ping('first')]])
        """
        content = self._content()
        nodes = [replaced.get(node, node) for node in content.nodes]
        twin = self.copy()
        twin._graph = None
        twin._nodes = dict.fromkeys(nodes)
        twin._edges = {(nodes[source], nodes[target]): dict(found) for source, target, found in content.links}
        return twin

    def __copy__(self) -> Self:
        return self.copy()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._plan().tasks)})"

    def _has_node(self, node: Any) -> bool:
        return node in (self._nodes if self._graph is None else self._graph)

    def _add_edge(self, source: Any, target: Any, **attributes: Any) -> None:
        if self._graph is not None:
            self._graph.add_edge(source, target, **attributes)
        else:
            self._nodes.update({source: None, target: None})
            self._edges[source, target] = attributes

    def _remove_edge(self, source: Any, target: Any) -> None:
        if self._graph is None:
            del self._edges[source, target]
        elif self._graph.has_edge(source, target):
            self._graph.remove_edge(source, target)

    def _plan(self) -> Plan:
        return make_plan(self._content(), early_stopping=self.early_stopping)

    def _content(self) -> Content:
        if self._graph is not None:
            nodes, edges = list(self._graph.nodes), [((u, v), found) for u, v, found in self._graph.edges(data=True)]
        else:
            nodes, edges = list(self._nodes), list(self._edges.items())
        places = {node: place for place, node in enumerate(nodes)}
        return Content(nodes, [(places[u], places[v], found) for (u, v), found in edges])
