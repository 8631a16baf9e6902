"""Pipelines in one worker: order, parallel stages, early stops, cycles, deaths, what earlier tasks gave."""

from __future__ import annotations

import pytest

TASKS = """
import os, signal, subprocess, time
from airflow_provider_tasks.operators import PipelineOperator, pipeline_results

class Say(Task):
    def __init__(self, word, fails=False, name=None):
        super().__init__(name or word)
        self.word, self.fails = word, fails
    def run(self):
        print("saying", self.word)
        with open("said", "a") as file:
            file.write(self.word)
        if self.fails:
            raise ValueError(f"no {self.word}")
        return open("said").read()

class Call(Task):
    def __init__(self, function, name):
        self.function, self.name = function, name
    def run(self):
        return self.function(self)
"""


@pytest.fixture
def run_pipeline(run):
    """Run a pipeline, an expression, and give state, results and the outcome."""

    def run_pipeline(pipeline, options="", before=""):
        done = run(f"""{TASKS}
{before}
with DAG("pipelines"):
    PipelineOperator(task_id="all", pipeline={pipeline}, {options})
""")
        return done.states["all"], done.xcom("all"), done.xcom("all", "outcome")

    return run_pipeline


def success(*values):
    return [{"result_type": "Success", "result": value} for value in values]


def failure(*values):
    return [{"result_type": "Failure", "result": value} for value in values]


def test_stages_run_in_order_and_share_files(run_pipeline):
    state, results, outcome = run_pipeline("Pipeline([Say('a'), Say('b')]).then(Say('c'))")
    assert (state, results) == ("success", {"a": success("a"), "b": success("ab"), "c": success("abc")})
    assert outcome["implementation"] == "a (Say) → b (Say) → c (Say)"


def test_a_stage_runs_at_once_and_its_output_is_labelled(run_pipeline, capfd):
    meet = """
def meet(task):
    open(task.name, "w").close()
    while len([name for name in ("one", "two") if os.path.exists(name)]) < 2:
        time.sleep(0.01)
    print("met", flush=True)
    return os.getpid()
"""
    state, results, _ = run_pipeline("Pipeline([[Call(meet, 'one'), Call(meet, 'two')]])", before=meet)
    assert state == "success"
    assert results["one"][0]["result"] != results["two"][0]["result"]
    log = capfd.readouterr().out
    assert "[one] met" in log
    assert "[two] met" in log


def test_a_failure_stops_all_that_runs_and_the_results_are_there(run_pipeline):
    before = """
def fail(task):
    while not os.path.exists("child"):
        time.sleep(0.01)
    raise ValueError("it broke")
def wait(task):
    child = subprocess.Popen(["sleep", "600"])
    with open("new", "w") as file:
        file.write(str(child.pid))
    os.rename("new", "child")
    time.sleep(600)
"""
    state, results, outcome = run_pipeline(
        "Pipeline([[Call(fail, 'bad'), Call(wait, 'slow')], Say('never')])", before=before
    )
    assert state == "failed"
    assert results == {"bad": failure("it broke"), "slow": failure("ended early, as bad has failed")}
    assert outcome["message"].startswith("2 of 2 tasks failed: bad: it broke; slow: ended early")


def test_without_early_stopping_all_run(run_pipeline):
    state, results, _ = run_pipeline("Pipeline([Say('a', fails=True), Say('b')], early_stopping=False)")
    assert (state, results) == ("failed", {"a": failure("no a"), "b": success("ab")})


def test_a_failure_may_be_a_value(run_pipeline):
    state, results, _ = run_pipeline("Pipeline([Say('a', fails=True)])", "fail_on_failure=False")
    assert (state, results) == ("success", {"result_type": "Failure", "result": {"a": failure("no a")}})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("os._exit(3)", "its process ended with exit code 3 before run() returned"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "its process was ended by SIGKILL"),
        ("return open", "the result can't travel: "),
        ("return (item for item in [1])", "its result can't be handed on: a generator can't be pickled"),
        ("return Failure(ValueError('no'))", "no"),
    ],
)
def test_a_task_that_dies_or_gives_what_can_not_travel_has_failed(run_pipeline, line, message):
    state, results, _ = run_pipeline("Pipeline([Call(end, 'end')])", before=f"def end(task):\n    {line}\n")
    assert state == "failed"
    (found,) = results["end"]
    assert found["result_type"] == "Failure"
    assert found["result"].startswith(message)


def test_previous_steps_hold_results_of_every_run(run_pipeline):
    before = """
def look(task):
    return {name: [result.unwrap() for result in results] for name, results in task.previous_steps.items()}
"""
    state, results, _ = run_pipeline("Pipeline([Say('a'), Call(look, 'look')])", before=before)
    assert (state, results["look"]) == ("success", success({"a": ["a"]}))


def test_a_cycle_runs_as_often_as_it_says(run_pipeline):
    state, results, _ = run_pipeline("CyclePipeline([Say('a'), Say('b')], cycles=3)")
    assert (state, results["b"]) == ("success", success("ab", "abab", "ababab"))


def test_a_failure_may_lead_somewhere(run_pipeline):
    before = """
graph = ExecutionGraph()
first, saved, other = Say("a", fails=True), Say("saved"), Say("other")
graph.graph.add_edge("root", first)
graph.graph.add_edge(first, saved, traverse_on="failure")
graph.graph.add_edge(first, other, traverse_on="success")
"""
    state, results, _ = run_pipeline("graph", before=before)
    assert (state, results) == ("failed", {"a": failure("no a"), "saved": success("asaved")})


def test_what_a_task_leaves_running_goes_on_until_the_end(run_pipeline):
    before = """
def start(task):
    return subprocess.Popen(["sh", "-c", "while sleep 0.05; do echo captured; done"]).pid
def stop(task):
    time.sleep(0.3)
    os.kill(task.previous_steps["start"][0].unwrap(), signal.SIGTERM)
    return True
"""
    state, results, _ = run_pipeline("Pipeline([Call(start, 'start'), Call(stop, 'stop')])", before=before)
    assert (state, results["stop"]) == ("success", success(True))


def test_dispatchers_requirements_and_nodes_that_are_known_only_then(run):
    done = run(f"""{TASKS}
class Pick(TaskDispatcher):
    def dispatch(self, node):
        return Say(node["word"], name="pick").add_requirement(f"echo {{node.name}} > node")

def read(task):
    return open("node").read().strip()

@task
def nodes():
    return [Node(name, {{"word": word}}).to_json() for name, word in (("one", "a"), ("two", "b"))]

@task
def collect(found):
    return [[pipeline_results(each)[name][0].unwrap() for name in ("pick", "read")] for each in found]

with DAG("pipelines"):
    pipeline = Pipeline([Pick(), Call(read, "read")])
    collect(PipelineOperator.partial(task_id="each", pipeline=pipeline).expand(node=nodes()).output)
""")
    assert set(done.states.values()) == {"success"}
    assert done.xcom("collect") == [["a", "one"], ["b", "two"]]


def test_the_environment_definition_is_the_workers(run_pipeline):
    before = "def look(task):\n    return os.environ['LEVEL']\n"
    pipeline = "Pipeline([Call(look, 'look')], environment_definition=ShellExecution(env_variables={'LEVEL': '3'}))"
    assert run_pipeline(pipeline, before=before)[:2] == ("success", {"look": success("3")})


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("Pipeline()", "no task"),
        ("Say('a')", "expected a Pipeline or an ExecutionGraph"),
        ("Pipeline([type('Pick', (TaskDispatcher,), {'dispatch': lambda self, node: 3})()])", "Pick"),
    ],
)
def test_what_is_wrong_is_an_import_error(parse, pipeline, message):
    error = parse(f"{TASKS}\nwith DAG('pipelines'):\n    PipelineOperator(task_id='all', pipeline={pipeline})").error
    assert message in error


def test_the_dag_is_the_same_each_time_and_another_one_when_a_task_is(parse):
    def shown(word):
        pipeline = f"Pipeline([Say({word!r}, name='say')])"
        text = f"with DAG('pipelines'):\n    PipelineOperator(task_id='all', pipeline={pipeline})"
        return str(parse(f"{TASKS}\n{text}").dag.get_task("all").implementation)

    assert shown("a") == shown("a") != shown("b")


def test_fail_task_is_not_tried_again(run_pipeline, capfd):
    before = """
def give_up(task):
    raise FailTask("the table is gone")
"""
    state, results, _ = run_pipeline(
        "Pipeline([Call(give_up, 'give_up')])", "retries=3, retry_delay=0.1", before=before
    )
    assert (state, results) == ("failed", {"give_up": failure("the table is gone")})
    assert capfd.readouterr().out.count("[give_up] Traceback") == 1


def test_mapped_over_nodes_what_is_known_is_checked_and_digested(parse):
    import json

    def parsed(word, node="Node('a')"):
        found = parse(f"""{TASKS}
class Pick(TaskDispatcher):
    def dispatch(self, node):
        if node.name == "b":
            raise LookupError("none for b")
        return Say({word!r})
with DAG("mapped"):
    PipelineOperator.partial(task_id="all", pipeline=Pipeline([Pick()])).expand(node=[{node}])
""")
        if found.error:
            return found.error
        from airflow.serialization.serialized_objects import DagSerialization

        return json.dumps(DagSerialization.to_dict(found.dag)["dag"]["tasks"])

    assert "0x" not in parsed("one")
    assert parsed("one") == parsed("one") != parsed("two")
    assert "none for b" in parsed("one", "Node('b')")
    mapped = "PipelineOperator.partial(task_id='all', pipeline=Pipeline()).expand(node=[Node('a')])"
    wrong = f"{TASKS}\nwith DAG('wrong'):\n    {mapped}\n"
    assert "there is no task" in parse(wrong).error


def test_a_pipeline_whose_node_is_put_off_has_a_digest_of_its_code(parse):
    def implementation(word):
        return str(
            parse(f"""{TASKS}
with DAG("later"):
    PipelineOperator(task_id="all", pipeline=Pipeline([Say({word!r})]), node="{{{{ params.node }}}}")
""")
            .dag.get_task("all")
            .implementation
        )

    assert implementation("one") == implementation("one") != implementation("two")
