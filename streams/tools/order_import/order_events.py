"""Gathered orders become events; see `streams/tools/order_import/importer.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from agents.commerce.order_words import meaning
from schemas.addresses import same_address
from schemas.events import Event
from schemas.events.fields import Payload, is_address
from schemas.events.person import Traits
from schemas.events.shopping import OrderCompleted, OrderProgress, OrderReversed
from schemas.money import amount_text
from streams.connect.facts import fact
from streams.tools.order_import.import_report import ImportReport
from streams.tools.order_import.imported_order import ImportedOrder, is_placed
from streams.tools.order_import.order_columns import SUMS

SOURCE = "/ritorno/import"

MAX_ID = 200
"""Characters of an event's id."""


class OrderEvents:
    """Makes events of the orders of one file."""

    def __init__(
        self,
        report: ImportReport,
        *,
        source: str,
        cancelled_prefix: str,
        with_refunds: bool,
        backfill: bool,
    ) -> None:
        """As `ImportOptions` has them."""
        self._report = report
        self._source = source
        self._cancelled_prefix = cancelled_prefix
        self._with_refunds = with_refunds
        self._backfill = backfill

    def of(self, orders: Iterable[ImportedOrder]) -> Iterator[Event]:
        """Yield the events of orders, counting what they hold."""
        told: dict[str, dict[str, str]] = {}
        report = self._report
        for order in orders:
            if not order.customer:
                report.anonymous += order.lines
                report.anonymous_orders += 1
                continue
            if not order.reversal and not is_placed(order):
                report.unplaced += order.lines
                report.unplaced_orders += 1
                yield from self._called_off(order)
                continue
            yield from self._profile(order, told)
            report.events += 1
            yield self._reversal(order) if order.reversal else self._purchase(order)
            if not order.reversal:
                yield from self._sent(order)
            yield from self._refunded(order)
            yield from self._called_off(order)
        report.customers = len(told)

    def _profile(self, order: ImportedOrder, told: dict[str, dict[str, str]]) -> Iterator[Event]:
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
            self._report.events += 1
            data = Traits.model_validate(dict(sorted(traits.items())))
            yield self._event(id_, "customer.updated", order, data)

    def _purchase(self, order: ImportedOrder) -> Event:
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
                **{name: order.sums[name] for name in SUMS[:-1] if name in order.sums},
                **{
                    name: order.words[name]
                    for name in ("coupon", "payment_method", "order_number")
                    if name in order.words
                },
                **self._contact(order),
            }
        )
        report = self._report
        report.applied += order.lines
        report.orders += 1
        report.items += sum(piece.quantity for piece in order.pieces)
        report.revenue[order.currency] += data.amount()
        named = fact("order", order.id, "completed") if self._source else order.id
        return self._event(named, "order.completed", order, data)

    def _contact(self, order: ImportedOrder) -> dict[str, str]:
        address = order.words.get("email", "")
        return {"email": address} if self._source and is_address(address) else {}

    def _sent(self, order: ImportedOrder) -> Iterator[Event]:
        """Yield that it was sent and has arrived, as far as it is known when."""
        report = self._report
        shipped, delivered = order.since("shipped"), order.since("delivered")
        number = order.words.get("tracking_number", "")
        if shipped is not None:
            report.shipped += 1
            report.events += 1
            data = OrderProgress(
                order_id=order.id,
                carrier=order.words.get("carrier"),
                tracking_number=number or None,
            )
            named = fact("order", order.id, "shipped", number)[:MAX_ID]
            yield self._event(named, "order.shipped", order, data)._replace(time=shipped)
        if delivered is not None:
            report.delivered += 1
            report.events += 1
            named = fact("order", order.id, "delivered")
            data = OrderProgress(order_id=order.id)
            yield self._event(named, "order.delivered", order, data)._replace(time=delivered)
        is_said = order.is_said("shipped"), order.is_said("delivered")
        if (is_said[0] and shipped is None) or (is_said[1] and delivered is None):
            report.undated += 1

    def _refunded(self, order: ImportedOrder) -> Iterator[Event]:
        """Yield what went back of an order, when a column or its status says so."""
        back = order.sums.get("refunded")
        if back is None and meaning(order.words.get("status", "")) == "refunded":
            back = order.amount()
        if not back or order.reversal:
            return
        if not self._with_refunds:
            self._report.refunds_left_out += 1
            return
        back = min(back, order.amount()) if order.amount() else back
        self._report.refunds += 1
        self._report.refunded[order.currency] += back
        self._report.events += 1
        named = fact("order", order.id, "refunded", amount_text(back))
        data = OrderReversed(
            order_id=order.id, refund_id=named[:MAX_ID], total=back, currency=order.currency
        )
        yield self._event(named, "order.refunded", order, data)

    def _called_off(self, order: ImportedOrder) -> Iterator[Event]:
        """Yield that an order was called off. One that never was is nothing to the file's own."""
        since = order.since("cancelled")
        is_off = since is not None or meaning(order.words.get("status", "")) == "cancelled"
        if not is_off or not (self._source or is_placed(order)):
            return
        self._report.events += 1
        event = self._event(
            fact("order", order.id, "cancelled"),
            "order.cancelled",
            order,
            OrderReversed(order_id=order.id),
        )
        yield event._replace(time=since or order.time)

    def _reversal(self, order: ImportedOrder) -> Event:
        data = OrderReversed(
            order_id=order.id.removeprefix(self._cancelled_prefix),
            refund_id=order.id,
            total=order.amount(),
            currency=order.currency,
        )
        report = self._report
        report.cancelled += order.lines
        report.refunds += 1
        report.refunded[order.currency] += order.amount()
        return self._event(order.id, "order.refunded", order, data)

    def _event(self, id_: str, type_: str, order: ImportedOrder, data: Payload) -> Event:
        source = self._source
        return Event(
            id=id_ if source else _event_id(id_),
            type=type_,
            source=source or SOURCE,
            time=order.time,
            customer=order.customer,
            # A customer's bill may go to somebody else's address, which links nobody.
            anonymous_id=order.guest if order.customer == order.guest and order.guest else None,
            backfill=self._backfill,
            data=data,
            named=bool(source) and order.customer != order.guest,
        )


def _event_id(what: str) -> str:
    id_ = f"import:{what}"
    if len(id_) <= MAX_ID:
        return id_
    return f"import:{hashlib.blake2b(what.encode(), digest_size=16).hexdigest()}"
