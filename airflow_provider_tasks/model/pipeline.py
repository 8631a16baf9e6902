"""``Pipeline`` and ``CyclePipeline``: tasks in stages."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Union

from airflow_provider_tasks.model.content import ROOT, is_task
from airflow_provider_tasks.model.describe import describe
from airflow_provider_tasks.model.dispatch import task_advice
from airflow_provider_tasks.model.errors import GraphError
from airflow_provider_tasks.model.foreign import shown
from airflow_provider_tasks.model.graph import ExecutionGraph
from airflow_provider_tasks.model.task import Task, TaskDispatcher

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from airflow_provider_tasks.model.environment_definition import EnvironmentDefinition

Stage = Union[Task, TaskDispatcher, "Sequence[Task | TaskDispatcher]"]


class Pipeline(ExecutionGraph):
    """Tasks in stages: one stage after the other, the tasks of a stage side by side.

    In ``.graph`` the stages end in the synchronisation points 1, 2, …; edges may be added there as to any
    ``ExecutionGraph``. A task stands in a pipeline once; a dispatcher that stands there again is copied, and is
    asked for each place.

    Args:
        tasks: The stages: a task or a dispatcher, or a list of them.
        early_stopping: Whether the first failure ends everything.
        environment_definition: What the tasks need around them; the worker as it is, unless given.

    Raises:
        TypeError: If something else than a task or a dispatcher is in a stage.
        GraphError: If a stage is empty or a task is there already.

    >>> class Ping(Task):
    ...     def __init__(self, address):
    ...         self.address = address
    ...     def run(self):
    ...         return self.address
    >>> Pipeline([Ping("a")]).then([Ping("b"), Ping("c")]).then(Ping("d"))
    Pipeline([[Ping('a')], [Ping('b'), Ping('c')], [Ping('d')]])
    """

    def __init__(
        self,
        tasks: Sequence[Stage] = (),
        early_stopping: bool = True,
        environment_definition: EnvironmentDefinition | None = None,
    ) -> None:
        super().__init__(early_stopping, environment_definition)
        self._stages: list[list[Any]] = []
        if not isinstance(tasks, (list, tuple)):
            raise TypeError(f"the stages of a {type(self).__name__} are a list, found {_found(tasks)}")
        for stage in tasks:
            self.then(stage)

    @property
    def tasks(self) -> list[list[Task | TaskDispatcher]]:
        """The stages, each a list; what was added to ``.graph`` by hand is not among them.

        >>> class Ping(Task):
        ...     def run(self): ...
        >>> Pipeline([Ping(), [Ping("second")]]).tasks
        [[Ping()], [Ping('second')]]
        """
        return [list(stage) for stage in self._stages]

    def then(self, stage: Stage) -> Self:
        """Add a stage at the end.

        Args:
            stage: A task or a dispatcher, or a list of them.

        Returns:
            The pipeline itself.

        Raises:
            TypeError: If something else than a task or a dispatcher is in it.
            GraphError: If it is empty or a task is there already.

        >>> class Ping(Task):
        ...     def run(self): ...
        >>> ping = Ping()
        >>> Pipeline([ping]).then(ping)
        Traceback (most recent call last):
        ...
        airflow_provider_tasks.model.errors.GraphError: Ping() is in stage 1 already, and a task stands in a pipeline \
once; make another instance, or repeat all stages with CyclePipeline
        """
        number = len(self._stages) + 1
        added = self._checked(stage, number)
        before = self._last_point()
        for task in added:
            self._add_edge(before, task)
        for task in added:
            self._add_edge(task, number)
        self._stages.append(added)
        return self

    def with_tasks(self, replaced: dict[Any, Task | TaskDispatcher]) -> Self:
        """See ``ExecutionGraph.with_tasks``."""
        twin = super().with_tasks(replaced)
        twin._stages = [[replaced.get(task, task) for task in stage] for stage in self._stages]
        return twin

    def copy(self) -> Self:
        """See ``ExecutionGraph.copy``."""
        twin = super().copy()
        twin._stages = self.tasks
        return twin

    def __repr__(self) -> str:
        stages = ", ".join(f"[{', '.join(map(shown, stage))}]" for stage in self._stages)
        return f"{type(self).__name__}([{stages}])"

    def _last_point(self) -> str | int:
        return len(self._stages) or ROOT

    def _checked(self, stage: object, number: int) -> list[Any]:
        tasks = stage if isinstance(stage, (list, tuple)) else [stage]
        if not tasks:
            raise GraphError(f"stage {number} is empty; put a task into it, or leave it out")
        checked: list[Any] = []
        for task in tasks:
            if not is_task(task):
                raise TypeError(f"in stage {number} of a {type(self).__name__} is {_found(task)}")
            if type(task).__hash__ is None:
                raise TypeError(
                    f"{shown(task)} can't stand in a graph: {type(task).__name__} defines __eq__ and no __hash__; "
                    "define both or neither"
                )
            if not self._has_node(task) and task not in checked:
                checked.append(task)
            elif isinstance(task, TaskDispatcher):
                checked.append(copy.copy(task))
            else:
                raise GraphError(self._there_already(task, number))
        return checked

    def _there_already(self, task: Any, number: int) -> str:
        place = next((index for index, stage in enumerate(self._stages, 1) if task in stage), None)
        where = f"stage {place}" if place else "the graph" if self._has_node(task) else f"stage {number}"
        return (
            f"{shown(task)} is in {where} already, and a task stands in a pipeline once; "
            "make another instance, or repeat all stages with CyclePipeline"
        )


class CyclePipeline(Pipeline):
    """A pipeline that begins again when its last stage has ended.

    Args:
        tasks: The stages, as of a ``Pipeline``.
        cycles: How often all of it runs, at least 2; None is until a failure ends it, with
            ``early_stopping=False`` until the worker is ended.
        early_stopping: Whether the first failure ends everything.
        environment_definition: What the tasks need around them; the worker as it is, unless given.

    Raises:
        TypeError: As ``Pipeline``, and if ``cycles`` is no int.
        ValueError: If ``cycles`` is below 2.
        GraphError: As ``Pipeline``.

    >>> class Ping(Task):
    ...     def run(self): ...
    >>> CyclePipeline([Ping()], cycles=3).draw()
    CyclePipeline: 1 task, early stopping
      1.  Ping
    <BLANKLINE>
      root → Ping
      Ping → 1
      1    ⇢ root  weak, 2 times
    """

    def __init__(
        self,
        tasks: Sequence[Stage] = (),
        cycles: int | None = None,
        early_stopping: bool = True,
        environment_definition: EnvironmentDefinition | None = None,
    ) -> None:
        if isinstance(tasks, int):
            raise TypeError(f"the stages of a CyclePipeline are a list, found {tasks!r}; write cycles={tasks!r}")
        if cycles is not None and (not isinstance(cycles, int) or isinstance(cycles, bool)):
            raise TypeError(f"cycles is {describe(cycles)}; expected how often all of it runs, a whole number, or None")
        if cycles is not None and cycles < 2:
            raise ValueError(
                f"cycles is {cycles}; expected at least 2, or None to go on without end; what runs once is a Pipeline"
            )
        self.cycles = cycles
        super().__init__(tasks, early_stopping, environment_definition)

    def then(self, stage: Stage) -> Self:
        """See ``Pipeline.then``; the way back to the start leads from the new stage."""
        before = self._last_point()
        super().then(stage)
        if before != ROOT:
            self._remove_edge(before, ROOT)
        counter = {} if self.cycles is None else {"counter": self.cycles - 1}
        self._add_edge(self._last_point(), ROOT, type="weak", **counter)
        return self

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, cycles={self.cycles})"


def _found(found: object) -> str:
    if isinstance(found, ExecutionGraph):
        return f"{found!r}: a pipeline in a pipeline does not work; add its tasks one by one"
    if isinstance(found, (list, tuple)):
        return f"a list, {describe(found)}; expected tasks, which run side by side: lists in it mean nothing"
    if isinstance(found, (set, frozenset, dict)):
        return f"a {type(found).__name__}; expected a list, whose order is the same each time the DAG is parsed"
    if found is None:
        return "None; expected a task or a dispatcher"
    if is_task(found):
        return f"{shown(found)}; put it into a list: [{type(found).__name__}(…)]"
    return f"{describe(found)}: {task_advice(found)}"
