"""What a user writes, for type checkers only: right but for the lines that say ``# wrong``."""

from datetime import timedelta
from typing import Any, assert_type

from airflow.sdk import DAG, TaskGroup

from airflow_provider_tasks import (
    Architecture,
    CountableNodePool,
    Experiment,
    Node,
    Nodes,
    Pipeline,
    Result,
    Success,
    Task,
    TaskDispatcher,
    Worker,
    WorkerConfig,
    experiment_group,
    get_context,
    is_successful,
    pipeline_group,
    run_pipeline,
    run_task,
    worker,
)
from airflow_provider_tasks.operators import NotebookOperator, PipelineOperator, ScriptOperator, TaskOperator
from airflow_provider_tasks.testing import RunDag, RunInWorker, dispatch, fake_outcome

edge = Node("edge", {"city": "Oslo"}, Architecture.LINUX_ARM64)


class Ping(Task):
    requirements = ["pip install icmplib"]

    def __init__(self, address: str, count: int = 1) -> None:
        self.address, self.count = address, count

    def run(self) -> str:
        return f"{self.count} x {self.address}"


class PingFrom(TaskDispatcher):
    def dispatch(self, node: Node) -> Task:
        return Ping(node.name)


class WrongFrom(TaskDispatcher):
    def dispatch(self, node: Node) -> str:  # wrong
        return node.name


@worker(node=edge, worker_config=WorkerConfig(worker_size="X-Small"), retries=3)
def count(path: str, unit: str = "lines") -> int:
    return len(path)


@worker
def find() -> str:
    return "a.txt"


@worker
async def fetch(url: str) -> bytes:
    return url.encode()


@worker(node=edge, nodes=[edge], requirements=3)  # wrong
def refused() -> None: ...


with DAG("types"):
    count("a.txt", unit="bytes")
    count(find()) >> fetch("a")
    count.override(task_id="again", retries=3)("b.txt")
    count.partial(unit="words").expand(path=["a.txt", "b.txt"])
    worker(Ping)("8.8.8.8", count=3)
    worker(node=edge)(PingFrom)()
    count(3)  # wrong
    count()  # wrong
    count("a.txt", units="bytes")  # wrong
    fetch()  # wrong
    worker(Ping)(3)  # wrong
    ping = TaskOperator(task_id="ping", task=Ping("8.8.8.8"), node=edge, execution_timeout=timedelta(minutes=1))
    TaskOperator.partial(task_id="pings", task=PingFrom()).expand(node=[edge])
    TaskOperator(task_id="number", task=3)  # wrong
    ping >> ScriptOperator(task_id="clean", file_name="clean.sh", args=["a"])
    NotebookOperator(task_id="report", notebook="report.ipynb", parameters={"day": "{{ ds }}"})
    pipeline = Pipeline([Ping("a")]).then([Ping("b"), PingFrom()]).then(Ping("c"))
    PipelineOperator(task_id="pipeline", pipeline=pipeline, node=edge)
    assert_type(pipeline_group(pipeline, group_id="group"), TaskGroup)
    assert_type(experiment_group(Experiment().append(edge, pipeline), group_id="measure"), TaskGroup)

pool = CountableNodePool([edge])
assert_type(pool[0], Node)
assert_type([node.name for node in pool.filter(lambda node: node["city"] == "Oslo").take(2)], list[str])
assert_type(edge.properties, dict[str, Any])
assert_type(Nodes.from_file("nodes.yaml"), Nodes)
assert_type(pipeline, Pipeline)
assert_type(Ping("a").add_requirement("true"), Ping)
assert_type(Experiment().map(pipeline, pool.take(2)), Experiment)
assert_type(run_task("task.py"), tuple[Worker, bool])
assert_type(Worker().exec("ls").output, str)
assert_type(get_context(), dict[str, Any])
Results = dict[str, list[Result[Any, Any]]]
assert_type(run_pipeline(pipeline, node=edge), Result[Results, Results])


def test_ping(run_in_worker: RunInWorker, run_dag: RunDag) -> None:
    assert_type(run_in_worker(Ping("a"), node=edge).output, list[str])
    assert_type(
        run_dag("dags/ping.py", outcomes={"a": "memory", "b": ["evicted", Success(3), None]}).states, dict[str, str]
    )
    assert_type(dispatch(PingFrom(), edge), Task)
    assert is_successful(run_in_worker(Ping("a")).result)
    run_in_worker(Ping, nodes=edge)  # wrong
    fake_outcome(3)  # wrong
