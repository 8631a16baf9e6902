"""What is true of every graph: random ones of up to 40 nodes, with loops, counters and failures, in random order."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.graphs import Graph, drive


@st.composite
def graphs(draw: st.DrawFn, weak: bool = True, strong_counters: bool = True) -> Graph:
    """A graph that keeps the rules: strong edges lead on from the root to every node, weak ones anywhere."""
    size = draw(st.integers(1, 39))
    numbers = draw(st.randoms(use_true_random=False))
    nodes = ["root", *(f"n{number}" for number in range(1, size + 1))]
    tasks = [name for name in nodes[1:] if numbers.random() < 0.8]
    ends: dict[tuple[str, str], dict] = {}
    for place, target in enumerate(nodes[1:], 1):
        for source in numbers.sample(nodes[:place], min(place, numbers.choice([1, 1, 1, 2, 3]))):
            ends[source, target] = (
                {"counter": numbers.randint(1, 3)} if strong_counters and numbers.random() < 0.1 else {}
            )
    for _ in range(numbers.choice([0, 1, 2, 4]) if weak else 0):
        pair = numbers.choice(nodes), numbers.choice(nodes)
        if pair not in ends:
            ends[pair] = {"type": "weak", "counter": numbers.randint(1, 3)}
    for (source, _), attributes in ends.items():
        if source in tasks and numbers.random() < 0.2:
            attributes["traverse_on"] = numbers.choice(["success", "failure", "any"])
    edges = [(source, target, attributes) for (source, target), attributes in ends.items()]
    numbers.shuffle(edges)
    return Graph(nodes, tasks, edges, draw(st.booleans()))


chances = st.integers(0, 2**32).map(random.Random)
failing = st.sampled_from([0.0, 0.1, 0.5]).flatmap(
    lambda share: st.integers(0, 2**32).map(
        lambda seed: lambda task, run: random.Random(f"{seed} {task} {run}").random() < share
    )
)
failing_always = st.sets(st.integers(1, 39).map(lambda number: f"n{number}"), max_size=6)


def strong_sources(graph: Graph) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in graph.nodes}
    for source, target, attributes in graph.edges:
        if attributes.get("type") != "weak":
            found[target].add(source)
    return found


def tasks_before(graph: Graph, of: str) -> set[str]:
    """The tasks from which strong edges lead to one in one step, or over synchronisation points."""
    sources = strong_sources(graph)
    found: set[str] = set()
    pending = list(sources[of])
    while pending:
        name = pending.pop()
        if name in graph.tasks:
            found.add(name)
        else:
            pending.extend(sources[name])
    return found


@given(graphs(), failing, chances)
def test_every_walk_ends_and_no_task_starts_before_those_that_it_waits_for(graph, fails, chance):
    ran = drive(graph, fails, chance=chance)
    assert ran.walk.is_done
    assert ran.walk.running == []
    before = {task: tasks_before(graph, task) for task in graph.tasks}
    running: set[str] = set()
    ended: set[str] = set()
    for what, task in ran.log:
        if what == "start":
            assert before[task] <= ended, (task, before[task] - ended)
            assert task not in running
            running.add(task)
        else:
            running.remove(task)
            ended.add(task)
    assert {task: len(results) for task, results in ran.walk.results.items()} == Counter(ran.started)


@given(graphs(), failing, chances)
def test_no_task_runs_more_often_than_rounds_can_begin(graph, fails, chance):
    ran = drive(graph, fails, chance=chance)
    rounds = 1 + sum(found["counter"] for _, _, found in graph.edges if found.get("type") == "weak")
    assert all(count <= rounds for count in ran.counts.values())


@given(graphs(), failing, chances)
def test_it_is_known_why_a_walk_ended(graph, fails, chance):
    ran = drive(graph, fails, chance=chance)
    failed = {task for task in ran.counts for run in range(ran.counts[task]) if fails(task, run)}
    if ran.walk.stopped_by is not None:
        assert graph.early_stopping
        assert ran.walk.stopped_by in failed
        assert ran.walk.stuck() == {}
    else:
        assert all(ran.walk.stuck().values())
    # Nothing waits any more: it ran, or it is known that it can't.
    assert all(not round_.waiting for round_ in ran.walk._rounds) or ran.walk.stopped_by is not None
    assert ran.walk.is_successful == (not failed and not ran.walk.stuck())


@given(graphs(weak=False, strong_counters=False), failing_always, chances)
def test_without_weak_edges_a_task_runs_once_if_all_edges_to_it_are_walked(graph, fails, chance):
    ran = drive(graph, fails, chance=chance)
    walked: set[tuple[str, str]] = set()
    runs = []
    for name in graph.nodes:  # each stands behind those from which edges lead to it
        if not all((source, name) in walked for source in strong_sources(graph)[name]):
            continue
        runs += [name] if name in graph.tasks else []
        for source, target, attributes in graph.edges:
            if source == name and fits(graph, name, attributes, fails):
                walked.add((source, target))
    if ran.walk.stopped_by is None:
        assert sorted(ran.counts) == sorted(runs)
    else:
        assert set(ran.counts) <= set(runs)


@given(graphs(strong_counters=False), failing_always, chances)
def test_how_often_a_task_runs_is_what_playing_one_round_after_the_other_gives(graph, fails, chance):
    ran = drive(graph, fails, chance=chance)
    if ran.walk.stopped_by is None:
        assert ran.counts == play(graph, fails)


def fits(graph: Graph, name: str, attributes: dict, fails: set[str]) -> bool:
    when = attributes.get("traverse_on") or ("success" if graph.early_stopping else "any")
    return name not in graph.tasks or when == "any" or (when == "failure") == (name in fails)


def play(graph: Graph, fails: set[str]) -> dict[str, int]:
    """Count how often each task runs, by the rules in the words of the documentation, with nothing at a time."""
    counts: Counter[str] = Counter()
    left = {(source, target): found.get("counter") for source, target, found in graph.edges}
    sources = strong_sources(graph)
    rounds: list[tuple[set[str], dict[str, set[str]], set[str]]] = [({"root"}, {}, set())]
    while rounds:
        begun_with, walked_before, ended = rounds.pop(0)
        here: dict[str, set[str]] = {}
        started = set(begun_with)
        weak_ends = []
        for name in graph.nodes:
            takes_part = name in started or any(source in here and name not in here[source] for source in sources[name])
            if not takes_part:
                continue
            here[name] = set()
            walked = {**walked_before, **here}
            if name not in started or not all(
                source in ended if name in begun_with and source not in here else name in walked.get(source, ())
                for source in sources[name]
            ):
                continue
            counts[name] += 1
            ended = ended | {name}
            again = set()
            for source, target, attributes in graph.edges:
                if source != name or not fits(graph, name, attributes, fails) or left[source, target] == 0:
                    continue
                if attributes.get("type") == "weak":
                    left[source, target] -= 1
                    again.add(target)
                else:
                    here[name].add(target)
                    started.add(target)
            if again:
                weak_ends.append(again)
        rounds += [(targets, {**walked_before, **here}, ended) for targets in weak_ends]
    return {name: count for name, count in sorted(counts.items()) if name in graph.tasks}
