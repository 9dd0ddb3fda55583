"""The evaluation context of a condition: the customer, the instant, and the run, event and
definitions at hand."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.definitions.rates import Rates
from schemas.definitions.scoring import Scoring
from schemas.definitions.shop import Loyalty


class Rules(Protocol):
    """The definitions by which fields are read: those that are live, of a room above this one."""

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        """By the score's name."""

    @property
    def loyalty(self) -> Loyalty | None:
        """The programme, if there is one."""

    @property
    def rates(self) -> Rates | None:
        """What other currencies are worth, if the shop says so."""


class NoRules:
    """A shop without scores, loyalty and rates."""

    scorings: Mapping[str, Scoring] = MappingProxyType({})
    loyalty: Loyalty | None = None
    rates: Rates | None = None


class EvaluationContext(NamedTuple):
    """A customer at a time, maybe in a run or at an event."""

    customer: Customer
    now: int
    """ms since the epoch."""
    run: Run | None = None
    event: Mapping[str, Any] = MappingProxyType({})
    """Properties of the event, as plain values as in JSON."""
    rules: Rules = NoRules()
    failures: list[str] | None = None
    """Where expressions that fail say so; they then don't hold."""
    shop: str = ""
    """Whose order numbers are in the event, where there are several shops."""
    missing_rates: set[str] | None = None
    """Currencies that could not be compared for want of a rate."""
