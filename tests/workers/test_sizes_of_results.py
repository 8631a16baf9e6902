"""What goes to a worker and what comes back arrives byte for byte, however large, up to the limits."""

from __future__ import annotations

import hashlib
import random

import pytest

from airflow_provider_tasks.runtime.pod import MESSAGE_LIMIT, termination_message
from airflow_provider_tasks.workers.failures import PayloadError
from airflow_provider_tasks.workers.kubernetes.message import parse_message

from .conftest import deferrable_too, however_deferred, in_a_pod, in_pods, on_this_machine, run_in

KIB = 2**10
MIB = 2**20


def noise(size):
    """Bytes that nothing makes shorter."""
    return random.Random(size).randbytes(size)


@however_deferred
@pytest.mark.parametrize("size", [0, 4 * KIB - 1, 4 * KIB, 4 * KIB + 1])
def test_a_short_result_arrives_byte_for_byte(run, size):
    assert run(noise, size).outcome.result == noise(size)


@deferrable_too
@pytest.mark.parametrize("size", [MIB, 64 * MIB], ids=["1 MiB", "64 MiB"])
def test_a_long_result_arrives_byte_for_byte(run, size):
    assert run(noise, size).outcome.result == noise(size)


@on_this_machine
def test_64_mib_of_text_arrive_intact(run):
    assert run(lambda: "aü" * (2**26 // 3)).outcome.result == "aü" * (2**26 // 3)


def outcome_of(result):
    return b'{"version": 1, "status": "success", "result": "%s"}' % result.encode("ascii")


def test_an_outcome_that_fits_the_termination_message_is_whole_in_it():
    lengths = []
    for size in range(MESSAGE_LIMIT - 200, MESSAGE_LIMIT):
        result = noise(size).hex()[:size]
        message = termination_message(outcome_of(result), 12345)
        lengths.append(len(message))
        parsed = parse_message(message.decode("ascii"))
        assert (parsed.lines, parsed.outcome.result) == (12345, result)
    assert {MESSAGE_LIMIT - 1, MESSAGE_LIMIT} <= set(lengths)
    assert max(lengths) == MESSAGE_LIMIT


def test_an_outcome_that_does_not_fit_the_termination_message_is_not_in_it():
    assert termination_message(outcome_of(noise(4 * KIB).hex()), 0) is None
    assert termination_message(outcome_of("x" * MIB), 0) is None


def test_arguments_of_16_mib_arrive_intact(run):
    argument = noise(16 * MIB - KIB)
    digest = run(lambda data: hashlib.sha256(data).hexdigest(), argument).outcome.result
    assert digest == hashlib.sha256(argument).hexdigest()


def takes(*_):
    pass


@in_pods
def test_arguments_over_the_limit_are_named_before_anything_is_made(open_worker, pods):
    identity = pods.identity()
    with pytest.raises(PayloadError, match="the largest: argument 1 17 MiB, argument 0 1 MiB"):
        run_in(open_worker(identity=identity), takes, noise(MIB), noise(17 * MIB))
    assert is_nothing_made(pods, identity)


@in_a_pod
def test_a_request_over_the_limit_is_named_before_anything_is_made(open_worker, pods):
    identity = pods.identity()
    script = noise(25 * MIB).hex()
    with pytest.raises(
        PayloadError, match=r"expected at most 22\.9 MiB; the largest parts: environment 50 MiB, "
    ) as error:
        run_in(open_worker(identity=identity), takes, environment={"startup_script": script})
    assert error.value.advice == "Put large data into a storage, and hand over where it is."
    assert is_nothing_made(pods, identity)


def is_nothing_made(pods, identity):
    admin = pods.tests.admin
    return admin.pods(identity.selector_of_tries) == admin.secrets(identity.selector_of_tries) == []
