"""Quantities, sizes and settings: what is taken, what is refused, and which of two settings counts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.workers.config import SIZES, WorkerConfig, WorkerSize, parse_sizes
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.quantities import format_bytes, parse_quantity
from airflow_provider_tasks.workers.settings import Installation, resolve


@given(
    st.integers(0, 2**60),
    st.sampled_from([("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30), ("k", 1e3), ("M", 1e6), ("", 1)]),
)
def test_a_quantity_is_its_number_times_its_unit(number, unit):
    assert parse_quantity(f"{number}{unit[0]}") == float(number) * unit[1]


@pytest.mark.parametrize("text", ["", "1 Gi", "-1", "1gb", "Gi", "1e3", "١", None, True, float("nan")])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="is no quantity, expected a number with one of"):
        parse_quantity(text)


def test_bytes_are_written_for_people():
    assert [format_bytes(number) for number in (0, 1023, 1024, 1536 * 2**20, 3000 * 2**30)] == [
        "0 B", "1023 B", "1 KiB", "1.5 GiB", "3000 GiB"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [({"worker_sise": "Small"}, "unknown key 'worker_sise' for WorkerConfig; did you mean 'worker_size'?"),
     ({"time_limit": 0}, "time_limit=0.*expected seconds above 0, or a timedelta"),
     ({"time_limit": True}, "time_limit=True"),
     ({"env_variables": {"A": 1}}, "A is a int, expected text"),
     ({"env_variables": {"A=B": "c"}}, "'A=B' can't be a variable's name"),
     ({"connections": "one"}, "expected a list of text"),
     ({"backend": "docker"}, "expected one of local, kubernetes"),
     ({"startup_script": 3}, "startup_script=3.*expected text")],
)  # fmt: skip
def test_a_wrong_setting_is_refused_by_its_name(values, message):
    with pytest.raises(ConfigurationError, match=message):
        WorkerConfig.from_dict(values)


@pytest.mark.parametrize("name", ["config.yaml", "config.json"])
def test_a_file_of_either_kind_is_read(tmp_path, name):
    path = tmp_path / name
    path.write_text('{"worker_size": "Small", "time_limit": 60}')
    assert WorkerConfig.of(path) == WorkerConfig(worker_size="Small", time_limit=timedelta(minutes=1))
    path.write_text('{"worker_sise": 1}')
    with pytest.raises(ConfigurationError, match=f"{name}: unknown key 'worker_sise'"):
        WorkerConfig.of(str(path))


def installation(**config):
    return Installation(config=WorkerConfig(**config), sizes=SIZES, cache_folder=Path("/cache"))


def test_the_stronger_setting_counts_and_variables_are_put_together():
    layers = [WorkerConfig(namespace="default_args", env_variables={"A": "1", "B": "1"}), WorkerConfig(),
              WorkerConfig(env_variables={"B": "2"}, worker_size="Small")]  # fmt: skip
    settings = resolve(
        installation(namespace="cfg", python="/cfg", kubernetes_conn_id="conn", worker_size="Large"),
        layers,
        lambda conn_id: WorkerConfig(namespace="connection", python_venv_name=conn_id),
    )
    assert settings.config.namespace == "default_args"
    assert settings.config.python == "/cfg"
    assert settings.config.python_venv_name == "conn"
    assert settings.config.env_variables == {"A": "1", "B": "2"}
    assert (settings.size, settings.backend) == (SIZES["Small"], "local")


def test_no_value_of_a_variable_is_in_the_log():
    text = str(resolve(installation(), [WorkerConfig(env_variables={"TOKEN": "secret"}, startup_script="secret\n")]))
    assert "TOKEN" in text
    assert "secret" not in text


def test_a_time_limit_goes_before_that_of_the_size():
    sizes = parse_sizes('{"Tiny": {"time_limit": 60}}')
    weakest = Installation(config=WorkerConfig(worker_size="Tiny"), sizes=sizes, cache_folder=Path("/cache"))
    assert resolve(weakest, []).time_limit == 60
    assert resolve(weakest, [WorkerConfig(time_limit=5)]).time_limit == 5
    assert sizes["Tiny"] == WorkerSize(time_limit=60)


@pytest.mark.parametrize("text", ["[]", "{}", '{"A": {"ram": 1}}', '{"A": 3}', "{", '{"A": {"memory": "1 Gi"}}'])
def test_a_table_of_sizes_that_can_not_be_read_is_refused(text):
    with pytest.raises(ConfigurationError, match="sizes can't be read"):
        parse_sizes(text)


def test_an_unknown_size_names_those_that_are_known():
    with pytest.raises(ConfigurationError, match="unknown worker_size 'Huge', expected one of X-Small, Small, Medium"):
        resolve(installation(worker_size="Huge"), [])
