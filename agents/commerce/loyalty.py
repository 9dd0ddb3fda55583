"""The loyalty programme (W23): points on spend, tiers up and down.

Points count for the tier for the programme's span; those of a calendar month (UTC) are kept as one
sum, so a year is thirteen numbers. Gains and what refunds take go into the month in which they
happen. The tier is looked at again whenever points change, and when the oldest month ends.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from agents.context import Context, DomainEvent
from agents.digests import derived_id
from agents.effects import signal
from agents.rules.exchange import exchanged
from schemas.customer import Customer
from schemas.customer.shopping import POINTS_KEPT, EarnedPoints
from schemas.definitions.shop import Loyalty
from schemas.instant import from_datetime, to_datetime
from schemas.signals import TierChanged
from schemas.stored import NEVER

OLDEST_MONTH_ENDS = ":loyalty"
"""The customer's watch for the end of the oldest month; no workflow's id has a colon."""


def spent(customer: Customer, amount: Decimal, currency: str, time: int, context: Context) -> None:
    """Give points for an order; a negative amount takes them back."""
    programme = context.live.loyalty
    if programme is None:
        return
    worth = exchanged(amount, currency, programme.currency, time, context.live)
    if worth is None:
        return  # without a rate it is worth nobody knows how many points
    points = int((abs(worth) * programme.points_per_unit).to_integral_value(ROUND_FLOOR))
    add(customer, points if amount > 0 else -points, time, context)


def add(customer: Customer, points: int, time: int, context: Context) -> None:
    """Give or take points; workflows hear of the balance and of another tier."""
    if context.live.loyalty is None or not points:
        return
    before = customer.points_balance
    month = _month(time)
    for earned in customer.points:
        if earned.time == month:
            earned.points += points
            break
    else:
        customer.points.append(EarnedPoints(month, points))
        customer.points.sort(key=lambda earned: earned.time)
        del customer.points[:-POINTS_KEPT]
    reevaluate(customer, context)
    after = customer.points_balance
    if after > before:
        data = {"before": before, "after": after}
        cause = f"{before}/{after}/{month}"
        context.caused.append(DomainEvent("points", context.now, data=data, id=cause))


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
