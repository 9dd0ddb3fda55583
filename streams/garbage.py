"""Python's search for cycles of objects, which costs more the more customers are held."""

from __future__ import annotations

import gc

THRESHOLD = 50_000
"""New objects between two searches. A batch makes tens of thousands without any cycle; at Python's
default of 700 a worker spends a tenth of its time on looking through them, a replay a quarter."""


def search_less() -> None:
    """Search rarely, and never again among what is there by now: what is imported stays."""
    gc.freeze()
    gc.set_threshold(THRESHOLD)
