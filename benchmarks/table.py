"""The rows as a table of Markdown, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.measuring import Budget, Row, Spread

_HEADER = ("question", "ours", "against", "ours", "peer", "ratio (min-max)", "budget", "")


def as_markdown(rows: Iterable[Row]) -> str:
    cells = [_HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def write_json(rows: Iterable[Row], file: Path) -> None:
    found = [{**asdict(row), "within_budget": row.within_budget} for row in rows]
    for row in found:
        row.update({name: row[name]._asdict() for name in ("ours", "peer", "ratio") if row[name] is not None})
    file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.question,
        row.what,
        row.against,
        _amount(row.ours, row.unit),
        _amount(row.peer, row.unit) if row.peer else row.remark or "-",
        f"{row.ratio.median:.2f} ({row.ratio.lowest:.2f}-{row.ratio.highest:.2f})" if row.ratio else "-",
        _allowed(row.budget, row.unit) if row.budget else "",
        {True: "within", False: "over", None: ""}[row.within_budget],
    )


def _amount(spread: Spread, unit: str) -> str:
    return f"{spread.median:.{0 if abs(spread.median) >= 100 else 1}f} {unit}"


def _allowed(budget: Budget, unit: str) -> str:
    return f"{budget.limit:g} {unit}" if budget.of == "figure" else f"ratio {budget.limit:.1f}"
