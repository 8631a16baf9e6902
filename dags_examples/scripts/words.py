"""Lies beside the script that imports it, and goes along with it."""


def count(text: str) -> dict[str, int]:
    """Return how often each word is in ``text``."""
    words = text.split()
    return {word: words.count(word) for word in sorted(set(words))}
