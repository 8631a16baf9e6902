"""Code that a worker can't import runs there, on a Python that has nothing installed."""

from __future__ import annotations

import asyncio
import functools
import sys
from types import ModuleType

import cloudpickle
import pytest

from airflow_provider_tasks import Task

THRESHOLD = 10


@pytest.fixture
def options():
    return {"bare": True, "shared": True}


def plus(a, b=1):
    return a + b


def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        print(f"calling {function.__name__}")
        return function(*args)

    return wrapper


@logged
def decorated(a):
    return plus(a)


def factorial(n):
    return 1 if n == 0 else n * factorial(n - 1)


def is_even(n):
    return True if n == 0 else is_odd(n - 1)


def is_odd(n):
    return False if n == 0 else is_even(n - 1)


def above_threshold(numbers):
    return [number for number in numbers if number > THRESHOLD]


class Outer:
    class Inner:
        def __init__(self, value):
            self.value = value

        def double(self):
            return Outer.Inner(self.value * 2)


class Base(Task):
    factor = 3

    def scaled(self, value):
        return value * self.factor


class Scale(Base):
    def __init__(self, value):
        self.value = value

    def run(self):
        return super().scaled(self.value)


class Slow(Task):
    async def run(self):
        await asyncio.sleep(0)
        return "awaited"


def test_a_function_runs_with_its_arguments(run):
    assert run(plus, 1, kwargs={"b": 41}).outcome.result == 42


def test_a_function_finds_its_globals(run):
    assert run(above_threshold, [9, 10, 11]).outcome.result == [11]


def test_a_closure_and_a_lambda_run(run):
    offset = 5
    assert run(lambda a: plus(a, offset), 1).outcome.result == 6


def test_a_decorated_function_runs(run):
    outcome, lines = run(decorated, 1)
    assert (outcome.result, lines) == (2, ["calling decorated"])


def test_a_function_calls_itself_by_its_name(run):
    assert run(factorial, 10).outcome.result == 3628800


def test_functions_call_each_other(run):
    assert run(is_even, 7).outcome.result is False


def test_nested_classes_and_instances_of_them_travel(run):
    assert (
        run(lambda inner: isinstance(inner, Outer.Inner) and inner.double().value, Outer.Inner(4)).outcome.result == 8
    )


def test_an_async_function_is_awaited(run):
    async def count():
        await asyncio.sleep(0)
        return 3

    assert run(count).outcome.result == 3


def test_the_run_of_a_task_is_called(run):
    assert run(Scale(5)).outcome.result == 15


def test_an_async_run_is_awaited(run):
    assert run(Slow()).outcome.result == "awaited"


def test_lines_that_begin_with_a_hash_inside_a_string_stay(run):
    def script():
        return """
# not a comment
  # nor this
"""

    assert run(script).outcome.result == "\n# not a comment\n  # nor this\n"


def test_a_decorator_in_a_comment_above_a_function_changes_nothing(run):
    # @task.worker
    def plain():
        return "@task.worker\n# @task"

    assert run(plain).outcome.result == "@task.worker\n# @task"


def test_classes_of_the_same_name_from_two_modules_stay_apart(run):
    first, second = ModuleType("first"), ModuleType("second")
    for number, module in enumerate((first, second), 1):
        exec(f"class Thing:\n    def number(self): return {number}", vars(module))

    def both():
        return first.Thing().number(), second.Thing().number()

    one, two = first.Thing, second.Thing
    assert run(lambda: (one().number(), two().number(), one is two)).outcome.result == (1, 2, False)
    assert run(both).outcome.result == (1, 2)


def test_a_module_that_the_user_registered_goes_by_value(run, tmp_path, monkeypatch):
    elsewhere = tmp_path / "site-packages"
    elsewhere.mkdir()
    (elsewhere / "registered_by_hand.py").write_text("import math\ndef area(r): return math.floor(r * r * math.pi)\n")
    monkeypatch.syspath_prepend(elsewhere)
    import registered_by_hand

    monkeypatch.delitem(sys.modules, "registered_by_hand")
    sys.modules["registered_by_hand"] = registered_by_hand
    cloudpickle.register_pickle_by_value(registered_by_hand)
    try:
        assert run(lambda: registered_by_hand.area(10)).outcome.result == 314
    finally:
        cloudpickle.unregister_pickle_by_value(registered_by_hand)
    outcome = run(lambda: registered_by_hand.area(10)).outcome
    assert (outcome.category, outcome.detail["module"]) == ("environment", "registered_by_hand")


def test_processes_that_the_task_spawns_do_not_run_the_task_again(run):
    def squares():
        import math
        import multiprocessing

        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.map(math.sqrt, [1, 4])

    assert run(squares).outcome.result == [1.0, 2.0]


def test_a_child_that_the_task_forks_and_lets_return_reports_nothing(run):
    def forks():
        import os

        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return "parent" if child else "child"

    assert run(forks).outcome.result == "parent"


def test_the_task_sees_no_arguments_of_ours(run):
    def arguments():
        import sys

        return sys.argv[1:]

    assert run(arguments).outcome.result == []
