"""What a shop's order states mean.

A shop may rename, add and take away states, so their ids say nothing. Flags say whether a state is
paid or shipped. No flag tells a delivered order from a shipped one, and a cancelled one from one
that waits for its payment: `delivery` says only that there is a delivery slip, which an order has
while it is being packed. For these PrestaShop itself keeps ids in its configuration (`PS_OS_…`);
where the key may not read that, the state's mail template and its name tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from agents.commerce import order_words
from streams.connect.json_fields import Row, flag, text, whole

Chosen = Literal["paid", "shipped", "delivered", "cancelled", "refunded"]

CONFIGURED: Mapping[str, Chosen] = {
    "PS_OS_DELIVERED": "delivered",
    "PS_OS_CANCELED": "cancelled",
    "PS_OS_REFUND": "refunded",
}
"""Names of PrestaShop's configuration, and what the state is whose id each has."""

_TEMPLATES: Mapping[str, Chosen] = {"order_canceled": "cancelled", "refund": "refunded"}


class OrderState(NamedTuple):
    """What is so of an order that is in a state."""

    paid: bool = False
    """Or counted as a sale by the shop (`logable`), as cash on delivery is."""
    shipped: bool = False
    delivered: bool = False
    cancelled: bool = False
    refunded: bool = False


UNKNOWN = OrderState()


def read_states(
    states: Iterable[Row],
    configuration: Iterable[Row] = (),
    chosen: Mapping[Chosen, Collection[int]] | None = None,
) -> dict[int, OrderState]:
    """Return what each state means, by id.

    `configuration`: rows `{name, value}` of PS_OS_…; `chosen`: ids that the connection names
    itself, which count before all else.
    """
    said = {kind: set(ids) for kind, ids in (chosen or {}).items()}
    configured: dict[Chosen, set[int]] = {}
    for row in configuration:
        kind = CONFIGURED.get(text(row, "name"))
        if kind is not None and (id_ := whole(row, "value")):
            configured.setdefault(kind, set()).add(id_)
    return {
        id_: _meaning(row, _first(said, id_), _first(configured, id_))
        for row in states
        if (id_ := whole(row, "id"))
    }


def texts_of(value: Any) -> list[str]:
    """Return the texts of a field in several languages: `[{"id": "1", "value": "Annullato"}]`, or
    one text where the shop has one language."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, Mapping):
        value = value.get("language", [value])
    each = value if isinstance(value, list) else []
    found = (text(part, "value") for part in each if isinstance(part, Mapping))
    return [said for said in found if said]


def _first(kinds: Mapping[Chosen, Collection[int]], id_: int) -> Chosen | None:
    return next((kind for kind, ids in kinds.items() if id_ in ids), None)


def _meaning(row: Row, said: Chosen | None, configured: Chosen | None) -> OrderState:
    paid, shipped = flag(row, "paid") or flag(row, "logable"), flag(row, "shipped")
    kind = said or configured
    if kind is None and not (paid or shipped):
        kind = _template(row) or _named(row, "cancelled", "refunded")
    elif kind is None and shipped:
        kind = _named(row, "delivered")
    match kind:
        case "cancelled":
            return OrderState(cancelled=True)
        case "refunded":
            return OrderState(refunded=True)
        case "delivered":
            return OrderState(paid=paid, shipped=True, delivered=True)
        case "shipped":
            return OrderState(paid=True, shipped=True)
        case "paid":
            return OrderState(paid=True, shipped=shipped)
        case _:
            return OrderState(paid=paid, shipped=shipped)


def _template(row: Row) -> Chosen | None:
    found = (_TEMPLATES.get(each.strip().lower()) for each in texts_of(row.get("template")))
    return next((kind for kind in found if kind is not None), None)


def _named(row: Row, *wanted: Chosen) -> Chosen | None:
    meanings = {order_words.meaning(name) for name in texts_of(row.get("name"))}
    return next((kind for kind in wanted if kind in meanings), None)
