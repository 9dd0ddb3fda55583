"""A key that stands in a page says what people do there, of themselves, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import json
from types import SimpleNamespace
from typing import Any

import pytest

from agents.customer import speaker
from schemas.customer import Customer
from schemas.records import Record
from schemas.wire import parse_record, to_record
from streams.clock import VirtualClock
from streams.http.ingest.endpoints import BOTS
from streams.http.ingest.origins import REMEMBERED, RefusedOrigins
from tests.harness import Harness
from tests.http.ingest.posting import OLD_PUBLIC, ORIGIN, PROOF, PUBLIC, START, Posting


def proof(user_id: str) -> str:
    """As a shop's server makes it."""
    return hmac.new(PROOF.encode(), user_id.encode(), hashlib.sha256).hexdigest()


def track(event: str, id_: str = "m", **more: Any) -> dict[str, Any]:
    properties = more.pop("properties", {})
    return {"type": "track", "event": event, "messageId": id_, "anonymousId": "a-7",
            "properties": properties, **more}  # fmt: skip


SHOPS_OWN = {
    "an order's change": track("Order Updated", properties={"order_id": "1"}),
    "a refund": track("Order Refunded", properties={"order_id": "1", "total": "9.00"}),
    "a cancellation": track("Order Cancelled", properties={"order_id": "1"}),
    "consent to marketing": track("Consent Given", properties={"purpose": "marketing"}),
    "the end of it": track("Consent Withdrawn", properties={"purpose": "marketing"}),
    "an erasure": track("Customer Erasure Requested"),
    "a copy of the data": track("Customer Data Requested"),
    "the end of a subscription": track("List Unsubscribed"),
    "a bounce": track("Email Bounced"),
    "a company": {"type": "group", "groupId": "g", "anonymousId": "a-7", "messageId": "m"},
    "who somebody is": {"type": "alias", "userId": "anna", "previousId": "a-7", "messageId": "m"},
    "what a guest does": track(
        "Product Viewed", anonymousId="email:0b5f2c", properties={"product_id": "p"}
    ),
    "what is in a cart of the shop's": track(
        "Product Viewed", anonymousId="cart:Z2NwLWV1", properties={"product_id": "p"}
    ),
    "what is in a checkout of the shop's": track(
        "Product Viewed", anonymousId="checkout:c4f1", properties={"product_id": "p"}
    ),
    "history": track("Product Viewed", properties={"product_id": "p"}, backfill=True),
}


@pytest.mark.parametrize("what", SHOPS_OWN)
async def test_what_is_the_shops_to_say_needs_a_secret_key(port: Posting, what: str) -> None:
    call = SHOPS_OWN[what]
    single = await port.post(f"/v1/{call['type']}", call, key=PUBLIC)
    assert (single.status, single.body["reason"]) == (403, "withheld")
    batch = await port.post("/v1/batch", {"batch": [call]}, key=PUBLIC)
    assert [each["reason"] for each in batch.body["refused"]] == ["withheld"]
    assert await port.events() == []
    assert await port.letters() == [], "an open door fills no log"
    label = 'ritorno_ingest_refused_total{key="site",reason="withheld"}'
    assert port.metric(label) == "2.0"


async def test_a_user_id_is_a_claim_and_the_event_is_its_visitors(port: Posting) -> None:
    for call in (
        track("Product Viewed", "1", userId="anna", properties={"product_id": "p"}),
        {"type": "identify", "userId": "anna", "anonymousId": "a-7", "messageId": "2",
         "traits": {"email": "x@example.it"}},
        track("Consent Given", "3", userId="anna", properties={"purpose": "tracking"}),
    ):  # fmt: skip
        assert (await port.post("/v1/batch", {"batch": [call]}, key=PUBLIC)).body == {
            "success": True
        }
    events = await port.events()
    assert {(each.customer, each.anonymous_id, each.named, each.public) for each in events} == {
        ("a-7", "a-7", False, True)
    }
    assert [each.type for each in events] == [
        "product.viewed", "customer.updated", "consent.given"
    ]  # fmt: skip
    nobody = await port.post("/v1/track", track("Product Viewed", anonymousId="", userId="anna"),
                             key=PUBLIC)  # fmt: skip
    assert (nobody.status, nobody.body["reason"]) == (400, "missing_id")


async def test_the_shops_server_proves_who_it_is(port: Posting) -> None:
    context = {"userHash": proof("anna")}
    await port.post("/v1/track", track("Cart Viewed", "1", userId="anna", context=context),
                    key=PUBLIC)  # fmt: skip
    await port.post("/v1/track", track("Cart Viewed", "2", userId="anna", context=context),
                    key=PUBLIC)  # fmt: skip
    wrong = {"userHash": proof("berta")}
    await port.post("/v1/track", track("Cart Viewed", "3", userId="carla", context=wrong),
                    key=PUBLIC)  # fmt: skip
    events = {each.id: each for each in await port.events()}
    assert sorted(events) == ["1", "1/linked", "2", "3"]
    link = events["1/linked"]
    assert (link.customer, link.anonymous_id, link.public) == ("anna", "a-7", False)
    identify = {"type": "identify", "userId": "anna", "anonymousId": "a-7", "messageId": "4",
                "context": context}  # fmt: skip
    await port.post("/v1/identify", identify, key=PUBLIC)
    assert "4/linked" in {each.id for each in await port.events()}


async def test_a_visitor_who_is_proven_becomes_the_customer(port: Posting) -> None:
    """What is in the log, read by the actors."""
    cart = {"product_id": "moka", "price": "26.00"}
    await port.post("/v1/track", track("Product Added", "1", properties=cart), key=PUBLIC)
    context = {"userHash": proof("anna")}
    identify = {"type": "identify", "userId": "anna", "anonymousId": "a-7", "messageId": "2",
                "context": context, "traits": {"email": "altra@example.it"}}  # fmt: skip
    await port.post("/v1/identify", identify, key=PUBLIC)
    await port.post("/v1/track", track("Checkout Started", "3", userId="anna", properties={}),
                    key=PUBLIC)  # fmt: skip
    harness = Harness()
    harness.tell("customer.created", "anna", named=True, email="anna@example.it")
    for event in sorted(await port.events(), key=lambda each: each.id):
        harness.append(to_record(event))
    anna = harness.customer("anna")
    assert anna.profile.email == "anna@example.it", "what a page says moves no address"
    assert [line.product_id for line in anna.cart.lines] == ["moka"]
    assert anna.cart.step == "started"
    assert not harness.refusals
    assert speaker.is_customers(anna) and isinstance(anna, Customer)


async def test_an_order_in_a_page_is_a_hint(port: Posting) -> None:
    order = {"order_id": "1001", "total": "52.00", "currency": "EUR", "products": []}
    await port.post("/v1/track", track("Order Completed", properties=order), key=PUBLIC)
    (event,) = await port.events()
    assert (event.type, event.data.order_id) == ("order.hinted", "1001")
    record = to_record(event)
    assert parse_record(Record("customer-events", 0, 0, 0, *record)).public


async def test_a_cloud_event_within_a_batch_is_its_visitors_under_the_keys_source(
    port: Posting,
) -> None:
    said = {"specversion": "1.0", "type": "product.viewed", "data": {"product_id": "p"}}
    batch = [
        {**said, "id": "e-1", "subject": "anna", "anonymousId": "v-1"},  # names no visitor
        {**said, "id": "e-2", "source": "shopify:negozio.myshopify.com", "anonymousid": "v-2"},
        {**said, "id": "e-3", "subject": "anna", "anonymousid": "v-3"},
        track("Product Viewed", "m-1", properties={"product_id": "p"}),
    ]
    answer = await port.post("/v1/batch", {"batch": batch}, key=PUBLIC)
    assert answer.status == 200
    assert [(each["index"], each["reason"]) for each in answer.body["refused"]] == [
        (0, "missing_id")
    ]
    told = {event.id: event for event in await port.events()}
    assert {id_: event.customer for id_, event in told.items()} == {
        "e-2": "v-2", "e-3": "v-3", "m-1": "a-7"
    }  # fmt: skip
    assert {event.source for event in told.values()} == {"/negozio/sito"}
    assert all(event.public and not event.named for event in told.values())


async def test_pages_of_others_may_not_use_the_key(port: Posting) -> None:
    call = track("Product Viewed", properties={"product_id": "p"})
    theirs = {"Origin": "https://altro.example.it"}
    answer = await port.post("/v1/track", call, key=PUBLIC, headers=theirs)
    assert (answer.status, answer.body["reason"]) == (403, "origin")
    assert "Access-Control-Allow-Origin" not in answer.headers
    secret = await port.post("/v1/track", call, headers={"Origin": ORIGIN})
    assert (secret.status, secret.body["reason"]) == (403, "origin")
    ours = await port.post("/v1/track", call, key=OLD_PUBLIC, headers={"Origin": ORIGIN})
    assert (ours.status, ours.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
    async with port.session.options(f"{port.root}/v1/track", headers=asked) as before:
        assert before.status == 204
        assert before.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
        assert before.headers["Access-Control-Allow-Methods"] == "POST"
    async with port.session.options(f"{port.root}/v1/none", headers=asked | theirs) as before:
        assert before.status == 404
    async with port.session.options(f"{port.root}/v1/track", headers=asked | theirs) as before:
        assert before.status == 403
        assert "Access-Control-Allow-Origin" not in before.headers


async def test_bots_are_counted_and_go_nowhere(port: Posting) -> None:
    agent = {
        "User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    }
    call = track("Product Viewed", properties={"product_id": "p"})
    answer = await port.post("/v1/batch", {"batch": [call, call]}, key=PUBLIC, headers=agent)
    assert (answer.status, answer.body.pop("hint")) == (200, BOTS)
    assert answer.body == {"success": True, "bots": 2}
    assert await port.events() == []
    assert port.metric('ritorno_ingest_bot_events_total{key="site"}') == "2.0"
    told = {**call, "context": {"userAgent": agent["User-Agent"]}}
    assert (await port.post("/v1/batch", {"batch": [told]}, key=PUBLIC)).body["bots"] == 1
    library = {"User-Agent": "python-requests/2.32"}
    assert (await port.post("/v1/track", call, headers=library)).body == {"success": True}


async def test_a_telephone_is_no_bot_and_a_secret_key_is_always_heard(port: Posting) -> None:
    telephone = "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) Chrome/126.0 Mobile Safari/537.36"
    view = track("Product Viewed", "1", properties={"product_id": "p"})
    answer = await port.post("/v1/track", view, key=PUBLIC, headers={"User-Agent": telephone})
    assert answer.body == {"success": True}
    agents = ("axios/1.7", "GuzzleHttp/7", "WhatsApp/2.24", "Googlebot/2.1", telephone)
    for agent in agents:
        said = {"context": {"userAgent": agent}, "messageId": agent, "userId": "anna"}
        answer = await port.post("/v1/track", {**view, **said}, headers={"User-Agent": agent})
        assert answer.body == {"success": True}
    assert {each.id for each in await port.events()} == {"1", *agents}


async def test_what_a_public_key_is_refused_leaves_nothing_that_could_be_sent_again(
    port: Posting,
) -> None:
    erasure = {"type": "track", "event": "Customer Erasure Requested", "userId": "anna"}
    answer = await port.post("/v1/batch", {"batch": [erasure, {}, 7, {}]}, key=PUBLIC)
    assert [each["reason"] for each in answer.body["refused"]] == ["missing_id"] * 2 + [
        "invalid_event", "missing_id"
    ]  # fmt: skip
    order = {"specversion": "1.0", "id": "e", "type": "order.completed", "subject": "anna",
             "source": "shopify:negozio.myshopify.com",
             "data": {"order_id": "1", "total": 1}}  # fmt: skip
    batched = {"Content-Type": "application/cloudevents-batch+json"}
    answer = await port.post("/v1/events", key=PUBLIC, headers=batched, data=json.dumps([order]))
    assert [each["reason"] for each in answer.body["refused"]] == ["missing_id"]
    assert (await port.events(), await port.letters()) == ([], [])
    assert port.metric('ritorno_ingest_refused_total{key="site",reason="missing_id"}') == "4.0"


async def test_a_page_that_may_not_send_is_told_of_once_a_minute(
    port: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "streams.http.ingest.origins._log",
        SimpleNamespace(warning=lambda _text, **fields: lines.append(fields)),
    )
    text = port.keys.read_text()
    port.keys.write_text(text.replace(f'"{ORIGIN}"', '"http://127.0.0.1:8000"'))
    await port.port.keys.look()

    async def told(origin: str) -> list[dict[str, Any]]:
        lines.clear()
        for _ in range(2):
            answer = await port.post("/v1/track", track("Product Viewed"), key=PUBLIC,
                                     headers={"Origin": origin})  # fmt: skip
            assert (answer.status, answer.body["reason"]) == (403, "origin")
        return lines

    near = "to a browser http://127.0.0.1:8000 and this are two: open the page as "
    (line,) = await told("http://localhost:8000")
    assert (line["key"], line["origin"]) == ("site", "http://localhost:8000")
    assert line["hint"].startswith(near)
    assert await told("http://localhost:8000") == []
    (line,) = await told("https://negozio.example.it")
    assert line["hint"] == "add it to the key's `origins`, as it is written here"
    port.clock.advance(START + 60_000)
    assert len(await told("http://localhost:8000")) == 1
    asked = {"Origin": "https://altro.example.it", "Access-Control-Request-Method": "POST"}
    lines.clear()
    async with port.session.options(f"{port.root}/v1/track", headers=asked) as answer:
        assert answer.status == 403
    assert [each["key"] for each in lines] == ["any"]


def test_however_many_pages_there_are_little_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(
        "streams.http.ingest.origins._log",
        SimpleNamespace(warning=lambda text, **_: lines.append(text)),
    )
    refused = RefusedOrigins(VirtualClock(START))
    for number in range(10 * REMEMBERED):
        refused.note("site", f"http://x{number}" * 50, ())
    assert len(lines) == REMEMBERED == len(refused._told)
