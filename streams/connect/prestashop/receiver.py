"""What a module in the shop pushes: which objects have changed.

PrestaShop's hooks call a module several times for one change, so the module notes the object and
the minute in a table of its own (its outbox) and sends that from a cron job, again until it hears
200. What it sends is no data but what to ask for, so that an order is read in one way only:

    POST /connect/NAME
    X-Ritorno-Timestamp: 1767225600000
    X-Ritorno-Signature: sha256=HEX          HMAC-SHA256 of TIMESTAMP.BODY

    {"id": "orders:71:29453760", "resource": "orders", "ids": [71]}

Sign-ups of the newsletter block are in no resource of the web service, so they come whole:

    {"id": "newsletter:…", "resource": "newsletter", "rows": [{"email": "anna@example.it",
     "subscribed": true, "time": 1767225600000, "ip": "192.0.2.7"}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.events import Event
from schemas.instant import parse_instant, to_rfc3339
from schemas.validation import Unreadable
from streams.connect.connector import SELF_TEST
from streams.connect.facts import fact
from streams.connect.json_fields import flag, rows, text, without_nothing
from streams.connect.prestashop.orders import PrestaShopSource
from streams.connect.prestashop.people import SOURCE
from streams.connect.shop_api import parse_json

TIMESTAMP, SIGNATURE = "X-Ritorno-Timestamp", "X-Ritorno-Signature"
MOST = 100
"""Objects, or sign-ups, of one push."""
PUSHED = ("orders", "order_slip", "customers", "carts", "customer_threads", "products")
NEWSLETTER = "newsletter"


class Push(NamedTuple):
    """What a module says."""

    resource: str = ""
    ids: tuple[int, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    test: str = ""
    """Of a self-test, what is to be repeated."""


def read_push(body: bytes) -> Push:
    """Read a push. Raises Unreadable."""
    try:
        said = parse_json(body)
    except ValueError as error:
        raise Unreadable("invalid_json", f"not JSON: {error}"[:200]) from None
    if not isinstance(said, dict):
        raise Unreadable("invalid_event", f"not an object but {type(said).__name__}")
    if SELF_TEST in said:
        return Push(test=str(said[SELF_TEST])[:200])
    resource = text(said, "resource")
    if resource == NEWSLETTER:
        found = rows(said, "rows")
        if not 0 < len(found) <= MOST:
            raise Unreadable("invalid_event", f"rows: {len(found)} of them, 1 to {MOST} are taken")
        return Push(resource, rows=tuple(found))
    if resource not in PUSHED:
        raise Unreadable("unknown_type", f"resource: unknown {resource[:64]!r}")
    return Push(resource, _ids(said))


def facts_of_sign_up(row: Mapping[str, Any], shop: PrestaShopSource) -> list[Event]:
    """Return what somebody has said in the newsletter block: a visitor, by an address that was
    typed. Raises ValueError."""
    address = text(row, "email")
    subject = shop.subject(0, address)
    if subject is None:
        raise ValueError(f"email: no address (got {address[:64]!r})")
    time = parse_instant(row.get("time"))
    statement = without_nothing(
        {"list": shop.newsletter, "source": SOURCE, "email": address, "ip": text(row, "ip")}
    )
    what = "subscribed" if flag(row, "subscribed") else "unsubscribed"
    if what == "subscribed":
        statement["confirmed"] = shop.newsletter_confirmed
    fact_id = fact("newsletter", subject.customer, what, to_rfc3339(time))
    return [shop.event(f"list.{what}", fact_id, time, subject, statement)]


def _ids(said: Mapping[str, Any]) -> tuple[int, ...]:
    ids = said.get("ids")
    if not isinstance(ids, list) or not 0 < len(ids) <= MOST:
        raise Unreadable("invalid_event", f"ids: expected 1 to {MOST} (got {ids!r})"[:200])
    found = []
    for each in ids:
        plain = str(each).strip()
        if not (plain.isascii() and plain.isdigit() and 0 < len(plain) <= 18):
            raise Unreadable("invalid_event", f"ids: {each!r} is none"[:200])
        found.append(int(plain))
    return tuple(found)
