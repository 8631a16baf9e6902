"""Pictures of graphs, as text and as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.model.content import Content
from airflow_provider_tasks.model.drawing import Drawing
from airflow_provider_tasks.model.graph import ExecutionGraph
from airflow_provider_tasks.model.pipeline import CyclePipeline, Pipeline
from airflow_provider_tasks.model.plan import make_plan
from airflow_provider_tasks.model.task import Task

SVG = "{http://www.w3.org/2000/svg}"


class Ping(Task):
    def run(self) -> None: ...


def capture() -> CyclePipeline:
    pipeline = CyclePipeline([Ping("start"), [Ping(), Ping()], Ping("stop")], cycles=4)
    alarm = Ping("alarm")
    pipeline.graph.add_edge(pipeline.tasks[1][1], alarm, traverse_on="failure", counter=1)
    pipeline.graph.add_edge(pipeline.tasks[1][0], pipeline.tasks[1][0], type="weak", traverse_on="any", counter=2)
    return pipeline


def test_a_picture_is_text():
    assert str(capture().draw()).splitlines() == [
        "CyclePipeline: 5 tasks, early stopping",
        "  1.  start (Ping)",
        "  2.  Ping | Ping_2",
        "  3.  stop (Ping) | alarm (Ping)",
        "",
        "  root   → start",
        "  start  → 1",
        "  1      → Ping, Ping_2",
        "  Ping   → 2",
        "  Ping   ⇢ Ping  weak, on any end, 2 times",
        "  Ping_2 → 2",
        "  Ping_2 → alarm  on failure, once",
        "  2      → stop",
        "  stop   → 3",
        "  3      ⇢ root  weak, 3 times",
    ]


def test_a_graph_that_goes_on_after_failures_says_so():
    assert str(Pipeline([Ping()], early_stopping=False).draw()).startswith("Pipeline: 1 task, no early stopping\n")


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_picture_is_svg():
    svg = capture().draw().svg()
    found = texts(svg)
    assert found[0] == "CyclePipeline: 5 tasks, early stopping"
    for name in ("root", "start", "1", "Ping", "Ping_2", "2", "stop", "3", "alarm"):
        assert found.count(name) == 1
    assert {"weak, 3 times", "weak, on any end, 2 times", "on failure, once"} <= set(found)
    kinds = [element.get("class") for element in ElementTree.fromstring(svg).iter(f"{SVG}path")]
    assert sorted(filter(None, kinds)) == ["failure", "weak", "weak any"]
    assert svg == capture().draw()._repr_svg_()


def test_a_name_is_not_taken_for_svg():
    svg = Pipeline([Ping("<script>alert('&')</script>")]).draw().svg()
    assert "<script>" not in svg
    assert "<script>alert('&')</script>" in texts(svg)


def test_a_long_name_is_cut_and_told_in_full():
    svg = Pipeline([Ping("n" * 100)]).draw().svg()
    assert "n" * 27 + "…" in texts(svg)
    assert [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}title")][1] == f"{'n' * 100} (Ping)"


def test_a_picture_is_saved(tmp_path):
    capture().draw().save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == capture().draw().svg()


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    found = [element.attrib for element in ElementTree.fromstring(svg).iter(f"{SVG}rect") if "class" in element.attrib]
    return [tuple(float(box[name]) for name in ("x", "y", "width", "height")) for box in found]  # type: ignore[misc]


@given(st.integers(0, 15), st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), st.booleans()), max_size=40))
def test_any_graph_is_drawn_with_nothing_on_top_of_anything(size, pairs):
    tasks = ["root", *(Ping(f"task {number}") for number in range(size))]
    ends = {(source, target): weak for source, target, weak in pairs if max(source, target) <= size}
    links = [(source, target, {"type": "weak"} if weak else {}) for (source, target), weak in ends.items()]
    drawing = Drawing(make_plan(Content(tasks, links), early_stopping=True), "Any")
    assert len(str(drawing).splitlines()) >= 1
    svg = drawing.svg()
    root = ElementTree.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    found = boxes(svg)
    assert len(found) == size + 1
    for index, (x, y, w, h) in enumerate(found):
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
        for x2, y2, w2, h2 in found[:index]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    lines = [path for path in root.iter(f"{SVG}path") if "marker-end" in path.attrib]
    assert len(lines) == len(links)


@pytest.mark.parametrize("size", [1, 60])
def test_a_wide_stage_is_drawn(size):
    assert len(boxes(Pipeline([[Ping() for _ in range(size)]]).draw().svg())) == size + 2


def test_an_empty_graph_is_drawn():
    assert str(ExecutionGraph().draw()) == "ExecutionGraph: 0 tasks, early stopping"
    assert len(boxes(ExecutionGraph().draw().svg())) == 1
