"""A shop's order history becomes events: builds state, mails nobody.

Pure over rows: `Importer.add` each row, then `finish`. Every row is accounted for, as one of

- applied     a line of a customer's order, which becomes part of an `order.completed`;
- cancelled   a line of a customer's reversal (its order id begins with the shop's prefix), which
              becomes part of an `order.refunded` whose `refund_id` is that id and whose `order_id`
              is that id without the prefix;
- anonymous   a good line of either, of an order that names no customer;
- refused     a line that can't be used, with the reason. The other lines make the order.

Lines of one order may lie scattered, so all orders are held until the end of the file: about 150
bytes a line, 100 MB for half a million. The order's time is the earliest of its lines.

In a reversal the amounts count without their sign: that money went back is said by its id, and
some shops write the minus while others don't. Elsewhere less than one piece is refused (a stock
correction, or a reversal whose prefix was not given). A price of zero is fine: a gift.

What a file says about a customer (the address, the name…) was said at the time of its order, so
newer statements stay, whenever they came; what the next order says as well is not said again. An
empty cell says nothing.

Events have ids that depend on the order alone, so importing a file twice does nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from schemas.addresses import same_address
from schemas.bounds import KEY_BYTES
from schemas.events import Event
from schemas.events.fields import Payload
from schemas.events.person import Traits
from schemas.events.shopping import OrderCompleted, OrderReversed
from schemas.money import MAX_AMOUNT
from streams.tools.order_import.import_report import EXAMPLES, ImportReport, Refusal
from streams.tools.order_import.order_columns import TRAITS
from streams.tools.order_import.order_file import Row
from streams.tools.order_import.order_values import FileNotation, LineRefused, Values, trait

SOURCE = "/ritorno/import"

MAX_LINES = 2_000
"""Of one order, as `OrderCompleted.products` allows."""
MAX_ORDER_BYTES = 800_000
"""Of one order's event, below `MAX_EVENT_BYTES` with room for what is estimated."""
LINE_BYTES = 120
"""Of a line's JSON besides its texts."""
MAX_ID = 200
"""Characters of an event's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to understand a file."""

    columns: Mapping[str, int]
    """Position of the column of each mapped field (`streams/tools/order_import/order_columns.py`).
    """
    width: int
    """Columns of the header."""
    notation: FileNotation
    currency: str = "EUR"
    """Where there is no column for it, or nothing in it."""
    cancelled_prefix: str = ""
    """An order id that begins so is a reversal; empty: there are none."""
    backfill: bool = True
    """History: starts nothing. False makes real purchases of it, for replay and the demo."""


class _Piece(NamedTuple):
    """What one line adds to an order."""

    product_id: str
    name: str
    category: str
    quantity: int
    price: Decimal | None

    def amount(self) -> Decimal:
        return (self.price or Decimal(0)) * self.quantity

    def bytes(self) -> int:
        texts = (self.product_id, self.name, self.category)
        return sum(len(text.encode()) for text in texts) + LINE_BYTES


@dataclass(slots=True)
class _Order:
    id: str
    reversal: bool
    time: int = 0
    currency: str = ""
    customer: str = ""
    total: Decimal | None = None
    pieces: list[_Piece] = field(default_factory=list)
    traits: Mapping[str, str] = field(default_factory=dict)
    """What its lines say about the customer."""
    lines: int = 0
    sum: Decimal = Decimal(0)
    bytes: int = 0

    def amount(self) -> Decimal:
        return self.sum if self.total is None else self.total


class Importer:
    """Takes the rows of one file, then gives the events."""

    def __init__(self, options: ImportOptions, refused: Callable[[Refusal], None]) -> None:
        """`refused` is called for each line that can't be used."""
        self.report = ImportReport()
        self._options = options
        self._refused = refused
        self._values = Values(options.notation)
        self._orders: dict[str, _Order] = {}
        self._traits: dict[str, Mapping[str, str]] = {}
        """Of each customer what a line has said last, which most others say as well."""

    def add(self, row: Row) -> None:
        """Take one row in, or refuse it."""
        self.report.lines += 1
        try:
            self._take(row)
        except LineRefused as error:
            self.report.refused[error.reason] += 1
            if len(self.report.examples) < EXAMPLES:
                self.report.examples.append((row.number, error.reason, error.detail))
            self._refused(Refusal(row, error.reason, error.detail, self._key(row)))

    def finish(self) -> Iterator[Event]:
        """Yield the events in the order of time, counting what they hold. Call it once."""
        told: dict[str, dict[str, str]] = {}
        orders = sorted(self._orders.values(), key=lambda order: order.time)
        self._orders = {}
        for order in orders:
            if not order.customer:
                self.report.anonymous += order.lines
                self.report.anonymous_orders += 1
                continue
            yield from self._profile(order, told)
            self.report.events += 1
            yield self._reversal(order) if order.reversal else self._purchase(order)
        self.report.customers = len(told)

    # One row.

    def _take(self, row: Row) -> None:
        self._check(row)
        given = {name: row.fields[at].strip() for name, at in self._options.columns.items()}
        id_ = self._values.id("order_id", given["order_id"])
        order = self._orders.get(id_) or _Order(id_, self._is_reversal(id_))
        time = self._time(given["time"], order)
        customer = self._customer(self._named(given["customer_id"]), order)
        currency = self._currency(given.get("currency", ""), order)
        total = self._total(given.get("total", ""), order)
        piece = self._piece(given, order, total)
        if piece is not None:
            _check_size(order, piece)
        # From here on nothing is refused.
        self._orders[id_] = order
        order.time = min(order.time or time, time)
        order.customer, order.currency, order.total = customer, currency, total
        order.lines += 1
        if piece is not None:
            order.pieces.append(piece)
            order.sum += piece.amount()
            order.bytes += piece.bytes()
        if customer:
            self._note_traits(order, given)

    def _key(self, row: Row) -> bytes | None:
        at = self._options.columns["customer_id"]
        id_ = self._named(row.fields[at].strip()) if at < len(row.fields) else ""
        key = id_.encode("utf-8", "replace")
        return key if 0 < len(key) <= KEY_BYTES else None

    def _check(self, row: Row) -> None:
        if row.problem:
            raise LineRefused("bad_csv", row.problem)
        if len(row.fields) != self._options.width:
            raise LineRefused(
                "bad_csv", f"fields: {len(row.fields)}, and in the header {self._options.width}"
            )
        if not all(map(_is_text, row.fields)):
            raise LineRefused("bad_encoding", "not text in this encoding; is --encoding right?")

    def _is_reversal(self, id_: str) -> bool:
        prefix = self._options.cancelled_prefix
        return bool(prefix) and id_.startswith(prefix) and len(id_) > len(prefix)

    def _time(self, text: str, order: _Order) -> int:
        if not text and order.time:
            return order.time  # some shops say it in an order's first line only
        return self._values.time(text)

    def _named(self, text: str) -> str:
        """Whoever is known by the address alone is the same in capitals."""
        columns = self._options.columns
        return text.lower() if columns["customer_id"] == columns.get("email") else text

    def _customer(self, text: str, order: _Order) -> str:
        customer = self._values.id("customer_id", text) if text else order.customer
        if order.customer and customer != order.customer:
            raise LineRefused(
                "other_customer",
                f"customer_id: {customer!r}, but order {order.id!r} is of {order.customer!r}",
            )
        return customer

    def _currency(self, text: str, order: _Order) -> str:
        currency = self._values.currency(text or order.currency or self._options.currency)
        if order.currency and currency != order.currency:
            raise LineRefused(
                "other_currency",
                f"currency: {currency}, but order {order.id!r} is in {order.currency}",
            )
        return currency

    def _total(self, text: str, order: _Order) -> Decimal | None:
        """Return the order's total: the first that is given."""
        if not text:
            return order.total
        total = self._amount("total", text, order)
        return total if order.total is None else order.total

    def _piece(
        self, given: Mapping[str, str], order: _Order, total: Decimal | None
    ) -> _Piece | None:
        if not {"product_id", "name", "price", "quantity"} & given.keys():
            if total is None:
                raise LineRefused("bad_price", "total: neither here nor in an earlier line")
            return None  # one row per order
        price, quantity = given.get("price", ""), given.get("quantity")
        product = given.get("product_id") or given.get("name", "")
        if not product and ("product_id" in given or "name" in given):
            raise LineRefused("missing_product", "neither product_id nor name is given")
        return _Piece(
            product_id=self._values.id("product_id", product or "unknown"),
            name=self._values.text(given.get("name", "")),
            category=self._values.text(given.get("category", "")),
            quantity=1 if quantity is None else self._quantity(quantity, order),
            price=None if not price and total is not None else self._amount("price", price, order),
        )

    def _amount(self, name: str, text: str, order: _Order) -> Decimal:
        amount = self._values.amount(name, text)
        if amount < 0 and not order.reversal:
            raise LineRefused("negative_price", f"{name}: {text[:40]}{self._prefix_hint()}")
        return abs(amount)

    def _quantity(self, text: str, order: _Order) -> int:
        quantity = self._values.quantity(text)
        if quantity < 0 and order.reversal:
            return -quantity
        if quantity < 1:
            raise LineRefused("bad_quantity", f"quantity: {quantity}{self._prefix_hint()}")
        return quantity

    def _prefix_hint(self) -> str:
        return "" if self._options.cancelled_prefix else "; --cancelled-prefix marks reversals"

    def _note_traits(self, order: _Order, given: Mapping[str, str]) -> None:
        """Note what a line says about the customer. An empty cell says nothing: a shop that leaves
        one out has not taken it back."""
        said = dict(order.traits)
        before = self._traits.get(order.customer, {})
        for name in TRAITS:
            text = given.get(name, "")
            known_as = "name" if name == "customer_name" else name
            if text and before.get(known_as) == text:
                said[known_as] = text
            elif text and (value := trait(known_as, text)):
                said[known_as] = value
            elif text:
                self.report.ignored[name] += 1
        order.traits = before if said == before else said
        self._traits[order.customer] = order.traits

    # Events.

    def _profile(self, order: _Order, told: dict[str, dict[str, str]]) -> Iterator[Event]:
        """Yield what an order says about its customer, before it, as far as none before it has said
        the same; `told`: what those have said, by customer."""
        first = order.customer not in told
        known = told.setdefault(order.customer, {})
        traits = {
            name: each
            for name, each in order.traits.items()
            if known.get(name) != each
            and not (name == "email" and same_address(each, known.get(name, "")))
        }
        if traits:
            known.update(traits)
            content = "\0".join(f"{name}={traits[name]}" for name in sorted(traits))
            digest = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
            id_ = f"customer:{order.customer}:{digest}"
            if not first:  # the same may be said again
                id_ += f":{order.time}"
            self.report.events += 1
            data = Traits.model_validate(dict(sorted(traits.items())))
            yield self._event(id_, "customer.updated", order, data)

    def _purchase(self, order: _Order) -> Event:
        products = [
            {name: value for name, value in piece._asdict().items() if value not in ("", None)}
            for piece in order.pieces
        ]
        data = OrderCompleted.model_validate(
            {
                "order_id": order.id,
                "total": order.amount(),
                "currency": order.currency,
                "products": products,
            }
        )
        report = self.report
        report.applied += order.lines
        report.orders += 1
        report.items += sum(piece.quantity for piece in order.pieces)
        report.revenue[order.currency] += data.amount()
        return self._event(order.id, "order.completed", order, data)

    def _reversal(self, order: _Order) -> Event:
        data = OrderReversed(
            order_id=order.id.removeprefix(self._options.cancelled_prefix),
            refund_id=order.id,
            total=order.amount(),
            currency=order.currency,
        )
        report = self.report
        report.cancelled += order.lines
        report.refunds += 1
        report.refunded[order.currency] += order.amount()
        return self._event(order.id, "order.refunded", order, data)

    def _event(self, id_: str, type_: str, order: _Order, data: Payload) -> Event:
        return Event(
            id=_event_id(id_),
            type=type_,
            source=SOURCE,
            time=order.time,
            customer=order.customer,
            anonymous_id=None,
            backfill=self._options.backfill,
            data=data,
        )


def _check_size(order: _Order, piece: _Piece) -> None:
    if len(order.pieces) >= MAX_LINES or order.bytes + piece.bytes() > MAX_ORDER_BYTES:
        raise LineRefused("too_large", f"more than {MAX_LINES} lines, or than fit into one event")
    if order.sum + piece.amount() > MAX_AMOUNT:
        raise LineRefused("too_large", f"the order comes to more than {MAX_AMOUNT}")


def _event_id(what: str) -> str:
    id_ = f"import:{what}"
    if len(id_) <= MAX_ID:
        return id_
    return f"import:{hashlib.blake2b(what.encode(), digest_size=16).hexdigest()}"


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
