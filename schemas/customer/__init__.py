"""The one record that is kept per customer. Everything known of a customer moves in it together.

msgspec structs written as arrays: a quarter of pydantic's time and half its bytes. A field is only
ever added at the end and with a default, so that records written by an older version stay readable.
Instants are ms since the epoch; money is Decimal.

    person     who it is, tags and scores
    shopping   looked at, in the cart, ordered; coupons and points
    consent    what was agreed to, with the evidence
    mail       what was sent, and what came of it
    runs       the ways through workflows
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import field

from schemas.customer.consent import Consent, Evidence, Subscription
from schemas.customer.mail import Bounces, MailHabits, Pending, Sent
from schemas.customer.person import Profile, Score, Tag
from schemas.customer.runs import Entered, Run
from schemas.customer.shopping import (
    Cart,
    Coupon,
    EarnedPoints,
    Interest,
    Order,
    OrderStatistics,
    Purchases,
)
from schemas.stored import NEVER, body, head, is_erased, pack

SEEN_IDS = 64
"""Event ids remembered. An upstream retry or our own forwarding repeats within the last handful."""
SEEN_BYTES = 8
"""Of each id an xxh3 hash: among 64 of them a false repeat has a chance of 1 in 2⁵⁸."""


class Customer(msgspec.Struct, array_like=True):
    """The kept record."""

    key: str
    applied: int = -1
    """Offset of the last record that this state includes."""
    seen: bytes = b""
    profile: Profile = field(default_factory=Profile)
    consents: dict[str, Consent] = {}
    lists: dict[str, Subscription] = {}
    cart: Cart = field(default_factory=Cart)
    orders: list[Order] = []
    order_ids: bytes = b""
    """Hashes of all order ids ever, `SEEN_BYTES` each."""
    statistics: OrderStatistics = field(default_factory=OrderStatistics)
    engagement: Score = field(default_factory=Score)
    runs: list[Run] = []
    entered: dict[str, Entered] = {}
    """The last entry into each workflow. Orders aren't listed: each one occurs only once."""
    sent: list[Sent] = []
    pending: list[Pending] = []
    suppressed: str = ""
    """Why nothing at all may be sent to the address (`bounced`), empty when it may."""
    visitors: list[str] = []
    """Anonymous ids that turned out to be this customer."""
    became: str = ""
    """For a visitor: the customer it turned out to be; everything is forwarded there."""
    views: int = 0
    first_seen: int = 0
    last_seen: int = 0
    evidence: list[Evidence] = []
    """Every consent and list change, in the order in which it was learnt of."""
    tags: dict[str, Tag] = {}
    fields: dict[str, Any] = {}
    """Custom fields by id: text, number, flag, or a date as ISO text."""
    segments: list[str] = []
    """Those that the customer is in, sorted."""
    scores: dict[str, Score] = {}
    """Scores other than engagement, by name."""
    interests: dict[str, Interest] = {}
    """By product id, the latest INTERESTS_KEPT."""
    coupons: list[Coupon] = []
    points: list[EarnedPoints] = []
    tier: str = ""
    last_active: int = 0
    """When the customer last did anything in the shop, or clicked in a mail."""
    ignored: int = 0
    """Marketing mails since then."""
    left_list: int = 0
    """When the customer last left a list."""
    watches: dict[str, int] = {}
    """When to look whether a workflow with a date or inactivity trigger begins, by workflow id."""
    taken: dict[str, int] = {}
    """Of a coupon pool's own actor: how many of its codes are gone, by campaign."""
    visits: int = 0
    """Visits to the shop: half an hour of silence ends one."""
    counted: dict[str, list[int]] = {}
    """When what a trigger with `times` counts has happened, by workflow and what it was about."""
    finished: list[Run] = []
    """Runs that are over whose goal may still be reached."""
    bounces: Bounces = field(default_factory=Bounces)
    purchases: Purchases = field(default_factory=Purchases)
    mail: MailHabits = field(default_factory=MailHabits)
    source: str = ""
    """Where the customer came from: a campaign, a site, the place of the subscription."""
    reviewed: str = ""
    """By which definitions the segments and watches are right (`agents/standing.py`)."""
    dated: dict[str, int] = {}
    """When the date that a workflow begins on was last there, by workflow id."""
    refused: dict[str, str] = {}
    """Workflow → why it did not begin and for what, as it was last recorded."""

    def become(self, other: Customer) -> None:
        """Take over every field of `other`, for whoever holds on to this one."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(other, name))

    def due(self) -> int:
        """Return when the earliest timer is due, NEVER when there is none."""
        earliest = NEVER
        for run in self.runs:  # not a generator: this runs at each event
            earliest = min(earliest, run.due)
        if self.watches:
            earliest = min(earliest, *self.watches.values())
        return earliest

    def consented(self, purpose: str) -> bool:
        """Return whether the last word on `purpose` was yes.

        Marketing waits for the proof that the address is the customer's, where that is asked for.
        """
        consent = self.consents.get(purpose)
        if consent is None or not consent.given:
            return False
        return purpose != "marketing" or self.confirmed()

    def confirmed(self) -> bool:
        """Return whether no list waits for a confirmation, or another one doesn't have to."""
        on = [each.pending for each in self.lists.values() if each.subscribed]
        return not on or not all(on)

    def order(self, order_id: str) -> Order | None:
        """Return one of the orders kept in detail."""
        return next((order for order in self.orders if order.id == order_id), None)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Customer)


def encode_customer(customer: Customer) -> bytes:
    """Return the kept form (see `schemas/stored.py`)."""
    return pack(customer.applied, customer.due(), _ENCODER.encode(customer))


def decode_customer(key: str, stored: bytes) -> Customer:
    """Read the kept form; of an erased customer only `applied` is left. Raises FutureFormat."""
    if is_erased(stored):
        return Customer(key=key, applied=head(stored).applied)
    return _DECODER.decode(body(stored))


def encode_erased(applied: int) -> bytes:
    """Return the kept form of an erased customer."""
    return pack(applied, NEVER, b"")
