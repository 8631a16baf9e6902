"""The examples of pipelines, each of their workers a pod; `tests/airflow` runs them on this machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.airflow.conftest import Run, run_example
from tests.airflow.pipeline_examples import EXAMPLES
from tests.kubernetes.airflow_tasks import TaskInAPod

__all__ = ["run_example"]


@pytest.mark.kubernetes
@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_pipelines(
    airflow_tasks: TaskInAPod,
    run_example: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    deferrable: bool,
) -> None:
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", str(deferrable))
    EXAMPLES[name](run_example(name))
