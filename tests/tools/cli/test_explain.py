"""`ritorno explain`: the story is all there, in order, in the language that was asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from schemas.customer import Customer, encode_customer, encode_erased
from schemas.decisions import Decision
from schemas.records import OutRecord
from streams.clock import SystemClock
from streams.messages.decisions import with_detail
from streams.messages.translations import Language
from streams.partitioner import partition_of
from streams.runtime.factories import log_from
from streams.settings.loading import load_settings
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, FACTS
from tests.harness import DAY, HOUR, SHIPPED, Harness
from tests.tools.cli.conftest import Ritorno, ritorno

__all__ = ["ritorno"]

EVENTS = [
    ("2026-03-02T09:00:00Z", "customer.created", {"email": "anna@posta.example"}),
    ("2026-03-02T21:30:00Z", "list.subscribed", {"list": "news", "confirmed": True}),
    ("2026-03-03T09:00:00Z", "cart.product_added",
     {"product_id": "moka", "name": "Moka\x1b[31m", "price": "29.90"}),
    ("2026-03-04T15:00:00Z", "order.completed",
     {"order_id": "o1", "total": "29.90", "products": [{"product_id": "moka"}]}),
]  # fmt: skip


@pytest.fixture
def replayed(ritorno: Ritorno) -> Ritorno:
    """Anna's story has been replayed into `out`."""
    lines = [
        json.dumps({"specversion": "1.0", "id": str(n), "subject": "anna", "time": time,
                    "type": type_, "data": data})
        for n, (time, type_, data) in enumerate(EVENTS)
    ]  # fmt: skip
    Path("events.ndjson").write_text("\n".join([*lines, "{broken"]) + "\n")
    ritorno("replay", "events.ndjson", "--until", "2026-03-06", "--out", "out")
    return ritorno


def test_the_story_in_italian(replayed: Ritorno) -> None:
    done = replayed("explain", "anna", "--from", "out", "--events", "events.ndjson")
    assert done.code == 0
    said = [line.strip() for line in done.out.splitlines()]
    for expected in (
        "2026-03-02 22:30    il cliente si è iscritto: news",
        "2026-03-02 22:30    · Benvenuto trattiene thanks: "
        "a quest'ora si lascia in pace la gente (21:00-09:00)",
        "2026-03-03 09:00    · Benvenuto spedisce thanks: è arrivato il suo momento",
        "2026-03-03 11:00    · Carrello abbandonato trattiene reminder: "
        "per ora il cliente ha ricevuto abbastanza posta (1 al giorno)",
        "2026-03-04 01:00    · Carrello abbandonato tralascia reminder: ha aspettato troppo "
        "(per ora il cliente ha ricevuto abbastanza posta)",
        "2026-03-04 16:00    · Carrello abbandonato finisce: il cliente ha comprato",
    ):
        assert expected in said
    assert said[-1].startswith("e adesso            Dopo l'acquisto: aspetta il 2026-03-07 04:00")
    assert said[0] == "Gli orari sono quelli di Europe/Rome."
    times = [line[:16] for line in said[1:-1] if line.startswith("2026")]
    assert times == sorted(times)
    assert sum(line.startswith("letto altrimenti: name") for line in said) == 1  # \x1b in it
    assert "anna@posta.example" not in done.out
    assert "\x1b" not in done.out


def test_the_story_in_english_and_for_a_program(replayed: Ritorno) -> None:
    done = replayed("explain", "anna", "--from", "out", "--lang", "en")
    assert "Welcome holds thanks: people rest at this hour (21:00-09:00)" in done.out
    assert done.out.startswith("Times are those of Europe/Rome.\n")
    german = replayed("explain", "anna", "--from", "out", "--lang", "de").out
    assert "Welcome hält thanks zurück" in german, "not by its Italian title"
    assert "Benvenuto" not in german
    [told] = replayed("explain", "anna", "--from", "out", "--json").json
    assert told["customer"] == "anna"
    assert told["waiting"][0]["workflow"] == "w05-post-purchase"
    held = [line for line in told["story"] if line["type"] == "held"]
    assert [(line["step"], line["reason"]) for line in held] == [
        ("thanks", "quiet_hours"), ("reminder", "frequency_cap")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bruno", "--from", "out"], "nothing is known about 'bruno'; --events FILE adds what"),
        (["anna", "--from", "nowhere"], "nowhere/customers.ndjson"),
        (["anna", "--from", "out", "--lang", "xx"], "no language 'xx'; there are: "),
        (["anna", "--events", "events.ndjson"], "--events belongs to --from"),
        (["anna", "--from", "out", "--events", "none.ndjson"], "none.ndjson"),
    ],
)
def test_mistakes_are_explained(replayed: Ritorno, arguments: list[str], said: str) -> None:
    done = replayed("explain", *arguments)
    assert done.code == 2
    assert said in done.err


def test_the_story_from_the_log(ritorno: Ritorno) -> None:
    """The visitor's part is in it, repeats are told once, and so is what became of the mails."""
    harness = Harness(SHIPPED)
    harness.tell("product.viewed", "v-1", product_id="moka", name="Moka")
    harness.tell("customer.identified", "v-1", customer_id="anna").subscribed().at(23 * HOUR)
    harness.add().at(DAY)
    [reminder] = harness.commands
    harness.tell("mail.sent", command_id=reminder.id, workflow=reminder.workflow,
                 step=reminder.step, message_id="m")  # fmt: skip
    facts = [each.record for each in harness.effects if each.topic == FACTS]
    ritorno("topics", "create")
    events = [OutRecord(r.key, r.value, r.headers) for r in harness.records if r.key is not None]
    _append(CUSTOMER_EVENTS, events)
    _append(FACTS, [*facts, *facts])  # a batch was repeated
    states = [OutRecord(key, stored) for key, stored in harness.store.items()]
    _append(CUSTOMERS_CHANGELOG, states)
    done = ritorno("explain", "anna", "--lang", "en")
    texts = [line[20:].strip() for line in done.out.splitlines()]
    assert any(text.startswith("the customer looked at a product: Moka") for text in texts)
    assert texts.count("· Abandoned cart sends reminder: its time has come") == 1
    assert any(text.startswith("Abandoned cart: a mail was sent: reminder") for text in texts)
    assert any(text.startswith("Abandoned cart: waits for 2026-03-") for text in texts)


def test_what_there_is_to_know_of_an_event_is_beside_it(ritorno: Ritorno) -> None:
    """That it came late, is about no order, is not declared, and brings no points; a refund is in
    its order's currency."""
    calls = [
        ("Order Refunded", "10:00", {"order_id": "o9", "total": "5.00"}),
        ("Order Completed", "10:00", {"order_id": "o1", "total": "80.00", "currency": "USD"}),
        ("Order Refunded", "10:00", {"order_id": "o1", "total": "10.00"}),
        ("Quiz completato", "10:00", {"score": "sette"}),
        ("Lottery Won", "09:00", {}),
    ]
    lines = [
        json.dumps({"type": "track", "event": name, "userId": "anna", "messageId": str(number),
                    "timestamp": f"2026-03-02T{time}:00Z", "properties": properties})
        for number, (name, time, properties) in enumerate(calls)
    ]  # fmt: skip
    Path("events.ndjson").write_text("\n".join(lines) + "\n")
    ritorno("replay", "events.ndjson", "--until", "2026-03-03", "--out", "out")
    done = ritorno("explain", "anna", "--from", "out", "--events", "events.ndjson", "--lang", "en")
    said = [line[20:].strip() for line in done.out.splitlines() if "·" not in line][1:-1]
    assert said == [
        "the order was refunded: o9, 5.00 "
        "(no such order under this id so far: it waits for it, for 90 days)",
        "the customer has bought: o1, US$80.00 (no rate of USD, so no points)",
        "the order was refunded: o1, US$10.00",
        "Quiz finished",
        "left out: score 'sette', another kind of value",
        "custom.lottery_won (came late, is of 2026-03-02 10:00; not declared in events.yaml, so it "
        "changes nothing)",
    ]


def test_two_sources_that_count_alike_are_both_told(ritorno: Ritorno) -> None:
    harness = Harness(SHIPPED)
    for sender, product in (("/till", "moka"), ("/web", "tazza"), ("/web", "tazza")):
        harness.tell("product.viewed", "anna", id_="1", sender=sender, product_id=product)
    ritorno("topics", "create")
    _append(CUSTOMER_EVENTS, [OutRecord(r.key, r.value, r.headers) for r in harness.records])
    said = ritorno("explain", "anna", "--lang", "en").out
    assert said.count("looked at a product: moka") == 1
    assert said.count("looked at a product: tazza") == 1


def test_who_was_erased_has_no_story(ritorno: Ritorno) -> None:
    ritorno("topics", "create")
    stored = [encode_customer(Customer(key="gone", applied=1)), encode_erased(2)]
    _append(CUSTOMERS_CHANGELOG, [OutRecord(b"gone", each) for each in stored])
    assert "'gone' was erased" in ritorno("explain", "gone").err
    assert "nothing is known about 'nobody'" in ritorno("explain", "nobody").err


@pytest.mark.parametrize(
    ("reason", "detail", "english", "italian"),
    [
        ("frequency_cap", "1 per day", "1 per day", "1 al giorno"),
        ("frequency_cap", "3 per 7d", "3 per 7 days", "3 in 7 giorni"),
        ("frequency_cap", "1 per 30d of w", "1 per 30 days of w", "1 in 30 giorni di w"),
        ("fatigue", "9 ignored: 1 per 6d", "9 ignored: 1 per 6 days", "9 ignorate: 1 in 6 giorni"),
        ("fatigue", "1 ignored: 1 per 1d", "1 ignored: 1 per 1 day", "1 ignorata: 1 in 1 giorno"),
        ("fatigue", "asked for less: 1 per day", "asked for less: 1 per day",
         "ha chiesto meno posta: 1 al giorno"),
        ("fatigue", "left a list: 1 per 6d", "left a list: 1 per 6 days",
         "ha lasciato una lista: 1 in 6 giorni"),
        ("mix", "4 of 10 in 30d", "4 of 10 in 30 days", "4 di 10 in 30 giorni"),
        ("frequency_cap", "3 per week", "3 per week", "3 per week"),  # no duration of ours
        ("mix", "2 of 3 in month", "2 of 3 in month", "2 of 3 in month"),
        ("mix", "as another release says it", "as another release says it",
         "as another release says it"),
        ("outranked", "w06-abandoned-cart-a reminder", "w06-abandoned-cart-a reminder",
         "w06-abandoned-cart-a reminder"),
        ("goal", "order.completed", "the customer has bought", "il cliente ha comprato"),
        ("goal", "purchase", "purchase", "purchase"),
        ("step", "subscribe news", "subscribe news", "iscrive a news"),
        ("step", "tag none: what it names is not known", "tag none: what it names is not known",
         "nessun tag: ciò che nomina non si conosce"),
        ("step", "something new", "something new", "something new"),
    ],
)  # fmt: skip
def test_details_are_put_into_words(reason: str, detail: str, english: str, italian: str) -> None:
    data: dict[str, Any] = {"time": 1_772_445_600_000, "customer": "a", "workflow": "w",
                            "version": "v", "run": "r"}  # fmt: skip
    kind = {"step": "acted", "goal": "converted"}.get(reason, "held")
    decision = Decision(**data, decision=kind, reason=reason, detail=detail)
    assert with_detail(decision, "W", Language("it")).endswith(f"({italian})")
    assert with_detail(decision, "W", Language("en")).endswith(f"({english})")


def _append(topic: str, records: Iterable[OutRecord]) -> None:
    async def append() -> None:
        log = log_from(load_settings(), SystemClock())
        await log.start()
        count = await log.partitions(topic)
        for record in records:
            await log.append(topic, partition_of(record.key or b"", count), [record])
        await log.stop()

    asyncio.run(append())
