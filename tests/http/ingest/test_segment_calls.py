"""Segment's calls by HTTP: what is in the log, and what is answered."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas.instant import to_rfc3339
from schemas.validation import Unreadable
from streams.http.ingest import segment_calls
from streams.http.ingest.segment_calls import BATCH_BYTES
from streams.log import LogUnavailable
from streams.operate.dead_letters import resend
from tests.http.ingest.posting import ORIGIN, PUBLIC, SECRET, START, Posting

VIEW = {"type": "track", "event": "Product Viewed", "anonymousId": "a-7", "messageId": "m-1",
        "properties": {"product_id": "MOKA-3", "price": 47.10, "currency": "EUR"}}  # fmt: skip
ORDER = {"type": "track", "event": "Order Completed", "userId": "anna", "messageId": "o-1",
         "properties": {"order_id": "1001", "total": "52.00", "currency": "EUR"}}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "call", "type_"),
    [
        ("/v1/track", VIEW, "product.viewed"),
        ("/v1/track/", ORDER, "order.completed"),
        ("/v1/identify", {"userId": "anna", "traits": {"email": "anna@example.it"}},
         "customer.updated"),
        ("/v1/page", {"anonymousId": "a-7", "name": "Home"}, "page.viewed"),
        ("/v1/screen", {"anonymousId": "a-7"}, "page.viewed"),
        ("/v1/group", {"userId": "anna", "groupId": "g"}, "customer.grouped"),
        ("/v1/alias", {"userId": "anna", "previousId": "a-7"}, "customer.identified"),
        ("/v1/batch", {"batch": [VIEW]}, "product.viewed"),
        ("/beacon/v1/batch", {"batch": [VIEW]}, "product.viewed"),
    ],
)  # fmt: skip
async def test_each_call_is_an_event_of_its_keys_source(
    port: Posting, path: str, call: dict[str, Any], type_: str
) -> None:
    answer = await port.post(path, call)
    assert (answer.status, answer.body) == (200, {"success": True})
    (event,) = await port.events()
    assert (event.type, event.source, event.time) == (type_, "/negozio/cassa", START)
    assert port.metric('ritorno_ingest_events_total{key="till"}') == "1.0"
    assert port.metric('ritorno_ingest_requests_total{key="till",status="200"}') == "1.0"


async def test_the_key_may_stand_in_the_body_or_in_the_address_and_the_body_be_plain_text(
    port: Posting,
) -> None:
    text = json.dumps({**VIEW, "writeKey": PUBLIC})
    plain = {"Content-Type": "text/plain;charset=UTF-8", "Origin": ORIGIN}
    answer = await port.post("/v1/track", key="", data=text, headers=plain)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    batch = json.dumps({"batch": [{**VIEW, "messageId": "m-2"}], "writeKey": PUBLIC})
    assert (await port.post("/v1/batch", key="", data=batch, headers=plain)).status == 200
    inside = json.dumps({"batch": [{**VIEW, "messageId": "m-3", "writeKey": PUBLIC}]})
    assert (await port.post("/v1/batch", key="", data=inside, headers=plain)).status == 200
    by_query = f"/v1/track?writeKey={PUBLIC}"
    assert (await port.post(by_query, {**VIEW, "messageId": "m-4"}, key="")).status == 200
    assert sorted(event.id for event in await port.events()) == ["m-1", "m-2", "m-3", "m-4"]
    secret = await port.post(f"/v1/track?writeKey={SECRET}", ORDER, key="")
    assert (secret.status, secret.body["reason"]) == (401, "secret_in_address")


_ZLIBS_OWN = zlib.decompressobj


class Inflater:
    """zlib's, and how much all of them have made."""

    made = 0

    def __init__(self, window_bits: int) -> None:
        self._inflater = _ZLIBS_OWN(window_bits)

    def decompress(self, data: bytes, most: int) -> bytes:
        found = self._inflater.decompress(data, most)
        Inflater.made += len(found)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inflater, name)


async def test_a_body_in_gzip_is_bounded_by_what_becomes_of_it(
    port: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    gzipped = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    body = gzip.compress(json.dumps({"batch": [VIEW]}).encode())
    assert (await port.post("/v1/batch", data=body, headers=gzipped)).status == 200
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 60_000
    monkeypatch.setattr(zlib, "decompressobj", Inflater)
    for key in (SECRET, ""):  # who has none is told that of the body's key, which nobody reads
        Inflater.made = 0
        answer = await port.post("/v1/batch", data=bomb, headers=gzipped, key=key)
        assert (answer.status, answer.body["reason"]) == (413, "too_large")
        assert Inflater.made == BATCH_BYTES + 1
    unknown = await port.post("/v1/batch", data=bomb, headers=gzipped, key="rs_none_of_ours_xxxx")
    assert (unknown.status, Inflater.made) == (401, BATCH_BYTES + 1)  # nothing of it
    padded = gzip.compress(b"", 0)[:10] + b"\x00\x00\x00\xff\xff" * 200_000  # makes nothing
    answer = await port.post("/v1/batch", data=_pieces(padded), headers=gzipped)
    assert answer.status == 413
    assert len(await port.events()) == 1


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """Say nothing of the length."""
    yield body


@pytest.mark.parametrize(
    ("encoding", "body", "problem"),
    [
        ("gzip", gzip.compress(b"{}", mtime=0)[:-9], "what gzip has packed ends in the middle"),
        ("gzip", gzip.compress(b"{}", mtime=0) + b"x", "bytes behind what gzip has packed"),
        ("gzip", b"{}", "not gzip: "),
        ("br", b"{}", "Content-Encoding: expected gzip or none (got 'br')"),
    ],
    ids=["torn", "with more behind it", "no gzip", "brotli"],
)
async def test_what_can_not_be_unpacked_is_told(
    port: Posting, encoding: str, body: bytes, problem: str
) -> None:
    answer = await port.post("/v1/batch", data=body, headers={"Content-Encoding": encoding})
    assert (answer.status, answer.body["reason"]) == (400, "invalid_json")
    assert answer.body["error"].startswith(problem)


async def test_a_wrong_clock_is_made_right_by_sent_at(port: Posting) -> None:
    behind = START - 3_600_000
    batch = {
        "sentAt": to_rfc3339(behind),
        "batch": [
            {**VIEW, "messageId": "1", "timestamp": to_rfc3339(behind - 60_000)},
            {**VIEW, "messageId": "2", "originalTimestamp": to_rfc3339(behind - 1_000)},
            {**VIEW, "messageId": "3", "timestamp": to_rfc3339(behind + 9_000)},
            {**VIEW, "messageId": "4"},
        ],
    }
    assert (await port.post("/v1/batch", batch)).status == 200
    times = {event.id: event.time for event in await port.events()}
    assert times == {"1": START - 60_000, "2": START - 1_000, "3": START, "4": START}


async def test_an_import_is_history_at_its_own_times(port: Posting) -> None:
    long_ago = "2021-05-04T10:00:00Z"
    batch = {"sentAt": to_rfc3339(START), "batch": [{**ORDER, "timestamp": long_ago}]}
    assert (await port.post("/v1/import", batch)).status == 200
    (event,) = await port.events()
    assert event.backfill
    assert event.time is not None and to_rfc3339(event.time) == long_ago
    public = await port.post("/v1/import", {"batch": [VIEW]}, key=PUBLIC)
    assert (public.status, public.body["reason"]) == (403, "withheld")


async def test_the_context_of_a_batch_is_that_of_its_calls_where_they_have_no_other(
    port: Posting,
) -> None:
    context = {"locale": "it-IT", "campaign": {"source": "newsletter", "name": "marzo"}}
    own = {**VIEW, "messageId": "m-2", "context": {"locale": "en-GB"}}
    await port.post("/v1/batch", {"context": context, "batch": [VIEW, own]})
    hints = {event.id: event.hints for event in await port.events()}
    assert {id_: each and each.locale for id_, each in hints.items()} == {
        "m-1": "it-IT", "m-2": "en-GB"
    }  # fmt: skip
    assert {each and each.campaign for each in hints.values()} == {"newsletter / marzo"}


async def test_of_a_batch_what_can_not_be_read_is_told_and_the_others_count(port: Posting) -> None:
    calls = [VIEW, {"type": "track", "messageId": "x", "userId": "anna"}, 7,
             {**ORDER, "properties": {"order_id": "1002", "total": "molto"}},
             {**VIEW, "messageId": "big", "properties": {"x": "y" * 40_000}}]  # fmt: skip
    answer = await port.post("/v1/batch", {"batch": calls})
    assert answer.status == 200
    told = answer.body["refused"]
    assert [(each["index"], each["reason"]) for each in told] == [
        (1, "unknown_type"), (2, "invalid_event"), (3, "invalid_event"), (4, "too_large")
    ]  # fmt: skip
    assert "molto" in told[2]["error"]
    assert [event.id for event in await port.events()] == ["m-1"]
    letters = await port.letters()
    assert [letter.reason for letter in letters] == [each["reason"] for each in told]
    assert letters[0].original.key == b"anna"
    assert len(letters[3].original.value or b"") == 10_000
    label = 'ritorno_ingest_refused_total{key="till",reason="invalid_event"}'
    assert port.metric(label) == "2.0"


async def test_one_call_that_can_not_be_read_names_field_and_value(port: Posting) -> None:
    wrong = {**ORDER, "properties": {"order_id": "1002", "total": "molto"}}
    answer = await port.post("/v1/track", wrong)
    assert (answer.status, answer.body["reason"]) == (400, "invalid_event")
    assert "total" in answer.body["error"] and "molto" in answer.body["error"]
    for data, reason in ((b"{", "invalid_json"), (b"", "invalid_json"), (b"[]", "invalid_event"),
                         (b"\xff", "invalid_json"), (b"[" * 9_000, "invalid_json")):  # fmt: skip
        answer = await port.post("/v1/track", data=data)
        assert (answer.status, answer.body["reason"]) == (400, reason)
    assert await port.events() == []
    assert await port.letters() == []


async def test_sizes_and_numbers_have_an_end(port: Posting) -> None:
    large = {**VIEW, "properties": {"x": "y" * 33_000}}
    assert (await port.post("/v1/track", large)).status == 413
    assert (await port.post("/v1/batch", {"batch": [large] * 20})).status == 413
    answer = await port.post("/v1/batch", {"batch": [{}] * 2_501})
    assert (answer.status, answer.body["reason"]) == (413, "too_large")
    assert await port.events() == []


async def test_a_call_without_an_id_has_one_by_what_it_says(port: Posting) -> None:
    call = {name: value for name, value in VIEW.items() if name != "messageId"}
    timed = {**call, "timestamp": to_rfc3339(START - 5_000)}
    for each in (timed, {**timed, "sentAt": to_rfc3339(START)}, call):
        assert (await port.post("/v1/track", each)).status == 200
    port.clock.advance(START + 1_000)
    assert (await port.post("/v1/track", call)).status == 200
    ids = [event.id for event in await port.events()]
    assert len(set(ids)) == 3, "the same again is the same, and what has no time may be meant twice"


async def test_two_equal_calls_of_a_batch_are_two(port: Posting) -> None:
    call = {name: value for name, value in VIEW.items() if name != "messageId"}
    assert (await port.post("/v1/batch", {"batch": [call, call]})).status == 200
    assert len({event.id for event in await port.events()}) == 2


async def test_history_says_when_it_was(port: Posting) -> None:
    timed = {**ORDER, "messageId": "o-2", "timestamp": "2021-05-04T10:00:00Z"}
    wrong = {**ORDER, "messageId": "o-3", "timestamp": "l'altro ieri"}
    answer = await port.post("/v1/import", {"batch": [ORDER, timed, wrong]})
    told = answer.body["refused"]
    assert [(each["index"], each["reason"]) for each in told] == [
        (0, "invalid_event"), (2, "invalid_event")
    ]  # fmt: skip
    assert all("timestamp" in each["error"] for each in told)
    marked = await port.post("/v1/track", {**ORDER, "backfill": True})
    assert (marked.status, "timestamp" in marked.body["error"]) == (400, True)
    structured = {"specversion": "1.0", "id": "e", "type": "order.completed", "subject": "anna",
                  "backfill": True, "data": {"order_id": "1", "total": "1.00"}}  # fmt: skip
    header = {"Content-Type": "application/cloudevents+json"}
    answer = await port.post("/v1/events", data=json.dumps(structured), headers=header)
    assert (answer.status, "time:" in answer.body["error"]) == (400, True)
    assert [event.id for event in await port.events()] == ["o-2"]


async def test_a_log_that_is_away_is_told_as_503(
    port: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> int:
        raise LogUnavailable("the broker is away")

    with monkeypatch.context() as patched:
        patched.setattr(port.log, "append", away)
        answer = await port.post("/v1/batch", {"batch": [ORDER, {}]})
        assert (answer.status, answer.body["success"]) == (503, False)
        assert answer.headers["Retry-After"] == "5"
    assert (await port.post("/v1/batch", {"batch": [ORDER]})).status == 200
    assert len(await port.events()) == 1


async def test_what_is_ritornos_own_nobody_says_by_http(port: Posting) -> None:
    for call, reason in (
        ({**ORDER, "userId": "ritorno/address/x"}, "reserved"),
        ({"type": "track", "event": "mail.sent", "userId": "a", "messageId": "1",
          "properties": {"command_id": "c"}}, "invalid_event"),
        ({"type": "track", "event": "Email Bounced", "userId": "a", "messageId": "1",
          "properties": {"command_id": "c", "bounce_type": "hard"}}, "unsigned"),
        ({"type": "track", "event": "score.changed", "userId": "a", "messageId": "1"}, None),
    ):  # fmt: skip
        answer = await port.post("/v1/track", call)
        if reason is not None:
            assert (answer.status, answer.body["reason"]) == (400, reason)
    assert {event.type for event in await port.events()} <= {"custom.score_changed"}


async def test_what_was_refused_is_sent_again_as_it_had_come(
    port: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise Unreadable("invalid_event", "a cause that is mended later")

    old = {**ORDER, "timestamp": "2021-05-04T10:00:00Z"}
    bare = {name: value for name, value in VIEW.items() if name != "messageId"}
    with monkeypatch.context() as patched:
        patched.setattr(segment_calls, "parse_sent", refuse)
        await port.post("/v1/import", {"batch": [old]})
        await port.post("/v1/batch", {"batch": [bare]})
    await port.post("/v1/import", {"batch": [{**ORDER, "messageId": "no time"}]})
    report = await resend(port.log, lambda _: True, lambda: pytest.fail("nothing to sign"))
    assert (report.resent, len(report.kept)) == (2, 1)
    again = {event.type: event for event in await port.events()}
    order, view = again["order.completed"], again["product.viewed"]
    assert (order.backfill, order.source, order.id) == (True, "/negozio/cassa", "o-1")
    assert order.time is not None and to_rfc3339(order.time) == old["timestamp"]
    assert (view.backfill, view.source, view.time) == (False, "/negozio/cassa", START)
