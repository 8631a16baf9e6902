"""Whatever bytes come for an outcome: an outcome or a clear refusal, nothing executed, in bounded memory."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import random
import resource
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_tasks.runtime.outcome import MalformedOutcomeError, Outcome, parse_outcome
from airflow_provider_tasks.runtime.protocol import CATEGORIES, OUTCOME_LIMIT, PHASES, STATUSES

FORBIDDEN = {"exec", "compile", "pickle.find_class", "open", "os.system", "os.exec", "os.fork", "subprocess.Popen",
             "socket.connect", "ctypes.dlopen"}  # fmt: skip


class _Watch:
    """An audit hook, which can't be removed, that is told when to look."""

    def __init__(self) -> None:
        self.events: list[str] | None = None

    def hook(self, event: str, args: object) -> None:
        if self.events is not None and (event in FORBIDDEN or event == "import"):
            self.events.append(f"{event} {args!r:.200}")


_watch = _Watch()
sys.addaudithook(_watch.hook)


@pytest.fixture
def nothing_executed():
    # What decoding needs of the standard library, and the two others whose values it knows, are loaded before.
    import pandas  # noqa: F401

    for value in VALUES:
        parse(outcome(result=value))
    parse(outcome(result={"__type__": "datetime", "value": "2026-01-02T00:00:00+01:00", "zone": "Europe/Oslo"}))
    before = set(sys.modules)
    _watch.events = []
    yield
    events, _watch.events = _watch.events, None
    # A time zone is a file of the standard library's, looked for by a checked name.
    assert [event for event in events if "zoneinfo" not in event and "tzdata" not in event] == []
    assert {name for name in set(sys.modules) - before if not name.startswith("tzdata")} == set()


VALUES = [
    None,
    {"a": [1, 2.5, "x", None, True]},
    {"__type__": "tuple", "value": [1]},
    {"__type__": "bytes", "value": "aGk="},
    {"__type__": "set", "value": [1, 2]},
    {"__type__": "dict", "value": [[1, 2]]},
    {"__type__": "datetime", "value": "2026-01-02T03:04:05+00:00", "zone": "UTC"},
    {"__type__": "date", "value": "2026-01-02"},
    {"__type__": "time", "value": "03:04:05"},
    {"__type__": "timedelta", "value": [1, 2, 3]},
    {"__type__": "Decimal", "value": "1.5"},
    {"__type__": "UUID", "value": "0" * 32},
    {"__type__": "int", "value": "ff" * 600},
    {"__type__": "float", "value": "nan"},
    {"__type__": "complex", "value": [1.0, 2.0]},
    {"__type__": "str", "value": "7aCA"},
    {"__type__": "opaque", "type": "a.B", "size": 2, "value": "aGk="},
    {"__type__": "numpy.ndarray", "dtype": "<i8", "shape": [1], "order": "C", "value": "AQAAAAAAAAA="},
]


class Bomb:
    def __reduce__(self):
        return sys.exit, ("unpickled",)


TRAPS = [
    *["", "\0", "\ud800", "os", "__import__('os').system('true')", "../../etc/passwd", "1e999", "nan", "x" * 5000],
    *[0, -1, 2**63, -(2**63), 2**64, 10**400, 1e308, True, False, None, 0.1],
    *[[], {}, [[]], [[[[]]]], {"__type__": None}, {"__type__": "tuple"}, {"__type__": []}, {"": {}}],
    base64.b64encode(pickle.dumps(Bomb())).decode(),
    {"__type__": "opaque", "type": "os.system", "size": 3, "value": base64.b64encode(pickle.dumps(Bomb())).decode()},
    {"__type__": "set", "value": [[1], {}]},
    {"__type__": "numpy.ndarray", "dtype": "|O", "shape": [1], "order": "C", "value": "AAAAAAAAAAA="},
    {"__type__": "numpy.ndarray", "dtype": "<f8", "shape": [2**40], "order": "C", "value": ""},
    {"__type__": "pandas.DataFrame", "index": {}, "columns": {}, "value": []},
    {"__type__": "datetime", "value": "2026-01-02T03:04:05", "zone": "../../../etc/passwd"},
    {"__type__": "Decimal", "value": "1e999999999"},
]


def outcome(**fields):
    return json.dumps({"version": 1, "status": "success", **fields}).encode()


VALID = [
    *({"version": 1, "status": "success", "result": value} for value in VALUES),
    {
        "version": 1,
        "status": "failure",
        "category": "task",
        "message": "ValueError: x",
        "retry": False,
        "result": "x",
        "exceptions": [
            {"type": "KeyError", "message": "y", "relation": "cause", "notes": [], "frames": []},
            {"type": "ValueError", "message": "x", "relation": "", "notes": ["n"],
             "frames": [{"file": "a.py", "line": 3, "function": "f", "source": "raise"}]},
        ],
        "detail": {"command": "pip", "exit_code": "1"},
        "timeline": dict.fromkeys(PHASES, 0.5),
        "peak_memory": 1000,
        "exit_code": 0,
        "signal": None,
        "python": "3.11.7",
    },
    {"version": 1, "status": "skipped", "message": "nothing new"},
]  # fmt: skip


def parse(data):
    """Parse `data` as the contract allows; return what came of it."""
    try:
        found = parse_outcome(data)
    except MalformedOutcomeError as error:
        message = str(error)
    else:
        message = ""
    assert len(message) < 2000
    if message:
        return None
    assert type(found) is Outcome
    assert found.status in STATUSES
    assert (found.category in CATEGORIES) == (found.status == "failure")
    return found


def places(structure, path=()):
    yield path
    if isinstance(structure, (dict, list)):
        for key, item in structure.items() if isinstance(structure, dict) else enumerate(structure):
            yield from places(item, (*path, key))


def mutated(rng):
    """A valid outcome with some of its parts gone, doubled, moved or replaced by a trap, or broken as text."""
    message = copy.deepcopy(rng.choice(VALID))
    for _ in range(rng.randint(0, 4)):
        path = rng.choice(list(places(message)))
        if not path:
            continue
        parent = message
        for key in path[:-1]:
            parent = parent[key]
        kind = rng.randrange(5)
        if kind == 0:
            del parent[path[-1]]
        elif kind == 1 and isinstance(parent, dict):
            parent[rng.choice(["__type__", "value", "size", "shape", "extra", "status", "result"])] = copy.deepcopy(
                rng.choice(TRAPS)
            )
        elif kind == 2:
            parent[path[-1]] = copy.deepcopy(rng.choice(VALUES))
        elif kind == 3:
            parent[path[-1]] = [copy.deepcopy(parent[path[-1]]) for _ in range(rng.randint(0, 60))]
        else:
            parent[path[-1]] = copy.deepcopy(rng.choice(TRAPS))
    data = json.dumps(message).encode()
    kind = rng.randrange(8)
    if kind == 0:
        data = data[: rng.randrange(len(data) + 1)]
    elif kind == 1:
        position = rng.randrange(len(data) + 1)
        data = data[:position] + rng.randbytes(rng.randint(1, 4)) + data[position:]
    elif kind == 2:
        position = rng.randrange(len(data))
        data = data[:position] + bytes([data[position] ^ (1 << rng.randrange(8))]) + data[position + 1 :]
    elif kind == 3:
        data = data + rng.choice([b"{}", b"\0", b"]", data])
    return data


@pytest.mark.parametrize("seed", range(10))
def test_22_000_mutated_outcomes_are_outcomes_or_refused(nothing_executed, seed):
    rng = random.Random(seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kinds = {type(parse(mutated(rng))) for _ in range(2200)}
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert kinds == {Outcome, type(None)}
    assert grown < 64 * 2**20


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"__type__":"tuple","value":['])
@pytest.mark.parametrize("depth", [150, 250, 900, 5_000, 100_000, 3_000_000])
@pytest.mark.parametrize("closed", [True, False])
def test_deep_nesting_is_refused(nothing_executed, opening, depth, closed):
    closing = {b"[": b"]", b'{"a":': b"}"}.get(opening, b"]}")
    inner = opening * depth + b"1" + (closing * depth if closed else b"")
    found = parse(b'{"version": 1, "status": "success", "result": ' + inner + b"}")
    assert found is None or (closed and depth == 150)
    found = parse(inner)
    assert found is None


@pytest.mark.parametrize("field", ["message", "detail", "exceptions", "timeline", "version", "retry", "exit_code"])
@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: repr(trap)[:30])
def test_every_field_may_be_anything(nothing_executed, field, trap):
    parse(outcome(**{field: trap}))
    parse(outcome(status="failure", category="task", exceptions=[{"type": "T", "message": "", field: trap}]))


def test_an_outcome_that_is_too_large_is_refused_unread():
    with pytest.raises(MalformedOutcomeError, match="the outcome has 102,760,449 bytes, expected at most 101,711,872"):
        parse_outcome(bytes(98 * 2**20 + 1))
    assert OUTCOME_LIMIT == 101_711_872


def test_lists_that_are_too_long_are_refused():
    with pytest.raises(MalformedOutcomeError, match="exceptions has 1000 items, expected at most 50"):
        parse_outcome(outcome(exceptions=[{}] * 1000))


def test_texts_that_are_too_long_are_cut():
    assert len(parse_outcome(outcome(message="x" * 10**6)).message) < 300_000


def test_a_huge_number_costs_nothing(nothing_executed):
    assert parse(b'{"version": 1, "status": "success", "peak_memory": ' + b"9" * 10**6 + b"}") is None
    assert parse(b'{"version": 1, "status": "success", "result": ' + b"9" * 10**6 + b"}") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["__type__", "value", "status"]) | st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from([*VALID[-2], "more"]), JSON))
def test_any_json_is_an_outcome_or_refused(fields):
    parse(json.dumps({"version": 1, "status": "success", **fields}).encode())


@settings(max_examples=500)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_refused(data):
    assert parse(data) is None


@settings(max_examples=100)
@given(JSON, st.sampled_from(CATEGORIES))
def test_any_failure_can_be_explained(detail, category):
    from airflow_provider_tasks.workers.diagnosis import diagnose

    keys = ["module", "requirement", "output", "root", "memory_limit", "airflow_python"]
    details = [{key: str(detail) for key in keys[:count]} for count in range(len(keys))] + [{}, {"memory_limit": "²"}]
    for given_detail in details:
        found = parse(outcome(status="failure", category=category, detail=given_detail, peak_memory=-5))
        if found is not None:
            assert diagnose(found).category == category
