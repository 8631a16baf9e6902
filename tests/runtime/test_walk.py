"""What edges of each kind mean, as a table of small graphs."""

from __future__ import annotations

import json

import pytest

from airflow_provider_tasks.model.pipeline import CyclePipeline
from airflow_provider_tasks.model.task import Task
from airflow_provider_tasks.runtime.walk import GraphWalk
from tests.runtime.graphs import drive, graph

SEQUENCE = "root -> a, a -> b, b -> c"
STAGE = "root -> a, root -> b, a -> ONE, b -> ONE, ONE -> c"
CYCLE = "root -> a, root -> b, a -> ONE, b -> ONE, ONE -> c, c -> TWO, TWO ~> root x2"
BRANCHES = "root -> a, a -> b success, a -> c failure, b -> d, c -> d"
LOOP = "root -> a, a -> b, b ~> a x2, b -> c"


@pytest.mark.parametrize(
    ("text", "fails", "counts"),
    [
        # Strong edges: one after the other, side by side, joined.
        ("root -> a", (), "a"),
        (SEQUENCE, (), "a b c"),
        (STAGE, (), "a b c"),
        ("root -> a, a -> b, a -> c, b -> d, c -> d", (), "a b c d"),
        # A weak edge starts its target once more, and is not waited for.
        ("root -> a, root -> b, a -> c, b ~> c", (), "a b cc"),
        ("root -> a, a -> b, b ~> b x3", (), "a bbbb"),
        # Loops: what strong edges start from the target runs once more as well.
        (LOOP, (), "aaa bbb ccc"),
        ("root -> a, a -> b, b ~> a x2", (), "aaa bbb"),
        (CYCLE, (), "aaa bbb ccc"),
        ("root -> a, a -> b, b ~> a x1, b -> c, c ~> root x1", (), "aaa bbb ccc"),
        # What is no part of the loop counts as it was.
        ("root -> a, root -> s, a -> b, s -> b, b ~> a x2", (), "aaa bbb s"),
        ("root -> a, root -> s, a -> b, s -> c, b -> c, b ~> a x2", (), "aaa bbb ccc s"),
        # Two weak edges that one task walks begin one round.
        ("root -> A, A -> p, A -> q, p -> j, q -> j, j ~> p x1, j ~> q x1", (), "jj pp qq"),
        # A counter on a strong edge: walked that often, then neither walked nor waited for.
        ("root -> s x1, root -> a, s -> ONE, a -> ONE, ONE -> b, b ~> root x2", (), "aaa bbb s"),
        ("root -> a, root -> b, a -> c x1, b -> c, c ~> root x2", (), "aaa bbb ccc"),
        # traverse_on: the one or the other way, both, and each way counted for itself.
        ("root -> a, a -> b success, a -> c failure", (), "a b"),
        ("root -> a, a -> b success, a -> c failure", "a", "a c"),
        ("root -> a, a -> b any, a -> c failure", "a", "a b c"),
        ("root -> a, a -> b any, a -> c failure", (), "a b"),
        ("root -> a, a -> b, a ~> a failure x2, a -> c any", "a", "aaa ccc"),
        # Either of two ways leads to d: strong from where they part, weak from where they end.
        ("root -> a, a -> d failure, a -> b, b ~> d", (), "a b d"),
        ("root -> a, a -> d failure, a -> b, b ~> d", "a", "a d"),
        # A strong edge that was not walked keeps its target, and what follows, from running.
        ("root -> a, root -> b, a -> ONE, b -> ONE, ONE -> c, a -> h failure", "a", "a b h"),
        ("root -> a, root -> b, a -> ONE any, b -> ONE, ONE -> c", "a", "a b c"),
    ],
)  # fmt: skip
def test_each_task_runs_as_often_as_its_edges_say(text, fails, counts):
    ran = drive(graph(text), fails)
    assert ran.counts == {word[0]: len(word) for word in counts.split()}
    assert ran.walk.stopped_by is None


@pytest.mark.parametrize("last", ["a", "b", "ab"])
@pytest.mark.parametrize("text", [STAGE, CYCLE, LOOP, "root -> a, root -> b, a -> c, b ~> c"])
def test_how_long_a_task_takes_does_not_change_how_often_any_runs(text, last):
    assert drive(graph(text), last=last).counts == drive(graph(text)).counts


def test_a_stage_runs_side_by_side():
    walk = graph(STAGE).walk()
    assert walk.ready() == ["a", "b"]
    assert walk.running == ["a", "b"]
    walk.finished("b", True)
    assert walk.ready() == []
    walk.finished("a", True)
    assert walk.ready() == ["c"]


def test_a_stage_of_a_cycle_is_waited_for_in_each_round():
    assert drive(graph(CYCLE), last="b").started == ["a", "b", "c"] * 3


def test_a_longer_way_is_waited_for_in_each_round():
    text = "root -> a, a -> j, root -> b, b -> c, c -> d, d -> j, j ~> root x1"
    assert drive(graph(text)).started == ["a", "b", "c", "d", "j"] * 2


def test_a_weak_edge_is_not_waited_for():
    ran = drive(graph("root -> a, root -> b, a -> c, b ~> c"), last="b")
    assert ran.log[:6] == [
        ("start", "a"),
        ("start", "b"),
        ("end", "a"),
        ("start", "c"),
        ("end", "c"),
        ("end", "b"),
    ]
    assert ran.started == ["a", "b", "c", "c"]


def test_a_weak_edge_does_not_overtake_a_strong_one():
    ran = drive(graph("root -> a, root -> b, a -> c, b ~> c"), last="a")
    assert ran.started == ["a", "b", "c", "c"]
    assert ran.log.index(("end", "a")) < ran.log.index(("start", "c"))


def test_a_task_does_not_run_twice_at_once():
    walk = graph("root -> a, a -> b, a ~> a x1").walk()
    walk.ready()
    walk.finished("a", True)
    assert sorted(walk.ready()) == ["a", "b"]
    walk.finished("a", True)
    assert walk.ready() == []
    walk.finished("b", True)
    assert walk.ready() == ["b"]


def test_a_retry_within_a_stage_is_waited_for():
    text = "root -> a, root -> b, a -> ONE, b -> ONE, a ~> a failure x2, ONE -> c"
    for last in ("", "a", "b"):
        ran = drive(graph(text), lambda task, run: task == "a" and run < 2, last=last)
        assert ran.counts == {"a": 3, "b": 1, "c": 1}
        assert ran.started[-1] == "c"
        assert ran.walk.stuck() == {}


def test_a_retry_within_the_second_cycle_waits_for_that_cycle():
    text = "root -> a, root -> b, a -> ONE, b -> ONE, a ~> a failure x1, ONE -> c, c ~> root x1"
    ran = drive(graph(text), lambda task, run: task == "a" and run == 1, last="b")
    assert ran.started == ["a", "b", "c", "a", "b", "a", "c"]
    assert ran.log.index(("start", "c")) < ran.log.index(("end", "c"))
    ends = [task for what, task in ran.log if what == "end"]
    assert ends == ["a", "b", "c", "a", "a", "b", "c"]


def test_a_failure_stops_everything():
    walk = graph("root -> a, root -> b, a -> c, b -> d").walk()
    assert walk.ready() == ["a", "b"]
    walk.finished("a", False)
    assert walk.stopped_by == "a"
    assert not walk.is_done
    assert (walk.ready(), walk.running) == ([], ["b"])
    walk.finished("b", False)
    assert walk.is_done
    assert walk.stopped_by == "a"
    assert not walk.is_successful
    assert walk.stuck() == {}


def test_a_failure_in_the_last_stage_stops_everything():
    assert drive(graph(SEQUENCE), "c").walk.stopped_by == "c"


def test_a_failure_that_an_edge_is_for_stops_nothing():
    ran = drive(graph("root -> a, root -> b, a -> h failure, b -> c"), "a")
    assert ran.counts == {"a": 1, "b": 1, "c": 1, "h": 1}
    assert ran.walk.stopped_by is None
    assert not ran.walk.is_successful


def test_a_failure_stops_everything_once_the_counter_of_its_edge_is_used_up():
    ran = drive(graph("root -> a, a ~> a failure x2, a -> b"), "a")
    assert ran.counts == {"a": 3}
    assert ran.walk.stopped_by == "a"


def test_without_early_stopping_a_failure_is_an_end_like_any():
    ran = drive(graph(STAGE, early_stopping=False), "ab")
    assert ran.counts == {"a": 1, "b": 1, "c": 1}
    assert ran.walk.stopped_by is None
    assert not ran.walk.is_successful


def test_without_early_stopping_traverse_on_still_counts():
    text = "root -> a, a -> b success, a -> c failure, a -> d"
    assert drive(graph(text, early_stopping=False), "a").counts == {"a": 1, "c": 1, "d": 1}
    assert drive(graph(text, early_stopping=False)).counts == {"a": 1, "b": 1, "d": 1}


@pytest.mark.parametrize(("fails", "counts", "waits_for"), [((), "a b", ["c"]), ("a", "a c", ["b"])])
def test_what_waits_for_a_way_that_was_not_taken_is_stuck(fails, counts, waits_for):
    ran = drive(graph(BRANCHES), fails)
    assert " ".join(ran.counts) == counts
    assert ran.walk.stuck() == {"d": waits_for}
    assert not ran.walk.is_successful


def test_what_a_handled_failure_kept_from_running_is_told():
    ran = drive(graph("root -> a, root -> b, a -> ONE, b -> ONE, ONE -> c, a -> h failure"), "a")
    assert ran.walk.stuck() == {"ONE": ["a"]}


def test_a_way_that_nothing_waits_for_may_be_left_out():
    ran = drive(graph("root -> a, a -> b, a -> c failure, c -> d"))
    assert ran.counts == {"a": 1, "b": 1}
    assert ran.walk.is_successful
    assert ran.walk.stuck() == {}


def test_nothing_is_stuck_while_something_runs():
    walk = graph(BRANCHES + ", a -> e").walk()
    walk.ready()
    walk.finished("a", True)
    walk.ready()
    walk.finished("b", True)
    assert walk.running == ["e"]
    assert walk.stuck() == {}
    walk.finished("e", True)
    assert walk.stuck() == {"d": ["c"]}


def test_an_earlier_cycle_does_not_make_up_for_a_failure():
    # d ran in the first cycle; in the second one c fails, so d must not go on with what c did before.
    text = "root -> c, root -> b, c -> e, e -> d, b -> d, c -> h failure, d ~> root x1"
    ran = drive(graph(text), lambda task, run: task == "c" and run == 1)
    assert ran.counts == {"b": 2, "c": 2, "d": 1, "e": 1, "h": 1}


def test_results_are_kept_in_the_order_in_which_tasks_ended():
    walk = graph(STAGE).walk()
    walk.ready()
    assert walk.previous_steps() == {}
    walk.finished("b", True, 1)
    walk.finished("a", True, 2)
    seen = walk.previous_steps()
    assert list(seen.items()) == [("b", [1]), ("a", [2])]
    seen["b"].append(3)
    assert walk.results == {"b": [1], "a": [2]}


def test_results_of_each_run_are_kept():
    assert drive(graph(CYCLE)).walk.results == {
        "a": ["a1", "a2", "a3"],
        "b": ["b1", "b2", "b3"],
        "c": ["c1", "c2", "c3"],
    }


def test_synchronisation_points_alone_are_done_at_once():
    walk = GraphWalk(["root", "ONE"], [], [("root", "ONE", {}), ("ONE", "root", {"type": "weak", "counter": 5})])
    assert walk.is_done
    assert walk.is_successful
    assert walk.results == {}


def test_a_task_that_does_not_run_can_not_end():
    walk = graph(SEQUENCE).walk()
    walk.ready()
    with pytest.raises(ValueError, match=r"^'b' does not run; running: a$"):
        walk.finished("b", True)


def test_a_walk_without_end_does_not_grow():
    walk = graph("root -> a, a -> ONE, ONE ~> root, root -> b, b -> ONE, a ~> a failure").walk()
    for step in range(2000):
        for task in walk.ready():
            walk.finished(task, success=task != "a" or step % 3 != 0)
    assert len(walk._rounds) == 1
    assert walk._rounds[0].parent is None
    assert len(walk._rounds[0].before) <= 4


def test_a_long_chain_is_no_matter():
    names = [f"t{number}" for number in range(3000)]
    nodes = ["root", *names]
    edges = [(source, target, {}) for source, target in zip(nodes, names)]
    for success in (True, False):
        walk = GraphWalk(nodes[::-1][-1:] + nodes[:0:-1], names, edges)
        assert walk.ready() == ["t0"]
        walk.finished("t0", success)
        assert walk.is_done is not success


class Say(Task):
    def run(self) -> None: ...


def test_a_plan_is_walked():
    tasks = [Say("a"), [Say("b"), Say("c")], Say("d")]
    pipeline = CyclePipeline(tasks, cycles=2)
    alarm = Say("alarm")
    pipeline.graph.add_edge(tasks[0], alarm, traverse_on="failure")
    walk = GraphWalk(**json.loads(json.dumps(pipeline.plan().to_json())))
    started = []
    while not walk.is_done:
        for task in walk.ready():
            started.append(task)
            walk.finished(task, True)
    assert started == ["a", "b", "c", "d"] * 2
    assert walk.is_successful
