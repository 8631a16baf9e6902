"""What this provider costs, beside what it replaces; ``docs/benchmarks.md`` tells what each figure means."""
