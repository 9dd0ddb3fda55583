"""The one record that is kept per customer. Everything known of a customer moves in it together.

msgspec structs written as arrays: a quarter of pydantic's time and half its bytes; `gc=False`, as
none of them holds one that holds it, or the search for cycles would take twice as long. A field is
only ever added at the end and with a default, so that records written by an older version stay
readable. Instants are ms since the epoch; money is Decimal.

    person     who it is, tags and scores
    shopping   looked at, in the cart, ordered; coupons and points
    consent    what was agreed to, with the evidence
    mail       what was sent, and what came of it
    runs       runs through workflows
    links      which addresses, cart ids and checkout ids it has in common with others

What each field may hold at most stands with it (`schemas/bounds.py`).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import field

from schemas.bounds import InBytes, InNumber, Key, Name, Reference, Word
from schemas.customer.consent import (
    EVIDENCE_TOTAL_BYTES,
    LIST_ADDRESSES_BYTES,
    LISTS_KEPT,
    PURPOSES,
    Consent,
    Evidence,
    ListAddress,
    ListName,
    Subscription,
)
from schemas.customer.links import Links
from schemas.customer.mail import (
    MAILED_TOTAL_BYTES,
    PENDING_TOTAL_BYTES,
    RUN_ID_BYTES,
    SENT_TOTAL_BYTES,
    Bounces,
    MailedCommands,
    MailHabits,
    Pending,
    Sent,
)
from schemas.customer.person import (
    FIELDS_TOTAL_BYTES,
    LINKED_VISITORS,
    OCCURRED_TOTAL_BYTES,
    SCORES_KEPT,
    SEGMENTS_KEPT,
    SOURCE_BYTES,
    STATED_TOTAL_BYTES,
    TAG_BYTES,
    TAGS_TOTAL_BYTES,
    CustomerTag,
    Occurred,
    Profile,
    Score,
    StatedAt,
    StatedName,
)
from schemas.customer.runs import (
    COUNTED_BYTES,
    COUNTED_KEPT,
    COUNTED_TIMES,
    DATED_KEPT,
    ENTERED_TOTAL_BYTES,
    FINISHED_TOTAL_BYTES,
    REFUSED_KEPT,
    RUNS_TOTAL_BYTES,
    SAID_BYTES,
    TIME_TRIGGER_BYTES,
    TIME_TRIGGERS_KEPT,
    Entered,
    Run,
)
from schemas.customer.shopping import (
    COUPONS_TOTAL_BYTES,
    EARLY_TOTAL_BYTES,
    INTERESTS_KEPT,
    LISTS_OF_CODES,
    ORDERS_TOTAL_BYTES,
    POINTS_KEPT,
    Cart,
    Coupon,
    EarlyOrder,
    EarnedPoints,
    Interest,
    Order,
    OrderStatistics,
    PoolPosition,
    Purchases,
)
from schemas.failures import Failure
from schemas.stored import NEVER, body, head, is_erased, pack

SEEN_IDS = 64
"""Event ids that release 0.1 remembered."""
SEEN_BYTES = 8
"""Of each id an xxh3 hash: among 7,000 of them a false repeat has a chance of 1 in 2⁵¹."""
MEMORY_BYTES = 56 * 1024
"""Some 7,000 events of one customer within the span in which they are known again: a thousand a day
for a week, which no person causes."""
ORDER_IDS_BYTES = 56 * 1024
"""Seven thousand orders, refunds and the like of one customer: one a day for nineteen years."""
CAMPAIGNS_KEPT = 1
"""A coupon pool's actor gives the codes of one campaign."""


class Customer(msgspec.Struct, array_like=True, gc=False):
    """The kept record."""

    key: Reference
    applied: int = -1
    """Offset of the last record that this state includes."""
    seen: Annotated[bytes, InBytes(SEEN_IDS * SEEN_BYTES)] = b""
    """Hashes of the ids that release 0.1 has remembered; empty once one has come since."""
    profile: Profile = field(default_factory=Profile)
    consents: Annotated[dict[Word, Consent], InNumber(PURPOSES)] = {}
    lists: Annotated[dict[ListName, Subscription], InNumber(LISTS_KEPT)] = {}
    cart: Cart = field(default_factory=Cart)
    orders: Annotated[list[Order], InBytes(ORDERS_TOTAL_BYTES)] = []
    order_ids: Annotated[bytes, InBytes(ORDER_IDS_BYTES)] = b""
    """Hashes of all order ids ever, `SEEN_BYTES` each."""
    statistics: OrderStatistics = field(default_factory=OrderStatistics)
    engagement: Score = field(default_factory=Score)
    runs: Annotated[list[Run], InBytes(RUNS_TOTAL_BYTES)] = []
    entered: Annotated[
        dict[Annotated[str, InBytes(RUN_ID_BYTES)], Entered], InBytes(ENTERED_TOTAL_BYTES)
    ] = {}
    """The last entry into each workflow. Orders aren't listed: each one occurs only once."""
    sent: Annotated[list[Sent], InBytes(SENT_TOTAL_BYTES)] = []
    pending: Annotated[list[Pending], InBytes(PENDING_TOTAL_BYTES)] = []
    suppressed: Word = ""
    """Why nothing at all may be sent to the address (`bounced`), empty when it may."""
    visitors: Annotated[list[Key], InNumber(LINKED_VISITORS)] = []
    """Anonymous ids that turned out to be this customer."""
    became: Key = ""
    """For a visitor: the customer it turned out to be; everything is forwarded there."""
    views: int = 0
    first_seen: int = 0
    last_seen: int = 0
    evidence: Annotated[list[Evidence], InBytes(EVIDENCE_TOTAL_BYTES)] = []
    """Every consent and list change, in the order in which it was learnt of."""
    tags: Annotated[
        dict[Annotated[str, InBytes(TAG_BYTES)], CustomerTag], InBytes(TAGS_TOTAL_BYTES)
    ] = {}
    fields: Annotated[dict[Name, Any], InBytes(FIELDS_TOTAL_BYTES)] = {}
    """Custom fields by id: text, number, flag, or a date as ISO text."""
    segments: Annotated[list[Name], InNumber(SEGMENTS_KEPT)] = []
    """Those that the customer is in, sorted."""
    scores: Annotated[dict[Name, Score], InNumber(SCORES_KEPT)] = {}
    """Scores other than engagement, by name."""
    interests: Annotated[dict[Key, Interest], InNumber(INTERESTS_KEPT)] = {}
    """By product id, the latest INTERESTS_KEPT."""
    coupons: Annotated[list[Coupon], InBytes(COUPONS_TOTAL_BYTES)] = []
    points: Annotated[list[EarnedPoints], InNumber(POINTS_KEPT)] = []
    tier: Name = ""
    last_active: int = 0
    """When the customer last did anything in the shop, or clicked in a mail."""
    ignored: int = 0
    """Marketing mails since then."""
    left_list: int = 0
    """When the customer last left a list."""
    watches: Annotated[
        dict[Annotated[str, InBytes(TIME_TRIGGER_BYTES)], int], InNumber(TIME_TRIGGERS_KEPT)
    ] = {}
    """When to look whether a workflow with a date or inactivity trigger begins, by workflow id."""
    taken: Annotated[dict[Name, int], InNumber(CAMPAIGNS_KEPT)] = {}
    """Of a coupon pool's own actor, as release 0.1 has left it: how many of the codes are gone."""
    visits: int = 0
    """Visits to the shop: half an hour of silence ends one."""
    counted: Annotated[
        dict[
            Annotated[str, InBytes(COUNTED_BYTES)],
            Annotated[list[int], InNumber(COUNTED_TIMES)],
        ],
        InNumber(COUNTED_KEPT),
    ] = {}
    """When what a trigger with `times` counts has happened, by workflow and what it was about."""
    finished: Annotated[list[Run], InBytes(FINISHED_TOTAL_BYTES)] = []
    """Runs that are over whose goal may still be reached."""
    bounces: Bounces = field(default_factory=Bounces)
    purchases: Purchases = field(default_factory=Purchases)
    mail: MailHabits = field(default_factory=MailHabits)
    source: Annotated[str, InBytes(SOURCE_BYTES)] = ""
    """Where the customer came from: a campaign, a site, the place of the subscription."""
    reviewed: Word = ""
    """By which definitions the segments and watches are right (`agents/customer/derived_state.py`).
    """
    dated: Annotated[dict[Name, int], InNumber(DATED_KEPT)] = {}
    """When the date that a workflow begins on was last there, by workflow id."""
    refused: Annotated[dict[Name, Annotated[str, InBytes(SAID_BYTES)]], InNumber(REFUSED_KEPT)] = {}
    """Workflow → why it did not begin and for what, as it was last recorded."""
    weight: int = 0
    """Upper estimate of what this record comes to, bytes; 0 when it was never measured
    (`agents/customer/size_guard.py`)."""
    memory: Annotated[dict[int, bytes], InBytes(MEMORY_BYTES)] = {}
    """By day of the log's time, hashes of the events that came, `SEEN_BYTES` each; under negative
    keys those that were in `seen` (`agents/customer/deduplication.py`)."""
    given: Annotated[list[PoolPosition], InNumber(LISTS_OF_CODES)] = []
    """Of a coupon pool's own actor: how far its lists of codes are used up; the last one is that
    of which codes are given now."""
    heard: int = 0
    """Day of the last event by the log's time, counted from the epoch
    (`agents/customer/visitors.py`)."""
    is_customer: bool = False
    """The shop has spoken of a customer: this record never becomes another's
    (`agents/customer/speaker.py`)."""
    mailed: Annotated[dict[Word, MailedCommands], InBytes(MAILED_TOTAL_BYTES)] = {}
    """By hash of the address, what was commanded to it of late; the address that was mailed last
    is the last one (`agents/customer/mailed.py`)."""
    complained: int = 0
    """When a complaint last counted against the sender."""
    list_addresses: Annotated[dict[ListName, ListAddress], InBytes(LIST_ADDRESSES_BYTES)] = {}
    """By list, the address that a form has put on it when it isn't the profile's
    (`agents/customer/list_addresses.py`)."""
    stated: Annotated[dict[StatedName, StatedAt], InBytes(STATED_TOTAL_BYTES)] = {}
    """When each trait was stated, those too that were taken away
    (`agents/customer/statements.py`)."""
    links: Links = field(default_factory=Links)
    """The addresses, cart ids and checkout ids that it has; of a link's own actor, who has it."""
    occurred: Annotated[dict[Name, Occurred], InBytes(OCCURRED_TOTAL_BYTES)] = {}
    """Events of the shop's own that are counted, by name; the latest is the last one."""
    early: Annotated[list[EarlyOrder], InBytes(EARLY_TOTAL_BYTES)] = []
    """What was told of orders that are not known yet (`agents/commerce/early_orders.py`)."""

    def become(self, other: Customer) -> None:
        """Take over every field of `other`, for whoever holds on to this one."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(other, name))

    def due(self) -> int:
        """Return when the earliest timer is due, NEVER when there is none."""
        earliest = NEVER
        for run in self.runs:
            if run.due < earliest:  # noqa: PLR1730  # min() takes twice as long, and this runs at each event
                earliest = run.due
        for due in self.watches.values():
            if due < earliest:  # noqa: PLR1730  # as above
                earliest = due
        return earliest

    def consented(self, purpose: str) -> bool:
        """Return whether the last word on `purpose` was yes.

        Marketing waits for the proof that the address is the customer's, where that is asked for,
        and ends when it is refused for the address under another id.
        """
        consent = self.consents.get(purpose)
        if consent is None or not consent.given:
            return False
        return purpose != "marketing" or (self.confirmed() and not self.links.silenced)

    def confirmed(self) -> bool:
        """Return whether no list waits for a confirmation, or another one doesn't have to."""
        on = [each.pending for each in self.lists.values() if each.subscribed]
        return not on or not all(on)

    def order(self, order_id: str, shop: str | None = None) -> Order | None:
        """Return one of the orders kept in detail; `shop`: of this one, or of before shops were
        told apart."""
        return next(
            (o for o in self.orders if o.id == order_id and (shop is None or o.shop in ("", shop))),
            None,
        )

    @property
    def points_balance(self) -> int:
        """The loyalty points that count."""
        points = 0
        for earned in self.points:  # not a generator: this runs three times an order
            points += earned.points
        return max(0, points)


class UnreadableRecord(Failure):
    """What is kept of a customer is damaged, or of a release that we don't know."""

    def __init__(self, customer: str, why: str) -> None:
        super().__init__(
            f"what is kept of {customer!r} can't be read by this release ({why}). Events wait "
            "until it can be: see ritorno doctor"
        )


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Customer)


def encode_customer(customer: Customer) -> bytes:
    """Return the kept form (see `schemas/stored.py`)."""
    return pack(customer.applied, customer.due(), _ENCODER.encode(customer))


def decode_customer(key: str, stored: bytes) -> Customer:
    """Read the kept form; of an erased customer only `applied` is left.

    Raises FutureFormat, and UnreadableRecord when it is damaged or of a release that we don't know.
    """
    if is_erased(stored):
        return Customer(key=key, applied=head(stored).applied)
    try:
        return _DECODER.decode(body(stored))
    except msgspec.MsgspecError as error:
        raise UnreadableRecord(key, str(error)) from error


def encode_erased(applied: int) -> bytes:
    """Return the kept form of an erased customer."""
    return pack(applied, NEVER, b"")
