"""Adobe I/O Events: signed by Adobe with one of two keys, meant for us."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from schemas.validation import Unreadable
from streams.clock import VirtualClock
from streams.connect.connector import DeliveryAnswer, ShopDelivery, ShopUnavailable
from streams.connect.magento.adobe_keys import ABSENT_MS, ASKED_PER_MINUTE, KEPT_MS
from streams.connect.magento.connector import MagentoConnector
from streams.connect.magento.io_events import read_event
from tests.connect.magento_shop import TOKEN, MagentoShop, order
from tests.connect.test_magento_polling import MARCH, at_once, connection
from tests.examples import examples

CLIENT = "client-0123456789"
FIRST, SECOND = "/prod/keys/pub-key-one.pem", "/prod/keys/pub-key-two.pem"
KEYS = {path: generate_private_key(65_537, 2_048) for path in (FIRST, SECOND)}
ORDER_SAVED = "com.adobe.commerce.observer.sales_order_save_commit_after"


def pem(key: RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Adobe:
    """Where Adobe's public keys lie."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_down = False

    async def fetch(self, path: str) -> bytes | None:
        """Return a public key."""
        self.asked.append(path)
        if self.is_down:
            raise ShopUnavailable("static.adobeioevents.com: 503")
        return pem(KEYS[path]) if path in KEYS else None


class Received:
    """A connector with what it needs."""

    def __init__(self, connector: MagentoConnector, shop: MagentoShop, adobe: Adobe) -> None:
        self.connector, self.shop, self.adobe = connector, shop, adobe

    async def receive(self, body: bytes, headers: dict[str, str]) -> DeliveryAnswer:
        """Deliver something."""
        return await self.connector.receive(ShopDelivery(headers, body, self.shop.clock.now()))


@pytest.fixture
async def received(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Received]:
    monkeypatch.setenv("MAGENTO_TOKEN", TOKEN)
    shop, adobe = MagentoShop(VirtualClock(MARCH)), Adobe()
    url = await shop.start()
    made = MagentoConnector(connection(url, client_id=CLIENT), shop.clock, fetch_key=adobe.fetch)
    made._api._pause = at_once
    yield Received(made, shop, adobe)
    await made.close()
    await shop.stop()


def event(type_: str, value: dict[str, Any], client: str = CLIENT) -> bytes:
    return json.dumps(
        {"event_id": "e-1", "recipient_client_id": client,
         "event": {"specversion": "1.0", "type": type_, "source": "urn:uuid:1", "id": "e-1",
                   "data": {"key": "k", "source": "s", "value": value}}}
    ).encode()  # fmt: skip


def signatures(body: bytes, first: str = FIRST, second: str = SECOND) -> dict[str, str]:
    """Return the headers of a delivery, signed by two keys."""
    headers = {}
    for number, path in (("1", first), ("2", second)):
        signature = KEYS[path].sign(body, PKCS1v15(), SHA256())
        headers[f"X-Adobe-Digital-Signature-{number}"] = base64.b64encode(signature).decode()
        headers[f"x-adobe-public-key{number}-path"] = path
    return headers


def saved(**fields: Any) -> bytes:
    return event(ORDER_SAVED, order(301, "processing", "2026-03-02 09:15:00", **fields))


async def test_a_whole_order_is_taken_as_it_is_and_a_poll_tells_the_same(
    received: Received,
) -> None:
    body = saved()
    answer = await received.receive(body, signatures(body))
    assert answer.outcome == "taken" and answer.news is not None
    assert [each.id for each in answer.news.events] == ["order:000000301:completed"]
    assert received.shop.asked["orders"] == 0
    received.shop.add_order(301)
    pages = received.connector.changed("orders", "", since=MARCH - 1000, now=MARCH)
    assert [each async for page in pages for each in page.news.events] == answer.news.events


async def test_one_of_two_signatures_is_enough_and_none_is_not(received: Received) -> None:
    body = saved()
    both = signatures(body)
    for number in ("1", "2"):
        one = {name: value for name, value in both.items() if number in name}
        assert (await received.receive(body, one)).outcome == "taken"
    wrong = {**both, "X-Adobe-Digital-Signature-1": both["X-Adobe-Digital-Signature-2"]}
    assert (await received.receive(body, wrong)).outcome == "taken"  # the second holds
    for bad in (
        {},
        {name: value for name, value in both.items() if "path" in name},
        {name: value.upper() if "Signature" in name else value for name, value in both.items()},
    ):
        assert (await received.receive(body, bad)).outcome == "unsigned"
    assert (await received.receive(body + b" ", both)).outcome == "unsigned"


async def test_an_event_for_somebody_else_is_refused(received: Received) -> None:
    body = event(ORDER_SAVED, {"entity_id": 301}, client="another-client")
    assert (await received.receive(body, signatures(body))).outcome == "unsigned"


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example.it/key.pem",
        "//evil.example.it/key.pem",
        "/prod/../../key.pem",
        "/prod/keys/key.pem?x=1",
        "/prod/keys/key.pem#",
        "@evil.example.it/key.pem",
        "/prod/keys/key.txt",
        "",
    ],
)
async def test_keys_come_from_adobes_host_alone(received: Received, path: str) -> None:
    body = saved()
    headers = signatures(body) | {f"x-adobe-public-key{each}-path": path for each in "12"}
    assert (await received.receive(body, headers)).outcome == "unsigned"
    assert received.adobe.asked == []


async def test_keys_are_kept_and_strangers_cause_few_requests(received: Received) -> None:
    body = saved()
    for _ in range(5):
        await received.receive(body, signatures(body))
    assert received.adobe.asked == [FIRST]
    received.shop.clock.advance(MARCH + KEPT_MS + 1)
    await received.receive(body, signatures(body))
    assert received.adobe.asked == [FIRST, FIRST]

    received.adobe.asked.clear()
    received.shop.clock.advance(received.shop.clock.now() + ABSENT_MS)
    outcomes = set()
    for number in range(50):
        path = f"/prod/keys/made-up-{number}.pem"
        headers = signatures(body) | {f"x-adobe-public-key{each}-path": path for each in "12"}
        try:
            outcomes.add((await received.receive(body, headers)).outcome)
        except ShopUnavailable:
            outcomes.add("later")
    assert outcomes == {"unsigned", "later"}
    assert len(received.adobe.asked) == ASKED_PER_MINUTE
    assert (await received.receive(body, signatures(body))).outcome == "taken"  # it is kept


async def test_strangers_keep_no_key_from_being_asked_for_again(received: Received) -> None:
    body = saved()
    await received.receive(body, signatures(body))
    received.adobe.asked.clear()
    received.shop.clock.advance(MARCH + KEPT_MS + 1)
    nobodys = event(ORDER_SAVED, {}, client="somebody-else")
    for content in (nobodys, body):
        for number in range(ASKED_PER_MINUTE):
            path = f"/prod/keys/made-up-{number}.pem"
            headers = signatures(content) | {f"x-adobe-public-key{n}-path": path for n in "12"}
            await received.receive(content, headers)
        assert len(received.adobe.asked) == (0 if content is nobodys else ASKED_PER_MINUTE)
    assert (await received.receive(body, signatures(body))).outcome == "taken"
    assert received.adobe.asked[-1] == FIRST
    received.shop.clock.advance(received.shop.clock.now() + KEPT_MS + 1)
    received.adobe.is_down = True
    assert (await received.receive(body, signatures(body))).outcome == "taken"


async def test_while_the_key_cannot_be_had_it_is_to_be_sent_again(received: Received) -> None:
    received.adobe.is_down = True
    body = saved()
    with pytest.raises(ShopUnavailable):
        await received.receive(body, signatures(body))
    received.adobe.is_down = False
    assert (await received.receive(body, signatures(body))).outcome == "taken"


async def test_of_what_is_not_whole_the_shop_is_asked(received: Received) -> None:
    received.shop.add_order(301)
    received.shop.tables["shipments"].append(
        {"entity_id": 7, "order_id": 301, "created_at": received.shop.now(),
         "updated_at": received.shop.now(), "items": [], "tracks": []}
    )  # fmt: skip
    for type_, value, told in (
        (ORDER_SAVED, {"entity_id": "301", "_isNew": False}, "order:000000301:completed"),
        ("com.adobe.commerce.observer.sales_order_shipment_save_after", {"entity_id": 7},
         "shipment:7:shipped"),
    ):  # fmt: skip
        body = event(type_, value)
        answer = await received.receive(body, signatures(body))
        assert answer.news is not None
        assert [each.id for each in answer.news.events] == [told]


async def test_subscribers_say_yes_and_no_with_their_own_time(received: Received) -> None:
    told = []
    for status in (1, 3, 2, 4):
        body = event(
            "com.adobe.commerce.observer.newsletter_subscriber_save_commit_after",
            {"subscriber_id": 3, "subscriber_email": "anna@example.it", "customer_id": "12",
             "subscriber_status": status, "change_status_at": "2026-03-02 08:00:00"},
        )  # fmt: skip
        answer = await received.receive(body, signatures(body))
        told.append((answer.outcome, [each.type for each in answer.news.events]))  # type: ignore[union-attr]  # all of it is news
    assert told == [
        ("taken", ["list.subscribed"]),
        ("taken", ["list.unsubscribed"]),
        ("passed_over", []),
        ("passed_over", []),
    ]


async def test_what_is_nothing_for_us_is_ignored_and_what_cannot_be_read_is_told(
    received: Received,
) -> None:
    for name, value in (
        ("admin_user_save_after", {"entity_id": 1}),
        ("checkout_cart_product_add_after", {"quote": {"items_count": 1}}),  # without an id
    ):
        body = event(f"com.adobe.commerce.observer.{name}", value)
        assert (await received.receive(body, signatures(body))).outcome == "ignored"
    named = f'"{CLIENT}"'.encode()
    for body in (b"[" + named + b"]", b"{" + named, event(ORDER_SAVED, {})):
        assert (await received.receive(body, signatures(body))).outcome == "unreadable"


async def test_the_challenge_is_echoed_and_nothing_else_is(received: Received) -> None:
    challenge = received.connector.challenge
    assert challenge({"challenge": "8ec8d794-e0ab-42df-9017-e3dada8e84f7"}) == (
        "8ec8d794-e0ab-42df-9017-e3dada8e84f7"
    )
    for bad in ({}, {"challenge": ""}, {"challenge": "<script>"}, {"challenge": "a" * 500}):
        assert challenge(bad) is None


@examples(30)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        read_event(body, CLIENT)
    except Unreadable as why:
        assert why.detail
