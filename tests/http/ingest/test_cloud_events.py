"""CloudEvents by HTTP: binary, structured and batched, also by the library that others use."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.http.ingest.posting import PUBLIC, START, Posting

EVENT: dict[str, Any] = {
    "specversion": "1.0", "id": "e-1", "source": "/erp", "type": "order.completed",
    "time": "2026-03-02T09:59:00Z", "subject": "anna",
    "data": {"order_id": "1001", "total": "52.00", "currency": "EUR"},
}  # fmt: skip
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCHED = {"Content-Type": "application/cloudevents-batch+json"}


async def posted(port: Posting, body: Any, headers: dict[str, str], **more: Any) -> Any:
    return await port.post("/v1/events", data=json.dumps(body), headers=headers, **more)


async def test_the_three_modes_say_the_same(port: Posting) -> None:
    binary = {f"ce-{name}": value for name, value in EVENT.items() if name != "data"}
    binary |= {"ce-id": "e-3", "ce-subject": "citt%C3%A0", "Content-Type": "application/json"}
    assert (await posted(port, EVENT, STRUCTURED)).status == 200
    assert (await posted(port, [{**EVENT, "id": "e-2"}], BATCHED)).status == 200
    assert (await posted(port, EVENT["data"], binary)).status == 200
    events = {event.id: event for event in await port.events()}
    assert sorted(events) == ["e-1", "e-2", "e-3"]
    assert {each.source for each in events.values()} == {"/erp"}
    assert {each.time for each in events.values()} == {START - 60_000}
    assert {str(each.data.total) for each in events.values()} == {"52.00"}
    assert events["e-3"].customer == "città"
    assert all(each.named for each in events.values())


async def test_what_they_leave_out_is_filled_in(port: Posting) -> None:
    bare = {name: EVENT[name] for name in ("specversion", "id", "type", "subject")}
    encoded = base64.b64encode(json.dumps(EVENT["data"]).encode()).decode()
    assert (await posted(port, {**bare, "data_base64": encoded}, STRUCTURED)).status == 200
    (event,) = await port.events()
    assert (event.source, event.time, event.data.order_id) == ("/negozio/cassa", START, "1001")


async def test_of_a_batch_what_can_not_be_read_is_told(port: Posting) -> None:
    answer = await posted(port, [EVENT, {**EVENT, "type": "no.such"}, 1, {"id": "x"}], BATCHED)
    assert answer.status == 200
    assert [each["reason"] for each in answer.body["refused"]] == [
        "unknown_type", "invalid_event", "invalid_event"
    ]  # fmt: skip
    assert len(await port.letters()) == 3
    assert len(await port.events()) == 1


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        ([EVENT], STRUCTURED, "invalid_event"),
        (EVENT, BATCHED, "invalid_event"),
        ({**EVENT, "type": "no.such"}, STRUCTURED, "unknown_type"),
        ({"id": "x"}, {"Content-Type": "application/json"}, "invalid_event"),
        ({}, {"ce-type": "order.completed", "ce-id": "%ff%fe"}, "invalid_event"),
        ({**EVENT, "data": None, "data_base64": "!"}, STRUCTURED, "invalid_event"),
    ],
)
async def test_one_that_can_not_be_read_is_a_400(
    port: Posting, body: Any, headers: dict[str, str], reason: str
) -> None:
    answer = await posted(port, body, headers)
    assert (answer.status, answer.body["reason"]) == (400, reason)
    assert await port.events() == []


async def test_a_public_key_speaks_of_visitors(port: Posting) -> None:
    view = {**EVENT, "type": "product.viewed", "data": {"product_id": "p"}, "anonymousid": "a-7",
            "source": "/elsewhere"}  # fmt: skip
    assert (await posted(port, view, STRUCTURED, key=PUBLIC)).status == 200
    (event,) = await port.events()
    assert (event.customer, event.source, event.public) == ("a-7", "/negozio/sito", True)
    for forbidden in ("customer.erasure_requested", "order.refunded", "customer.created"):
        body = {**view, "type": forbidden, "data": {"order_id": "1", "total": "1.00"}}
        answer = await posted(port, body, STRUCTURED, key=PUBLIC)
        assert (answer.status, answer.body["reason"]) == (403, "withheld")
    assert (await posted(port, EVENT, STRUCTURED, key=PUBLIC)).status == 400
    assert (await posted(port, EVENT, STRUCTURED, key="")).status == 401
