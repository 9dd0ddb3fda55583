"""Facts: what happened to the business, each once, stated by the customers' actors into `facts`.

They lie there beside the decisions (`schemas/decisions.py`) and the counted openings and clicks
(`schemas/tracking.py`), and are the only ones with the header `ce_type`: by it readers of the
others pass over them without reading them, and readers of facts over the others.

**Each once.** `id` says of which record of the log a fact follows, `EPOCH.PARTITION.OFFSET.PLACE`:
EPOCH is when that log began (ms), and PLACE whose fact it is and its number among the person's
facts of that record. It is the same after a crash and in a replay of the same log; what a crash
has stated twice has one id twice. Within one partition of `facts` the ids of one partition of the
log come in the order of epoch and offset, but for such repetitions: whoever keeps, per such pair,
the highest offset and the ids that were seen at it knows each repetition.

**Of nobody by name.** `person` is a pseudonym, and all that would name somebody to who knows the
shop's other systems is a hash under a key of the person's own: orders (`order`), mails (`mail`),
runs (`run`) and carts (`cart`). That key is kept in the customer's record and nowhere else. As long
as it is there these are personal data, since the shop can find the person. An erasure destroys it:
what is left is of nobody that can be found, and `person.erased` says that it should go, too. The
facts of one person have the same key in Kafka, `person`, and so stay in order.

**One person.** A visitor who becomes a customer that has been stated of before has two pseudonyms:
`person.merged` says which one goes on. Orders keep the name under which they were placed.

**History.** What is loaded afterwards (`backfill`) states what happened to orders, marked by
`history`, so that the figures of the past are there; nothing else of it is stated.

What isn't stated: `return.requested`, as no event says it: a return is known when money goes back
(`order.refunded`). A view of a page is none: what was seen is in `visit.ended`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.commands import MailClass
from schemas.decisions import Reason
from schemas.instant import Instant
from schemas.money import Amount
from schemas.outcomes import BounceKind
from schemas.records import Record

HEADER = "ce_type"
"""Of the record of a fact: its kind. Decisions and hits have no such header."""

SEGMENTS_STATED = 8
CAMPAIGNS_STATED = 8
PRODUCTS_STATED = 20
"""Products of one visit that are stated: the latest. More in half an hour are a list's."""

AttributionModel = Literal["last", "first", "linear", "decay", "position"]
"""How the credit for an order is divided among the touches of the strongest kind that there is."""

AttributionRule = Literal["coupon", "click", "influenced"]
"""Why an order is credited, strongest first. coupon: it holds a code that the workflow has issued.
click: a person followed a link of a mail of it within the window. influenced: a mail of it was sent
within the window, which is an upper bound."""

Fate = Literal[
    "sent",  # a relay has taken it
    "bounced",  # `bounce`: how; delivered are those sent that did not bounce
    "failed",  # given up without an answer
    "rejected",  # refused by ourselves before any relay heard of it
    "complained",
    "opened",
    "clicked",
    "unsubscribed",
    "skipped",  # was due and is not sent: `reason`
    "held",  # waits until it may go: `reason`
]

By = Literal["", "person", "perhaps", "machine"]
"""Who opened or clicked. perhaps: a program that may have done so because a person did. Empty where
it is not asked."""


class StatedFact(BaseModel):
    """What all facts say. Texts that do not apply are empty."""

    model_config = ConfigDict(defer_build=True, frozen=True, populate_by_name=True)

    id: str = ""
    """`EPOCH.PARTITION.OFFSET.PLACE`, see above."""
    time: Instant
    """The time of the log."""
    happened: Instant
    """When it happened, as the event says; never after `time`."""
    person: str
    """A pseudonym: 16 hex digits."""
    source: str = ""
    """Where the customer came from first: a campaign, a site, a form; empty: not known."""
    cohort: str = ""
    """Month of the customer's first order in the shop's zone, `2026-03`; empty before it."""
    history: bool = False
    """Loaded afterwards (`backfill`)."""
    workflow: str = ""
    version: str = ""
    step: str = ""
    run: str = ""
    """A hash that stands for the run."""
    variant: str = ""
    """The variants that the run has, `experiment=variant`, separated by blanks."""
    template: str = ""
    currency: str = ""
    """ISO 4217, of all amounts of the fact; empty where it has none."""


class _OrderFact(StatedFact):
    order: str
    """A hash that stands for the order."""
    shop: str = ""
    """Whose order it is; empty where there is but one shop."""


class OrderPlaced(_OrderFact):
    """An order became known. One that was called off before it came is followed by
    `order.cancelled` at once."""

    fact: Literal["order.placed"] = "order.placed"
    total: Amount
    """As the shop states it: with VAT and shipping where the shop's total has them."""
    shipping: Amount | None = None
    tax: Amount | None = None
    discount: Amount | None = None
    """These are in the total, or taken off it, already; absent: not stated."""
    items: float
    """Pieces, less those that are returned with it."""
    number: int
    """Which order of this customer it is, from 1, in the order in which they became known."""
    since_previous: int | None = None
    """Whole days since the latest order before it; absent: it is the first one, or an older one
    that became known later."""
    segments: tuple[str, ...] = ()
    """Segments that the customer was in when it came, SEGMENTS_STATED at most."""
    campaigns: tuple[str, ...] = ()
    """Campaigns whose codes of ours it holds, CAMPAIGNS_STATED at most."""


class OrderChanged(_OrderFact):
    """An edit made another order of it: these are its figures from now on."""

    fact: Literal["order.changed"] = "order.changed"
    total: Amount
    shipping: Amount | None = None
    tax: Amount | None = None
    discount: Amount | None = None
    items: float
    ordered: Instant
    """When the order was placed, which an edit may correct."""


class _Reversal(_OrderFact):
    amount: Amount
    """How much more is back than before; negative where the shop took a refund or a cancellation
    back. Never more is back in all than the order's total."""
    back: Amount | None = None
    """All that is back by now; absent of an order that isn't kept in detail any more."""
    ordered: Instant | None = None
    """When the order was placed: figures of the past take refunds off there; absent likewise."""
    whole: bool = False
    """Nothing is left of the order."""


class OrderPaidBack(_Reversal):
    """Money goes back for an order, or a part of it."""

    fact: Literal["order.refunded"] = "order.refunded"


class OrderCancelled(_Reversal):
    """An order, or a part of it, will not be; `amount` is what it would have brought."""

    fact: Literal["order.cancelled"] = "order.cancelled"


class OrderRepeated(_OrderFact):
    """An order that the shop has reported under two ids of one person counts once: the one named
    here never was, with all that was stated of it, credits too."""

    fact: Literal["order.repeated"] = "order.repeated"
    same_as: str
    """The order that counts."""


class _Credit(_OrderFact):
    rule: AttributionRule
    model: AttributionModel
    share: Amount
    """Of the order, 0 to 1, as a decimal text; the shares of one order sum up to 1."""
    amount: Amount
    touched: Instant
    """When the mail was sent (influenced) or clicked, or the code was issued."""
    mail: str = ""
    """A hash that stands for the mail; empty where it was a code."""
    window: int
    """Days before the order in which a touch counts; 0: a code counts whenever it was issued."""


class OrderCredited(_Credit):
    """An order, or what an edit added to it, is credited to a workflow's touch. One order is
    credited once over all workflows: when it becomes known."""

    fact: Literal["order.credited"] = "order.credited"


class CreditWithdrawn(_Credit):
    """A refund, a cancellation or an edit took back so much of a credit, in proportion."""

    fact: Literal["order.credit_withdrawn"] = "order.credit_withdrawn"


class MailFate(StatedFact):
    """What became of a mail of ours. Openings and clicks are stated of who has agreed to be
    tracked; those of others are counted without a person (`mail.hit`)."""

    fact: Literal["mail.fate"] = "mail.fate"
    fate: Fate
    mail: str = ""
    """A hash that stands for the mail; empty while there is none (held, or skipped before it was
    commanded). Of a mail to a visitor who has become a customer since it may be another one from
    then on."""
    mail_class: MailClass | None = Field(default=None, alias="class")
    by: By = ""
    first: bool = True
    """The mail's first fate of this kind; of openings and clicks the first by a person, or the
    first that isn't."""
    bounce: BounceKind | None = None
    reason: str = ""
    """Why it is held, skipped or given up: a reason of `schemas/decisions.py`, or the mailer's."""


class RunEntered(StatedFact):
    """A customer entered a workflow."""

    fact: Literal["run.entered"] = "run.entered"


class RunHeld(StatedFact):
    """A step of a run was withheld since the customer is held out: of an experiment's holdout, or
    of the control group. A mail that waits is a `mail.fate`."""

    fact: Literal["run.held"] = "run.held"
    reason: str


class RunStep(StatedFact):
    """A step was done, or passed over. Of what only waits nothing is stated."""

    fact: Literal["run.step"] = "run.step"
    did: Literal["sent", "skipped", "branched", "acted"]
    reason: Reason
    mail: str = ""
    """Of a mail that was commanded."""


class RunEnded(StatedFact):
    """A run is over."""

    fact: Literal["run.ended"] = "run.ended"
    how: Literal["completed", "converted", "exited", "cancelled"]
    reason: Reason


class GoalReached(StatedFact):
    """A run reached its goal within its window, perhaps after its end."""

    fact: Literal["goal.reached"] = "goal.reached"
    goal: str = ""
    """The occurrence that was the goal, or the name of the step."""


class VariantAssigned(StatedFact):
    """A run got a variant of an experiment; `variant` has it already."""

    fact: Literal["variant.assigned"] = "variant.assigned"
    experiment: str
    assigned: str
    """Its name."""
    holdout: bool = False


class _CartFact(StatedFact):
    cart: str
    """A hash that stands for the cart."""
    value: Amount | None = None
    """What lies in it, in `currency`; absent: a price is not known, or of another currency."""


class CartAbandoned(_CartFact):
    """A cart is left behind, as the workflow about it says: it came to its first mail, whether that
    is sent or not (held out, no consent). Once for a cart. A shop without a workflow about carts
    states none."""

    fact: Literal["cart.abandoned"] = "cart.abandoned"


class CartRecovered(_CartFact):
    """An order closed a cart that was abandoned within the last 7 days, or holds a product of it.
    `workflow` and `step` are those of `cart.abandoned`, `value` is that of the cart then."""

    fact: Literal["cart.recovered"] = "cart.recovered"
    order: str
    abandoned: Instant


class CheckoutStarted(_CartFact):
    """A checkout was begun."""

    fact: Literal["checkout.started"] = "checkout.started"


class CodeIssued(StatedFact):
    """A code was issued; it isn't named."""

    fact: Literal["coupon.issued"] = "coupon.issued"
    campaign: str
    coupon: str
    """A hash that stands for the code."""


class CodeRedeemed(StatedFact):
    """A code of ours was used with an order; workflow and step are those that issued it."""

    fact: Literal["coupon.redeemed"] = "coupon.redeemed"
    campaign: str
    coupon: str
    order: str
    issued: Instant


class CodeReleased(StatedFact):
    """An edit took a code off its order: it was not redeemed after all."""

    fact: Literal["coupon.released"] = "coupon.released"
    campaign: str
    coupon: str
    order: str


class ReviewRequested(StatedFact):
    """A mail of a workflow was commanded whose goal is a review; the run's first one."""

    fact: Literal["review.requested"] = "review.requested"
    mail: str


class ReviewSubmitted(StatedFact):
    """A review was written."""

    fact: Literal["review.submitted"] = "review.submitted"
    stars: float | None = None
    """As the shop rates; absent: not told."""


class ListJoined(StatedFact):
    """Subscribed, agreed and, where that is asked for, confirmed."""

    fact: Literal["list.joined"] = "list.joined"
    list: str


class ListLeft(StatedFact):
    """A list was left. `consent.withdrawn` has no list: marketing as a whole was refused, and
    every list with it."""

    fact: Literal["list.left"] = "list.left"
    list: str = ""
    reason: str = ""
    """The type of the event that did it (`mail.complained`, `list.unsubscribed`…); `step`: a
    workflow did."""


class VisitEnded(StatedFact):
    """A visit of who has agreed to be tracked is over, which is known when the next one begins."""

    fact: Literal["visit.ended"] = "visit.ended"
    began: Instant
    seconds: int
    """From its first to its last event."""
    products: tuple[str, ...] = ()
    """Ids of the products looked at, PRODUCTS_STATED at most, the latest last."""
    mail: str = ""
    """The mail that was clicked in it last, with its workflow and step: how long a click lasts."""


class CustomerAcquired(StatedFact):
    """A customer's first order became known; again when an earlier one does, and the last
    statement counts. `cohort` is its month, `source` where the customer came from."""

    fact: Literal["customer.acquired"] = "customer.acquired"
    ordered: Instant


class PersonMerged(StatedFact):
    """A visitor turned out to be a customer: what was stated of `person` was of `into`."""

    fact: Literal["person.merged"] = "person.merged"
    into: str


class PersonErased(StatedFact):
    """The person asked to be forgotten: nobody can find out any more who it was, and whoever holds
    facts of `person` lets them go."""

    fact: Literal["person.erased"] = "person.erased"


_AnyFact: TypeAlias = (
    OrderPlaced
    | OrderChanged
    | OrderPaidBack
    | OrderCancelled
    | OrderRepeated
    | OrderCredited
    | CreditWithdrawn
    | MailFate
    | RunEntered
    | RunHeld
    | RunStep
    | RunEnded
    | GoalReached
    | VariantAssigned
    | CartAbandoned
    | CartRecovered
    | CheckoutStarted
    | CodeIssued
    | CodeRedeemed
    | CodeReleased
    | ReviewRequested
    | ReviewSubmitted
    | ListJoined
    | ListLeft
    | VisitEnded
    | CustomerAcquired
    | PersonMerged
    | PersonErased
)
Fact = Annotated[_AnyFact, Field(discriminator="fact")]
FACT: TypeAdapter[Fact] = TypeAdapter(Fact, config=ConfigDict(defer_build=True))

KINDS: Mapping[str, type[_AnyFact]] = {
    each.model_fields["fact"].default: each for each in get_args(_AnyFact)
}
"""Each model by its kind."""

OF_ORDERS = frozenset({
    "order.placed", "order.changed", "order.refunded", "order.cancelled", "order.repeated",
    "order.credited", "order.credit_withdrawn", "customer.acquired", "coupon.redeemed",
    "person.merged", "person.erased",
})  # fmt: skip
"""What is stated of history as well."""

OF_RUNS = ("run.", "goal.", "variant.")
"""How the kinds begin that tell of runs, which no history begins, but may end."""


def is_fact(record: Record) -> bool:
    """Whether a record of `facts` is a fact, and no decision or hit, without reading it."""
    return record.header(HEADER) is not None
