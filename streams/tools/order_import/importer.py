"""A shop's order history becomes events: builds state, mails nobody.

Pure over rows: `Importer.add` each row, then `finish`. Every row is accounted for, as one of

- applied     a line of a customer's order, which becomes part of an `order.completed`;
- cancelled   a line of a customer's reversal (its order id begins with the shop's prefix), which
              becomes part of an `order.refunded` whose `refund_id` is that id and whose `order_id`
              is that id without the prefix;
- anonymous   a good line of either, of an order that names no customer;
- refused     a line that can't be used, with the reason. The other lines make the order.

Lines of one order may lie scattered, so all orders are held until the end of the file: about 900
bytes a line, 930 MB for a million. The order's time is the earliest of its lines.

In a reversal the amounts count without their sign: that money went back is said by its id, and
some shops write the minus while others don't. Elsewhere less than one piece is refused (a stock
correction, or a reversal whose prefix was not given). A price of zero is fine: a gift.

What a file says about a customer (the address, the name…) was said at the time of its order, so
newer statements stay, whenever they came; what the next order says as well is not said again. An
empty cell says nothing.

Events have ids that depend on the order alone, so importing a file twice does nothing twice. With
the source of a connected shop they are the facts that its connection tells, too
(`streams/connect/facts.py`): an order by webhook, poll and file is one.

An order that was never paid is no purchase, and one that was called off takes back what was told of
it: its status says so, or a time. That it was sent, or has arrived, is told with the time at which
it was; without one it is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from schemas.bounds import KEY_BYTES
from schemas.events import Event
from streams.connect.facts import guest_key
from streams.feeds.delimited import DelimitedRow
from streams.tools.order_import.import_report import EXAMPLES, ImportReport, Refusal
from streams.tools.order_import.imported_order import ImportedOrder, OrderPiece, check_size
from streams.tools.order_import.order_columns import SUMS, TIMES, TRAITS, WORDS
from streams.tools.order_import.order_events import OrderEvents
from streams.tools.order_import.order_values import FileNotation, LineRefused, Values, trait


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to understand a file."""

    columns: Mapping[str, int]
    """Position of the column of each mapped field (`streams/tools/order_import/order_columns.py`).
    """
    width: int
    """Columns of the header."""
    otherwise: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Positions of columns in which some of these fields stand where their own are empty."""
    notation: FileNotation
    currency: str = "EUR"
    """Where there is no column for it, or nothing in it."""
    cancelled_prefix: str = ""
    """An order id that begins so is a reversal; empty: there are none."""
    source: str = ""
    """Of the connected shop whose orders these are (`shopify:HOST`); empty: of the file's own."""
    customer_prefix: str = ""
    """Before the ids of that shop's customers."""
    with_refunds: bool = True
    """Tell of refunds that a column names; a connection that tells them too has ids of its own for
    them, and they would count twice."""
    backfill: bool = True
    """History: starts nothing. False makes real purchases of it, for replay and the demo."""


class Importer:
    """Takes the rows of one file, then gives the events."""

    def __init__(self, options: ImportOptions, refused: Callable[[Refusal], None]) -> None:
        """`refused` is called for each line that can't be used."""
        self.report = ImportReport()
        self._options = options
        self._refused = refused
        self._values = Values(options.notation)
        self._orders: dict[str, ImportedOrder] = {}
        self._traits: dict[str, Mapping[str, str]] = {}
        """Of each customer what a line has said last, which most others say as well."""

    def add(self, row: DelimitedRow) -> None:
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
        orders = sorted(self._orders.values(), key=lambda order: order.time)
        self._orders = {}
        options = self._options
        yield from OrderEvents(
            self.report,
            source=options.source,
            cancelled_prefix=options.cancelled_prefix,
            with_refunds=options.with_refunds,
            backfill=options.backfill,
        ).of(orders)

    # One row.

    def _take(self, row: DelimitedRow) -> None:
        self._check(row)
        given = self._given(row)
        key = self._values.id("order_id", given.get("order_key") or given["order_id"])
        order = self._orders.get(key)
        if order is None:
            id_ = self._values.id("order_id", given["order_id"] or key)
            order = ImportedOrder(id_, self._is_reversal(id_))
        time = self._time(given["time"], order)
        guest = guest_key(given.get("email", "")) if self._options.source else ""
        customer = self._customer(self._whose(given, guest, order), order)
        currency = self._currency(given.get("currency", ""), order)
        total = self._total(given.get("total", ""), order)
        piece = self._piece(given, order, total)
        if piece is not None:
            check_size(order, piece)
        # From here on nothing is refused.
        self._orders[key] = order
        order.guest = order.guest or guest
        self._note_order(order, given)
        order.time = min(order.time or time, time)
        order.customer, order.currency, order.total = customer, currency, total
        order.lines += 1
        if piece is not None:
            order.pieces.append(piece)
            order.sum += piece.amount()
            order.bytes += piece.bytes()
        if customer:
            self._note_traits(order, given)

    def _given(self, row: DelimitedRow) -> dict[str, str]:
        given = {name: row.fields[at].strip() for name, at in self._options.columns.items()}
        for name, others in self._options.otherwise.items():
            if not given[name]:
                there = (row.fields[at].strip() for at in others)
                given[name] = next((text for text in there if text), "")
        return given

    def _key(self, row: DelimitedRow) -> bytes | None:
        at = self._options.columns.get("customer_id", len(row.fields))
        id_ = self._named(row.fields[at].strip()) if at < len(row.fields) else ""
        key = id_.encode("utf-8", "replace")
        return key if 0 < len(key) <= KEY_BYTES else None

    def _check(self, row: DelimitedRow) -> None:
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

    def _time(self, text: str, order: ImportedOrder) -> int:
        if not text and order.time:
            return order.time  # some shops say it in an order's first line only
        return self._values.time(text)

    def _named(self, text: str) -> str:
        """Whoever is known by the address alone is the same in capitals."""
        columns = self._options.columns
        return text.lower() if columns.get("customer_id") == columns.get("email") else text

    def _whose(self, given: Mapping[str, str], guest: str, order: ImportedOrder) -> str:
        """Return whose order it is: of a connected shop its customer, else the guest with the
        order's address."""
        named = given.get("customer_id", "")
        if not self._options.source:
            return self._named(named)
        if named and named != "0":
            return f"{self._options.customer_prefix}{named}"
        return "" if order.customer else guest

    def _customer(self, text: str, order: ImportedOrder) -> str:
        customer = self._values.id("customer_id", text) if text else order.customer
        if order.customer and customer != order.customer:
            raise LineRefused(
                "other_customer",
                f"customer_id: {customer!r}, but order {order.id!r} is of {order.customer!r}",
            )
        return customer

    def _currency(self, text: str, order: ImportedOrder) -> str:
        currency = self._values.currency(text or order.currency or self._options.currency)
        if order.currency and currency != order.currency:
            raise LineRefused(
                "other_currency",
                f"currency: {currency}, but order {order.id!r} is in {order.currency}",
            )
        return currency

    def _total(self, text: str, order: ImportedOrder) -> Decimal | None:
        """Return the order's total: the first that is given."""
        if not text:
            return order.total
        total = self._amount("total", text, order)
        return total if order.total is None else order.total

    def _piece(
        self, given: Mapping[str, str], order: ImportedOrder, total: Decimal | None
    ) -> OrderPiece | None:
        if not {"product_id", "sku", "name", "price", "quantity"} & given.keys():
            if total is None:
                raise LineRefused("bad_price", "total: neither here nor in an earlier line")
            return None  # one row per order
        price, quantity = given.get("price", ""), given.get("quantity")
        product = given.get("product_id") or given.get("sku") or given.get("name", "")
        if not product and {"product_id", "sku", "name"} & given.keys():
            raise LineRefused("missing_product", "neither product_id nor name is given")
        return OrderPiece(
            product_id=self._values.id("product_id", product or "unknown"),
            name=self._values.text(given.get("name", "")),
            sku=self._values.text(given.get("sku", "")),
            variant=self._values.text(given.get("variant", "")),
            category=self._values.text(given.get("category", "")),
            quantity=1 if quantity is None else self._quantity(quantity, order),
            price=None if not price and total is not None else self._amount("price", price, order),
        )

    def _amount(self, name: str, text: str, order: ImportedOrder) -> Decimal:
        amount = self._values.amount(name, text)
        if amount < 0 and not order.reversal:
            raise LineRefused("negative_price", f"{name}: {text[:40]}{self._prefix_hint()}")
        return abs(amount)

    def _quantity(self, text: str, order: ImportedOrder) -> int:
        quantity = self._values.quantity(text)
        if quantity < 0 and order.reversal:
            return -quantity
        if quantity < 1:
            raise LineRefused("bad_quantity", f"quantity: {quantity}{self._prefix_hint()}")
        return quantity

    def _prefix_hint(self) -> str:
        return "" if self._options.cancelled_prefix else "; --cancelled-prefix marks reversals"

    def _note_order(self, order: ImportedOrder, given: Mapping[str, str]) -> None:
        """Note what the first line that says it says of the order; what can't be read is left
        out."""
        for name in SUMS:
            if given.get(name) and name not in order.sums:
                try:
                    order.sums[name] = abs(self._values.amount(name, given[name]))
                except LineRefused:
                    self.report.left_out.note(name, given[name])
        for name in WORDS:
            if given.get(name):
                order.words.setdefault(name, self._values.text(given[name]))
        for name in TIMES:
            text = given.get(name, "")
            if not text or name in order.times or text.startswith("0000"):
                continue
            try:
                order.times[name] = self._values.time(text)
            except LineRefused:
                self.report.left_out.note(name, text)

    def _note_traits(self, order: ImportedOrder, given: Mapping[str, str]) -> None:
        """Note what a line says about the customer. An empty cell says nothing: a shop that leaves
        one out has not taken it back."""
        said = dict(order.traits)
        before = self._traits.get(order.customer, {})
        for name in TRAITS:
            if name == "email" and self._options.source:
                continue  # of the order, which need not be the account's
            text = given.get(name, "")
            known_as = "name" if name == "customer_name" else name
            if text and before.get(known_as) == text:
                said[known_as] = text
            elif text and (value := trait(known_as, text)):
                said[known_as] = value
            elif text:
                self.report.left_out.note(name, text)
        order.traits = before if said == before else said
        self._traits[order.customer] = order.traits


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
