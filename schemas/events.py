"""Events: what customers do and what is done to them, discriminated by `type`.

The envelope follows CloudEvents 1.0, the properties follow the Segment V2 e-commerce vocabulary in
snake_case. `PAYLOADS` maps each type to the model of its properties; `schemas/wire.py` reads and
writes the accepted forms.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    field_validator,
)

from schemas.instant import Instant
from schemas.money import Amount, Price
from schemas.outcomes import (
    MailBounced,
    MailClicked,
    MailDeferred,
    MailEngaged,
    MailFailed,
    MailHeld,
    MailOpened,
    MailRejected,
    MailSent,
    MailSkipped,
)

NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""C0, DEL and C1 controls: no name of a person, product or shop has one, header injections do.
Checked by pydantic's own engine; `schemas/wire.py` cleans texts that fail, ids stay refused."""

_ADDRESS = r"[^@\s<>,;:\"()]+@[^@\s<>,;:\"()]+\.[^@\s<>,;:\"().]+"
"""A shape, not a verdict: refuses what no shop meant as an address; the mailer looks closer."""

# All constraints are pydantic's built-in ones: a Python validator per field would double the time
# per event.
Id = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NO_CONTROL),
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000, pattern=NO_CONTROL)]
Url = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048, pattern=NO_CONTROL)]
Email = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=254, pattern=f"^({_ADDRESS})?$")
]
"""An address by its shape, or empty. 254 characters: RFC 5321 with erratum 1690."""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$", to_upper=True)]
Quantity = Annotated[int, Field(ge=0, le=1_000_000)]


def is_address(text: str) -> bool:
    """Return whether `text` has the shape of an e-mail address."""
    return re.fullmatch(_ADDRESS, text) is not None


class Payload(BaseModel):
    """Properties of an event. Unknown fields are ignored."""

    # Numbers may be ids: shops send `"product_id": 4711`.
    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, coerce_numbers_to_str=True
    )


class Product(Payload):
    """A product as Segment describes it inside other events."""

    product_id: Id = Field(validation_alias=AliasChoices("product_id", "sku"))
    sku: Text | None = None
    name: Text | None = None
    category: Text | None = None
    brand: Text | None = None
    variant: Text | None = None
    price: Price | None = None
    quantity: Quantity = 1
    coupon: Text | None = None
    url: Url | None = None
    image_url: Url | None = None
    currency: Currency | None = None
    size: Text | None = None
    color: Text | None = Field(default=None, validation_alias=AliasChoices("color", "colour"))


class ProductViewed(Product):
    """A product page was looked at."""


class ProductListViewed(Payload):
    """A category or a list was looked at."""

    list_id: Text | None = None
    category: Text | None = None


class ProductsSearched(Payload):
    """The shop's search was used."""

    query: Text | None = None


class PageViewed(Payload):
    """Any other page."""

    url: Url | None = None
    path: Text | None = None
    title: Text | None = None
    name: Text | None = None
    referrer: Url | None = None


class CartChange(Product):
    """A product went into the cart or out of it; `quantity` says how many."""

    cart_id: Id | None = None
    cart_url: Url | None = None


class CheckoutProgress(Payload):
    """A checkout began or went a step further. `products`, when given, is the whole cart."""

    checkout_id: Id | None = Field(
        default=None, validation_alias=AliasChoices("checkout_id", "order_id")
    )
    cart_id: Id | None = None
    cart_url: Url | None = None
    step: Text | None = None
    email: Text | None = None
    currency: Currency | None = None
    products: list[Product] | None = Field(default=None, max_length=500)


class OrderCompleted(Payload):
    """A purchase. Recognised by `order_id` for ever, however often it is sent."""

    order_id: Id
    checkout_id: Id | None = None
    cart_id: Id | None = None
    subtotal: Amount | None = None
    total: Price | None = None
    revenue: Amount | None = None
    shipping: Price | None = None
    tax: Price | None = None
    discount: Price | None = None
    coupon: Text | None = None
    currency: Currency = "EUR"
    payment_method: Text | None = None
    email: Text | None = None
    estimated_delivery: Text | None = None
    tracking_number: Text | None = None
    tracking_url: Url | None = None
    products: list[Product] = Field(default=[], max_length=2000)

    def amount(self) -> Decimal:
        """Return what the customer paid: total, else revenue, else the sum of the lines."""
        if self.total is not None:
            return self.total
        if self.revenue is not None:
            return self.revenue
        return sum(((p.price or Decimal(0)) * p.quantity for p in self.products), Decimal(0))


class OrderProgress(Payload):
    """An order was updated, shipped or delivered."""

    order_id: Id
    status: Text | None = None
    tracking_number: Text | None = None
    tracking_url: Url | None = None
    estimated_delivery: Text | None = None


class OrderReversed(Payload):
    """An order was cancelled or refunded, wholly or (with `total`) in part."""

    order_id: Id
    refund_id: Id | None = None
    total: Price | None = None
    currency: Currency | None = None
    reason: Text | None = None


class CouponApplied(Payload):
    """A code was entered."""

    coupon_id: Text | None = Field(
        default=None, validation_alias=AliasChoices("coupon_id", "coupon", "coupon_name")
    )
    order_id: Id | None = None
    cart_id: Id | None = None
    discount: Price | None = None


class ProductReviewed(Payload):
    """A review was written."""

    product_id: Id
    review_id: Id | None = None
    order_id: Id | None = None
    rating: float | None = Field(default=None, ge=0, le=100)


class Traits(Payload):
    """What is known of a person. Fields that are absent stay as they were.

    Others may be custom fields of the shop's, so they are read and looked at by the actor.
    """

    model_config = ConfigDict(extra="allow")

    email: Email | None = None
    name: Text | None = None
    first_name: Text | None = Field(
        default=None, validation_alias=AliasChoices("first_name", "firstName")
    )
    last_name: Text | None = Field(
        default=None, validation_alias=AliasChoices("last_name", "lastName")
    )
    phone: Text | None = None
    birthday: Text | None = None
    locale: Text | None = Field(default=None, validation_alias=AliasChoices("locale", "language"))
    zone: Text | None = Field(default=None, validation_alias=AliasChoices("zone", "timezone"))
    country: Text | None = None
    city: Text | None = None
    mail_frequency: Literal["normal", "less"] | None = None
    """How much mail the customer wants."""
    source: Text | None = None
    """Where the customer came from, as a CRM knows it."""


class CustomerIdentified(Traits):
    """A visitor turns out to be a customer: `anonymous_id` is `customer_id` from now on."""

    anonymous_id: Id | None = Field(
        default=None, validation_alias=AliasChoices("anonymous_id", "anonymousId", "previous_id")
    )
    customer_id: Id | None = Field(
        default=None, validation_alias=AliasChoices("customer_id", "user_id", "userId")
    )


class Statement(Payload):
    """Somebody said yes or no to something; what proves it goes along."""

    source: Text | None = None
    """How it was said: `checkout`, `preferences_page`…"""
    wording: Text | None = None
    """Version of the words that were agreed to."""
    mail: Id | None = None
    """Id of the mail whose link led there."""
    ip: Text | None = None
    """Where it came from. Ours have it only when RITORNO_CONSENT_EVIDENCE_IP says so."""


class ListChange(Statement):
    """A subscription to a list, or the end of it."""

    list: Text = "newsletter"
    confirmed: bool = False
    """The address is proven, by a double opt-in of ours or upstream: then it is marketing consent
    too."""
    email: Email | None = None
    first_name: Text | None = Field(
        default=None, validation_alias=AliasChoices("first_name", "firstName")
    )
    locale: Text | None = None


class ConsentChange(Statement):
    """Consent for one purpose given or withdrawn."""

    purpose: Literal["marketing", "profiling", "tracking"]


class PrivacyRequest(Statement):
    """The customer asks to be forgotten, or for a copy of what is known (GDPR art. 15, 17, 20)."""


class AddressReleased(Payload):
    """Ours: a person has decided that a suppressed address gets mails again."""

    reason: Text = ""
    by: Text = ""


class Noted(Payload):
    """An event that later workflows act on; its properties are kept out of the state."""

    topic: Text | None = None
    stage: Text | None = None
    message: Text | None = None


class SurveyAnswered(Noted):
    """An answer to a question of the shop's."""

    survey: Text | None = None
    question: Text | None = None
    answer: Text | None = None
    rating: float | None = Field(default=None, ge=0, le=100)


class CustomerReviewed(Payload):
    """Ours: look at a silent customer by the definitions that are live now."""


class VisitorLinked(Payload):
    """Ours: tells a visitor's actor who the visitor is."""

    customer_id: Id


class VisitorForgotten(Payload):
    """Ours: tells a visitor's actor that the customer it has become was erased."""

    customer_id: Id


class VisitorMerged(Payload):
    """Ours: what a visitor's actor knows, sent to the customer's actor once."""

    anonymous_id: Id
    state: str
    """The visitor's kept record as JSON text; `agents/identity.py` writes and reads it."""


class CouponRequested(Payload):
    """Ours: a customer's step asks a coupon pool's actor for a code."""

    campaign: str
    customer_id: Id
    run: str
    step: str


class CouponIssued(Payload):
    """Ours: the answer of a coupon pool's actor. No code: none is left."""

    campaign: str
    run: str
    step: str
    code: str = ""


PAYLOADS: dict[str, type[BaseModel]] = {
    "product.viewed": ProductViewed,
    "product_list.viewed": ProductListViewed,
    "products.searched": ProductsSearched,
    "page.viewed": PageViewed,
    "cart.product_added": CartChange,
    "cart.product_removed": CartChange,
    "checkout.started": CheckoutProgress,
    "checkout.step_completed": CheckoutProgress,
    "order.completed": OrderCompleted,
    "order.updated": OrderProgress,
    "order.shipped": OrderProgress,
    "order.delivered": OrderProgress,
    "order.cancelled": OrderReversed,
    "order.refunded": OrderReversed,
    "coupon.applied": CouponApplied,
    "wishlist.added": Product,
    "product.reviewed": ProductReviewed,
    "customer.created": Traits,
    "customer.updated": Traits,
    "customer.identified": CustomerIdentified,
    "customer.erasure_requested": PrivacyRequest,
    "customer.data_requested": PrivacyRequest,
    "list.subscribed": ListChange,
    "list.unsubscribed": ListChange,
    "consent.given": ConsentChange,
    "consent.withdrawn": ConsentChange,
    "support.requested": Noted,
    "survey.answered": SurveyAnswered,
    "call.logged": Noted,
    "deal.stage_changed": Noted,
    "mail.sent": MailSent,
    "mail.delivered": MailEngaged,
    "mail.deferred": MailDeferred,
    "mail.bounced": MailBounced,
    "mail.failed": MailFailed,
    "mail.rejected": MailRejected,
    "mail.held": MailHeld,
    "mail.skipped": MailSkipped,
    "mail.opened": MailOpened,
    "mail.clicked": MailClicked,
    "mail.complained": MailEngaged,
    "mail.unsubscribed": MailEngaged,
    "address.released": AddressReleased,
    "customer.reviewed": CustomerReviewed,
    "visitor.linked": VisitorLinked,
    "visitor.merged": VisitorMerged,
    "visitor.forgotten": VisitorForgotten,
    "coupon.requested": CouponRequested,
    "coupon.issued": CouponIssued,
}

INTERNAL_TYPES = frozenset(
    {"visitor.linked", "visitor.merged", "visitor.forgotten", "address.released"}
    | {"coupon.requested", "coupon.issued", "customer.reviewed"}
)
"""Written by our own actors; refused from `publish`."""

ACTIVE = frozenset(
    {"product.viewed", "product_list.viewed", "products.searched", "page.viewed",
     "cart.product_added", "cart.product_removed", "checkout.started", "checkout.step_completed",
     "order.completed", "coupon.applied", "wishlist.added", "product.reviewed", "list.subscribed",
     "consent.given", "support.requested", "survey.answered", "mail.clicked"}
)  # fmt: skip
"""What people do in the shop or with its mails. An opened mail is none: machines open them too."""

TICK = "ritorno.tick"
WORKFLOWS = "ritorno.workflows"
PRODUCTS = "ritorno.products"
ERASED = "ritorno.erased"
CONTROL_TYPES = frozenset({TICK, WORKFLOWS, PRODUCTS, ERASED})
"""Control records: without a key, for the partition and not for a customer. `ERASED` is what is
left of the record of an erased customer: a time in the log."""


class Event(NamedTuple):
    """One event, read and checked."""

    id: str
    type: str
    source: str
    time: int | None
    """When it happened, ms since the epoch; None where the sender did not say."""
    customer: str
    """Whom it is about: a customer id, or a visitor's anonymous id while unknown."""
    anonymous_id: str | None
    """The visitor's id, when the sender knows both."""
    backfill: bool
    """History: builds state, starts nothing, mails nobody."""
    data: Any
    """An instance of `PAYLOADS[type]`."""


class CloudEvent(BaseModel):
    """An event in CloudEvents structured mode, for the exported JSON Schema and the parser."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    specversion: Literal["1.0"] = "1.0"
    id: Id
    source: Text = "/unknown"
    type: Text
    time: Instant | None = None
    subject: Id | None = None
    """The customer id, or the visitor's anonymous id while the customer is unknown."""
    anonymousid: Id | None = None
    backfill: bool = False
    data: dict[str, JsonValue] = {}

    @field_validator("data", mode="before")
    @classmethod
    def _no_data_is_empty(cls, value: Any) -> Any:
        return {} if value is None else value
