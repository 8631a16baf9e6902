"""Results and failures: what a task returns or raises, and what Airflow makes of it."""

from airflow.sdk import dag, task

from airflow_provider_tasks import Failure, Result, SkipTask, Success


@task.worker
def a_plain_value() -> dict:
    """What is returned is a success; the next task gets the value."""
    return {"rows": 3}


@task.worker
def a_success(rows: dict) -> Result[int, str]:
    """A ``Result`` is kept as it is; the next task gets what a ``Success`` holds."""
    return Success(rows["rows"] * 2)


@task.worker(fail_on_failure=False)
def a_failure(doubled: int) -> Result[int, str]:
    """With ``fail_on_failure=False`` the Airflow task succeeds and hands the ``Result`` on."""
    return Failure(f"{doubled} rows are too few")


@task.worker(fail_on_failure=False)
def an_exception() -> int:
    """What a task raises is a ``Failure`` with its message; the log has the traceback."""
    return 1 // 0


@task.worker
def nothing_to_do() -> None:
    """Raise ``SkipTask`` to skip, ``FailTask`` to fail whatever retries are left."""
    raise SkipTask("no new files")


@task
def summary(failure: dict, exception: dict) -> list[str]:
    """As JSON a ``Result`` is ``{"result_type": …, "result": …}``."""
    return [f"{found['result_type']}: {found['result']}" for found in (failure, exception)]


@dag(schedule=None, tags=["example", "worker"])
def example_results():
    nothing_to_do()
    summary(a_failure(a_success(a_plain_value())), an_exception())


example_results()
