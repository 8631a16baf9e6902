"""The schemas in docs/ and the code say the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import jsonschema
import pytest

from airflow_provider_tasks.runtime import messages, outcome, protocol
from airflow_provider_tasks.runtime.values import encode
from airflow_provider_tasks.workers.archive import unpack
from airflow_provider_tasks.workers.payload import pack

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


def schema(name):
    return json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))


REQUEST, OUTCOME = schema("request"), schema("outcome")


@pytest.mark.parametrize("found", [REQUEST, OUTCOME], ids=["request", "outcome"])
def test_a_schema_is_one(found):
    jsonschema.Draft202012Validator.check_schema(found)


def test_statuses_categories_and_phases_are_those_of_the_protocol():
    properties = OUTCOME["properties"]
    assert tuple(properties["status"]["enum"]) == protocol.STATUSES
    assert (*protocol.CATEGORIES, None) == tuple(properties["category"]["enum"])
    assert tuple(properties["timeline"]["properties"]) == protocol.PHASES
    assert properties["version"]["const"] == REQUEST["properties"]["version"]["const"] == protocol.VERSION


def test_the_fields_of_a_request_are_those_that_the_code_names():
    properties = REQUEST["properties"]
    assert set(properties) == set(get_type_hints(messages.Request))
    for name, kind in [("environment", messages.Environment), ("limits", messages.Limits)]:
        assert set(properties[name]["properties"]) == set(get_type_hints(kind))
    module = properties["modules"]["additionalProperties"]
    assert set(module["required"]) == set(module["properties"]) == set(get_type_hints(messages.ModuleSource))


def test_the_fields_of_an_outcome_are_those_that_the_code_reads():
    properties = OUTCOME["properties"]
    fields = outcome.Outcome.__dataclass_fields__
    assert set(properties) == (set(fields) - {"has_result"}) | {"version"}
    exception = OUTCOME["$defs"]["exception"]["properties"]
    assert set(exception) == set(outcome.ExceptionInfo.__dataclass_fields__)
    assert set(exception["frames"]["items"]["properties"]) == set(outcome.Frame.__dataclass_fields__)


def test_the_required_fields_are_those_without_which_the_code_refuses():
    for field in OUTCOME["required"]:
        message = {"version": 1, "status": "success"}
        del message[field]
        with pytest.raises(outcome.MalformedOutcomeError):
            outcome.parse_outcome(json.dumps(message).encode())
    outcome.parse_outcome(b'{"version": 1, "status": "success"}')


def outcome_of(tmp_path, call, *args, **parts):
    request = {**pack(call, args, {}), "context": encode({"a": {1}}), "limits": {"memory": 2**30, "time": 60}, **parts}
    request.setdefault("environment", {"variables": {"A": "b"}, "requirements": [], "startup_script": None})
    jsonschema.validate(request, REQUEST)
    paths = {name: str(tmp_path / name) for name in ("request", "outcome", "task", "own")}
    Path(paths["request"]).write_text(json.dumps(request))
    argv = [sys.executable, "-I", "-S", str(unpack(tmp_path / "cache")), "run", *paths.values()]
    subprocess.run(argv, check=True, env={"PATH": os.environ["PATH"]})
    return json.loads(Path(paths["outcome"]).read_text())


def raises():
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError("second") from error


def skips():
    from airflow_provider_tasks import SkipTask

    raise SkipTask


def lazy():
    from tests.runtime import helper_of_schemas

    return helper_of_schemas.VALUE


CASES = {
    "success": (lambda: {"a": (1, b"x")}, {}, None),
    "failure": (raises, {}, "task"),
    "skip": (skips, {}, None),
    "exit": (lambda: os._exit(3), {}, "task"),
    "killed": (lambda: os.kill(os.getpid(), 9), {}, "killed"),
    "value": (object, {}, "value"),
    "missing module": (lambda: __import__("no_such_module"), {}, "environment"),
    "requirement": (print, {"environment": {"requirements": ["echo no; exit 3"]}}, "environment"),
    "time": (lambda: __import__("signal").pause(), {"limits": {"time": 0.5}}, "timeout"),
    "memory": (lambda: b"x" * 2**28 * bool(__import__("time").sleep(30)), {"limits": {"memory": 2**20}}, "memory"),
    "python": (print, {"python": "3.99"}, "python_mismatch"),
    "report": (lambda: (open("../own/report", "w").close(), os._exit(0)), {}, "payload"),
}


@pytest.mark.parametrize("name", CASES)
def test_requests_and_outcomes_of_a_real_worker_are_valid(tmp_path, name):
    call, parts, category = CASES[name]
    found = outcome_of(tmp_path, call, **parts)
    jsonschema.validate(found, OUTCOME)
    assert found.get("category") == category
    outcome.parse_outcome(json.dumps(found).encode())


def test_a_request_with_modules_and_sources_is_valid(tmp_path):
    request = pack(lazy, (), {})
    assert "tests.runtime.helper_of_schemas" in request["modules"]
    assert __file__ in request["sources"]
    assert outcome_of(tmp_path, lazy)["result"] == 7
