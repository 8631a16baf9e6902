"""What a type is called in messages."""

from __future__ import annotations


def type_name(kind: type) -> str:
    """Give a type's name with its module, as messages show it.

    >>> from decimal import Decimal
    >>> type_name(int), type_name(Decimal)
    ('int', 'decimal.Decimal')
    """
    module = kind.__module__
    if module.startswith("unusual_prefix_"):
        # How Airflow names the module of a DAG file: unusual_prefix_HASH_NAME.
        module = module.split("_", 3)[-1]
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
