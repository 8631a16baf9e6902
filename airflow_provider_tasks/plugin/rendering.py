"""A notebook as HTML that can do nothing: who wrote it, and what its cells put out, is not trusted.

Everything is escaped. Images are shown when they are what they say they are. What is HTML goes into a frame of its
own, in which no script runs, nothing is loaded and no link leads anywhere.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 50 * 2**20
"""The largest notebook that is shown."""

POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'"
"""The Content-Security-Policy of the page: no script, nothing from elsewhere, no rights of its own origin."""

_MOST_CELLS = 2000
_MOST_CHARACTERS = 200_000  # of one output
_MOST_OUTPUT = 30 * 2**20  # of the page
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_IMAGES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/gif": b"GIF8"}
_FRAME_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class NotANotebookError(ValueError):
    """What was to be shown is no notebook; the message says why, and nothing of what it holds."""


def render_notebook(data: bytes, title: str, *, dark: bool = False) -> str:
    """Return a page of HTML.

    Args:
        data: the file.
        title: what the page is called.
        dark: light letters on a dark ground.

    Raises:
        NotANotebookError: it is too large, or no notebook of format 4.

    """
    cells = parse(data)
    theme = "dark" if dark else "light"
    head = f'<!doctype html><html lang="en" class="{theme}"><meta charset="utf-8"><title>{_text(title)}</title>'
    parts = [head, f"<style>{_STYLE}</style><main>"]
    size = 0
    for number, cell in enumerate(cells[:_MOST_CELLS]):
        html = "".join(_cell(cell, number, theme))
        size += len(html)
        if size > _MOST_OUTPUT:
            parts.append(_note(f"What follows cell {number} is too much to be shown."))
            break
        parts.append(html)
    if len(cells) > _MOST_CELLS:
        parts.append(_note(f"Cells beyond {_MOST_CELLS:,} are not shown."))
    if not cells:
        parts.append(_note("The notebook has no cells."))
    return "".join([*parts, "</main></html>"])


def message_page(html: str, *, dark: bool = False) -> str:
    """Return a page that says why there is no notebook."""
    theme = "dark" if dark else "light"
    return f'<!doctype html><html lang="en" class="{theme}"><meta charset="utf-8"><style>{_STYLE}</style><main>{html}'


def parse(data: bytes) -> list[dict[str, Any]]:
    """Return the cells of a notebook.

    Raises:
        NotANotebookError: it is too large, or no notebook of format 4.

    """
    if len(data) > MOST_BYTES:
        raise NotANotebookError(f"It has {len(data) / 2**20:.0f} MiB; at most {MOST_BYTES // 2**20} MiB are shown.")
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError):
        raise NotANotebookError("It is no JSON, and so no notebook.") from None
    if not isinstance(notebook, dict) or notebook.get("nbformat") != 4 or not isinstance(notebook.get("cells"), list):
        raise NotANotebookError("It is no notebook of format 4.")
    return [cell for cell in notebook["cells"] if isinstance(cell, dict)]


def _cell(cell: dict[str, Any], number: int, theme: str) -> Iterator[str]:
    source = _joined(cell.get("source"))
    kind = cell.get("cell_type")
    if kind == "markdown":
        yield f'<section class="markdown">{_markdown(source)}</section>'
        return
    if kind != "code":
        yield f'<section><pre class="raw">{_text(source)}</pre></section>'
        return
    count = cell.get("execution_count")
    label = f"[{count}]" if isinstance(count, int) else "[ ]"
    metadata = cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    shown = "".join(
        f"<i>{_text(tag)}</i>" for tag in (tags if isinstance(tags, list) else [])[:10] if isinstance(tag, str)
    )
    yield f'<section class="code"><div class="label">{label}{shown}</div><pre class="source">{_text(source)}</pre>'
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        if isinstance(output, dict):
            yield _output(output, number, theme)
    yield "</section>"


def _output(output: dict[str, Any], number: int, theme: str) -> str:
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return f'<pre class="{name}">{_text(_joined(output.get("text")))}</pre>'
    if kind == "error":
        traceback = output.get("traceback")
        lines = [line for line in traceback if isinstance(line, str)] if isinstance(traceback, list) else []
        told = "\n".join(lines) or f"{output.get('ename')}: {output.get('evalue')}"
        return f'<pre class="error">{_text(told)}</pre>'
    data = output.get("data")
    return _bundle(data, number, theme) if isinstance(data, dict) else ""


def _bundle(data: dict[str, Any], number: int, theme: str) -> str:
    """Return the best of several forms of one output."""
    if "text/html" in data:
        return _frame(_CONTROL.sub("", _joined(data["text/html"])), number, theme)
    for kind, begins in _IMAGES.items():
        if kind in data:
            return _image(kind, begins, _joined(data[kind]))
    if "image/svg+xml" in data:
        # In an image no script runs, and nothing is loaded.
        encoded = base64.b64encode(_joined(data["image/svg+xml"]).encode("utf-8", "replace")).decode("ascii")
        return f'<img alt="output" src="data:image/svg+xml;base64,{encoded}">'
    if "text/markdown" in data:
        return f'<div class="markdown">{_markdown(_joined(data["text/markdown"]))}</div>'
    for kind in ("text/latex", "text/plain"):
        if kind in data:
            return f"<pre>{_text(_joined(data[kind]))}</pre>"
    kinds = ", ".join(str(kind) for kind in list(data)[:5])
    return _note(f"An output of type {kinds or 'nothing'} is not shown.")


def _image(kind: str, begins: bytes, text: str) -> str:
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content.startswith(begins):
        return _note(f"An output says that it is {kind}, and is not.")
    return f'<img alt="output" src="data:{kind};base64,{base64.b64encode(content).decode("ascii")}">'


def _frame(html: str, number: int, theme: str) -> str:
    if len(html) > _MOST_CHARACTERS * 10:
        return _note(f"An output has {len(html):,} characters of HTML, which is too much to be shown.")
    # The page's own policy holds in there too; this one is for a browser that thinks otherwise.
    page = (
        f'<!doctype html><html class="{theme}"><meta http-equiv="Content-Security-Policy" content="{_FRAME_POLICY}">'
        f"<style>{_STYLE}body{{padding:4px}}</style>{html}"
    )
    rows = min(max(html.count("<tr"), html.count("\n") // 3, 3), 14)
    title = f"HTML output of cell {number + 1}"
    return f'<iframe sandbox title="{title}" style="height:{rows * 27 + 40}px" srcdoc="{escape(page)}"></iframe>'


def _markdown(source: str) -> str:
    from markdown_it import MarkdownIt

    if len(source) > _MOST_CHARACTERS:
        return f"<pre>{_text(source)}</pre>"
    # With "js-default" HTML is text, and a link is none that could be a script.
    return str(
        MarkdownIt("js-default", {"html": False, "linkify": False, "maxNesting": 20}).render(
            _CONTROL.sub("", _ANSI.sub("", source))
        )
    )


def _joined(value: Any) -> str:
    """Return text as notebooks hold it: one, or a list of lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(item for item in value if isinstance(item, str))
    return ""


def _text(value: str) -> str:
    shown = value[:_MOST_CHARACTERS]
    cut = f"\n… {len(value) - len(shown):,} characters more" if len(shown) < len(value) else ""
    return escape(_CONTROL.sub("", _ANSI.sub("", shown)) + cut)


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


_STYLE = """
:root{--fg:#171e2d;--bg:#fff;--soft:#f3f6fa;--line:#dbe2ea;--dim:#475569;--bad:#b91c1c;--link:#1d4ed8}
:root.dark{--fg:#f1f5f9;--bg:#171e2d;--soft:#0b1320;--line:#2a364b;--dim:#a3b1c6;--bad:#fca5a5;--link:#93c5fd}
:root.dark{color-scheme:dark}
body{margin:0;color:var(--fg);background:var(--bg);overflow-wrap:anywhere}
body{font:14px/1.5 Inter,-apple-system,BlinkMacSystemFont,Helvetica,Arial,sans-serif}
main{max-width:1100px;margin:0 auto;padding:12px 16px 48px}
section{margin:0 0 18px}
.code{display:grid;grid-template-columns:76px minmax(0,1fr);column-gap:8px}
.code>*{grid-column:2}.code>.label{grid-column:1;grid-row:1;color:var(--dim);font:12px/20px ui-monospace,monospace}
.label i{display:block;font-size:9px;line-height:12px}
pre{margin:0;padding:8px 10px;font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace;white-space:pre-wrap}
pre.source{background:var(--soft);border:1px solid var(--line);border-radius:6px}
pre.error{color:var(--bad)}pre.stderr{color:var(--dim)}
.markdown pre{background:var(--soft);border-radius:6px}.markdown code{font:13px ui-monospace,monospace}
a{color:var(--link)}img{max-width:100%;background:#fff;border-radius:4px;margin:6px 0}
iframe{width:100%;border:1px solid var(--line);border-radius:6px;margin:6px 0;resize:vertical;box-sizing:border-box}
table{border-collapse:collapse;font-size:13px}th,td{border:1px solid var(--line);padding:3px 8px;text-align:left}
.note{color:var(--dim);font-style:italic;margin:6px 0}
@media(max-width:640px){.code{display:block}main{padding:8px}}
"""
