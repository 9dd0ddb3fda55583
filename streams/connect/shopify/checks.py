"""What `ritorno connect shopify check` looks at beside the endpoint."""

from __future__ import annotations

from streams.connect.connector import ShopRefuses, ShopUnavailable, not_asked
from streams.connect.resources import text
from streams.connect.shop_api import ShopApi
from streams.connect.shopify import subscriptions
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.shopify.topics import MANDATORY, OLD_ORDERS, SCOPES
from streams.operate.check import Check, CheckStatus

MOST_SKEW_MS = 60_000
"""By how much the shop's clock and ours may differ: what we ask for is by its times."""


async def check(api: ShopApi, oauth: ShopApi, connection: ShopifyConnection) -> list[Check]:
    """Look at a shop, and make again the subscriptions that it has deleted."""
    if connection.token is None:
        return [
            Check(
                "token",
                CheckStatus.WARN,
                "there is none: nothing is polled, back-filled or subscribed to",
                "token: env:NAME in connections.yaml, an Admin API access token",
            )
        ]
    found: list[Check] = []
    try:
        found += await _scopes(oauth)
        found.append(clock(oauth.skew_ms))
        found += await subscriptions.subscribe(api, connection)
    except (ShopRefuses, ShopUnavailable) as error:
        found.append(not_asked(connection, error, "token"))
    topics = ", ".join(MANDATORY)
    found.append(
        Check("privacy topics", CheckStatus.OK, f"{topics}: set in the app's own configuration")
    )
    return found


def clock(skew_ms: int | None) -> Check:
    """Say how far the shop's clock and ours are apart."""
    if skew_ms is None:
        return Check("clock", CheckStatus.WARN, "the shop doesn't say what time it is")
    seconds = round(abs(skew_ms) / 1000)
    if abs(skew_ms) <= MOST_SKEW_MS:
        return Check("clock", CheckStatus.OK, f"{seconds} s apart from the shop's")
    ahead = "behind" if skew_ms > 0 else "ahead of"
    text_ = f"this machine is {seconds} s {ahead} the shop"
    return Check("clock", CheckStatus.FAIL, text_, "set this machine's clock (NTP)")


async def _scopes(oauth: ShopApi) -> list[Check]:
    answer = await oauth.get("access_scopes.json")
    given = {text(each, "handle") for each in answer.rows("access_scopes")}
    # Whoever may write may read.
    given |= {each.replace("write_", "read_", 1) for each in given if each.startswith("write_")}
    found = []
    for scope, purpose in SCOPES.items():
        if scope in given:
            found.append(Check(f"scope {scope}", CheckStatus.OK, purpose))
        else:
            remedy = "give the app this scope, and install it again"
            found.append(Check(f"scope {scope}", CheckStatus.FAIL, f"missing: {purpose}", remedy))
    if OLD_ORDERS not in given:
        why = "missing: the shop shows orders of the last 60 days only, also to a back-fill"
        found.append(Check(f"scope {OLD_ORDERS}", CheckStatus.WARN, why))
    return found
