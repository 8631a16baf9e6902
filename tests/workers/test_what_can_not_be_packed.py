"""What can't go to a worker is refused on this side, with the place and the reason."""

from __future__ import annotations

import socket
import threading

import pytest

from airflow_provider_tasks import Task
from airflow_provider_tasks.workers.failures import PayloadError
from airflow_provider_tasks.workers.payload import pack

LOCK = threading.Lock()


def refused(call, *args, **kwargs):
    with pytest.raises(PayloadError) as caught:
        pack(call, args, kwargs)
    assert caught.value.retry is False
    return caught.value


def takes(*args, **kwargs):
    pass


class Holder:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def test_an_argument_is_named_by_its_place():
    error = refused(takes, 1, {"rows": [0, threading.Lock()]})
    assert error.summary.startswith("argument 1['rows'][1] can't go to a worker: a _thread.lock can't be pickled (")
    assert error.advice == "Make it inside the task, or pass what it is made of."


def test_an_argument_by_name_is_named_by_it():
    with socket.socket() as connection:
        error = refused(takes, data=Holder(connection=connection))
    assert error.summary.startswith("argument 'data'.connection can't go to a worker: a socket.socket can't be pickled")


def test_a_variable_around_the_function_is_named():
    lock = threading.Lock()
    assert refused(lambda: lock).summary.startswith("variable 'lock' around <lambda>")


def test_a_global_is_named():
    assert refused(lambda: LOCK).summary.startswith("global 'LOCK' of <lambda>")


def test_a_global_of_a_helper_is_named():
    def helper():
        return LOCK

    assert refused(lambda: helper()).summary.startswith("global 'LOCK' of helper")


def test_an_attribute_of_a_task_is_named():
    class Keeps(Task):
        def __init__(self):
            self.lock = threading.Lock()

        def run(self):
            pass

    assert refused(Keeps()).summary.startswith("Keeps.lock can't go to a worker: a _thread.lock")


def test_an_attribute_of_a_class_is_named():
    class Keeps(Task):
        lock = threading.Lock()

        def run(self):
            pass

    assert refused(Keeps()).summary.startswith("Keeps.lock can't go to a worker: a _thread.lock")


def test_objects_that_hold_each_other_are_no_trap():
    first, second = Holder(lock=threading.Lock()), Holder()
    first.__dict__ = {"other": second, **first.__dict__}
    second.other = first
    assert refused(takes, first).summary.startswith("argument 0.lock can't go to a worker: a _thread.lock")


def test_what_belongs_to_airflow_is_refused():
    from airflow.sdk import DAG

    error = refused(takes, [DAG("some_dag")])
    assert error.summary.startswith("argument 0[0] can't go to a worker")
    assert "belongs to Airflow and can't go to a worker, which has no Airflow" in error.summary


def test_too_much_is_refused_and_what_is_large_is_named():
    error = refused(takes, b"x" * 2**20, big=b"x" * (17 * 2**20))
    assert error.summary.startswith("the task and its arguments take 18 MiB, expected at most 16 MiB; the largest: ")
    assert "the largest: argument 'big' 17 MiB, argument 0 1 MiB" in error.summary
    assert error.advice == "Put large data into a storage and pass where it is."
