"""Events in words: codes of ours are explained, amounts are written as in the language."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import PAYLOADS, Event
from schemas.events.odd import OddField
from streams.messages.events import happened, oddities
from streams.messages.translations import Language, title_in

MAIL = {"command_id": "m"}
HARD = {**MAIL, "code": 550, "kind": "hard"}
ORDER = {"order_id": "o1", "total": "1234.5"}


@pytest.mark.parametrize(
    ("type_", "data", "english", "italian"),
    [
        ("mail.held", {**MAIL, "reason": "warm_up"},
         "a mail was held: the sender is new and begins slowly",
         "una mail è stata trattenuta: il mittente è nuovo e comincia piano"),
        ("mail.skipped", {**MAIL, "reason": "expired"},
         "a mail was not sent: too old when the relay was back",
         "una mail non è stata spedita: troppo vecchia quando il server è tornato"),
        ("mail.bounced", {**HARD, "reason": "no_such_user"},
         "a mail bounced: there is no such mailbox",
         "una mail è stata respinta: la casella non esiste"),
        ("mail.bounced", {**HARD, "reason": "expired"},
         "a mail bounced: the customer's server did not take it in time",
         "una mail è stata respinta: il server del cliente non l'ha presa in tempo"),
        ("mail.bounced", {**HARD, "reason": "5.1.1 who is that?"},
         "a mail bounced: 5.1.1 who is that?", "una mail è stata respinta: 5.1.1 who is that?"),
        ("order.completed", {**ORDER, "currency": "EUR"},
         "the customer has bought: o1, €1,234.50", "il cliente ha comprato: o1, 1.234,50 €"),
        ("page.viewed", {"path": "/x", "total": "a lot", "currency": ["EUR"]},
         "the customer looked at a page: /x", "il cliente ha guardato una pagina: /x"),
    ],
)  # fmt: skip
def test_what_happened(type_: str, data: dict[str, Any], english: str, italian: str) -> None:
    event = Event(
        id="1",
        type=type_,
        source="shop",
        time=0,
        customer="anna",
        anonymous_id=None,
        backfill=False,
        data=PAYLOADS[type_].model_validate(data),
    )
    assert happened(event, Language("en")) == english
    assert happened(event, Language("it")) == italian
    assert happened(event, Language("it"), notes=["a", "b"]) == f"{italian} (a; b)"


def test_it_is_said_what_was_assumed() -> None:
    odd = [OddField(name, "'x'", "assumed", kept=True) for name in ("time", "products.0.price")]
    event = Event("1", "page.viewed", "/s", 0, "anna", None, False, None, odd=tuple(odd))
    assert oddities(event, Language("en")) == (
        "read otherwise: time 'x', its zone is not said, the shop's is taken",
        "read otherwise: products.0.price 'x', thousands or decimals is not said, "
        "decimals are taken",
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"it": "Dopo", "en": "After", "de": "Nach"}, "Nach"),
        ({"it": "Dopo", "en": "After"}, "After"),
        ({"it": "Dopo"}, "Dopo"),
        ({}, ""),
    ],
)
def test_a_title_is_in_the_language_or_in_english(given: dict[str, str], said: str) -> None:
    assert title_in(given, Language("de")) == said
