"""What other currencies are worth in the shop's own, by day: the file `rates.yaml`."""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from schemas.definitions.definition import Definition
from schemas.instant import parse_instant

_Code = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
_Worth = Annotated[Decimal, Field(gt=0, le=1_000_000, decimal_places=12)]


class RateTable(Definition):
    """The rates from a day on, until a later table names the currency again."""

    since: str = Field(alias="from", pattern=r"^\d{4}-\d{2}-\d{2}$")
    """A day, from 00:00 UTC on."""
    worth: dict[_Code, _Worth] = Field(min_length=1, max_length=200)
    """What one unit of each is worth in the shop's currency: `{USD: "0.92", JPY: "0.0061"}`."""

    @field_validator("since")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        parse_instant(f"{value}T00:00:00Z")
        return value

    @property
    def begins(self) -> int:
        """When it begins, ms since the epoch."""
        return parse_instant(f"{self.since}T00:00:00Z")


class Rates(Definition):
    """The shop's currency, in which amounts are compared, and the rates of the others."""

    id: Literal["rates"] = "rates"
    definition: Literal["rates"]
    currency: _Code
    """The shop's own."""
    rates: list[RateTable] = Field(default=[], max_length=2_000)
    """The oldest first."""

    @model_validator(mode="after")
    def _days_ascend(self) -> Rates:
        for before, after in zip(self.rates, self.rates[1:], strict=False):
            if before.since >= after.since:
                raise ValueError(f"rates: from {after.since} stands behind from {before.since}")
        for table in self.rates:
            if self.currency in table.worth:
                raise ValueError(
                    f"rates: from {table.since} has a rate of {self.currency}, the shop's own"
                )
        return self

    def worth(self, currency: str, time: int) -> Decimal | None:
        """Return what one unit of a currency was worth at `time` (ms since the epoch); None when no
        rate of it was valid then."""
        if currency == self.currency:
            return Decimal(1)
        begins, worths = self.by_currency.get(currency, ([], []))
        place = bisect_right(begins, time)
        return worths[place - 1] if place else None

    @cached_property
    def by_currency(self) -> dict[str, tuple[list[int], list[Decimal]]]:
        """When each rate of a currency begins, ms since the epoch, and the rates; the oldest
        first."""
        found: dict[str, tuple[list[int], list[Decimal]]] = {}
        for table in self.rates:
            begins = table.begins
            for currency, worth in table.worth.items():
                times, worths = found.setdefault(currency, ([], []))
                times.append(begins)
                worths.append(worth)
        return found
