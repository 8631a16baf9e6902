"""Results are those of ``returns``, and survive JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.model.errors import ResultFormatError
from airflow_provider_tasks.model.results import (
    Failure,
    Result,
    Success,
    is_successful,
    result_from_json,
    result_to_json,
)
from tests.model.strategies import json_values


def test_the_names_are_those_of_returns():
    import returns.result

    assert (Result, Success, Failure) == (
        returns.result.Result,
        returns.result.Success,
        returns.result.Failure,
    )
    assert is_successful(Success(1))
    assert not is_successful(Failure("no"))


@given(st.sampled_from([Success, Failure]), json_values)
def test_a_result_survives_json(kind, value):
    assert result_from_json(json.loads(json.dumps(result_to_json(kind(value))))) == kind(value)


@pytest.mark.parametrize("value", [Success(1), Failure(None), None])
def test_a_result_inside_a_result_stays_as_it_is(value):
    assert result_to_json(Success(value)) == {"result_type": "Success", "result": value}


def test_only_a_result_is_written():
    with pytest.raises(TypeError, match="expected a Success or a Failure, found type int: 3"):
        result_to_json(3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "a result is a mapping of result_type and result, found type NoneType: None"),
        ({}, "a result has the keys 'result' and 'result_type', found none"),
        ({"result_type": "Success"}, "found 'result_type'"),
        ({"result_type": "Success", "result": 1, "more": 2}, "found 'result_type', 'result', 'more'"),
        ({"result_type": "Succes", "result": 1}, "unknown result_type 'Succes'; did you mean 'Success'?"),
        ({"result_type": ["Success"], "result": 1}, r"unknown result_type \['Success'\]"),
    ],
)
def test_what_is_no_result_is_refused(data, message):
    with pytest.raises(ResultFormatError, match=message):
        result_from_json(data)
