"""What several kinds of feeds have in common: amounts with their currency, availability, paths."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from schemas.flags import read_flag
from schemas.notation import Notation
from schemas.written_amounts import read_amount
from schemas.written_times import read_time
from streams.feeds.source_rows import plain_name

Availability = Literal["in_stock", "out_of_stock", "preorder"]

_AVAILABLE: Mapping[Availability, tuple[str, ...]] = {
    "in_stock": (
        "instock", "available", "instockitems", "onlineonly", "instoreonly", "limitedavailability",
        "lowstock", "lastpieces", "lastitemsinstock", "readytoship", "disponibile", "disponibili",
        "disponibilesubito", "immediatamentedisponibile", "disponibilitaimmediata",
        "prontaconsegna", "inmagazzino", "instockdisponibile", "ultimipezzi",
        "ultimipezzidisponibili", "ultimiarticoliinmagazzino", "pochipezzi",
        "disponibilitalimitata", "quasiesaurito",
        "inesaurimento", "auflager", "verfugbar", "verfuegbar", "sofortverfugbar",
        "sofortverfuegbar", "lieferbar", "sofortlieferbar", "vorratig", "vorraetig",
        "nurnochwenigeauflager",
    ),
    "out_of_stock": (
        "outofstock", "notinstock", "soldout", "unavailable", "notavailable", "discontinued",
        "esaurito", "esaurita", "esauriti", "esaurite", "nondisponibile", "nondisponibili",
        "noninmagazzino", "indisponibile", "fuoriproduzione", "fuoricatalogo", "terminato",
        "terminata", "attualmentenondisponibile", "momentaneamentenondisponibile", "ausverkauft",
        "vergriffen", "nichtauflager", "nichtverfugbar", "nichtverfuegbar", "nichtlieferbar",
        "nichtvorratig", "nichtvorraetig", "derzeitnichtverfugbar", "derzeitnichtverfuegbar",
    ),
    "preorder": (
        "preorder", "presale", "backorder", "onbackorder", "availableonbackorder",
        "availablefororder", "madetoorder", "preordine", "prenotabile", "inprenotazione",
        "ordinabile", "suordinazione", "disponibilesuordinazione", "inarrivo", "inriassortimento",
        "vorbestellbar", "vorbestellung", "aufbestellung", "bestellbar", "nachbestellt",
    ),
}  # fmt: skip
_WORDS = {word: known for known, words in _AVAILABLE.items() for word in words}
_SCHEMA_ORG = re.compile(r"https?://schema\.org/", re.IGNORECASE)


class ProductRow(NamedTuple):
    """What a row says of a product, under our own names, not looked at yet."""

    place: str
    fields: dict[str, Any]
    source: Mapping[str, Any]
    """The row itself, by `plain_name`, for columns that the user names."""
    is_update: bool = False
    """It replaces what an earlier row has said of the same product."""
    problem: str = ""


class ReadingRules:
    """How to read a feed. What its rows say about time is noted."""

    def __init__(
        self, *, notation: Notation, now: int, source: str, currency: str, each_variant: bool
    ) -> None:
        """`now`: ms since the epoch. `source`: under which its decimals are declared. `currency`:
        where a price names none. `each_variant`: each variant is a product of its own."""
        self.notation = notation
        self.now = now
        self.source = source
        self.currency = currency
        self.each_variant = each_variant
        self.next_change: int | None = None
        """When the next reduction begins or ends that a row tells of."""

    def price(self, fields: dict[str, Any], name: str, text: Any) -> None:
        """Take a price into `fields`, and the currency that it names. What is none stays as it
        is, so that whoever looks at it names it."""
        if not text:
            return
        try:
            written = read_amount(str(text), self.notation.decimal_mark(self.source))
        except ValueError:
            fields[name] = text
            return
        fields[name] = written.amount
        if written.currency:
            fields.setdefault("currency", written.currency)

    def reduced(self, fields: dict[str, Any], sale_price: Any, begins: Any, ends: Any) -> None:
        """Take the price of a reduction while it holds; the ordinary one is the list price then.
        Where its dates can't be read it does not hold."""
        if not sale_price or not self._holds(begins, ends):
            return
        ordinary = fields.get("price")
        self.price(fields, "price", sale_price)
        if ordinary and ordinary != fields["price"]:
            fields["list_price"] = ordinary

    def _holds(self, begins: Any, ends: Any) -> bool:
        try:
            since = self._instant(begins)
            until = self._instant(ends)
        except ValueError:
            return False
        for change in (since, until):
            if change is not None and change > self.now:
                self.next_change = min(change, self.next_change or change)
        return (since is None or since <= self.now) and (until is None or self.now < until)

    def _instant(self, text: Any) -> int | None:
        return read_time(text, self.notation.zone).instant if text else None


def availability(text: Any) -> Any:
    """Return our word for a shop's, or what was given where it is none that is known. Yes and no
    are, too (`schemas/flags.py`), and schema.org's names with their address."""
    if (flag := read_flag(text)) is not None:
        return "in_stock" if flag else "out_of_stock"
    return availability_word(text) or text


def availability_word(text: Any) -> Availability | None:
    """Return our word for one of a shop's, None where it is none that is known, or no word."""
    return _WORDS.get(plain_name(_SCHEMA_ORG.sub("", str(text).strip())))


def last_of_path(text: Any) -> str:
    """Return where a path leads: `Cucina > Caffè` to `Caffè`."""
    return str(text or "").replace("&gt;", ">").rpartition(">")[2].strip()


def first(fields: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the first of these fields that says something, None when none does."""
    return next((fields[name] for name in names if fields.get(name) not in (None, "")), None)
