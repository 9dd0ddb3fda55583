"""An event type: one row with all that is known of its events before any comes.

The rows stand beside the models of what such events say (`schemas/events/`, for mails
`schemas/outcomes.py`); `EVENT_TYPES` of `schemas/events/__init__.py` has them all. What an event
does to a customer is its handler's business: the `HANDLERS` of the module that it concerns.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from schemas.customer_parts import CustomerPart


@dataclass(frozen=True, slots=True)
class EventType:
    """What is known of a type; what is not said of one is not so."""

    name: str
    """`ce_type`: `order.completed`."""
    data: type[BaseModel]
    """Model of its properties."""
    segment: str = ""
    """What Segment calls it; empty: the words of its name in title case."""
    changes: tuple[CustomerPart, ...] = ()
    """Parts that it may change; `activity` besides where it is `active`. Naming too many makes it a
    little slower, one too few leaves a segment as it was: `tests/customer/test_segments.py`."""
    active: bool = False
    """People do it, in the shop or with its mails. An opened mail is none: machines open them."""
    looking: bool = False
    """Who looks around does it: it brings no address, name, consent, order or coupon."""
    public: bool = False
    """Anybody may say it, with a key that stands in a page, of what they do there
    (`schemas/public_speech.py`)."""
    of_customers: bool = False
    """A shop says it of a customer, and not of somebody who looks around."""
    takes_away: bool = False
    """It only takes away, and so is taken also when the customer's record is full."""
    heard_anyway: bool = False
    """It must not be lost and does no harm when it is heard twice, so it is taken also when no more
    ids can be remembered: it takes away, or is known by something else, like an order's number."""
    counts_again: bool = False
    """People say it on our own pages, and it counts again when it is told again."""
    handler_tells: bool = False
    """Its handler says whether anything has occurred: a parcel that is told of again has not."""
    is_answer: bool = False
    """It tells what became of something that the customer's actor has asked for."""
    is_page_answer: bool = False
    """Such an answer when it is given on our own pages, and else an event like others."""
    identifies: bool = False
    """A shop says with it who somebody is: its `customer_id`, where it has one, names a customer,
    for whose visitor it may be."""
    visitors_own: bool = False
    """It is told to visitors' actors only."""
    of_operators: bool = False
    """An operator says it: who it is about was not seen then."""
    erases: bool = False
    """Nothing is left of the customer but the offset."""
    stays_with_visitor: bool = False
    """A visitor's actor takes it itself even after it has handed over: who it is may change."""
    told_to_links: bool = False
    """It is told to the actors of addresses, cart ids and checkout ids only (`agents/links/`)."""
    internal: bool = False
    """Only our own actors write it; `publish` refuses it."""
