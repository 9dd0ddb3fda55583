"""The one record that is kept per customer. Everything known of a customer moves in it together.

msgspec structs written as arrays: a quarter of pydantic's time and half its bytes. A field is only
ever added at the end and with a default, so that records written by an older version stay readable.
Instants are ms since the epoch; money is Decimal.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import field

from schemas.commands import MailClass, MailKind
from schemas.stored import HEAD_SIZE, NEVER, head, pack

SEEN_IDS = 64
"""Event ids remembered. An upstream retry or our own forwarding repeats within the last handful."""
SEEN_BYTES = 8
"""Of each id an xxh3 hash: among 64 of them a false repeat has a chance of 1 in 2⁵⁸."""
SENT_HISTORY = 60
"""Marketing mails remembered for caps and mix: two a day for a month, more than anybody may get."""
ORDERS_KEPT = 20
"""Orders kept in detail, for review requests and status mails; older ones stay as hashed ids."""
ORDER_LINES_KEPT = 300
"""Lines in all of them together, so that no wholesaler's record outgrows what a log takes."""
INTERESTS_KEPT = 50
"""Products looked at that are remembered: more than a month's window-shopping of most people."""
VIEWS_KEPT = 10
"""Views of each of them."""
COUPONS_KEPT = 50
COUNTED_KEPT = 50
"""Things that triggers with `times` count at once; the one that was seen longest ago gives way."""
FINISHED_KEPT = 20
REFUSED_KEPT = 100
"""Workflows of which it is remembered what was recorded last; a shop has fewer."""
ENTERED_KEPT = 200
"""Workflows and products of which the last entry is remembered; the oldest entries go first."""
EVIDENCE_KEPT = 50
"""Statements remembered per purpose, and of all lists together. Whoever changes their mind twice a
month for two years is still proven; a page that somebody clicks without end can't fill a record."""
PRODUCTS_BOUGHT_KEPT = 100
"""Products bought that are remembered one by one, the latest; with the orders' lines it is more."""
KINDS_BOUGHT_KEPT = 40
"""Categories, and as many brands."""
PAYMENT_METHODS_KEPT = 10
MONTHS_KEPT = 24
"""Months with orders that are remembered: each season twice."""
TAGS_KEPT = 200
"""The oldest give way, so that no workflow's `interest:{…}` can fill a record."""
LINKED_VISITORS = 20
"""Anonymous ids remembered per customer: browsers and devices of one person."""


class Profile(msgspec.Struct, array_like=True):
    """Who the customer is."""

    email: str = ""
    name: str = ""
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    birthday: str = ""
    locale: str = ""
    zone: str = ""
    country: str = ""
    city: str = ""
    mail_frequency: str = ""
    """`less`: the customer has asked for fewer mails. Empty or `normal`: has not."""


class Line(msgspec.Struct, array_like=True):
    """One product in a cart or an order."""

    product_id: str
    quantity: int
    price: Decimal | None = None
    name: str = ""
    category: str = ""
    url: str = ""
    image_url: str = ""
    brand: str = ""


class Cart(msgspec.Struct, array_like=True):
    """What lies in the cart. An empty one keeps `number` and `changed`, to date what comes late."""

    number: int = 0
    """Counts the customer's carts; a cart ends when it is ordered or emptied."""
    id: str = ""
    """The shop's id of it, where the shop has one."""
    lines: list[Line] = []
    currency: str = "EUR"
    changed: int = 0
    url: str = ""
    cleared: int = 0
    """When the last cart was ordered: changes from before then, arriving late, are history."""
    step: str = ""
    """How far its checkout has come: `started`, or the step that the shop named last."""

    def total(self) -> Decimal:
        """Return the value of the lines whose price is known."""
        return sum(
            (line.price * line.quantity for line in self.lines if line.price is not None),
            Decimal(0),
        )


OrderStatus = Literal["completed", "shipped", "delivered", "cancelled", "refunded"]


class Order(msgspec.Struct, array_like=True):
    """One of the last orders."""

    id: str
    time: int
    total: Decimal
    currency: str
    status: OrderStatus = "completed"
    lines: list[Line] = []
    subtotal: Decimal | None = None
    shipping: Decimal | None = None
    discount: Decimal | None = None
    tax: Decimal | None = None
    estimated_delivery: str = ""
    tracking_number: str = ""
    tracking_url: str = ""
    delivered: int = 0
    payment_method: str = ""
    coupon: str = ""
    runs_out: int = 0
    """When the first of its products runs out (ms), 0 when none does."""
    accessories: int = 0
    """How many accessories of its products could be bought at the time."""


class OrderStatistics(msgspec.Struct, array_like=True):
    """All orders ever, in numbers."""

    count: int = 0
    spent: dict[str, Decimal] = {}
    """By currency, before refunds."""
    refunded: dict[str, Decimal] = {}
    refunds: int = 0
    items: int = 0
    first: int = 0
    last: int = 0


class Consent(msgspec.Struct, array_like=True):
    """The last word on one purpose, with the event that is its evidence."""

    given: bool
    time: int
    source: str
    event_id: str


class Evidence(msgspec.Struct, array_like=True):
    """Something that the customer said, and what proves it."""

    purpose: str
    """A purpose of consent, or `list`."""
    given: bool
    time: int
    source: str
    event_id: str
    list: str = ""
    wording: str = ""
    """Version of the words that were agreed to."""
    mail: str = ""
    """Id of the mail whose link led there."""
    ip: str = ""


class Subscription(msgspec.Struct, array_like=True):
    """Membership of one list."""

    subscribed: bool
    time: int
    joined: bool = False
    """Subscribed and consented to: from then on the list's mails may be sent."""
    pending: bool = False
    """Not confirmed yet by whom the address belongs to (double opt-in)."""


class Score(msgspec.Struct, array_like=True):
    """A score that halves with time: `value` was right at `time`."""

    value: float = 0.0
    time: int = 0
    band: str = ""
    last: dict[str, int] = {}
    """When the rules last held whose points end after a time, by rule."""


class Run(msgspec.Struct, array_like=True):
    """One customer's way through one workflow. Its wait is its timer."""

    id: str
    """Derived from workflow and subject, so a run that is begun twice is the same run."""
    workflow: str
    version: str
    begun: int
    step: int
    """Index of the step that it waits for."""
    due: int
    """When that step is due; NEVER while its anchor is not known."""
    anchors: dict[str, int] = {}
    """When the things happened that waits count from, by occurrence."""
    order_id: str = ""
    cart: int = -1
    """Number of the cart that it is about, -1 when it is about none."""
    list: str = ""
    product: str = ""
    """The product that it is about."""
    results: dict[str, str] = {}
    """What steps came to, by step id: `event`, `timeout`, a variant's name, `issued`…"""
    entered: int = 0
    """When the run came to its current step: waits without an occurrence count from here."""
    coupon: str = ""
    """Code of the last coupon issued in it."""
    held: int = 0
    """Since when the mail of its current step is held; 0 when none is."""
    holdout: bool = False
    """In the control group of an experiment: goes its way, sends no marketing."""
    caller: str = ""
    """Id of the run whose `call` step began it."""
    event: dict[str, Any] = {}
    """Properties of the event that began it, as far as its definition names them."""
    held_for: str = ""
    """Why its current step is put off until `due`, as it was last decided; empty when it isn't."""


class Entered(msgspec.Struct, array_like=True):
    """The last time a workflow was entered, and for which cart or list."""

    subject: str
    time: int


class Sent(msgspec.Struct, array_like=True):
    """A mail that was commanded."""

    time: int
    workflow: str
    step: str
    mail_class: MailClass
    kind: MailKind
    command_id: str = ""


class Pending(msgspec.Struct, array_like=True):
    """A commanded mail whose outcome is not known yet: it can still be taken back."""

    command_id: str
    run: str
    workflow: str
    step: str
    mail_class: MailClass
    expires: int
    customer: str = ""
    """Under which id it was commanded, when that was the visitor's; a cancel has to follow it."""


class Tag(msgspec.Struct, array_like=True):
    """A tag with its date."""

    added: int
    expires: int = NEVER


class Interest(msgspec.Struct, array_like=True):
    """How much a customer has looked at one product."""

    times: list[int] = []
    """The last views, up to VIEWS_KEPT."""
    category: str = ""
    wished: int = 0
    """When it was put on the wish list, 0 if it was not."""


class Coupon(msgspec.Struct, array_like=True):
    """A code that was issued to the customer."""

    code: str
    campaign: str
    issued: int
    expires: int = NEVER
    redeemed: int = 0
    order_id: str = ""
    """The order that it was redeemed with."""


class EarnedPoints(msgspec.Struct, array_like=True):
    """Loyalty points of one order or step; what a refund takes is negative."""

    time: int
    points: int
    order_id: str = ""


class Bought(msgspec.Struct, array_like=True):
    """How often something was bought, in how many orders, and when last."""

    orders: int = 0
    last: int = 0


class MonthOfOrders(msgspec.Struct, array_like=True):
    """The orders of one month."""

    orders: int = 0
    spent: dict[str, Decimal] = {}
    """By currency, before refunds."""


class Purchases(msgspec.Struct, array_like=True):
    """What was bought and how, of all orders ever, as far as there is room."""

    products: dict[str, Bought] = {}
    categories: dict[str, Bought] = {}
    brands: dict[str, Bought] = {}
    payment_methods: dict[str, Bought] = {}
    months: dict[str, MonthOfOrders] = {}
    """By month in the customer's zone, `2026-03`."""
    largest: dict[str, Decimal] = {}
    """The largest order, by currency."""
    with_coupon: int = 0
    """Orders with a code or a discount."""
    counts: dict[str, int] = {}
    """Orders by currency."""


class MailHabits(msgspec.Struct, array_like=True):
    """What the customer does with mails, as far as that may be known."""

    sent: int = 0
    """When the last one was sent."""
    opened: int = 0
    clicked: int = 0
    opens: int = 0
    """How often."""
    clicks: int = 0
    offer_clicks: int = 0
    """Clicks in promotional mails."""


class Accepted(msgspec.Struct, array_like=True):
    """A mail that a relay has taken, of which nobody has said yet that it failed."""

    digest: bytes
    """Of the command's id."""
    time: int


class Bounces(msgspec.Struct, array_like=True):
    """Soft bounces since the last delivery."""

    soft: int = 0
    digests: bytes = b""
    """Of the ids of the commands that were counted, `SEEN_BYTES` each."""
    accepted: list[Accepted] = []
    former: str = ""
    """Digest of the address before this one: reports about it may still come."""


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
    """Read the kept form. An empty body is an erased customer: only `applied` is left."""
    if len(stored) == HEAD_SIZE:
        return Customer(key=key, applied=head(stored).applied)
    return _DECODER.decode(memoryview(stored)[HEAD_SIZE:])


def encode_erased(applied: int) -> bytes:
    """Return the kept form of an erased customer."""
    return pack(applied, NEVER, b"")
