"""An order of a file while its lines are gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from agents.commerce.order_words import Meaning, meaning
from schemas.money import MAX_AMOUNT
from streams.tools.order_import.order_values import LineRefused

MAX_LINES = 2_000
"""Of one order, as `OrderCompleted.products` allows."""
MAX_ORDER_BYTES = 800_000
"""Of one order's event, below `MAX_EVENT_BYTES` with room for what is estimated."""
LINE_BYTES = 120
"""Of a line's JSON besides its texts."""


class OrderPiece(NamedTuple):
    """What one line adds to an order."""

    product_id: str
    name: str
    category: str
    quantity: int
    price: Decimal | None
    sku: str = ""
    variant: str = ""

    def amount(self) -> Decimal:
        return (self.price or Decimal(0)) * self.quantity

    def bytes(self) -> int:
        texts = (self.product_id, self.name, self.category, self.sku, self.variant)
        return sum(len(text.encode()) for text in texts) + LINE_BYTES


@dataclass(slots=True)
class ImportedOrder:
    id: str
    reversal: bool
    time: int = 0
    currency: str = ""
    customer: str = ""
    total: Decimal | None = None
    pieces: list[OrderPiece] = field(default_factory=list)
    traits: Mapping[str, str] = field(default_factory=dict)
    """What its lines say about the customer."""
    guest: str = ""
    """The key of whoever has its address, of a connected shop's."""
    sums: dict[str, Decimal] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    """As `order_columns.WORDS` names them."""
    times: dict[str, int] = field(default_factory=dict)
    """As `order_columns.TIMES` names them, ms since the epoch."""
    lines: int = 0
    sum: Decimal = Decimal(0)
    bytes: int = 0

    def amount(self) -> Decimal:
        return self.sum if self.total is None else self.total

    def since(self, what: Meaning) -> int | None:
        """Return since when its status says so, as far as that is known; never before it was
        placed."""
        names = {"cancelled": "cancelled_at", "shipped": "shipped_at", "delivered": "delivered_at"}
        time = self.times.get(names.get(what, ""))
        if time is None and meaning(self.words.get("status", "")) == what:
            time = self.times.get("status_at")
        return None if time is None else max(time, self.time)

    def is_said(self, what: Meaning) -> bool:
        """Whether one of its statuses says so."""
        said = (self.words.get("status", ""), self.words.get("shipping_status", ""))
        return any(meaning(word) == what for word in said)


_UNPAID = frozenset(
    {"pending", "pendingpayment", "onhold", "voided", "expired", "unpaid", "draft", "failed",
     "checkoutdraft", "paymenterror", "erroredipagamento", "fallito", "insospeso", "bozza"}
)  # fmt: skip
_UNPAID_BEGIN = ("awaiting", "inattesa")
"""`In attesa di pagamento con bonifico`: PrestaShop has one for each way of paying."""


def is_placed(order: ImportedOrder) -> bool:
    """Whether somebody has paid, or is going to for sure. One that was called off by its status may
    never have been; where a time says it, it was there before."""
    word = "".join(filter(str.isalnum, order.words.get("status", "").casefold()))
    word = word.removeprefix("wc")
    if word in _UNPAID or word.startswith(_UNPAID_BEGIN):
        return False
    return meaning(order.words.get("status", "")) != "cancelled"


def check_size(order: ImportedOrder, piece: OrderPiece) -> None:
    """Raise LineRefused for a line with which an order would be too large."""
    if len(order.pieces) >= MAX_LINES or order.bytes + piece.bytes() > MAX_ORDER_BYTES:
        raise LineRefused("too_large", f"more than {MAX_LINES} lines, or than fit into one event")
    if order.sum + piece.amount() > MAX_AMOUNT:
        raise LineRefused("too_large", f"the order comes to more than {MAX_AMOUNT}")
