"""Coupons: unique codes of a campaign, issued to one customer, for one use.

Generated codes are a keyed hash of (customer, campaign, run, step), so that deciding again gives
the same code and nobody without the key can guess one. Codes of a pool are used up in order by an
actor of the campaign's own: a customer's step asks it and waits for the answer, so that two
partitions never give the same code away. Which are gone is in `agents/definitions/coupon_pools.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from agents.context import Context, DomainEvent, Handler
from agents.digests import derived_id
from agents.effects import signal, tell
from schemas.bounds import fits, largest, shed
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.customer.shopping import (
    CODE_BYTES,
    COUPONS_KEPT,
    COUPONS_TOTAL_BYTES,
    Coupon,
    Order,
    PoolPosition,
)
from schemas.definitions.shop import Campaign
from schemas.definitions.steps import CouponStep
from schemas.definitions.triggers import OnTier
from schemas.events import Event
from schemas.events.own import CouponIssued, CouponRequested
from schemas.events.shopping import OrderCompleted, OrderProgress
from schemas.instant import parse_instant
from schemas.signals import CouponChange, CouponChanged
from schemas.stored import NEVER
from schemas.time_units import HOUR_MS

SOURCE = "/ritorno/coupons"
POOL_PREFIX = "ritorno/coupons/"
"""Keys of the pools' actors."""

_LARGEST = largest(Coupon)

ASKED = "?"
"""No code: the pool has been asked for one."""
ANSWER_LASTS = HOUR_MS
"""ms that a run waits for a pool's answer: it comes with the log's next records, an hour is an
outage."""

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""32 characters without those that are read as others: 0 O, 1 I. Crockford's idea, to type in."""


def issue(customer: Customer, run: Run, step: CouponStep, context: Context) -> str | None:
    """Give the customer a code of the step's campaign; return it, None when there is none any more.

    ASKED when the campaign has a pool: its actor's answer is an event `coupon.issued`.
    """
    campaign = context.live.campaigns.get(step.coupon)
    if campaign is None or _is_over(campaign, context.now):
        return None
    if campaign.pool:
        _ask_pool(customer, campaign, run, step.id, context)
        return ASKED
    key = context.live.definitions.coupon_key
    code = generate(campaign, key, customer.key, run.id, step.id)
    give(customer, campaign, code, run, context)
    return code


def _is_over(campaign: Campaign, now: int) -> bool:
    return bool(campaign.until) and parse_instant(campaign.until) <= now


def generate(campaign: Campaign, key: bytes, *cause: str) -> str:
    """Return the code that follows from `cause`; the same cause gives the same code."""
    text = "\0".join((campaign.id, *cause)).encode()
    digest = hashlib.blake2b(text, key=key, digest_size=16).digest()
    number = int.from_bytes(digest, "big")
    characters = [_ALPHABET[number >> (5 * index) & 31] for index in range(campaign.length)]
    return campaign.prefix + "".join(characters)


def give(customer: Customer, campaign: Campaign, code: str, run: Run, context: Context) -> Coupon:
    """Put an issued code into the customer's hands, and tell the shop that it is good now."""
    expires = _expires(campaign, context.now)
    coupon = Coupon(code, campaign.id, context.now, expires, tier=_tier(customer, run, context))
    customer.coupons = [
        each for each in customer.coupons if each.expires > context.now or each.redeemed
    ]
    customer.coupons.append(coupon)
    _fit(customer)
    _announce("issued", customer, coupon, context)
    return coupon


def _tier(customer: Customer, run: Run, context: Context) -> str:
    """Return the loyalty tier that a code is given for, empty when it is given for something
    else."""
    published = context.live.definitions.find(run.workflow, run.version)
    for_tier = published is not None and isinstance(published.workflow.trigger, OnTier)
    return customer.tier if for_tier else ""


def _ask_pool(
    customer: Customer, campaign: Campaign, run: Run, step: str, context: Context
) -> None:
    """Ask the campaign's pool for a code; the answer is an event `coupon.issued`."""
    data = CouponRequested(campaign=campaign.id, customer_id=customer.key, run=run.id, step=step)
    _send_event(POOL_PREFIX + campaign.id, "coupon.requested", data, context,
                customer.key, run.id, step)  # fmt: skip


def requested(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """As a pool's actor: take the next code and send it to who has asked; empty if none is left."""
    data: CouponRequested = event.data
    code = _next_code(customer, data.campaign, context)
    answer = CouponIssued(campaign=data.campaign, run=data.run, step=data.step, code=code)
    _send_event(data.customer_id, "coupon.issued", answer, context, event.id)
    return []


def _next_code(pool: Customer, campaign: str, context: Context) -> str:
    live = context.live
    if pool.key != POOL_PREFIX + campaign or campaign not in live.campaigns:
        return ""
    migrate(pool, campaign, live.coupons)
    return live.definitions.pools(campaign).next_code(pool.given, live.coupons)


def migrate(pool: Customer, campaign: str, version: str) -> bool:
    """Let what release 0.1 has counted be of the list that it was counted in, which is the one of
    this version; return whether there was anything. Done before another one is live."""
    if not pool.taken:
        return False
    pool.given.append(PoolPosition(version, pool.taken.get(campaign, 0)))
    pool.taken = {}
    return True


def receive(customer: Customer, answer: CouponIssued, run: Run, context: Context) -> str | None:
    """Give the customer the code that a pool has answered the run with; return it, None when there
    is none any more."""
    campaign = context.live.campaigns.get(answer.campaign)
    if campaign is None or not answer.code or not fits(answer.code, CODE_BYTES):
        return None
    give(customer, campaign, answer.code, run, context)
    return answer.code


def redeem(customer: Customer, event: Event, order: Order, context: Context) -> list[DomainEvent]:
    """Recognise codes of ours on an order, as its event and its latest statement name them. A code
    is for one use: the first order counts.

    Whether the order comes to the campaign's minimum is not asked: a code that stands on an order
    was taken by the shop's till, and is used.
    """
    if not customer.coupons:
        return []
    data: OrderCompleted | OrderProgress = event.data
    codes = _codes(order.coupon, *(product.coupon for product in data.products))
    occurred = []
    for coupon in customer.coupons:
        if coupon.code.upper() in codes and not coupon.redeemed:
            coupon.redeemed, coupon.order_id = context.when(event.time), order.id
            _announce("redeemed", customer, coupon, context)
            occurred.append(
                DomainEvent("coupon.redeemed", coupon.redeemed, order_id=order.id, shop=order.shop)
            )
    return occurred


def release(customer: Customer, before: Order, order: Order, context: Context) -> None:
    """Let codes be used again with which an order was placed that names others now."""
    gone = _codes(before.coupon) - _codes(order.coupon)
    for coupon in customer.coupons:
        if coupon.redeemed and coupon.order_id == order.id and coupon.code.upper() in gone:
            _announce("released", customer, coupon, context)
            coupon.redeemed, coupon.order_id = 0, ""
            coupon.released += 1


def revoke(customer: Customer, tiers: Collection[str], context: Context) -> None:
    """Tell the shop which unused codes were given for loyalty tiers that are gone. They are good at
    the till until the shop takes them back."""
    for coupon in customer.coupons:
        unused = not coupon.redeemed and not coupon.revoked and coupon.expires > context.now
        if unused and coupon.tier in tiers:
            coupon.revoked = context.now
            _announce("revoked", customer, coupon, context)


def adopt(customer: Customer, other: Customer) -> None:
    """Add the codes of a visitor who turned out to be this customer."""
    mine = {coupon.code for coupon in customer.coupons}
    customer.coupons += [coupon for coupon in other.coupons if coupon.code not in mine]
    customer.coupons.sort(key=lambda coupon: (coupon.issued, coupon.code))
    _fit(customer)


def _fit(customer: Customer) -> None:
    """Let those give way that were issued first."""
    del customer.coupons[:-COUPONS_KEPT]
    shed(customer.coupons, COUPONS_TOTAL_BYTES, _LARGEST)


def _codes(*texts: str | None) -> set[str]:
    """A shop writes several codes into one field, separated by commas."""
    return {code.strip().upper() for text in texts if text for code in text.split(",")}


def _expires(campaign: Campaign, now: int) -> int:
    ends = [parse_instant(campaign.until)] if campaign.until else []
    if campaign.lasts is not None:
        ends.append(now + campaign.lasts)
    return min(ends, default=NEVER)


def _announce(what: CouponChange, customer: Customer, coupon: Coupon, context: Context) -> None:
    campaign = context.live.campaigns.get(coupon.campaign)
    again = [coupon.order_id] if what == "released" else []
    if coupon.released:
        again.append(str(coupon.released))
    context.effects.append(
        signal(
            CouponChanged(
                id=derived_id("coupon", what, customer.key, coupon.campaign, coupon.code, *again),
                time=context.now,
                customer=customer.key,
                change=what,
                code=coupon.code,
                campaign=coupon.campaign,
                kind=campaign.kind if campaign else None,
                value=campaign.value if campaign else None,
                currency=campaign.currency if campaign else "",
                minimum=campaign.minimum if campaign else None,
                expires=None if coupon.expires == NEVER else coupon.expires,
                order_id=coupon.order_id,
            )
        )
    )


def _send_event(
    receiver: str,
    type_: str,
    data: CouponRequested | CouponIssued,
    context: Context,
    *cause: str,
) -> None:
    id_ = derived_id(type_, *cause)
    message = tell(receiver, type_, data, id_=id_, source=SOURCE, time=context.now)
    context.effects.append(message)


HANDLERS: Mapping[str, Handler] = {
    "coupon.requested": requested,
}
