"""A notebook is shown by who knows nothing of it: whatever it holds, the page of it can do nothing."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tasks.plugin import rendering
from airflow_provider_tasks.plugin.rendering import NotANotebookError, parse, render_notebook

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 8).decode()
ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</pre></section></main><script>alert(1)</script>",
    '"></iframe><script>alert(1)</script>',
    "<svg onload=alert(1)>",
    "[a link](javascript:alert(1))",
    "[a link](data:text/html;base64,PHNjcmlwdD4=)",
    "![an image](https://example.org/x.png)",
    "<iframe src=https://example.org></iframe><meta http-equiv=refresh content=0>",
    "\x1b[31mred\x1b[0m \x1b]8;;https://example.org\x07link\x1b]8;;\x07",
]


class Page(HTMLParser):
    """The tags of a page, as a browser finds them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def check(self) -> None:
        """Hold what is so of each page: nothing runs, nothing is loaded."""
        known = {"html", "meta", "title", "style", "main", "section", "div", "pre", "p", "i", "img", "iframe", "a"}
        markdown = {"h1", "h2", "strong", "em", "code", "ul", "ol", "li", "hr", "br", "blockquote", "table", "s"}
        markdown |= {"h3", "h4", "h5", "h6", "thead", "tbody", "tr", "th", "td"}
        for tag, attributes in self.tags:
            assert tag in known | markdown
            assert not [name for name in attributes if name.startswith("on")]
            if tag == "iframe":
                assert attributes["sandbox"] is None  # there, and without a word: nothing is allowed
                assert "src" not in attributes
                assert "default-src &#39;none&#39;" in str(attributes["srcdoc"]) or "default-src 'none'" in str(
                    attributes["srcdoc"]
                )
            if tag == "a":
                assert str(attributes.get("href")).partition(":")[0] in ("http", "https", "mailto") or (
                    ":" not in str(attributes.get("href"))
                )


def notebook(*cells: Any) -> bytes:
    return json.dumps({"cells": list(cells), "nbformat": 4, "metadata": {}}).encode()


def code(*outputs: Any, source: Any = "1") -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "metadata": {}}


def shows(**data: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {key.replace("_", "/"): value for key, value in data.items()}}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_text_wherever_it_is(attack: str) -> None:
    html = render_notebook(
        notebook(
            {"cell_type": "markdown", "source": attack},
            {"cell_type": "raw", "source": attack},
            {"cell_type": attack, "source": [attack]},
            code({"output_type": "stream", "name": attack, "text": [attack]}, source=attack),
            code({"output_type": "error", "ename": attack, "evalue": attack, "traceback": [attack]}),
            code(shows(text_html=attack), shows(text_plain=attack), shows(text_markdown=attack)),
            code(shows(image_png=attack), shows(image_jpeg=[attack]), shows(text_latex=attack)),
            code({"output_type": "display_data", "data": {"image/svg+xml": attack, attack: 1}}),
            {**code(), "metadata": {"tags": [attack]}, "execution_count": attack},
        ),
        attack,
    )  # fmt: skip
    Page(html).check()
    assert "\x1b" not in html


KEYS = ["cell_type", "source", "outputs", "data", "output_type", "text", "metadata", "tags", "text/html", "image/png"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["code", "markdown", "stream", "error"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)


@given(ANYTHING)
def test_a_notebook_may_hold_anything(cell: Any) -> None:
    cells = [
        cell,
        {"cell_type": "code", "outputs": cell, "source": cell, "metadata": cell},
        code(cell, shows(text_html=cell)),
    ]
    Page(render_notebook(notebook(*cells), "any")).check()


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"nbformat": 3, "worksheets": []}', b'{"nbformat": 4}'],
)
def test_what_is_no_notebook_is_named_and_not_shown(data: bytes) -> None:
    with pytest.raises(NotANotebookError, match="no notebook"):
        parse(data)


def test_an_image_is_shown_if_it_is_one() -> None:
    html = render_notebook(notebook(code(shows(image_png=PIXEL + "\n"), shows(image_jpeg=PIXEL))), "images")
    assert [attributes["src"] for tag, attributes in Page(html).tags if tag == "img"] == [
        f"data:image/png;base64,{PIXEL}"
    ]
    assert "says that it is image/jpeg, and is not" in html


def test_a_traceback_has_no_colours_and_a_long_output_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    error = {"output_type": "error", "traceback": ["\x1b[0;31mValueError\x1b[0m: no", "  route"]}
    long = {"output_type": "stream", "text": "x" * 300_000}
    html = render_notebook(notebook(code(error, long)), "t")
    assert "ValueError: no\n  route" in html
    assert "100,000 characters more" in html
    monkeypatch.setattr(rendering, "_MOST_OUTPUT", 100_000)
    assert "What follows cell 1 is too much" in render_notebook(
        notebook({"cell_type": "raw", "source": "a"}, code(long)), "t"
    )
    with pytest.raises(NotANotebookError, match="51 MiB; at most 50 MiB are shown"):
        parse(b" " * (51 * 2**20))
