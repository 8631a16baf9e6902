"""What is the same in every process, whatever the order of its sets."""

from __future__ import annotations

import os
import subprocess
import sys

SEEDS = 6


def text_whatever_the_hash_seed(script: str) -> str:
    """Return what a script prints, which is the same with each of several hash seeds."""
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(SEEDS)
    }
    assert len(texts) == 1, texts
    return texts.pop()
