"""Words for the status of an order, as shops have them, and what they mean here.

Case, blanks, hyphens and the prefix of WooCommerce (`wc-`) make no difference. A sentence that says
an order was cancelled says so by one word, `Cancelled (out of stock)`; of no other meaning is that
plain. A word that is not here changes nothing, and is told of (`agents/commerce/order_notices.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Meaning = Literal["cancelled", "refunded", "shipped", "delivered", "alive", "partly_refunded"]
"""alive: it will be, or is. partly_refunded: it says not how much, which a refund has to."""

_WORDS: Mapping[Meaning, str] = {
    "cancelled": """cancelled canceled cancel voided void failed trash trashed deleted declined
        denied expired abandoned rejected annullato annullata annulliert storniert abgebrochen
        annulé annulée annule annulee cancelado cancelada anulado anulada geannuleerd anulowane
        anulowany anulowano""",
    "refunded": """refunded fully_refunded returned reversed chargeback charged_back rimborsato
        rimborsata reso erstattet""",
    "shipped": """shipped partially_shipped partly_shipped fulfilled partial partially_fulfilled
        in_transit out_for_delivery dispatched sent spedito spedita in_consegna versendet""",
    "delivered": "delivered consegnato consegnata picked_up ritirato geliefert zugestellt",
    "alive": """pending pending_payment processing on_hold completed complete paid partially_paid
        open placed confirmed new created accepted authorized in_progress preparing ready_to_ship
        awaiting_payment awaiting_shipment awaiting_fulfillment ready_for_pickup unfulfilled
        unshipped payment_review holded closed restocked in_lavorazione in_attesa pagato pagata
        confermato confermata completato completata in_preparazione in_bearbeitung bezahlt
        abgeschlossen""",
    "partly_refunded": """partially_refunded partly_refunded partial_refund parzialmente_rimborsato
        teilweise_erstattet""",
}
_MEANINGS: Mapping[str, Meaning] = {
    word: meaning for meaning, words in _WORDS.items() for word in words.split()
}

_NO_WORD = re.compile(r"[\W_]+")

_CANCELLED = frozenset(
    {"cancelled", "canceled", "annullato", "annullata", "annulliert", "storniert", "annulé",
     "annulée", "cancelado", "geannuleerd"}
)  # fmt: skip
"""Of an order these words say one thing, whatever stands around them…"""
_NOT_QUITE = frozenset(
    {"not", "never", "no", "non", "nicht", "partially", "partly", "partial", "parzialmente",
     "teilweise", "requested", "request", "richiesto", "pending"}
)  # fmt: skip
"""…but these."""


def meaning(word: str) -> Meaning | None:
    """Return what a status means; None when the word is not known."""
    words = _NO_WORD.split(word.casefold())
    plain = "_".join(filter(None, words))
    found = _MEANINGS.get(plain.removeprefix("wc_"))
    if found is None and _CANCELLED.intersection(words) and not _NOT_QUITE.intersection(words):
        return "cancelled"
    return found
