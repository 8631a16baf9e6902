"""``Drawing``: a graph of tasks as text and as SVG."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from airflow_provider_tasks.model.plan import Edge, Plan

_GAP_X, _GAP_Y, _HEIGHT, _MARGIN, _LANE = 100, 30, 34, 48, 26
_LETTER, _SMALL = 8, 7  # the widths of letters, about
_LONGEST = 28
_STYLE = (
    "text{font:13px ui-monospace,Menlo,Consolas,monospace;fill:#1f2933;text-anchor:middle}"
    ".task{fill:#e8f1fb;stroke:#3572b0}.point{fill:#fff;stroke:#8895a5}"
    "path{fill:none;stroke:#5b6875;stroke-width:1.4}.weak{stroke-dasharray:6 4}"
    ".failure{stroke:#c0392b}.success{stroke:#2e7d4f}"
    ".label{font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:4px}"
)


class Drawing:
    """A picture of a graph: text when it is printed, SVG in a notebook.

    In the text, stages come first, then all edges. In the SVG, time goes from left to right. In both, weak edges are
    dashed, and an edge says when and how often it is walked.

    Args:
        plan: The graph.
        title: What stands above.

    >>> from airflow_provider_tasks.model.pipeline import Pipeline
    >>> from airflow_provider_tasks.model.task import Task
    >>> class Ping(Task):
    ...     def run(self): ...
    >>> Pipeline([[Ping(), Ping()]]).draw()
    Pipeline: 2 tasks, early stopping
      1.  Ping | Ping_2
    <BLANKLINE>
      root   → Ping, Ping_2
      Ping   → 1
      Ping_2 → 1
    """

    def __init__(self, plan: Plan, title: str) -> None:
        self.plan = plan
        self.title = title

    def __repr__(self) -> str:
        return self.text()

    def _repr_svg_(self) -> str:
        """Return the SVG; notebooks call this."""
        return self.svg()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the SVG into a file, which any browser shows.

        Args:
            path: The file; what is there is replaced.

        >>> import pathlib, tempfile
        >>> from airflow_provider_tasks.model.graph import ExecutionGraph
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "graph.svg")
        ...     ExecutionGraph().draw().save(file)
        ...     file.read_text()[:4]
        '<svg'
        """
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.svg())

    def text(self) -> str:
        """Return the picture as text.

        >>> from airflow_provider_tasks.model.graph import ExecutionGraph
        >>> ExecutionGraph().draw().text()
        'ExecutionGraph: 0 tasks, early stopping'
        """
        lines = [self._headline()]
        stages = self.plan.stages()
        width = len(str(len(stages)))
        for number, stage in enumerate(stages, 1):
            lines.append(f"  {number:>{width}}.  {' | '.join(map(self.plan.label, stage))}")
        grouped: dict[tuple[str, bool, str], list[str]] = {}
        for edge in self.plan.edges:
            grouped.setdefault((edge.source, edge.weak, _label(edge)), []).append(edge.target)
        longest = max((len(edge.source) for edge in self.plan.edges), default=0)
        rows = [
            f"  {source:<{longest}} {'⇢' if weak else '→'} {', '.join(targets)}{'  ' + label if label else ''}"
            for (source, weak, label), targets in grouped.items()
        ]
        return "\n".join(lines + ([""] if rows else []) + rows)

    def svg(self) -> str:
        """Return the picture as SVG.

        >>> from airflow_provider_tasks.model.graph import ExecutionGraph
        >>> "root" in ExecutionGraph().draw().svg()
        True
        """
        return _Picture(self.plan, self._headline()).svg()

    def _headline(self) -> str:
        count = f"{len(self.plan.tasks)} {'task' if len(self.plan.tasks) == 1 else 'tasks'}"
        return f"{self.title}: {count}, {'' if self.plan.early_stopping else 'no '}early stopping"


def _label(edge: Edge) -> str:
    parts = ["weak"] if edge.weak else []
    if edge.traverse_on:
        parts.append("on any end" if edge.traverse_on == "any" else f"on {edge.traverse_on}")
    if edge.counter is not None:
        parts.append("once" if edge.counter == 1 else f"{edge.counter} times")
    return ", ".join(parts)


class _Picture:
    """Where everything stands: a column for each step of the order, a slot for each node and passing edge."""

    def __init__(self, plan: Plan, title: str) -> None:
        self.plan = plan
        self.title = title
        self.place = {name: index for index, name in enumerate(plan.nodes)}
        self.forward = [edge for edge in plan.edges if self.place[edge.source] < self.place[edge.target]]
        self.back = [edge for edge in plan.edges if self.place[edge.source] > self.place[edge.target]]
        self.loops = [edge for edge in plan.edges if edge.source == edge.target]
        self.column = self._columns()
        self.slots = self._slots()
        self.x, self.width = self._abscissas()
        self.y = {
            item: _MARGIN + 30 + (index + (self.rows - len(column)) / 2) * (_HEIGHT + _GAP_Y) + _HEIGHT / 2
            for column in self.slots
            for index, item in enumerate(column)
        }

    @property
    def rows(self) -> int:
        return max(map(len, self.slots))

    def _columns(self) -> dict[str, int]:
        column = dict.fromkeys(self.plan.nodes, 0)
        for edge in sorted(self.forward, key=lambda edge: self.place[edge.source]):
            column[edge.target] = max(column[edge.target], column[edge.source] + 1)
        return column

    def _slots(self) -> list[list[object]]:
        """Put nodes, and edges that pass, into columns; each beside what leads to it."""
        slots: list[list[object]] = [[] for _ in range(max(self.column.values()) + 1)]
        before: dict[object, list[object]] = {}
        for name in self.plan.nodes:
            slots[self.column[name]].append(name)
        for edge in self.forward:
            last: object = edge.source
            for number in range(self.column[edge.source] + 1, self.column[edge.target]):
                passing = (edge, number)
                slots[number].append(passing)
                before.setdefault(passing, []).append(last)
                last = passing
            before.setdefault(edge.target, []).append(last)
        for number in range(1, len(slots)):
            above = {item: index - (len(slots[number - 1]) - 1) / 2 for index, item in enumerate(slots[number - 1])}

            def beside(item: object, above: dict[object, float] = above) -> float:
                found = [above[one] for one in before.get(item, ()) if one in above]
                return sum(found) / len(found) if found else 0.0

            slots[number].sort(key=beside)
        return slots

    def _abscissas(self) -> tuple[dict[int, float], dict[int, float]]:
        """Return where each column begins, and how wide it is."""
        begins: dict[int, float] = {}
        widths: dict[int, float] = {}
        labels = [(self.column[edge.source], len(_label(edge))) for edge in self.forward]
        x = float(_MARGIN)
        for number, items in enumerate(self.slots):
            begins[number] = x
            widths[number] = max((self._node_width(item) for item in items if isinstance(item, str)), default=0)
            x += widths[number] + max(
                (40 + size * _SMALL for at, size in labels if at == number and size), default=_GAP_X
            )
        return begins, widths

    def _node_width(self, name: str) -> float:
        return max(len(_short(name)) * _LETTER + 20, _HEIGHT)

    def _left(self, name: str) -> float:
        number = self.column[name]
        return self.x[number] + (self.width[number] - self._node_width(name)) / 2

    def svg(self) -> str:
        shapes = [self._node(name) for name in self.plan.nodes]
        edges = [self._forward(edge) for edge in self.forward] + [self._loop(edge) for edge in self.loops]
        bottom = _MARGIN + 30 + self.rows * (_HEIGHT + _GAP_Y)
        edges += [self._back(edge, bottom + number * _LANE) for number, edge in enumerate(self.back)]
        width = max(self.x[len(self.slots) - 1] + self.width[len(self.slots) - 1], len(self.title) * _LETTER) + _MARGIN
        height = bottom + len(self.back) * _LANE
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'width="{width:.0f}" height="{height:.0f}"><style>{_STYLE}</style>'
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0 1L9 5L0 9z" style="fill:#5b6875;stroke:none"/></marker></defs>'
            '<rect width="100%" height="100%" fill="#fff"/>'
            f'<text x="{_MARGIN}" y="28" style="text-anchor:start;font-weight:bold">{escape(self.title)}</text>'
            f"{''.join(edges)}{''.join(shapes)}</svg>\n"
        )

    def _node(self, name: str) -> str:
        x, y, width = self._left(name), self.y[name], self._node_width(name)
        kind, radius = ("task", 6) if name in self.plan.tasks else ("point", _HEIGHT // 2)
        return (
            f"<g><title>{escape(self.plan.label(name))}</title>"
            f'<rect class="{kind}" x="{x:.1f}" y="{y - _HEIGHT / 2:.1f}" '
            f'width="{width:.1f}" height="{_HEIGHT}" rx="{radius}"/>'
            f'<text x="{x + width / 2:.1f}" y="{y + 4:.1f}">{escape(_short(name))}</text></g>'
        )

    def _forward(self, edge: Edge) -> str:
        x, y = self._left(edge.source) + self._node_width(edge.source), self.y[edge.source]
        path = f"M{x:.1f} {y:.1f}"
        for number in range(self.column[edge.source] + 1, self.column[edge.target] + 1):
            passing = number < self.column[edge.target]
            to_x = self.x[number] if passing else self._left(edge.target)
            to_y = self.y[(edge, number)] if passing else self.y[edge.target]
            middle = (x + to_x) / 2
            path += f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
            x, y = to_x + (self.width[number] if passing else 0), to_y
            if passing:
                path += f"L{x:.1f} {y:.1f}"
        start = self._left(edge.source) + self._node_width(edge.source)
        first = self.column[edge.source] + 1
        one_step = first == self.column[edge.target]
        end = (self._left(edge.target), self.y[edge.target]) if one_step else (self.x[first], self.y[(edge, first)])
        return self._line(edge, path, (start + end[0]) / 2, (self.y[edge.source] + end[1]) / 2 - 4)

    def _back(self, edge: Edge, below: float) -> str:
        """Lead an edge down beside the source's column, below everything, and up beside the target's."""
        x, y = self._left(edge.source) + self._node_width(edge.source), self.y[edge.source]
        to_x, to_y = self._left(edge.target), self.y[edge.target]
        number, to_number = self.column[edge.source], self.column[edge.target]
        beside, to_beside = self.x[number] + self.width[number] + 24, self.x[to_number] - 24
        path = (
            f"M{x:.1f} {y:.1f}C{beside:.1f} {y:.1f} {beside:.1f} {y:.1f} {beside:.1f} {y + 24:.1f}"
            f"L{beside:.1f} {below - 16:.1f}Q{beside:.1f} {below:.1f} {beside - 16:.1f} {below:.1f}"
            f"L{to_beside + 16:.1f} {below:.1f}Q{to_beside:.1f} {below:.1f} {to_beside:.1f} {below - 16:.1f}"
            f"L{to_beside:.1f} {to_y + 24:.1f}"
            f"C{to_beside:.1f} {to_y:.1f} {to_beside:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        )
        return self._line(edge, path, (beside + to_beside) / 2, below - 5)

    def _loop(self, edge: Edge) -> str:
        """Lead an edge from a node over its head back to it."""
        x, y = self._left(edge.source) + self._node_width(edge.source) / 2, self.y[edge.source] - _HEIGHT / 2
        path = f"M{x + 12:.1f} {y:.1f}C{x + 22:.1f} {y - 22:.1f} {x - 22:.1f} {y - 22:.1f} {x - 12:.1f} {y:.1f}"
        return self._line(edge, path, x, y - 17)

    def _line(self, edge: Edge, path: str, x: float, y: float) -> str:
        kind = f"{'weak ' if edge.weak else ''}{edge.traverse_on or ''}".strip()
        label = escape(_label(edge))
        text = f'<text class="label" x="{x:.1f}" y="{y:.1f}">{label}</text>' if label else ""
        return f'<path class="{kind}" d="{path}" marker-end="url(#tip)"/>{text}'


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
