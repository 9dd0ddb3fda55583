"""Who people are, what they say yes or no to, what they tell the shop."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal

from pydantic import AliasChoices, AliasPath, ConfigDict, Field

from schemas.customer_parts import CustomerPart
from schemas.event_type import EventType
from schemas.events.fields import Birthday, Code, Email, Id, ListName, Payload, Text, Zone


def _in_address(name: str) -> AliasChoices:
    """Return where a part of the address may stand: Segment, Shopify and WooCommerce have it in an
    object of its own."""
    inside = (AliasPath(each, name) for each in ("address", "default_address", "billing"))
    return AliasChoices(name, *inside)


class Traits(Payload):
    """What is known of a person. Fields that are absent stay as they were; null and an empty text
    take a trait away.

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
    phone: Code | None = None
    birthday: Birthday | None = None
    locale: Code | None = Field(default=None, validation_alias=AliasChoices("locale", "language"))
    zone: Zone | None = Field(default=None, validation_alias=AliasChoices("zone", "timezone"))
    country: Code | None = Field(default=None, validation_alias=_in_address("country"))
    city: Text | None = Field(default=None, validation_alias=_in_address("city"))
    mail_frequency: Literal["normal", "less", ""] | None = None
    """How much mail the customer wants."""
    source: Text | None = None
    """Where the customer came from, as a CRM knows it."""

    def given(self) -> Set[str]:
        """Return the traits of which something is said, be it that there is none. Without an
        address there is no place in it."""
        extra = self.model_extra
        if extra and extra.get("address", extra) in (None, ""):
            return self.model_fields_set | {"city", "country"}
        return self.model_fields_set

    def written(self) -> Traits:
        """Return them as they are written, where null is left out: a trait that is taken away is
        an empty text."""
        given = (*(self.model_fields_set & Traits.model_fields.keys()), *(self.model_extra or ()))
        away = {name: "" for name in given if getattr(self, name) is None}
        return self.model_copy(update=away) if away else self


class GroupTraits(Traits):
    """Which company somebody belongs to, and what is known of it: custom fields, as far as the shop
    has declared `group_id`, `company` or `company_…`."""


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

    list: ListName = "newsletter"
    confirmed: bool = False
    """The address is proven, by a double opt-in of ours or upstream: then it is marketing consent
    too."""
    email: Email | None = None
    first_name: Text | None = Field(
        default=None, validation_alias=AliasChoices("first_name", "firstName")
    )
    locale: Code | None = None


class ConsentChange(Statement):
    """Consent for one purpose given or withdrawn."""

    purpose: Literal["marketing", "profiling", "tracking"]


class PrivacyRequest(Statement):
    """The customer asks to be forgotten, or for a copy of what is known (GDPR art. 15, 17, 20)."""


class Noted(Payload):
    """An event that later workflows act on; its properties are kept out of the state."""

    topic: Text | None = None
    stage: Text | None = None
    message: Text | None = None


class SupportRequested(Noted):
    """Somebody asks for help."""

    order_id: Id | None = None
    """Which order it is about, when the form or the CRM knows."""


class SurveyAnswered(Noted):
    """An answer to a question of the shop's."""

    survey: Text | None = None
    question: Text | None = None
    answer: Text | None = None
    rating: float | None = Field(default=None, ge=0, le=100)


_TRAITS: tuple[CustomerPart, ...] = ("profile", "fields", "mails", "tags")
_CONSENT: tuple[CustomerPart, ...] = ("consents", "lists")

EVENT_TYPES = (
    EventType("customer.created", Traits, changes=_TRAITS, of_customers=True),
    EventType("customer.updated", Traits, changes=_TRAITS, public=True, of_customers=True),
    EventType(
        "customer.grouped",
        GroupTraits,
        changes=_TRAITS,
        of_customers=True,
    ),
    EventType(
        "customer.identified",
        CustomerIdentified,
        changes=_TRAITS,
        stays_with_visitor=True,
        identifies=True,
    ),
    EventType(
        "customer.erasure_requested",
        PrivacyRequest,
        of_customers=True,
        takes_away=True,
        heard_anyway=True,
        erases=True,
    ),
    EventType("customer.data_requested", PrivacyRequest, of_customers=True, heard_anyway=True),
    EventType(
        "list.subscribed",
        ListChange,
        changes=(*_CONSENT, "profile", "mails"),
        active=True,
        public=True,
    ),
    EventType(
        "list.unsubscribed", ListChange, changes=_CONSENT, takes_away=True, heard_anyway=True
    ),
    EventType("consent.given", ConsentChange, changes=_CONSENT, active=True, public=True),
    EventType(
        "consent.withdrawn",
        ConsentChange,
        changes=_CONSENT,
        public=True,
        takes_away=True,
        heard_anyway=True,
    ),
    EventType("support.requested", SupportRequested, active=True, public=True),
    EventType(
        "survey.answered", SurveyAnswered, active=True, counts_again=True, is_page_answer=True
    ),
    EventType("call.logged", Noted),
    EventType("deal.stage_changed", Noted),
)
