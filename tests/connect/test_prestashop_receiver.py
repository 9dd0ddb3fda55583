"""The module's pushes: signed with a timestamp, no data but what to ask for."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.validation import Unreadable
from streams.clock import VirtualClock
from streams.connect.connector import SELF_TEST, ShopDelivery, ShopUnavailable
from streams.connect.prestashop.connector import PrestaShopConnector
from streams.connect.prestashop.receiver import read_push
from tests.connect.prestashop_shop import KEY, PrestaShop
from tests.connect.test_prestashop_polling import MARCH, at_once, connection
from tests.examples import examples

SECRET, OLD = "shh-secret", "shh-secret-of-before"
VECTOR = b'{"id":5001,"email":"anna@example.it","total_price":"52.00","currency":"EUR"}'
VECTOR_TIME = 1_767_225_600_000
VECTOR_HEX = "983222ba8a3a5088effa6162a0c33c73f71855e81dfedaf413e84d8b91475769"


@pytest.fixture
async def shop(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrestaShop]:
    for name, value in {"PRESTA_KEY": KEY, "NEW": SECRET, "OLD": OLD}.items():
        monkeypatch.setenv(name, value)
    made = PrestaShop(VirtualClock(MARCH))
    made.address = await made.start()  # type: ignore[attr-defined]  # for the connector below
    yield made
    await made.stop()


@pytest.fixture
async def connector(shop: PrestaShop) -> AsyncIterator[PrestaShopConnector]:
    made = PrestaShopConnector(
        connection(shop.address, secret=["env:NEW", "env:OLD"]),  # type: ignore[attr-defined]
        shop.clock,
    )
    made._api._pause = at_once
    yield made
    await made.close()


def signed(body: bytes, *, secret: str = SECRET, time: int = MARCH, **other: str) -> ShopDelivery:
    """Return a push as the module sends it."""
    digest = hmac.new(secret.encode(), f"{time}.".encode() + body, "sha256").hexdigest()
    headers = {"X-Ritorno-Timestamp": str(time), "X-Ritorno-Signature": f"sha256={digest}"}
    return ShopDelivery({**headers, **other}, body, MARCH)


def push(resource: str, *ids: Any, **fields: Any) -> bytes:
    return json.dumps({"id": f"{resource}:1", "resource": resource, "ids": ids, **fields}).encode()


async def test_the_vector_of_the_reference(shop: PrestaShop) -> None:
    connector = PrestaShopConnector(
        connection("https://negozio.example.it", secret="env:NEW"), VirtualClock(VECTOR_TIME)
    )
    headers = {
        "x-ritorno-timestamp": str(VECTOR_TIME),
        "x-ritorno-signature": f"sha256={VECTOR_HEX}",
    }
    right = await connector.receive(ShopDelivery(headers, VECTOR, VECTOR_TIME + 299_000))
    assert right.outcome == "unreadable"  # signed, and no push
    for body, time in (
        (VECTOR.replace(b"52.00", b"52.01"), VECTOR_TIME),
        (VECTOR, VECTOR_TIME + 301_000),
        (VECTOR, VECTOR_TIME - 301_000),
    ):
        assert (await connector.receive(ShopDelivery(headers, body, time))).outcome == "unsigned"
    for name in headers:
        fewer = {key: value for key, value in headers.items() if key != name}
        assert (await connector.receive(ShopDelivery(fewer, VECTOR, VECTOR_TIME))).outcome == (
            "unsigned"
        )


async def test_a_push_is_asked_for_and_told_as_a_poll_tells_it(
    shop: PrestaShop, connector: PrestaShopConnector
) -> None:
    shop.add_customer(12, "anna@example.it")
    shop.add_order(71, 12)
    answer = await connector.receive(signed(push("orders", 71, 72)))
    assert answer.outcome == "taken" and answer.news is not None
    assert [each.id for each in answer.news.events] == ["order:71:completed"]
    pages = connector.changed("orders", "", since=MARCH - 1000, now=MARCH)
    polled = [event async for page in pages for event in page.news.events]
    assert polled == answer.news.events


async def test_the_secret_of_before_still_holds(
    shop: PrestaShop, connector: PrestaShopConnector
) -> None:
    assert (await connector.receive(signed(push("orders", 71), secret=OLD))).outcome == (
        "passed_over"
    )
    assert (await connector.receive(signed(push("orders", 71), secret="another"))).outcome == (
        "unsigned"
    )
    assert shop.asked["orders"] == 1  # nothing is asked for in the name of nobody


async def test_without_a_secret_nobody_is_believed(shop: PrestaShop) -> None:
    connector = PrestaShopConnector(connection("https://negozio.example.it"), VirtualClock(MARCH))
    assert not connector.has_receiver
    assert connector.self_test(b"{}") is None
    assert (await connector.receive(signed(push("orders", 71)))).outcome == "unsigned"


async def test_sign_ups_of_the_newsletter_block_are_typed(
    connector: PrestaShopConnector,
) -> None:
    rows = [
        {"email": "Anna@example.it", "subscribed": True, "time": MARCH, "ip": "192.0.2.7"},
        {"email": "bea@example.it", "subscribed": False, "time": MARCH},
        {"email": "nessuno", "subscribed": True, "time": MARCH},
    ]
    answer = await connector.receive(signed(push("newsletter", rows=rows)))
    assert answer.outcome == "taken" and answer.news is not None
    yes, no = answer.news.events
    assert (yes.type, no.type) == ("list.subscribed", "list.unsubscribed")
    assert yes.anonymous_id == yes.customer and yes.data.ip == "192.0.2.7"
    assert len(answer.news.unread) == 1


async def test_a_shop_that_does_not_answer_has_the_module_send_it_again(
    shop: PrestaShop, connector: PrestaShopConnector
) -> None:
    shop.broken = 100
    with pytest.raises(ShopUnavailable):
        await connector.receive(signed(push("orders", 71)))
    shop.broken, shop.forbidden = 0, {"orders"}
    with pytest.raises(ShopUnavailable):
        await connector.receive(signed(push("orders", 71)))


async def test_a_self_test_comes_back(connector: PrestaShopConnector) -> None:
    body = json.dumps({SELF_TEST: "abc"}).encode()
    headers = connector.self_test(body)
    assert headers is not None
    answer = await connector.receive(ShopDelivery(headers, body, MARCH))
    assert (answer.outcome, answer.body) == ("tested", {SELF_TEST: "abc"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "not JSON"),
        (b"[]", "not an object"),
        (push("employees", 1), "resource"),
        (push("orders"), "ids"),
        (push("orders", *range(1, 200)), "ids"),
        (push("orders", "1]|[2"), "ids"),
        (push("orders", -1), "ids"),
        (push("newsletter"), "rows"),
    ],
)
def test_what_is_no_push_is_named(body: bytes, field: str) -> None:
    with pytest.raises(Unreadable, match=field):
        read_push(body)


@examples(30)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        read_push(body)
    except Unreadable as why:
        assert why.detail
