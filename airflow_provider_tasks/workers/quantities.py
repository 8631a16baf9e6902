"""Amounts as Kubernetes writes them.

The notation is Kubernetes' own: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import math
import re

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_FACTORS = {"": 1.0, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_FACTORS |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}


def parse_quantity(text: str | float) -> float:
    """Return the amount that ``text`` stands for: bytes for memory, cores for CPU.

    >>> parse_quantity("1.5Gi"), parse_quantity("500m")
    (1610612736.0, 0.5)
    >>> parse_quantity("4 GB")
    Traceback (most recent call last):
    ...
    ValueError: '4 GB' is no quantity, expected a number with one of m, k, M, G, T, P, Ki, Mi, Gi, Ti, Pi, as '512Mi'

    """
    if isinstance(text, (int, float)) and not isinstance(text, bool) and text >= 0:
        return float(text)
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            f"{text!r} is no quantity, expected a number with one of {', '.join(unit for unit in _FACTORS if unit)}, "
            "as '512Mi'"
        )
    return float(match[1]) * _FACTORS[match[2] or ""]


def format_bytes(number: float) -> str:
    """Return ``number`` bytes for people.

    >>> format_bytes(3 * 2**29)
    '1.5 GiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            break
        number /= 1024
    return f"{number:.1f}".removesuffix(".0") + f" {unit}"


def format_memory(number: int) -> str:
    """Return ``number`` bytes as Kubernetes writes them, in the largest unit in which they are a whole number.

    >>> format_memory(3 * 2**29), format_memory(1000)
    ('1536Mi', '1000')
    """
    for unit in ("Pi", "Ti", "Gi", "Mi", "Ki"):
        factor = int(_FACTORS[unit])
        if number and number % factor == 0:
            return f"{number // factor}{unit}"
    return str(number)


def format_cores(number: float) -> str:
    """Return ``number`` cores as Kubernetes writes them; it knows no less than a thousandth of one.

    >>> format_cores(2), format_cores(0.25), format_cores(0.0001)
    ('2', '250m', '1m')
    """
    thousandths = math.ceil(round(number * 1000, 6))
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)
