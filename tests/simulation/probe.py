"""A workflow so simple that a loop says when each of its timers fires, and what comes first.

An order begins a run that waits five hours; a product that is looked at meanwhile ends it. Timers
that are due come before the record at which they fire, so what is looked at at that very record
comes too late; and they come before the customer's own next record, however much else there is to
do. Shares no code with the actors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from schemas.records import Record
from tests.simulation.shop import HOUR, ShopEvent, name_of

ID = "w96-probe"
WAIT = 5 * HOUR
TEXT = f"""
id: {ID}
title: {{it: Prova}}
trigger: order.completed
entry: {{once_per: order}}
exit_on: [product.viewed]
steps:
  - {{id: done, wait: 5h, tag: probe}}
"""


class End(NamedTuple):
    """How a run ends."""

    decision: str
    earliest: int
    latest: int
    """Times of the log, ms: of the first record at which it may, and of the last."""


def ends(
    records: Sequence[Record], events: dict[tuple[str, str], ShopEvent], key: str, visits: int
) -> dict[str, End]:
    """Return by order how its run ends; one that waits still isn't among them.

    `events` by source and id; `visits`: customers that one record visits at most.
    """
    found: dict[str, End] = {}
    due: dict[str, int] = {}
    begun: dict[str, int] = {}
    """Of what is due: time of the first record at which it could fire."""
    orders, seen = set[str](), set[tuple[str, str]]()
    back: defaultdict[str, Decimal] = defaultdict(Decimal)
    now = behind = 0
    for record in records:
        now = max(now, record.timestamp)
        event = events.get(name_of(record)) if record.key == key.encode() else None
        for order, time in list(due.items()):
            if time <= now:
                begun.setdefault(order, now)
        # All of them fire at once unless a budget is in the way; at an own record anyway.
        behind = behind + 1 if begun else 0
        if event is not None or visits > MANY or behind > MANY:
            for order, time in begun.items():
                found[order] = End("completed", time, now)
                del due[order]
            begun, behind = {}, 0
        if event is None or (event.source, event.id) in seen:
            continue
        seen.add((event.source, event.id))
        if event.type == "product.viewed":
            # What was looked at before the order, and is told late, is no news for its run.
            ended = {order for order, time in due.items() if event.time >= time - WAIT}
            found |= {order: End("exited", now, now) for order in ended}
            due = {order: time for order, time in due.items() if order not in ended}
        elif event.type == "order.refunded":
            back[event.data["order_id"]] += Decimal(event.data["total"])
        elif event.type == "order.completed" and event.data["order_id"] not in orders:
            order = event.data["order_id"]
            orders.add(order)
            if back[order] < Decimal(event.data["total"]):
                due[order] = event.time + WAIT
                if due[order] <= now:
                    found[order] = End("completed", now, now)
                    del due[order]
    return found | {order: End("completed", time, now) for order, time in begun.items()}


MANY = 40
"""Records after which even one visit at each is enough for everybody, and more than all visits that
there can be at one."""
