"""The loyalty programme (W23): points on spend, tiers up and down.

Points count for the tier for the programme's span; those of a calendar month (UTC) are kept as one
sum, so a year is thirteen numbers. Gains go into the month of the order and what refunds take into
their own. The tier is looked at again whenever points change, and when the oldest month ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import ROUND_FLOOR, Decimal

from agents.commerce.refunds import Back
from agents.context import Context, DomainEvent
from agents.digests import derived_id
from agents.effects import signal
from agents.rules.exchange import exchanged
from schemas.customer import Customer
from schemas.customer.shopping import POINTS_KEPT, EarnedPoints, Order
from schemas.definitions.shop import Loyalty
from schemas.instant import from_datetime, to_datetime
from schemas.signals import TierChanged
from schemas.stored import NEVER

OLDEST_MONTH_ENDS = ":loyalty"
"""The customer's watch for the end of the oldest month; no workflow's id has a colon."""


def points_for(amount: Decimal, currency: str, time: int, context: Context) -> int:
    """Return the points that an amount of that time (ms) brings; without a rate it is worth nobody
    knows how many."""
    programme = context.live.loyalty
    if programme is None:
        return 0
    worth = exchanged(amount, currency, programme.currency, time, context.live)
    if worth is None:
        return 0
    return int((worth * programme.points_per_unit).to_integral_value(ROUND_FLOOR))


def lacks_rate(order: Order, context: Context) -> bool:
    """Return whether an order brings no points because nobody knows what it is worth."""
    programme = context.live.loyalty
    if programme is None or not order.total or order.currency == programme.currency:
        return False
    worth = exchanged(order.total, order.currency, programme.currency, order.time, context.live)
    return worth is None


def of_order(order: Order, back: Iterable[Back], context: Context) -> Counter[int]:
    """Return what an order comes to in points, by month: those that it has brought, less those of
    what was given `back`, which are never more."""
    months = Counter[int]()
    if context.live.loyalty is None:
        return months
    brought = order.points
    if brought < 0:  # of a record of before
        brought = points_for(order.total, order.currency, order.time, context)
    if brought:
        months[_month(order.time)] += brought
    taken, sum_ = 0, Decimal(0)
    for each in back:
        if each.currency != order.currency:
            points = points_for(each.amount, each.currency, each.time, context)
        else:
            sum_ += each.amount
            by_now = brought
            if sum_ < order.total:
                by_now = min(brought, _of_part(sum_, brought, order, context))
            points, taken = by_now - taken, by_now
        if points:
            months[_month(each.time)] -= points
    return months


def _of_part(amount: Decimal, brought: int, order: Order, context: Context) -> int:
    """Return how many of the points that an order has brought are of a part of its total: its
    share, where the programme or the rates aren't what they were."""
    whole = points_for(order.total, order.currency, order.time, context)
    if whole == brought or not order.total:
        return points_for(amount, order.currency, order.time, context)
    return int(brought * amount // order.total)


def add(customer: Customer, points: int, time: int, context: Context) -> None:
    """Give or take points; workflows hear of the balance and of another tier."""
    move(customer, {}, {_month(time): points}, context)


def move(
    customer: Customer, before: Mapping[int, int], after: Mapping[int, int], context: Context
) -> None:
    """Take points away and give others in their place, both by month; workflows hear of the balance
    and of another tier."""
    if context.live.loyalty is None:
        return
    months = sorted({*before, *after})
    changes = {month: after.get(month, 0) - before.get(month, 0) for month in months}
    changes = {month: points for month, points in changes.items() if points}
    if not changes:
        return
    balance = customer.points_balance
    for month, points in changes.items():
        _add(customer, points, month)
    customer.points.sort(key=lambda earned: earned.time)
    del customer.points[:-POINTS_KEPT]
    reevaluate(customer, context)
    now = customer.points_balance
    if now > balance:
        data = {"before": balance, "after": now}
        cause = f"{balance}/{now}/{max(changes)}"
        context.caused.append(DomainEvent("points", context.now, data=data, id=cause))


def _add(customer: Customer, points: int, month: int) -> None:
    for earned in customer.points:
        if earned.time == month:
            earned.points += points
            return
    customer.points.append(EarnedPoints(month, points))


def reevaluate(customer: Customer, context: Context) -> None:
    """Forget months that have ended; announce another tier, up or down."""
    programme = context.live.loyalty
    if programme is None:
        customer.watches.pop(OLDEST_MONTH_ENDS, None)
        return
    customer.points = [each for each in customer.points if _ends(each, programme) > context.now]
    ends = min((_ends(each, programme) for each in customer.points), default=NEVER)
    if ends == NEVER:
        customer.watches.pop(OLDEST_MONTH_ENDS, None)
    else:
        customer.watches[OLDEST_MONTH_ENDS] = ends
    before, after = customer.tier, _tier(customer.points_balance, programme)
    if before == after:
        return
    customer.tier = after
    ranks = ["", *(tier.name for tier in programme.tiers)]
    up = before not in ranks or ranks.index(after) > ranks.index(before)
    context.effects.append(
        signal(
            TierChanged(
                id=derived_id("tier", customer.key, before, after, str(context.now)),
                time=context.now,
                customer=customer.key,
                tier=after,
                previous_tier=before,
                points=customer.points_balance,
            )
        )
    )
    data = {"to": after, "from": before}
    cause = f"{before}/{after}/{context.now}"
    name = f"tier:{'up' if up else 'down'}"
    context.caused.append(DomainEvent(name, context.now, data=data, id=cause))


def missing(customer: Customer, programme: Loyalty) -> tuple[str, int] | None:
    """Return the next tier and the points that are missing for it; None at the top."""
    have = customer.points_balance
    for tier in programme.tiers:
        if tier.at_least > have:
            return tier.name, tier.at_least - have
    return None


def missed(customer: Customer, context: Context) -> list[str]:
    """Return the tiers for which the customer has too few points."""
    programme, have = context.live.loyalty, customer.points_balance
    return [] if programme is None else [t.name for t in programme.tiers if t.at_least > have]


def adopt(customer: Customer, other: Customer, context: Context) -> None:
    """Add the points of a visitor who turned out to be this customer."""
    months = {earned.time: earned for earned in customer.points}
    for earned in other.points:
        if earned.time in months:
            months[earned.time].points += earned.points
        else:
            customer.points.append(earned)
    customer.points.sort(key=lambda earned: earned.time)
    del customer.points[:-POINTS_KEPT]
    customer.tier = customer.tier or other.tier
    reevaluate(customer, context)


def _tier(points: int, programme: Loyalty) -> str:
    reached = [tier.name for tier in programme.tiers if tier.at_least <= points]
    return reached[-1] if reached else ""


def _month(time: int) -> int:
    start = to_datetime(time).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return from_datetime(start)


def _ends(earned: EarnedPoints, programme: Loyalty) -> int:
    return earned.time + programme.span
