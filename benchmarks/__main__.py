"""``python -m benchmarks``: measure, print the table."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import (
    imports,
    installation,
    large_dags,
    large_results,
    local_worker,
    notebooks,
    output,
    pipelines,
    pods,
    table,
    waiting,
)

BENCHMARKS = {
    module.__name__.partition(".")[2]: module
    for module in (imports, large_dags, pipelines, local_worker, large_results, output, notebooks, pods, waiting)
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what this provider costs.")
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"all, or some of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, help="measurements of each figure; each question has its own default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.questions if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no question {', '.join(unknown)}; these are: {', '.join(BENCHMARKS)}")
    chosen = [BENCHMARKS[name] for name in arguments.questions or BENCHMARKS]
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as home:
        installation.prepare(Path(home))
        rows = [row for module in chosen for row in module.measure(arguments.rounds or module.ROUNDS)]
    print(table.as_markdown(rows))
    if arguments.json:
        table.write_json(rows, arguments.json)


if __name__ == "__main__":
    main()
