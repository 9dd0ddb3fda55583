"""What is told of statements about orders that could not be taken as they stand: a signal
`order.noticed`, for the shop's people to look at. Nothing is decided by it."""

from __future__ import annotations

from agents.context import Context
from agents.digests import derived_id
from agents.effects import signal
from schemas.bounds import cut
from schemas.customer import Customer
from schemas.events import Event
from schemas.signals import OrderNoticed, WhatNoticed

_DETAIL_BYTES = 64


def tell(
    customer: Customer,
    order_id: str,
    what: WhatNoticed,
    event: Event,
    context: Context,
    detail: str = "",
) -> None:
    """Tell of what an event says of an order."""
    context.effects.append(
        signal(
            OrderNoticed(
                id=derived_id(
                    "order.noticed", what, customer.key, order_id, event.source, event.id
                ),
                time=context.now,
                customer=customer.key,
                order_id=order_id,
                what=what,
                detail=cut(detail, _DETAIL_BYTES),
            )
        )
    )
