"""Whatever an Airflow task is called: its pod has a name and labels that the cluster takes, and tells whose it is."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.workers.kubernetes.identity import Identity, is_reserved

ANY_TEXT = st.text(max_size=300)
IDENTITIES = st.builds(
    Identity,
    installation=st.sampled_from(["airflow", "a.b_c-D", "x" * 63]),
    dag_id=ANY_TEXT,
    run_id=ANY_TEXT,
    task_id=ANY_TEXT,
    map_index=st.integers(-1, 10**9),
    try_number=st.integers(0, 10**9),
)
SOMEONE = Identity("airflow", "sales", "manual__2026-01-01T00:00:00+00:00", "load.count", map_index=3, try_number=2)


@given(IDENTITIES)
def test_a_name_is_a_label_of_dns(identity):
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", identity.name)
    assert len(identity.name) <= 63


@given(IDENTITIES)
def test_labels_are_valid(identity):
    for key, value in identity.labels.items():
        assert is_reserved(key)
        assert len(value) <= 63
        assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?", value)


@given(IDENTITIES, IDENTITIES)
def test_two_tasks_never_share_a_name(one, other):
    assert (one.name == other.name) == (one == other)


@given(IDENTITIES, st.integers(0, 10**9))
def test_all_tries_of_a_task_have_one_digest(identity, try_number):
    other = replace(identity, try_number=try_number)
    assert other.task == identity.task
    assert other.selector_of_tries == identity.selector_of_tries


@given(IDENTITIES)
def test_a_pod_tells_whose_it_is(identity):
    pod = {"metadata": {"labels": identity.labels, "annotations": identity.annotations}}
    assert Identity.of_pod(pod) == identity


@pytest.mark.parametrize(
    "changes",
    [{"dag_id": "sales-load"}, {"run_id": "manual__2"}, {"task_id": "load_count"}, {"map_index": -1},
     {"try_number": 3}, {"installation": "other"}],
)  # fmt: skip
def test_whatever_differs_is_in_the_name(changes):
    assert replace(SOMEONE, **changes).name != SOMEONE.name


def test_parts_that_are_moved_make_another_task():
    assert Identity("airflow", "a", "b-c", "d").task != Identity("airflow", "a-b", "c", "d").task


def test_people_can_read_it():
    assert SOMEONE.name == f"sales-load-count-2-{SOMEONE.name[-16:]}"
    assert SOMEONE.labels == {
        "app.kubernetes.io/managed-by": "airflow-provider-tasks",
        "app.kubernetes.io/component": "worker",
        "airflow-worker/installation": "airflow",
        "airflow-worker/task": SOMEONE.task,
        "airflow-worker/try": "2",
        "dag_id": "sales",
        "task_id": "load.count",
        "run_id": "manual__2026-01-01T00_00_00_00_00",
        "map_index": "3",
    }
    assert "map_index" not in replace(SOMEONE, map_index=-1).labels


@pytest.mark.parametrize(
    "pod",
    [{}, {"metadata": {}}, {"metadata": {"labels": None, "annotations": None}},
     {"metadata": {"labels": {"app": "web"}, "annotations": SOMEONE.annotations}},
     {"metadata": {"labels": SOMEONE.labels}},
     {"metadata": {"labels": SOMEONE.labels, "annotations": {**SOMEONE.annotations, "airflow-worker/try_number": "x"}}},
     {"metadata": {"labels": SOMEONE.labels, "annotations": {"airflow-worker/map_index": "1"}}}],
)  # fmt: skip
def test_a_pod_of_someone_else_is_nobodys(pod):
    assert Identity.of_pod(pod) is None
