"""A graph whose tasks run at most once, as what each of them waits for: how Airflow's scheduler has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_tasks.model.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_tasks.model.plan import Plan


@dataclass(frozen=True)
class Step:
    """A task, or a synchronisation point that saves dependencies, and what comes before it.

    Args:
        name: Its name in the plan.
        after: The steps that it comes right after.
        conditions: How each of the tasks before it has to end: ``success``, ``failure`` or ``any``. Synchronisation
            points between are seen through.
        ancestors: All tasks that come before it.
    """

    name: str
    after: tuple[str, ...]
    conditions: Mapping[str, str]
    ancestors: tuple[str, ...]

    @property
    def waits_for_success(self) -> bool:
        """Whether everything before it has to succeed.

        >>> Step("b", ("a",), {"a": "success"}, ("a",)).waits_for_success
        True
        """
        return set(self.conditions.values()) <= {"success"}

    @property
    def waits_for_failure(self) -> bool:
        """Whether everything before it has to fail.

        >>> Step("b", ("a",), {"a": "failure"}, ("a",)).waits_for_failure
        True
        """
        return set(self.conditions.values()) == {"failure"}


def steps_of(plan: Plan) -> dict[str, Step]:
    """Return the steps of a plan by their names, in graph order.

    A synchronisation point is a step of its own only where that needs fewer dependencies than to connect what comes
    before it with what comes after it.

    Args:
        plan: The plan of a graph that keeps the rules.

    Returns:
        All tasks, and those synchronisation points.

    Raises:
        GraphError: If a task may run more than once, or can never run.

    >>> from airflow_provider_tasks.model.plan import Edge, Plan
    >>> edges = (Edge("root", "a"), Edge("a", "1"), Edge("1", "b"), Edge("a", "c", traverse_on="failure"))
    >>> plan = Plan(("root", "a", "1", "b", "c"), {"a": "a", "b": "b", "c": "c"}, edges, early_stopping=True)
    >>> for step in steps_of(plan).values():
    ...     print(step.name, step.after, step.conditions)
    a () {}
    b ('a',) {'a': 'success'}
    c ('a',) {'a': 'failure'}
    """
    for edge in plan.edges:
        if edge.weak:
            raise GraphError(
                f"the weak edge {edge.source} ⇢ {edge.target} runs {edge.target} once more, and an Airflow task runs "
                "once in a DAG run: PipelineOperator runs such a graph, all of it in one worker"
            )
    before: dict[str, list[tuple[str, str]]] = {name: [] for name in plan.nodes}
    followers = dict.fromkeys(plan.nodes, 0)
    for edge in plan.edges:
        how = edge.traverse_on or ("success" if plan.early_stopping else "any")
        before[edge.target].append((edge.source, how))
        followers[edge.source] += 1
    after: dict[str, dict[str, None]] = {}
    conditions: dict[str, dict[str, str]] = {}
    ancestors: dict[str, dict[str, None]] = {}
    found = {}
    for name in plan.nodes:
        after[name], conditions[name], ancestors[name] = {}, {}, {}
        for source, how in before[name]:
            is_task = source in plan.tasks
            ancestors[name].update(ancestors[source])
            if is_task:
                ancestors[name][source] = None
            for task, needed in ({source: how} if is_task else conditions[source]).items():
                conditions[name][task] = _both(name, task, needed, conditions[name].get(task, "any"))
            after[name].update({source: None} if source in found else after[source])
        arriving, leaving = len(after[name]), followers[name]
        if name in plan.tasks or arriving * leaving > arriving + leaving:
            found[name] = Step(name, tuple(after[name]), conditions[name], tuple(ancestors[name]))
    return found


def joins_of(steps: Mapping[str, Step]) -> list[str]:
    """Return the steps that have all ended only when all steps have: nothing follows them, or it waits for others too.

    >>> joins_of({"a": Step("a", (), {}, ()), "b": Step("b", ("a",), {"a": "success"}, ("a",))})
    ['b']
    """
    alone = {step.after[0] for step in steps.values() if len(step.after) == 1}
    joined = {name for step in steps.values() if len(step.after) > 1 for name in step.after}
    return [name for name in steps if name in joined or name not in alone]


def _both(name: str, task: str, one: str, other: str) -> str:
    """Return the condition that holds where two do."""
    if other in (one, "any"):
        return one
    if one == "any":
        return other
    raise GraphError(f"{name} can never run: it waits for the success of {task} and for its failure")
