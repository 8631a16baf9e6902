"""What Airflow's users do with any operator they do with ours."""

from __future__ import annotations

import msgspec
from airflow.serialization.serialized_objects import DagSerialization


def test_setup_teardown_groups_and_multiple_outputs(run):
    done = run("""
        from airflow.sdk import setup, teardown, task_group

        @setup
        @task.worker
        def prepare() -> str:
            return "ready"

        @teardown
        @task.worker
        def tidy(what: str) -> str:
            return f"{what} no more"

        @task.worker
        def split() -> dict[str, int]:
            return {"one": 1, "two": 2}

        @task.worker
        def add(one: int, two: int) -> int:
            return one + two

        @task_group
        def for_each(word):
            @task.worker
            def shout(word: str) -> str:
                return word.upper()
            return shout(word)

        @dag
        def a_dag():
            found = split()
            ready = prepare()
            added = add(found["one"], found["two"])
            ready >> added >> tidy(ready)
            for_each.expand(word=["a", "b"])

        a_dag()
        """)
    assert set(done.states.values()) == {"success"}, done.states
    assert done.xcom("add") == 3
    assert done.xcom("tidy") == "ready no more"
    assert [done.xcom("for_each.shout", map_index=index) for index in (0, 1)] == ["A", "B"]


def test_default_args_are_weaker_than_the_node_and_the_node_than_the_operator(run):
    done = run("""
        def variables(**given):
            return WorkerConfig(env_variables=given)

        class Look(Task):
            def run(self):
                import os
                return "".join(os.environ[name] for name in ("A", "B", "C"))

        node = Node("edge", {"worker_config": {"env_variables": {"B": "n", "C": "n"}}})
        with DAG("a_dag", default_args={"worker_config": variables(A="d", B="d", C="d")}):
            TaskOperator(task_id="default", task=Look())
            TaskOperator(task_id="node", task=Look(), node=node)
            TaskOperator(task_id="operator", task=Look(), node=node, worker_config=variables(C="o"))
            TaskOperator.partial(task_id="mapped", task=Look(), worker_config=variables(C="o")).expand(node=[node])
        """)
    assert [done.xcom(name) for name in ("default", "node", "operator")] == ["ddd", "dnn", "dno"]
    assert done.xcom("mapped", map_index=0) == "dno"


def test_without_xcoms_none_is_pushed(run):
    import pytest

    done = run("""
        @task.worker(do_xcom_push=False)
        def quiet() -> int:
            return 1
        with DAG("a_dag"):
            quiet()
        """)
    for key in ("return_value", "outcome"):
        with pytest.raises(LookupError, match="no XCom"):
            done.xcom("quiet", key)


def test_a_result_instead_of_a_failure_is_one_xcom(run):
    done = run("""
        @task.worker(fail_on_failure=False)
        def split() -> dict[str, int]:
            return {"one": 1}

        @task.worker
        def which(try_number) -> int:
            return try_number

        with DAG("a_dag"):
            split()
            which()
        """)
    assert done.xcom("split") == {"result_type": "Success", "result": {"one": 1}}
    assert done.xcom("which") == 1


def test_the_documentation_is_plain_text_for_airflows_dag_processor(parse):
    dag = parse("""
        @task.worker
        def say(word: str = "") -> str:
            "Says a word."
            return word

        @dag
        def a_dag():
            say()
            say.override(task_id="said").expand(word=["a", "b"])
        a_dag()
    """).dag
    tasks = msgspec.msgpack.decode(msgspec.msgpack.encode(DagSerialization.to_dict(dag)))["dag"]["tasks"]
    told = [task["__var"].get("doc_md") or task["__var"]["partial_kwargs"]["doc_md"] for task in tasks]
    assert len(told) == 2
    assert all("Says a word." in text for text in told)


def test_a_decorated_class_is_told_from_a_class(parse):
    parsed = parse("""
        @task.worker
        class Ping(Task):
            def run(self):
                return 1
        with DAG("a_dag"):
            TaskOperator(task_id="t", task=Ping)
        """)
    assert "Ping is decorated with @task.worker" in parsed.error


def test_a_wrong_setting_of_a_mapped_task_is_an_import_error(parse):
    for mapped in (
        "task.worker(worker_config={'worker_sise': 'Small'})(f).expand(x=[1])",
        "TaskOperator.partial(task_id='t', task=Ping(), worker_config={'worker_sise': 'Small'}).expand(node=[])",
    ):
        parsed = parse(f"""
        class Ping(Task):
            def run(self):
                return 1
        def f(x):
            return x
        with DAG("a_dag"):
            {mapped}
        """)
        assert "did you mean 'worker_size'?" in parsed.error
    assert (
        "expected a list of shell commands"
        in parse("""
        @task.worker(requirements="pip install numpy")
        def f():
            return 1
        """).error
    )


def test_a_kill_before_the_worker_is_there_is_not_forgotten(parse):
    import pytest

    from airflow_provider_tasks.workers.failures import KilledError

    dag = parse("""
        class Ping(Task):
            def run(self):
                return 1
        with DAG("a_dag"):
            TaskOperator(task_id="t", task=Ping())
        """).dag
    operator = dag.get_task("t")
    operator.on_kill()

    class Ti:
        dag_id, run_id, task_id, try_number, map_index = "a_dag", "a_run", "t", 1, -1
        pushed: list = []

        def xcom_push(self, key, value):
            self.pushed.append((key, value["category"]))

    with pytest.raises(KilledError, match="told to end"):
        type(operator).execute.__wrapped__(operator, {"ti": Ti(), "dag_run": None, "task": operator})
    assert Ti.pushed == [("outcome", "killed")]


def test_a_file_of_settings_is_looked_for_beside_the_dag_file(parse, dags_folder):
    (dags_folder / "worker.yaml").write_text("worker_size: Small\n")
    dag = parse("""
        @task.worker(worker_config="worker.yaml")
        def f():
            return 1
        class Ping(Task):
            def run(self):
                return 1
        with DAG("a_dag"):
            f()
            TaskOperator(task_id="t", task=Ping(), worker_config="worker.yaml")
            TaskOperator.partial(task_id="m", task=Ping(), worker_config="worker.yaml").expand(node=[Node("n")])
        """).dag
    assert [dag.get_task(name).worker_config for name in ("f", "t")] == [{"worker_size": "Small"}] * 2


def test_a_kept_local_worker_is_found_from_outside(run):
    from airflow_provider_tasks import Worker

    done = run("""
        @task.worker(worker_config={"terminate_on_completion": False})
        def leave():
            open("note.txt", "w").write("left behind")
        with DAG("kept"):
            leave()
    """)
    worker = Worker.get(done.xcom("leave", "outcome")["worker"])
    assert worker.exec("cat note.txt").output == "left behind"
    worker.terminate()
    assert worker.name not in [found.name for found in Worker.list()]
