"""``Experiment``: which pipeline runs on which node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from airflow_provider_tasks.model.deployment import Deployment, check_node
from airflow_provider_tasks.model.describe import describe
from airflow_provider_tasks.model.errors import ExperimentFormatError, NodeFormatError
from airflow_provider_tasks.model.pool import Nodes
from airflow_provider_tasks.model.reading import Source, decode_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from airflow_provider_tasks.model.graph import ExecutionGraph
    from airflow_provider_tasks.model.node import Node


class Experiment:
    """Pipelines on nodes, in order; reads as a sequence of deployments.

    >>> from airflow_provider_tasks.model.node import Node
    >>> from airflow_provider_tasks.model.pipeline import Pipeline
    >>> from airflow_provider_tasks.model.task import Task, TaskDispatcher
    >>> class LinuxPing(Task):
    ...     def run(self): ...
    >>> class WindowsPing(LinuxPing): ...
    >>> class Ping(TaskDispatcher):
    ...     def dispatch(self, node):
    ...         return WindowsPing() if node["windows"] else LinuxPing()
    >>> nodes = [Node("edge-1"), Node("desk-1", {"windows": True})]
    >>> experiment = Experiment().map(Pipeline([Ping()]), nodes).append(Node("hub"), Pipeline([[Ping(), Ping()]]))
    >>> print(experiment)
    Experiment of 3 deployments
      edge-1: LinuxPing
      desk-1: WindowsPing
      hub: LinuxPing | LinuxPing_2
    >>> len(experiment), experiment[-1]
    (3, Deployment(Node('hub'), 'LinuxPing | LinuxPing_2'))
    """

    deployment_map: list[Deployment]
    """The deployments, in the order in which they were added."""

    def __init__(self) -> None:
        self.deployment_map = []

    def append(self, node: Node, pipeline: ExecutionGraph) -> Self:
        """Add a pipeline on a node.

        Args:
            node: Where it is to run.
            pipeline: A ``Pipeline`` or any other ``ExecutionGraph``; may be used again.

        Returns:
            The experiment itself.

        Raises:
            TypeError: If an argument is something else.
            GraphError: If the graph breaks a rule.
            DispatchError: If a dispatcher gives no task for the node.

        >>> from airflow_provider_tasks.model.node import Node
        >>> from airflow_provider_tasks.model.pipeline import Pipeline
        >>> from airflow_provider_tasks.model.task import Task
        >>> class Ping(Task):
        ...     def run(self): ...
        >>> Experiment().append(Node("edge-1"), Pipeline([Ping()]))
        Experiment([Deployment(Node('edge-1'), 'Ping')])
        """
        check_node(node)
        self.deployment_map.append(Deployment(node, pipeline))
        return self

    def map(self, pipeline: ExecutionGraph, nodes: Sequence[Node]) -> Self:
        """Add a pipeline on each of some nodes; on all of them or, if one gives an error, on none.

        Args:
            pipeline: A ``Pipeline`` or any other ``ExecutionGraph``.
            nodes: Where it is to run, each on its own. Not a pool: ``take`` says how many of it.

        Returns:
            The experiment itself.

        Raises:
            TypeError: If an argument is something else.
            GraphError: If the graph breaks a rule.
            DispatchError: If a dispatcher gives no task for a node.

        >>> from airflow_provider_tasks.model.node import Node
        >>> from airflow_provider_tasks.model.nodes import UncountableNodePool
        >>> from airflow_provider_tasks.model.pipeline import Pipeline
        >>> from airflow_provider_tasks.model.task import Task
        >>> class Ping(Task):
        ...     def run(self): ...
        >>> cloud = UncountableNodePool([Node("cloud")])
        >>> print(Experiment().map(Pipeline([Ping()]), cloud.take(2)))
        Experiment of 2 deployments
          cloud-1: Ping
          cloud-2: Ping
        """
        if isinstance(nodes, Nodes):
            raise TypeError(
                f"expected a list of nodes, found a pool of them, {nodes!r}; say how many: map(pipeline, pool.take(2))"
            )
        if not isinstance(nodes, (list, tuple)):
            raise TypeError(
                f"expected a list of nodes, found {describe(nodes)}; "
                "write map(pipeline, [node, …]), or append(node, pipeline) for one"
            )
        for node in nodes:
            check_node(node)
        self.deployment_map += [Deployment(node, pipeline) for node in nodes]
        return self

    def __add__(self, other: Experiment) -> Experiment:
        if not isinstance(other, Experiment):
            return NotImplemented
        both = Experiment()
        both.deployment_map = [*self.deployment_map, *other.deployment_map]
        return both

    @overload
    def __getitem__(self, index: int) -> Deployment: ...

    @overload
    def __getitem__(self, index: slice) -> list[Deployment]: ...

    def __getitem__(self, index: int | slice) -> Deployment | list[Deployment]:
        return self.deployment_map[index]

    def __iter__(self) -> Iterator[Deployment]:
        return iter(self.deployment_map)

    def __len__(self) -> int:
        return len(self.deployment_map)

    def __str__(self) -> str:
        count = len(self.deployment_map)
        lines = [f"Experiment of {count} {'deployment' if count == 1 else 'deployments'}"]
        return "\n".join(lines + [f"  {deployment}" for deployment in self.deployment_map])

    def __repr__(self) -> str:
        return f"Experiment({self.deployment_map!r})"

    def to_json(self) -> dict[str, Any]:
        """Write the experiment as JSON.

        Returns:
            The deployments under ``deployment_map``; see ``Deployment.to_json``.

        >>> Experiment().to_json()
        {'deployment_map': []}
        """
        return {"deployment_map": [deployment.to_json() for deployment in self.deployment_map]}

    @classmethod
    def from_json(cls, data: dict[str, Any] | str) -> Self:
        """Read an experiment from its JSON; nothing is unpickled before somebody asks for a deployment's ``graph``.

        Args:
            data: What ``to_json`` wrote, as a mapping or as text. Only take it from where you would take code.

        Returns:
            The experiment.

        Raises:
            ExperimentFormatError: If a key is unknown or missing, or a value is of another type or unknown.

        >>> len(Experiment.from_json('{"deployment_map": []}'))
        0
        """
        try:
            source = Source(decode_json(data, "experiment") if isinstance(data, str) else data, "experiment")
            source.expect_keys(["deployment_map"])
            experiment = cls()
            experiment.deployment_map = [Deployment.read(one) for one in source.key("deployment_map").items()]
        except NodeFormatError as error:
            raise ExperimentFormatError(str(error)) from error
        return experiment
