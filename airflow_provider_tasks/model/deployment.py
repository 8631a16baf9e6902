"""``Deployment``: one pipeline on one node, every dispatcher replaced by the task that it picks."""

from __future__ import annotations

import base64
import binascii
import copy
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_tasks.model.describe import describe
from airflow_provider_tasks.model.dispatch import pick_task
from airflow_provider_tasks.model.environment_definition import read_environment_definition
from airflow_provider_tasks.model.errors import ExperimentFormatError, GraphError, NodeFormatError
from airflow_provider_tasks.model.foreign import has_random_name, shown
from airflow_provider_tasks.model.graph import ExecutionGraph
from airflow_provider_tasks.model.node import Architecture, Node
from airflow_provider_tasks.model.plan import Plan
from airflow_provider_tasks.model.pool import Nodes
from airflow_provider_tasks.model.reading import Source, decode_json
from airflow_provider_tasks.model.task import Task, check_requirements

if TYPE_CHECKING:
    from typing import Self

    from airflow_provider_tasks.model.environment_definition import EnvironmentDefinition
    from airflow_provider_tasks.model.task import TaskDispatcher


class Deployment:
    """A pipeline on a node: which tasks run there, and what they need.

    The pipeline itself is left as it is, so that it may be deployed on many nodes. A dispatcher is asked once for
    each place that it has in the graph.

    Args:
        node: Where the pipeline is to run; None where no dispatcher needs one.
        pipeline: A ``Pipeline`` or any other ``ExecutionGraph``.

    Raises:
        TypeError: If an argument is something else.
        GraphError: If the graph breaks a rule.
        DispatchError: If a dispatcher gives no task for the node.

    >>> from airflow_provider_tasks.model.pipeline import Pipeline
    >>> from airflow_provider_tasks.model.task import TaskDispatcher
    >>> class WriteToTmp(Task):
    ...     requirements = ["mkdir -p /tmp/out"]
    ...     def run(self): ...
    >>> class Write(TaskDispatcher):
    ...     def dispatch(self, node):
    ...         return WriteToTmp(f"write on {node.name}")
    >>> deployment = Deployment(Node("edge-1"), Pipeline([Write(), WriteToTmp()]))
    >>> print(deployment)
    edge-1: write on edge-1 (WriteToTmp) → WriteToTmp
    >>> deployment.environment_definition.commands
    ['mkdir -p /tmp/out', 'mkdir -p /tmp/out']
    """

    node: Node | None
    """Where the pipeline is to run."""

    environment_definition: EnvironmentDefinition
    """A copy of the pipeline's; its ``commands`` end with the requirements of all tasks, in graph order."""

    plan: Plan
    """The graph as plain lists of names."""

    aliases: dict[str, str]
    """Random names that netunicorn made up, and what these tasks are called in ``plan``: their own code may look
    for them in ``previous_steps``."""

    dispatchers: dict[str, str]
    """Which tasks a dispatcher picked: their names in ``plan``, each with the dispatcher's class; of a deployment that
    was read from JSON nothing is known of that."""

    def __init__(self, node: Node | None, pipeline: ExecutionGraph) -> None:
        if node is not None:
            check_node(node)
        if not isinstance(pipeline, ExecutionGraph):
            raise TypeError(f"a deployment has a Pipeline or an ExecutionGraph, found {_found(pipeline)}")
        pipeline.check()
        self.node = node
        self._pickled: bytes | None = None
        random_names: dict[str, Task] = {}
        picked: dict[int, str] = {}
        self._graph: ExecutionGraph | None = _resolved(pipeline, node, random_names, picked)
        self._tasks: dict[str, Task] | None = None
        self.plan = self._graph.plan()
        self.environment_definition = pipeline.environment_definition.copy()
        names = {}
        for name, task in self.tasks_by_name().items():
            names[id(task)] = name
            try:
                self.environment_definition.commands += check_requirements(task.requirements, name)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{error} ({shown(task)} for {node!r})") from error
        self.aliases = {random: names[id(task)] for random, task in random_names.items()}
        self.dispatchers = {names[found]: dispatcher for found, dispatcher in picked.items()}

    @property
    def graph(self) -> ExecutionGraph:
        """The graph with its tasks; of a deployment that was read from JSON, unpickled now, which runs its code.

        >>> from airflow_provider_tasks.model.pipeline import Pipeline
        >>> class Ping(Task):
        ...     def run(self): ...
        >>> Deployment(Node("edge-1"), Pipeline([Ping()])).graph
        Pipeline([[Ping()]])
        """
        if self._graph is None:
            import cloudpickle

            self._graph = cast("ExecutionGraph", cloudpickle.loads(self.pipeline))
        return self._graph

    @property
    def pipeline(self) -> bytes:
        """The graph, pickled by cloudpickle, whose ``loads`` opens it.

        >>> import cloudpickle
        >>> from airflow_provider_tasks.model.pipeline import Pipeline
        >>> class Ping(Task):
        ...     def run(self): ...
        >>> cloudpickle.loads(Deployment(Node("edge-1"), Pipeline([Ping()])).pipeline)
        Pipeline([[Ping()]])
        """
        if self._pickled is None:
            import cloudpickle

            self._pickled = cast("bytes", cloudpickle.dumps(self._graph))
        return self._pickled

    def tasks_by_name(self) -> dict[str, Task]:
        """Return the tasks by the names that they have in ``plan``, in graph order.

        >>> from airflow_provider_tasks.model.pipeline import Pipeline
        >>> class Ping(Task):
        ...     def run(self): ...
        >>> Deployment(Node("edge-1"), Pipeline([[Ping(), Ping()]])).tasks_by_name()
        {'Ping': Ping(), 'Ping_2': Ping()}
        """
        if self._tasks is None:
            self._tasks = cast("dict[str, Task]", self.graph.tasks_by_name())
        return dict(self._tasks)

    def __str__(self) -> str:
        if self.node is None:
            return f"no node: {self.plan.summary()}"
        system = "" if self.node.architecture is Architecture.UNKNOWN else f" ({self.node.architecture.value})"
        return f"{self.node.name}{system}: {self.plan.summary()}"

    def __repr__(self) -> str:
        return f"Deployment({self.node!r}, {self.plan.summary()!r})"

    def to_json(self) -> dict[str, Any]:
        """Write the deployment as JSON.

        Returns:
            ``node``, ``environment_definition``, ``plan`` and ``aliases``, for people and programs to read;
            ``pipeline``, the pickled graph in base64.

        >>> from airflow_provider_tasks.model.pipeline import Pipeline
        >>> class Ping(Task):
        ...     def run(self): ...
        >>> Deployment(Node("edge-1"), Pipeline([Ping()])).to_json()["plan"]["tasks"]
        {'Ping': 'Ping'}
        """
        return {
            "node": None if self.node is None else self.node.to_json(),
            "environment_definition": self.environment_definition.to_json(),
            "plan": self.plan.to_json(),
            "aliases": dict(self.aliases),
            "pipeline": base64.b64encode(self.pipeline).decode("ascii"),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any] | str) -> Self:
        """Read a deployment from its JSON; nothing is unpickled before somebody asks for ``graph``.

        Args:
            data: What ``to_json`` wrote, as a mapping or as text.

        Raises:
            ExperimentFormatError: If a key is unknown or missing, or a value is of another type or unknown.

        >>> from airflow_provider_tasks.model.pipeline import Pipeline
        >>> class Ping(Task):
        ...     def run(self): ...
        >>> Deployment.from_json(Deployment(Node("edge-1"), Pipeline([Ping()])).to_json())
        Deployment(Node('edge-1'), 'Ping')
        """
        try:
            return cls.read(Source(decode_json(data, "deployment") if isinstance(data, str) else data, "deployment"))
        except NodeFormatError as error:
            raise ExperimentFormatError(str(error)) from error

    @classmethod
    def read(cls, source: Source) -> Self:
        """Read a deployment from where it stands in a document.

        Args:
            source: The value and its place.

        Raises:
            NodeFormatError: As ``from_json``.

        >>> Deployment.read(Source({}, "experiment.json"))
        Traceback (most recent call last):
        ...
        airflow_provider_tasks.model.errors.NodeFormatError: experiment.json: lacks the key 'node'
        """
        source.expect_keys(["node", "environment_definition", "plan", "aliases", "pipeline"])
        deployment = cls.__new__(cls)
        node, aliases, pipeline = source.key("node"), source.key("aliases"), source.key("pipeline")
        deployment.node = None if node.value is None else Node.read(node)
        deployment.environment_definition = read_environment_definition(source.key("environment_definition"))
        deployment.plan = Plan.read(source.key("plan"))
        aliases.properties()
        deployment.aliases = {random: aliases.key(random).text() for random in aliases.value}
        deployment.dispatchers = {}
        deployment._graph = None
        deployment._tasks = None
        try:
            deployment._pickled = base64.b64decode(pipeline.text(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise pipeline.error(f"is no base64: {error}") from error
        return deployment


def check_node(node: object) -> None:
    """Refuse what stands where a node should.

    Raises:
        TypeError: If it is something else.

    >>> check_node("edge-1")
    Traceback (most recent call last):
    ...
    TypeError: expected a node, found 'edge-1'; make one: Node('edge-1')
    """
    if isinstance(node, Node):
        return
    if isinstance(node, Nodes):
        raise TypeError(
            f"expected a node, found a pool of them, {node!r}; "
            "take nodes out of it: experiment.map(pipeline, pool.take(2))"
        )
    if isinstance(node, str):
        raise TypeError(f"expected a node, found {node!r}; make one: Node({node!r})")
    raise TypeError(f"expected a node, found {_found(node)}")


def _found(found: object) -> str:
    if isinstance(found, (ExecutionGraph, Node)):
        return f"{found!r}; the node comes first: append(node, pipeline)"
    if isinstance(found, Task):
        return f"{shown(found)}; put it into one: Pipeline([{type(found).__name__}(…)])"
    return describe(found)


def _resolved(
    pipeline: ExecutionGraph, node: Node | None, random_names: dict[str, Task], picked: dict[int, str]
) -> ExecutionGraph:
    """Return a graph with a task of its own for each dispatcher.

    Which random names stand for which task is noted in ``random_names``, which dispatcher picked it in ``picked``.
    """
    replaced: dict[Task | TaskDispatcher, Task | TaskDispatcher] = {}
    placed: set[int] = set()
    for declared in pipeline.tasks_by_name().values():
        found = pick_task(declared, node)
        task = _settled(found, declared)
        if id(task) in placed:  # a dispatcher that returns the same task for each place, or one of the pipeline's
            task = copy.copy(task)
        placed.add(id(task))
        if type(task).__hash__ is None:
            raise GraphError(
                f"{shown(task)} can't stand in a graph: {type(task).__name__} defines __eq__ and no __hash__; "
                "define both or neither"
            )
        replaced[declared] = task
        if not isinstance(declared, Task):
            picked[id(task)] = type(declared).__name__
        random_names.update({one.name: task for one in (found, declared) if has_random_name(one)})  # type: ignore[union-attr]
    if len(set(replaced.values())) < len(replaced):
        raise GraphError(
            f"of {', '.join(map(shown, replaced.values()))} some are equal, for {node!r}, and a graph takes equal ones "
            "for one; leave __eq__ and __hash__ out of their classes"
        )
    return pipeline.with_tasks(replaced)


def _settled(found: Task, declared: Task | TaskDispatcher) -> Task:
    """Give a task with a random name that of its dispatcher, or of its class."""
    if not has_random_name(found):
        return found
    named = copy.copy(found)
    given = getattr(declared, "name", None)
    name = given if isinstance(given, str) and not has_random_name(declared) else type(found).__name__
    object.__setattr__(named, "name", name)  # past a frozen dataclass
    return named
