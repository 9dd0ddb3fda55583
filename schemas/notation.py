"""How a shop's systems write what leaves room: times without a zone, links without a host, amounts
with one mark and three digits behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

DEFAULT_ZONE = "Europe/Rome"
"""Of a shop, or a customer, whose zone is not known."""

DecimalMark = Literal["comma", "point"]


class Notation(NamedTuple):
    """What is set about it. The same for every worker and in replay, or they read otherwise."""

    zone: str = DEFAULT_ZONE
    """Of times that name none; an IANA name."""
    shop_url: str = ""
    """What links without a host are in; empty: such links are left out."""
    decimal_marks: Mapping[str, DecimalMark] = {}
    """What a source begins with → what stands before the decimals of its amounts; of several that
    fit the longest counts. Of other sources `1,234` says nothing certain."""

    def decimal_mark(self, source: str) -> DecimalMark | None:
        """Return which mark a source has declared."""
        fitting = [prefix for prefix in self.decimal_marks if source.startswith(prefix)]
        return self.decimal_marks[max(fitting, key=len)] if fitting else None


DEFAULT_NOTATION = Notation()
