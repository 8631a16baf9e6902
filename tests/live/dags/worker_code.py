"""What @task.kubernetes can't run: each of these tasks breaks when its source is cut out and pasted."""

import asyncio
import functools

from airflow.sdk import dag
from airflow.sdk import task as t
from worker_helpers import eager

from airflow_provider_tasks import Success, Task, TaskDispatcher, worker
from airflow_provider_tasks.operators import TaskOperator

OFFSET = 7


def shifted(number):
    return number + OFFSET


def twice(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return [function(*args, **kwargs), function(*args, **kwargs)]

    return wrapper


def make_closure(word):
    @worker(task_id=f"closure_{word}")
    def closure():
        return f"closed over {word}"

    return closure


@t.worker
def uses_a_helper(number):
    return shifted(number)


@t.worker
def uses_a_module_beside():
    from worker_helpers.lazy import GREETING

    return [eager.times(4), GREETING]


@t.worker
def uses_a_function_beside():
    return times(5)


times = eager.times


@t.worker
@twice
def is_decorated_twice(number):
    return number


@t.worker
async def is_async():
    await asyncio.sleep(0)
    return "awaited"


@t.worker
def has_hashes_in_a_string():
    return """
# not a comment
  # nor this
"""


@t.worker
def calls_itself(number):
    return 1 if number < 2 else number * calls_itself(number - 1)


square = worker(task_id="is_a_lambda")(lambda number: number**2)


class Counter(Task):
    def __init__(self, start):
        self.start = start

    def run(self):
        return Success(shifted(self.start))


class AsyncTask(Task):
    async def run(self):
        return "awaited in run"


class Outer:
    class Inner(Task):
        def run(self):
            return [type(self).__name__, self.name]


class Picks(TaskDispatcher):
    def dispatch(self, node):
        return Counter(node["start"])


@dag(schedule=None)
def worker_code():
    uses_a_helper(1)
    uses_a_module_beside()
    uses_a_function_beside()
    is_decorated_twice(3)
    is_async()
    has_hashes_in_a_string()
    calls_itself(5)
    square(4)
    make_closure("one")()
    make_closure("two")()
    t.worker(Counter)(1)
    TaskOperator(task_id="async_task", task=AsyncTask())
    TaskOperator(task_id="nested", task=Outer.Inner())
    TaskOperator(task_id="picked", task=Picks(), node={"name": "n", "properties": {"start": 3}})

    @t.worker
    def is_made_in_the_dag(number=OFFSET):
        return (lambda: number + 1)()

    is_made_in_the_dag()


worker_code()
