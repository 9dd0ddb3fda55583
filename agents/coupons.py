"""Coupons: codes that workflows give to customers."""

from __future__ import annotations

import base64
import hashlib

from agents.context import Context
from schemas.customer import COUPONS_KEPT, Coupon, Customer, Run
from schemas.definitions.shop import Campaign
from schemas.definitions.steps import CouponStep
from schemas.instant import parse_instant
from schemas.stored import NEVER


def issue(customer: Customer, run: Run, step: CouponStep, context: Context) -> str | None:
    """Give the customer a code of a campaign; return it, None when there is none any more.

    Generated codes are a keyed hash of customer, run and step: the same decision has the same code,
    and nobody without the key can tell another's.
    """
    campaign = context.live.campaigns.get(step.coupon)
    expires = None if campaign is None else _expiry(campaign, context.now)
    if campaign is None or expires is None or campaign.pool:
        return None
    cause = "\0".join((campaign.id, customer.key, run.id, step.id)).encode()
    key = context.live.definitions.coupon_key
    drawn = hashlib.blake2b(cause, key=key, digest_size=16).digest()
    code = campaign.prefix + base64.b32encode(drawn).decode()[: campaign.length]
    customer.coupons.append(Coupon(code, campaign.id, context.now, expires))
    del customer.coupons[:-COUPONS_KEPT]
    return code


def _expiry(campaign: Campaign, now: int) -> int | None:
    """Return until when a code issued now is valid, None when the campaign is over."""
    ends = parse_instant(campaign.until) if campaign.until else NEVER
    if ends <= now:
        return None
    return ends if campaign.lasts is None else min(ends, now + campaign.lasts)
