"""Conditions, waits and triggers in words."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from agents.rules.fields import Vocabulary
from schemas.definitions.conditions import Condition
from schemas.definitions.conditions import Test as FieldTest
from schemas.definitions.triggers import Trigger
from schemas.definitions.waits import Lateness, Waits
from streams.messages import conditions, triggers, waits
from streams.messages.decisions import Language
from streams.messages.fields import _NAMES, field_name
from streams.messages.spans import span

TRIGGER: TypeAdapter[Any] = TypeAdapter(Trigger)
WAITS: TypeAdapter[Any] = TypeAdapter(Waits)
LANGUAGES: tuple[Language, ...] = get_args(Language)


@pytest.mark.parametrize(
    ("given", "english", "italian"),
    [
        ("1h", "after 1 hour", "dopo 1 ora"),
        ("2d12h", "after 2 days and 12 hours", "dopo 2 giorni e 12 ore"),
        ("0s", "at once", "subito"),
        (
            {"for": "1h", "since": "cart.changed"},
            "1 hour after the cart has changed",
            "1 ora dopo che il carrello è cambiato",
        ),
        (
            {"for": "0s", "since": "order.completed"},
            "as soon as the customer has bought",
            "appena il cliente ha comprato",
        ),
        ({"for": "7d", "since": "entry"}, "7 days after the beginning", "7 giorni dopo l'inizio"),
        (
            {"until": "10:00"},
            "at 10:00 in the customer's zone",
            "alle 10:00, ora del cliente",
        ),
        (
            {"for": "1d", "at": "10:00", "on": ["mon", "tue", "wed", "thu", "fri"]},
            "after 1 day, then on Monday to Friday at 10:00 in the customer's zone",
            "dopo 1 giorno, poi da lunedì a venerdì alle 10:00, ora del cliente",
        ),
        (
            {"for": "0s", "on": ["sat", "mon"]},
            "at once, then on Monday and Saturday",
            "subito, poi lunedì e sabato",
        ),
        (
            {"date": "order.estimated_delivery", "after": "1d"},
            "estimated delivery, 1 day after, at 09:00 in the customer's zone",
            "consegna prevista, 1 giorno dopo, alle 09:00, ora del cliente",
        ),
        (
            {"event": "mail.clicked", "timeout": "3d"},
            "until the customer clicked in a mail, at most 3 days",
            "fino a quando il cliente ha cliccato in una mail, al massimo 3 giorni",
        ),
        (
            {"condition": {"orders.count": {"at_least": 2}}, "timeout": "9d"},
            "until orders: at least 2, at most 9 days",
            "fino a quando ordini: almeno 2, al massimo 9 giorni",
        ),
        (
            [{"for": "5d", "since": "order.delivered"}, {"for": "12d", "since": "entry"}],
            "5 days after the parcel has arrived; while that is not known, "
            "12 days after the beginning",
            "5 giorni dopo che il pacco è arrivato; finché non si sa, 12 giorni dopo l'inizio",
        ),
    ],
)
def test_waits(given: Any, english: str, italian: str) -> None:
    wanted = WAITS.validate_python(given)
    assert waits.waits(wanted, "en") == english
    assert waits.waits(wanted, "it") == italian


def test_what_comes_too_late() -> None:
    skipped = Lateness.model_validate({"after": "2d", "then": "skip"})
    window = {"after": "2h", "then": "window", "window": {"from": "09:00", "to": "20:00"}}
    assert waits.lateness(skipped, "en") == "left out when more than 2 days late"
    said = waits.lateness(Lateness.model_validate(window), "it")
    assert said == "con più di 2 ore di ritardo, solo dalle 09:00 alle 20:00"
    assert waits.lateness(Lateness(then="fire"), "en") == ""


@pytest.mark.parametrize(
    ("given", "english", "italian"),
    [
        ({"profile.country": "IT"}, "country: IT", "paese: IT"),
        ({"orders.count": {"at_least": 2, "below": 5}}, "orders: at least 2 and below 5",
         "ordini: almeno 2 e meno di 5"),
        ({"profile.country": ["IT", "SM"]}, "country: IT or SM", "paese: IT o SM"),
        ({"orders.coupon_share": {"above": 0.5}}, "share of orders with a discount: above 0.5",
         "quota di ordini con sconto: più di 0,5"),
        ({"consents.marketing": False}, "consent to marketing: no", "consenso al marketing: no"),
        ({"orders.last": {"longer_ago_than": "60d"}}, "last order: more than 60 days ago",
         "ultimo ordine: più di 60 giorni fa"),
        ({"order.runs_out": {"known": True}}, "end of the supply: known",
         "fine della scorta: si conosce"),
        ({"event.topic": "size", "tags": {"lacks": "vip"}},
         "topic of the event: size and tags: without vip",
         "topic dell'evento: size e tag: senza vip"),
        ({"any": [{"tags": {"contains": "vip"}}, {"points": {"at_least": 500}, "tier": "gold"}]},
         "(tags: with vip or (loyalty points: at least 500 and loyalty tier: gold))",
         "(tag: con vip o (punti fedeltà: almeno 500 e livello fedeltà: gold))"),
        ({"not": {"cart.categories": {"contains": "tè"}}}, "not (categories in the cart: with tè)",
         "non (categorie nel carrello: con tè)"),
        ({"cel": "orders.count > 1.0"}, "orders.count > 1.0", "orders.count > 1.0"),
        ({}, "always", "sempre"),
    ],
)  # fmt: skip
def test_conditions(given: Any, english: str, italian: str) -> None:
    wanted = Condition.model_validate(given)
    assert conditions.condition(wanted, "en") == english
    assert conditions.condition(wanted, "it") == italian


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_test_and_every_field_has_words(language: Language) -> None:
    assert Vocabulary().fields().keys() == _NAMES.keys()
    for name in _NAMES:
        assert field_name(name, language).strip()
    for name in FieldTest.model_fields:
        value: Any = ["a"] if name in ("one_of", "not_in") else 1
        given = FieldTest.model_construct(_fields_set={name}, **{name: value})
        said = conditions.condition(Condition(fields={"tier": given}), language)
        assert said.partition(": ")[2]


@pytest.mark.parametrize(
    ("given", "english"),
    [
        ("cart.changed", "the cart has changed"),
        (
            {"on": "product.viewed", "times": 3, "within": "7d", "same": "product_id"},
            "the customer looked at a product, 3 times within 7 days, the same product",
        ),
        (
            {"on": "support.requested", "where": {"event.topic": "size"}},
            "the customer asked for help (topic of the event: size)",
        ),
        ({"segment": "vip"}, "the customer enters the segment vip"),
        ({"segment": "vip", "when": "left"}, "the customer leaves the segment vip"),
        ({"score": "lead", "above": 50}, "the score lead rises above 50"),
        ({"score": "lead", "below": 0}, "the score lead falls below 0"),
        ({"tag": "lead"}, "the tag lead is put on"),
        ({"tag": "lead", "when": "removed"}, "the tag lead is taken off or runs out"),
        (
            {"date": "profile.birthday", "before": "2d"},
            "every year: birthday, 2 days before, at 09:00 in the customer's zone",
        ),
        ({"inactive": "orders", "for": "60d"}, "no order for 60 days"),
        ({"inactive": "interactions", "for": "90d"}, "no sign of life for 90 days"),
        ({"product": "price_drop"}, "a product costs less that interests the customer"),
        (
            {"product": "low_stock", "of": "in_cart"},
            "a product is running out that lies in the cart",
        ),
        ({"tier": "up", "to": "gold"}, "the loyalty tier goes up to gold"),
        ({"points": 200}, "200 loyalty points are reached"),
        ({"called": True}, "another workflow calls it"),
    ],
)
def test_triggers(given: Any, english: str) -> None:
    wanted = TRIGGER.validate_python(given)
    assert triggers.trigger(wanted, "en") == english
    assert triggers.trigger(wanted, "it") not in ("", english)


def test_spans_have_all_their_parts() -> None:
    assert span(90_061_000, "en") == "1 day, 1 hour, 1 minute and 1 second"
    assert span(0, "it") == "0 secondi"
