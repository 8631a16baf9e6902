"""Bad input is refused where the DAG is parsed, with a message that says what to do."""

from __future__ import annotations

import pytest

PING = """
class Ping(Task):
    def __init__(self, address, count=1):
        if count < 1:
            raise ValueError("count must be at least 1")
        self.address = address
    def run(self):
        return self.address

class Dispatcher(TaskDispatcher):
    def dispatch(self, node):
        {dispatch}

EDGE = Node("edge", {{"os": "linux"}})
with DAG("a_dag"):
    {body}
"""


@pytest.mark.parametrize(
    ("body", "dispatch", "expected"),
    [
        ("TaskOperator(task_id='t', task=Ping('a', count=0))", "pass", "ValueError: count must be at least 1"),
        ("TaskOperator(task_id='t', task=Ping, task_kwargs={'address': 'a', 'count': 0})", "pass", "at least 1"),
        ("task.worker(Ping)('a', count=0)", "pass", "ValueError: count must be at least 1"),
        ("task.worker(Ping)('a', packets=3)", "pass", "unexpected keyword argument 'packets'"),
        ("task.worker(Ping)('{{ ds }}', packets=3)", "pass", "unexpected keyword argument 'packets'"),
        (
            "TaskOperator(task_id='t', task=Dispatcher())",
            "return Ping('a')",
            "Dispatcher() is a dispatcher and has no node to dispatch for; pass node=Node(…)",
        ),
        ("TaskOperator(task_id='t', task=Dispatcher)", "return Ping('a')", "has no node to dispatch for"),
        ("task.worker(Dispatcher)()", "return Ping('a')", "has no node to dispatch for"),
        (
            "TaskOperator(task_id='t', task=Dispatcher(), node=EDGE)",
            "pass",
            "Dispatcher().dispatch returned None for Node('edge', {'os': 'linux'})",
        ),
        (
            "task.worker(node=EDGE)(Dispatcher)()",
            "raise LookupError('nothing for ' + node['os'])",
            "LookupError: nothing for linux",
        ),
        ("TaskOperator(task_id='t', task=Dispatcher(), node=EDGE)", "return Ping", "make an instance of it"),
        ("TaskOperator(task_id='t', task=Dispatcher(), node=EDGE)", "return self", "that is a dispatcher"),
        ("TaskOperator(task_id='t', task=print)", "pass", "expected a Task or a TaskDispatcher"),
        (
            "TaskOperator(task_id='t', task=Ping('a'), task_kwargs={'address': 'b'})",
            "pass",
            "the task is made already; pass the class: task=Ping",
        ),
        (
            "TaskOperator(task_id='t', task=Ping(TaskOperator(task_id='u', task=Ping('a')).output))",
            "pass",
            "pass the class and its arguments: task=Ping, task_kwargs={'address': …}",
        ),
        (
            "TaskOperator(task_id='t', task=Ping('a'), worker_config={'worker_sise': 'Small'})",
            "pass",
            "unknown key 'worker_sise' for WorkerConfig; did you mean 'worker_size'?",
        ),
        (
            "TaskOperator(task_id='t', task=Ping('a'), worker_config=WorkerConfig(worker_size='Tiny'))",
            "pass",
            "unknown worker_size 'Tiny', expected one of X-Small, Small, Medium, Large, X-Large, 2X-Large",
        ),
        (
            "TaskOperator(task_id='t', task=Ping('a'), node=Node('n', {'worker_config': {'worker_size': 'Tiny'}}))",
            "pass",
            "unknown worker_size 'Tiny'",
        ),
        ("TaskOperator(task_id='t', task=Ping('a'), node='edge')", "pass", "pass node=Node('edge')"),
        ("task.worker(requirements=['true'])(Ping)", "pass", "requirements of a class are its attribute"),
        ("task.worker(dict)", "pass", "expected a subclass of Task or TaskDispatcher, or a function"),
    ],
)
def test_it_names_what_was_found_and_what_to_do(parse, body, dispatch, expected):
    parsed = parse(PING.format(body=body, dispatch=dispatch))
    assert expected in parsed.error
    assert not parsed.dags


@pytest.mark.parametrize(
    "body", ["TaskOperator(task_id='t', task=Dispatcher(), node=EDGE)", "task.worker(Ping)('a', 0)"]
)
def test_it_names_the_line_that_makes_the_task(parse, dags_folder, body):
    parsed = parse(PING.format(body=body, dispatch="pass"))
    path = dags_folder / "dag_file.py"
    line = path.read_text().splitlines().index(f"    {body}") + 1
    assert f"is made in {path}, line {line}." in parsed.error


@pytest.mark.parametrize(
    ("parameter", "advice"),
    [
        ("ti", "return the result instead of xcom_push"),
        ("task_instance", "return the result instead of xcom_push"),
        ("dag", "take what you need of it as an argument"),
        ("task", "take what you need of it as an argument"),
        ("dag_run", "take run_id, logical_date or params"),
        ("conn", "WorkerConfig(connections=[…])"),
        ("var", "WorkerConfig(variables=[…])"),
        ("macros", "use them in a template"),
        ("inlets", "take what you need of it as an argument"),
    ],
)
def test_a_function_that_asks_for_what_cannot_travel(parse, parameter, advice):
    parsed = parse(f"""
        @task.worker
        def f({parameter}=None):
            return 1
        """)
    assert f"f() takes '{parameter}'" in parsed.error
    assert advice in parsed.error


def test_run_with_arguments_is_refused_where_the_class_is_made(parse):
    parsed = parse("""
        class Ping(Task):
            def run(self, x):
                return x
        """)
    assert "Ping.run takes arguments: (x)" in parsed.error


def test_a_class_without_run_is_refused_when_an_instance_is_made(parse):
    parsed = parse("""
        class Ping(Task):
            pass
        with DAG("a_dag"):
            TaskOperator(task_id="t", task=Ping())
        """)
    assert "run" in parsed.error
    assert "Ping" in parsed.error
