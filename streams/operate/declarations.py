"""What the shop's definitions say of its events: whoever reads events without an actor finds here
what the actors make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from pydantic import ValidationError

from agents.customer.custom_fields import unfitting
from agents.definitions.custom_events import DeclaredEvent, declared_as, declared_events
from schemas.definitions import DEFINITION
from schemas.definitions.custom_events import CustomEvents
from schemas.definitions.rates import Rates
from schemas.definitions.shop import CustomField, Fields, Loyalty
from schemas.events import Event
from schemas.events.custom import is_custom
from schemas.events.odd import noted
from schemas.events.person import Traits

_KINDS = (b'"fields"', b'"events"', b'"loyalty"', b'"rates"')


class Declarations(NamedTuple):
    """What is declared; of several files of a kind the last one counts."""

    fields: Mapping[str, CustomField] = {}
    events: Mapping[str, DeclaredEvent] = {}
    """By every name under which they come."""
    points_in: str = ""
    """The loyalty programme's currency; empty without one."""
    rates: Rates | None = None

    def understood(self, event: Event) -> Event | None:
        """Return an event as actors take it, with what does not fit among what is odd of it; None
        for one of the shop's own that isn't declared."""
        if is_custom(event.type):
            return declared_as(event, self.events)
        if self.fields and isinstance(event.data, Traits):
            found = unfitting(event.data, dict(self.fields))
            return event._replace(odd=noted([*event.odd, *found])) if found else event
        return event

    def lacks_rate(self, currency: str, time: int) -> bool:
        """Return whether an order in a currency, of that time (ms), brings no points because nobody
        knows what it is worth."""
        if not self.points_in or currency == self.points_in:
            return False
        worth = (self._worth(currency, time), self._worth(self.points_in, time))
        return None in worth

    def _worth(self, currency: str, time: int) -> Decimal | None:
        return None if self.rates is None else self.rates.worth(currency, time)


def declarations(contents: Iterable[bytes]) -> Declarations:
    """Return what published definitions declare."""
    found = Declarations()
    for content in contents:
        if not any(kind in content for kind in _KINDS):
            continue
        try:
            definition = DEFINITION.validate_json(content)
        except ValidationError:
            continue  # of a newer Ritorno
        match definition:
            case Fields():
                found = found._replace(fields={each.id: each for each in definition.fields})
            case CustomEvents():
                found = found._replace(events=declared_events(definition))
            case Loyalty():
                found = found._replace(points_in=definition.currency)
            case Rates():
                found = found._replace(rates=definition)
            case _:
                pass
    return found
