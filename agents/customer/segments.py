"""A customer enters and leaves segments, and whoever waits for that is told."""

from __future__ import annotations

from collections.abc import Iterable

from agents.context import Context, DomainEvent
from agents.digests import derived_id
from agents.effects import signal
from agents.rules.segments import CompiledSegment, Segmentation
from schemas.customer import Customer
from schemas.customer.person import SEGMENTS_KEPT
from schemas.signals import SegmentChanged
from schemas.stored import NEVER


def follow(
    customer: Customer, candidates: Iterable[CompiledSegment], time: int, context: Context
) -> int:
    """Enter and leave those of the candidates whose answer is another one since `time` (ms).

    Returns the first instant (ms) at which time may turn one of their answers.
    """
    evaluation, next_change = context.evaluation(customer), NEVER
    for id_, check in candidates:
        within = id_ in customer.segments
        if check.matches(evaluation) != within and (
            within or len(customer.segments) < SEGMENTS_KEPT
        ):
            _move(customer, id_, time, context)
        if check.changes:
            next_change = min(next_change, check.changes_at(evaluation))
    return next_change


def leave_unknown(customer: Customer, segmentation: Segmentation, context: Context) -> None:
    """Leave the segments that there aren't any more."""
    known = {each.id for each in segmentation.all}
    for id_ in [id_ for id_ in customer.segments if id_ not in known]:
        _move(customer, id_, context.now, context)


def _move(customer: Customer, id_: str, time: int, context: Context) -> None:
    if id_ in customer.segments:
        customer.segments.remove(id_)
        change = "left"
    else:
        customer.segments = sorted([*customer.segments, id_])
        change = "entered"
    key = f"segment:{id_}:{change}"
    context.effects.append(
        signal(
            SegmentChanged(
                id=derived_id(customer.key, key, context.cause, str(context.now)),
                time=context.now,
                customer=customer.key,
                segment=id_,
                change="left" if change == "left" else "entered",
            )
        )
    )
    if key in context.live.by_trigger and key not in context.told:
        context.told.add(key)  # workflows that send a customer to and fro do so once at a time
        context.caused.append(DomainEvent(key, time, data={"segment": id_}))
