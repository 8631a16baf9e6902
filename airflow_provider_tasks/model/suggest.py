"""The nearest known word, for messages about an unknown one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Say which known word is nearest, and list them all.

    Args:
        word: What was found.
        known: What could have been meant.

    Returns:
        The end of a sentence: ``did you mean 'name'? Known: …``, or just ``known: …`` when nothing is near.

    >>> did_you_mean("nmae", ["name", "properties"])
    "did you mean 'name'? Known: 'name', 'properties'"
    >>> did_you_mean("colour", ["name", "properties"])
    "known: 'name', 'properties'"
    """
    import difflib

    words = sorted(known)
    listed = ", ".join(map(repr, words))
    near = difflib.get_close_matches(word, words, n=1)
    return f"did you mean {near[0]!r}? Known: {listed}" if near else f"known: {listed}"
