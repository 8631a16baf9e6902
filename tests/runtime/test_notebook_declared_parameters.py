"""Which parameters a notebook declares is read from its code, without running it."""

from __future__ import annotations

import pytest

from airflow_provider_tasks.runtime.notebook_checks import check_parameters
from airflow_provider_tasks.runtime.notebook_results import NotebookParameterError


def declares(source: str, name: str, language: str = "python") -> bool:
    cell = {"cell_type": "code", "source": source, "metadata": {"tags": ["parameters"]}}
    try:
        check_parameters({name: 1}, {"cells": [cell]}, "some.ipynb", "some-kernel", language)
    except NotebookParameterError:
        return False
    return True


@pytest.mark.parametrize(
    "source",
    [
        "day = 1",
        "day: int = 1",
        "day: int",
        "first = day = 1",
        "low, (day, high) = 1, (2, 3)",
        "url = 'a=b'; day = 'c=d'",
        "day = {\n    'a': 1,\n}",
        "if True:\n    day = 1",
        "%matplotlib inline\nday = 1",
        "!pip install x\nfirst, day = 1, 2",
        "try:\n    %time\n    day = 1\nexcept Exception:\n    pass",
        "x = ?\nday = 1",
        "x = ?\nday: dict[str, int] = {}",
    ],
)
def test_a_name_that_the_cell_sets_is_declared(source):
    assert declares(source, "day")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "# day = 1",
        "print('day = 1')",
        "x.day = 1",
        "x['day'] = 1",
        "def f():\n    day = 1",
        "class A:\n    day = 1",
        "[day for day in ()]",
        "f(day=1)",
        "x = ?\nday == 1",
    ],
)
def test_other_names_are_not(source):
    assert not declares(source, "day")


def test_where_the_language_is_another_one_any_name_is_taken():
    assert declares("day <- 1", "other", language="R")
