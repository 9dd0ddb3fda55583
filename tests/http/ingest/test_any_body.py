"""Whatever is posted, it is answered by what the answers mean, and a public key says nothing that
isn't a visitor's."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.events.custom import is_custom
from schemas.notation import DEFAULT_NOTATION
from schemas.public_speech import PUBLIC_TYPES
from streams.http.ingest.access import Admitted
from streams.http.ingest.batch import CallBatch
from streams.http.ingest.keys import WriteKeys, parse_keys
from streams.http.ingest.public_key import VisitorLinks
from tests.http.ingest.posting import KEYS, PUBLIC, SECRET, START, Posting

SITE, TILL = parse_keys(KEYS.replace('["file:PROOF"]', "[]").encode(), Path("keys.yaml"))

WORDS = ["type", "event", "userId", "anonymousId", "previousId", "messageId", "timestamp", "traits",
         "properties", "context", "sentAt", "originalTimestamp", "specversion", "id", "subject",
         "anonymousid", "source", "data", "backfill", "email", "userHash", "products", "order_id",
         "total", "purpose", "customer_id", "data_base64", "batch", "headers", "value"]  # fmt: skip
VALUES = ["track", "identify", "alias", "group", "page", "Order Completed", "Order Refunded", "1.0",
          "Consent Given", "order.completed", "customer.identified", "customer.erasure_requested",
          "product.viewed", "anna", "a-7", "ritorno:visitor/x", "/ritorno/public", "guest",
          "marketing", "tracking", "2026-03-02T10:00:00Z", "true", "", "9" * 30]  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(VALUES) | st.text()
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)
CALLS = st.dictionaries(st.sampled_from(WORDS), NESTED, max_size=9) | NESTED


def batch(key: Any) -> CallBatch:
    admitted = Admitted(key, WriteKeys((SITE, TILL)), "", "Mozilla/5.0")
    return CallBatch(
        admitted, START, notation=DEFAULT_NOTATION, links=VisitorLinks(), raw=b"backfill"
    )


@given(st.lists(CALLS, max_size=3), st.sampled_from([SITE, TILL]))
def test_any_calls_are_taken_or_refused(calls: list[Any], key: Any) -> None:
    read = batch(key)
    for index, call in enumerate(calls):
        read.read_call(index, call)
        read.read_event(index, call)
    assert len(read.events) + len(read.refused) == 2 * len(calls)
    for event in read.events if key is SITE else ():
        assert (event.public, event.named, event.backfill) == (True, False, False)
        assert event.customer == event.anonymous_id
        assert event.type in PUBLIC_TYPES or is_custom(event.type)
        assert event.source == "/negozio/sito"


async def test_any_bytes_are_answered(port: Posting) -> None:
    chance = random.Random(1)
    call = {"type": "track", "event": "Product Viewed", "anonymousId": "a", "messageId": "m",
            "properties": {"product_id": "p"}}  # fmt: skip
    whole = json.dumps({"batch": [call], "context": {}, "writeKey": PUBLIC}).encode()
    paths = ["/v1/track", "/v1/batch", "/v1/import", "/v1/events", "/v1/identify/"]
    types = ["application/json", "text/plain", "application/cloudevents+json",
             "text/plain; charset=utf-7", "application/cloudevents-batch+json",
             "application/json; charset=latin-1", "x"]  # fmt: skip
    for _ in range(150):
        body = bytearray(whole)
        for _ in range(chance.randrange(5)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        headers = {"Content-Type": chance.choice(types)}
        answer = await port.post(
            chance.choice(paths), key=chance.choice([SECRET, PUBLIC, ""]), data=bytes(body),
            headers=headers,
        )  # fmt: skip
        assert answer.status in (200, 400, 401, 403, 413), (answer, headers)
