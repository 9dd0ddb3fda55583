"""A span of time in which everything that was changed is read; what a poll's cursor holds.

A poll reads from where the one before it ended, less an overlap, to now. Between two pages the
cursor says where to go on within the span; behind the last one, up to when everything is read.
Times are the shop's, as its clock may be ahead of ours or behind it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

from streams.connect.json_fields import Row, whole
from streams.connect.keyset import Keyset, Place
from streams.connect.local_windows import local_span

OVERLAP_MS = 120_000
"""A row is dated before it can be seen: its transaction may take that long."""
MOST_SEEN = 1_000
"""Ids in a cursor, which is to stay small; a page has fewer."""


class Walk(NamedTuple):
    """What is left of a span."""

    end: int
    """Its end, ms."""
    keyset: Keyset


def begin(cursor: str, *, since: int, now: int, zone: tzinfo) -> Walk:
    """Return the walk of a poll at `now` (ms, by the shop's clock): the one that `cursor` has left
    unfinished, else from behind it, else from `since` on. Its texts are those of a clock in `zone`.
    """
    unfinished, through = _read(cursor)
    if unfinished is not None:
        return unfinished
    start = through - OVERLAP_MS if through is not None else since
    end = max(now, start)
    return Walk(end, Keyset(*local_span(start, end, zone)))


def unfinished(walk: Walk) -> str:
    """Return the cursor within a span."""
    keyset = walk.keyset
    return json.dumps(
        {
            "end": walk.end,
            "since": keyset.since,
            "until": keyset.until,
            "seen": sorted(keyset.seen),
            "above": keyset.above,
        }
    )


def finished(walk: Walk) -> str:
    """Return the cursor behind a span."""
    return json.dumps({"through": walk.end})


def places(rows: Sequence[Row], changed: str, id_: str) -> list[Place]:
    """Return what a keyset has to know of a page; `changed` and `id_` name the fields."""
    return [Place(str(row.get(changed) or ""), whole(row, id_)) for row in rows]


def _read(cursor: str) -> tuple[Walk | None, int | None]:
    """Read a cursor; one that can't be read says nothing."""
    try:
        said = json.loads(cursor) if cursor else {}
        if "through" in said:
            return None, int(said["through"])
        if "since" not in said:
            return None, None
        above = said.get("above")
        keyset = Keyset(
            str(said["since"]),
            str(said["until"]),
            frozenset(int(each) for each in said["seen"][:MOST_SEEN]),
            None if above is None else int(above),
        )
        return Walk(int(said["end"]), keyset), None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, None
