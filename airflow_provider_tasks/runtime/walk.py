"""``GraphWalk``: which task of a graph is to run next. It starts nothing itself, so it needs neither clock nor process.

The rules:

* The walk begins at the first node. A node that has ended walks those of its edges that fit how it ended
  (``traverse_on``) and whose ``counter`` is not used up. An edge that is walked starts its target.
* A strong edge is waited for: its target runs only when all strong edges that lead to it have been walked. One
  whose counter is used up is not waited for any more.
* What strong edges start, one from the other, is a *round*. In a round each node runs at most once.
* A weak edge is not waited for. Those that a node walks when it ends begin a new round: their targets run once
  more, and so does what strong edges start from there. What does not run in the new round counts as it was.
* What a weak edge starts waits for the ends of what strong edges lead from to it, and not for these edges.
* A node waits as long as anything from which strong edges lead to it, in one step or several, is at work in its
  own round or in one that this has come from. A task never runs twice at the same time.
* A failure for which no edge is walked stops everything, unless ``early_stopping`` is off.

So how often each task runs depends on how the tasks end and not on how long they take.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any


class GraphWalk:
    """A walk through a graph of tasks.

    Args:
        nodes: All names, the one where it begins first.
        tasks: The names of those that are tasks. The others are synchronisation points, which end as they start.
        edges: Source, target and attributes of each edge: ``type`` (``strong`` or ``weak``), ``counter``,
            ``traverse_on`` (``success``, ``failure`` or ``any``). They keep the rules of ``ExecutionGraph``, as
            what ``Plan.to_json`` writes does.
        early_stopping: Whether a failure for which no edge is walked stops everything.

    >>> edges = [("root", "a", {}), ("a", "b", {}), ("b", "a", {"type": "weak", "counter": 1})]
    >>> walk = GraphWalk(["root", "a", "b"], ["a", "b"], edges)
    >>> while not walk.is_done:
    ...     for task in walk.ready():
    ...         walk.finished(task, True, f"{task} is done")
    >>> walk.results
    {'a': ['a is done', 'a is done'], 'b': ['b is done', 'b is done']}
    """

    def __init__(
        self,
        nodes: Sequence[str],
        tasks: Collection[str],
        edges: Iterable[tuple[str, str, Mapping[str, Any]]],
        early_stopping: bool = True,
    ) -> None:
        self.early_stopping = early_stopping
        self.results: dict[str, list[Any]] = {}
        """What ``finished`` was given, by task, in the order in which they first ended."""
        self.stopped_by: str | None = None
        """The task whose failure stopped everything. What still runs is to be ended, and reported as finished."""
        self._tasks = frozenset(tasks)
        self._edges: dict[str, list[_Edge]] = {name: [] for name in nodes}
        self._strong_to: dict[str, list[_Edge]] = {name: [] for name in nodes}
        for source, target, attributes in edges:
            edge = _Edge(source, target, attributes, early_stopping)
            self._edges[source].append(edge)
            if not edge.weak:
                self._strong_to[target].append(edge)
        self._bits = {name: 1 << index for index, name in enumerate(nodes)}
        self._ancestors = self._find_ancestors()
        self._running: dict[str, _Round] = {}
        self._failed = False
        self._left: dict[str, list[str]] = {}
        self._rounds = [_Round(None, nodes[:1], self._bits)]
        self._advance()

    @property
    def running(self) -> list[str]:
        """The tasks that run now, first started first."""
        return list(self._running)

    @property
    def is_done(self) -> bool:
        """Whether nothing runs and nothing can start: it came to its end, was stopped, or is stuck."""
        return not self._running and next(self._startable(), None) is None

    @property
    def is_successful(self) -> bool:
        """Whether all that ran so far succeeded, and nothing is stuck."""
        return not self._failed and not self.stuck()

    def ready(self) -> list[str]:
        """Return the tasks that are to start now; from here on they count as running.

        >>> walk = GraphWalk(["root", "a", "b"], ["a", "b"], [("root", "a", {}), ("root", "b", {})])
        >>> walk.ready(), walk.ready(), walk.running
        (['a', 'b'], [], ['a', 'b'])
        """
        started = []
        for round_, name in list(self._startable()):
            if name not in self._running:  # two rounds may wait for it
                round_.waiting.remove(name)
                self._running[name] = round_
                self._left.pop(name, None)
                started.append(name)
        return started

    def finished(self, task: str, success: bool, result: Any = None) -> None:
        """Take note that a task has ended.

        Args:
            task: One that runs.
            success: How it ended; one that was killed or died has failed.
            result: What ``results`` and ``previous_steps`` are to hold.

        Raises:
            ValueError: If it does not run.

        >>> walk = GraphWalk(["root", "a", "b"], ["a", "b"], [("root", "a", {}), ("a", "b", {})])
        >>> walk.finished("b", True)
        Traceback (most recent call last):
        ...
        ValueError: 'b' does not run; running: none
        """
        if task not in self._running:
            raise ValueError(f"{task!r} does not run; running: {', '.join(self._running) or 'none'}")
        self.results.setdefault(task, []).append(result)
        self._failed = self._failed or not success
        walked = self._end(self._running.pop(task), task, success)
        if not success and not walked and self.early_stopping and self.stopped_by is None:
            self.stopped_by = task
        self._advance()

    def previous_steps(self) -> dict[str, list[Any]]:
        """Return what a task that starts now may know: the results so far, in a dictionary and lists of its own.

        >>> GraphWalk(["root", "a"], ["a"], [("root", "a", {})]).previous_steps()
        {}
        """
        return {task: list(results) for task, results in self.results.items()}

    def stuck(self) -> dict[str, list[str]]:
        """Return what was started and could never run, and for each the sources of strong edges not walked.

        It is known when the walk is done; where all is well, it is empty. After an early stop it is too.

        >>> edges = [("root", "a", {}), ("a", "b", {}), ("a", "c", {"traverse_on": "failure"})]
        >>> edges += [("b", "d", {}), ("c", "d", {})]
        >>> walk = GraphWalk(["root", "a", "b", "c", "d"], ["a", "b", "c", "d"], edges)
        >>> while not walk.is_done:
        ...     for task in walk.ready():
        ...         walk.finished(task, True)
        >>> walk.stuck()
        {'d': ['c']}
        """
        return dict(self._left) if self.stopped_by is None and self.is_done else {}

    def _startable(self) -> Iterator[tuple[_Round, str]]:
        """Yield what waits and could start; all of it can, as ``_advance`` has taken out what never will."""
        busy: dict[_Round | None, int] = {None: 0}
        for round_ in self._rounds if self.stopped_by is None else ():
            busy[round_] = round_.active | busy[round_.parent]
            for name in round_.waiting:
                if not self._ancestors[name] & busy[round_] and name not in self._running:
                    yield round_, name

    def _advance(self) -> None:
        """End the synchronisation points that can, take out what can never start, forget the rounds that are over."""
        moved = True
        while moved:
            moved = False
            for round_, name in list(self._startable()):
                if self._missing(round_, name):
                    self._bar(round_, name)
                    moved = True
                elif name not in self._tasks:
                    round_.waiting.remove(name)
                    self._left.pop(name, None)
                    self._end(round_, name, None)
                    moved = True
        self._rounds = [round_ for round_ in self._rounds if round_.active]
        for round_ in self._rounds:
            round_.settle()

    def _missing(self, round_: _Round, name: str) -> list[str]:
        """Return the sources of those strong edges that would have to be walked for a node to start."""
        missing = []
        for edge in self._strong_to[name]:
            if edge.left == 0:
                continue
            if name in round_.begun_with and edge.source not in round_.walked:
                satisfied = round_.has_ended(edge.source)
            else:
                satisfied = name in round_.walked_from(edge.source)
            if not satisfied:
                missing.append(edge.source)
        return missing

    def _end(self, round_: _Round, name: str, success: bool | None) -> bool:
        """Walk the edges of a node that has ended; tell whether there was one to be walked."""
        round_.active &= ~self._bits[name]
        round_.ended.add(name)
        walked = [edge for edge in self._edges[name] if edge.walk(success)]
        round_.walked[name] = {edge.target for edge in walked if not edge.weak}
        for edge in self._edges[name]:
            if edge.is_waited_for and edge not in walked:
                self._bar(round_, edge.target)
        for edge in walked:
            if edge.weak:
                continue
            if edge.target in round_.walked:
                self._left[edge.target] = self._missing(round_, edge.target)
            else:
                round_.start(edge.target, self._bits)
        again = [edge.target for edge in walked if edge.weak]
        if again:
            self._rounds.append(_Round(round_, again, self._bits))
        return bool(walked)

    def _bar(self, round_: _Round, name: str) -> None:
        """Take note that a node can't run in a round any more, nor can what waits for it."""
        pending = [name]
        while pending:
            name = pending.pop()
            if name in round_.walked:
                continue
            if name in round_.waiting:
                round_.waiting.remove(name)
                round_.active &= ~self._bits[name]
                self._left[name] = self._missing(round_, name)
            round_.walked[name] = set()
            pending.extend(edge.target for edge in self._edges[name] if edge.is_waited_for)

    def _find_ancestors(self) -> dict[str, int]:
        """Return for each node, as bits, those from which strong edges lead to it in one step or several."""
        found: dict[str, int] = {}
        for start in self._bits:
            pending = [start]
            while pending:
                sources = [edge.source for edge in self._strong_to[pending[-1]]]
                unknown = [source for source in sources if source not in found]
                if unknown:
                    pending.extend(unknown)
                    continue
                bits = 0
                for source in sources:
                    bits |= found[source] | self._bits[source]
                found[pending.pop()] = bits
        return found


class _Edge:
    def __init__(self, source: str, target: str, attributes: Mapping[str, Any], early_stopping: bool) -> None:
        self.source = source
        self.target = target
        self.weak = attributes.get("type") == "weak"
        self.left: int | None = attributes.get("counter")
        self.traverse_on = attributes.get("traverse_on") or ("success" if early_stopping else "any")

    @property
    def is_waited_for(self) -> bool:
        return not self.weak and self.left != 0

    def walk(self, success: bool | None) -> bool:
        """Walk the edge if it fits how its source ended (None: a synchronisation point) and may be walked again."""
        fits = success is None or self.traverse_on == "any" or (self.traverse_on == "success") == success
        if not fits or self.left == 0:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class _Round:
    """What strong edges started, one from the other.

    ``active`` holds what waits or runs, as bits; ``ended`` what ran. ``walked`` holds what ran or can't run here any
    more, with the targets of the strong edges that it walked; ``before``, the same of earlier rounds that are over.
    """

    def __init__(self, parent: _Round | None, names: Sequence[str], bits: Mapping[str, int]) -> None:
        self.parent = parent
        self.begun_with = frozenset(names)
        self.waiting: list[str] = []
        self.active = 0
        self.ended: set[str] = set()
        self.walked: dict[str, set[str]] = {}
        self.before: dict[str, set[str]] = {}
        for name in names:
            self.start(name, bits)

    def start(self, name: str, bits: Mapping[str, int]) -> None:
        if not self.active & bits[name]:
            self.active |= bits[name]
            self.waiting.append(name)

    def walked_from(self, source: str) -> set[str]:
        """Return the targets of strong edges that a node has walked when it last ran, here or before."""
        round_: _Round | None = self
        while round_ is not None:
            for known in (round_.walked, round_.before):
                if source in known:
                    return known[source]
            round_ = round_.parent
        return set()

    def has_ended(self, source: str) -> bool:
        """Tell whether a node ran, here or before."""
        round_: _Round | None = self
        while round_ is not None and source not in round_.ended:
            round_ = round_.parent
        return round_ is not None

    def settle(self) -> None:
        """Take over what earlier rounds have left, once they are over: a walk without end must not grow."""
        while self.parent is not None and not self.parent.active:
            self.ended |= self.parent.ended
            self.before = {**self.parent.before, **self.parent.walked, **self.before}
            self.parent = self.parent.parent
