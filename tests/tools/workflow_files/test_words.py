"""Conditions, waits and triggers in words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from schemas.decisions import DecisionKind, Reason
from schemas.definitions.conditions import Condition
from schemas.definitions.conditions import Test as FieldTest
from schemas.definitions.steps import PointsStep
from schemas.definitions.triggers import Trigger
from schemas.definitions.waits import Lateness, Waits
from streams.messages import conditions, triggers, waits
from streams.messages.decisions import kind, reason
from streams.messages.spans import day_of_year, money, number, span, weekdays
from streams.messages.steps import step
from streams.messages.translations import Language, languages

TRIGGER: TypeAdapter[Any] = TypeAdapter(Trigger)
WAITS: TypeAdapter[Any] = TypeAdapter(Waits)


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
        ({"orders.last": {"within": "60d"}}, "last order: in the last 60 days",
         "ultimo ordine: negli ultimi 60 giorni"),
        ({"orders.last": {"within": "1d"}}, "last order: in the last day",
         "ultimo ordine: nell'ultimo giorno"),
        ({"last_active": {"within": "2h"}}, "last activity: in the last 2 hours",
         "ultima attività: nelle ultime 2 ore"),
        ({"last_active": {"within": "1d12h"}}, "last activity: in the last 1 day and 12 hours",
         "ultima attività: negli ultimi 1 giorno e 12 ore"),
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


@pytest.mark.parametrize("language", languages())
def test_every_test_has_words(language: Language) -> None:
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
        ({"points": 1}, "1 loyalty point is reached"),
        ({"called": True}, "another workflow calls it"),
    ],
)
def test_triggers(given: Any, english: str) -> None:
    wanted = TRIGGER.validate_python(given)
    assert triggers.trigger(wanted, "en") == english
    for language in languages():
        assert language == "en" or triggers.trigger(wanted, language) not in ("", english)


def test_spans_have_all_their_parts() -> None:
    assert span(90_061_000, "en") == "1 day, 1 hour, 1 minute and 1 second"
    assert span(0, "it") == "0 secondi"


@pytest.mark.parametrize(
    ("points", "english", "italian"),
    [(1, "+1 point", "+1 punto"), (-1, "−1 point", "−1 punto"), (50, "+50 points", "+50 punti")],
)
def test_points_are_one_or_several(points: int, english: str, italian: str) -> None:
    given = PointsStep(id="p", points=points)
    assert step(given, Language("en")).about == english
    assert step(given, Language("it")).about == italian


def test_numbers_days_and_money_are_written_as_in_each_language() -> None:
    for language, half, thousands, day, week, price in (
        ("it", "0,5", "1234567", "20 novembre", "da lunedì a venerdì", "1.234,50 €"),
        ("en", "0.5", "1234567", "20 November", "Monday to Friday", "€1,234.50"),
    ):
        given = Language(language)
        assert number(0.50, given) == half
        assert number(1_234_567, given) == thousands
        assert day_of_year("11-20", given) == day
        assert weekdays(("mon", "tue", "wed", "thu", "fri"), given) == week
        assert money(Decimal("1234.5"), "EUR", given) == price
    assert money(Decimal("52"), None, Language("it")) == "52,00"
    assert day_of_year("02-29", Language("en")) == "29 February"


@pytest.mark.parametrize("language", languages())
def test_decisions_and_reasons_are_clauses(language: Language) -> None:
    for each in get_args(DecisionKind):
        assert kind(each, language, "reminder").split().count("reminder") == 1
        assert "  " not in kind(each, language)
    for each in get_args(Reason):
        assert reason(each, language)[0].islower()
        assert " " in reason(each, language)
