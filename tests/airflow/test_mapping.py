"""``partial`` and ``expand`` as with any operator of Airflow's own."""

from __future__ import annotations

from textwrap import dedent

TASKS = """
class Ping(Task):
    def __init__(self, address, count=1):
        if count < 1:
            raise ValueError("count must be at least 1")
        self.address, self.count = address, count
    def run(self):
        return [self.address, self.count]

class Dispatcher(TaskDispatcher):
    def dispatch(self, node):
        return Ping(node["ipv4"]) if node["ipv4"] else None

NODES = [Node("edge", {"ipv4": "10.0.0.1"}), Node("core", {"ipv4": "10.0.0.2"})]
"""


def test_a_mapped_value_that_the_class_refuses_is_an_import_error(parse):
    parsed = parse(
        TASKS
        + dedent("""
        with DAG("a_dag"):
            TaskOperator.partial(task_id="t", task=Ping).expand(
                task_kwargs=[{"address": "a"}, {"address": "b", "count": 0}]
            )
        """)
    )
    assert "ValueError: count must be at least 1" in parsed.error


def test_a_node_that_nothing_is_for_is_an_import_error(parse):
    parsed = parse(
        TASKS
        + dedent("""
        with DAG("a_dag"):
            TaskOperator.partial(task_id="t", task=Dispatcher()).expand(node=[*NODES, Node("none")])
        """)
    )
    assert "Dispatcher().dispatch returned None for Node('none')" in parsed.error


def test_tasks_nodes_and_arguments_can_be_mapped_over(run):
    done = run(
        TASKS
        + dedent("""
        with DAG("a_dag"):
            TaskOperator.partial(task_id="nodes", task=Dispatcher()).expand(node=NODES)
            TaskOperator.partial(task_id="tasks").expand(task=[Ping("a"), Ping("b", 2)])
            TaskOperator.partial(task_id="kwargs", task=Ping).expand(task_kwargs=[{"address": "{{ dag.dag_id }}"}])
            mapped = task.worker(Ping)
            mapped.partial(count=3).expand(address=["x", "y"])
            mapped.override(task_id="each").expand_kwargs([{"address": "z", "count": 4}])
        """)
    )
    assert set(done.states.values()) == {"success"}, done.states
    assert [done.xcom("nodes", map_index=index) for index in (0, 1)] == [["10.0.0.1", 1], ["10.0.0.2", 1]]
    assert [done.xcom("tasks", map_index=index) for index in (0, 1)] == [["a", 1], ["b", 2]]
    assert done.xcom("kwargs", map_index=0) == ["a_dag", 1]
    assert [done.xcom("Ping", map_index=index) for index in (0, 1)] == [["x", 3], ["y", 3]]
    assert done.xcom("each", map_index=0) == ["z", 4]
    assert done.xcom("nodes", key="outcome", map_index=1)["implementation"] == "Ping"
    assert done.xcom("nodes", key="outcome", map_index=1)["node"] == "core"


def test_nodes_that_another_task_finds(run):
    done = run(
        TASKS
        + dedent("""
        @task
        def discover():
            return [node.to_json() for node in NODES]
        @task
        def pick(nodes):
            return nodes[1]
        with DAG("a_dag"):
            found = discover()
            TaskOperator.partial(task_id="mapped", task=Dispatcher()).expand(node=found)
            TaskOperator(task_id="one", task=Dispatcher(), node=pick(found))
        """)
    )
    assert set(done.states.values()) == {"success"}, done.states
    assert done.xcom("mapped", map_index=1) == ["10.0.0.2", 1]
    assert done.xcom("one") == ["10.0.0.2", 1]
