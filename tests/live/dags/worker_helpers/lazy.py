from . import deeper

GREETING = f"lazy {deeper.WORD}"
