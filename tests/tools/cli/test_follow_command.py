"""`ritorno events follow`: what arrives is shown, and nothing of it obeyed by a terminal."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from schemas.records import OutRecord
from streams.tools.cli.event_follow import arriving
from streams.topology import CUSTOMER_EVENTS
from tests.runtime.doubles import memory_log
from tests.tools.cli.conftest import Ritorno

EVENTS = [
    {"type": "page", "anonymousId": "v-1", "messageId": "1", "properties": {"path": "/moka"}},
    {"type": "track", "event": "Product Viewed", "userId": "anna", "messageId": "2",
     "properties": {"product_id": "MOKA-3", "name": "Moka\u001b[2J 3 tazze"}},
]  # fmt: skip


@pytest.fixture
def published(ritorno: Ritorno) -> Ritorno:
    ritorno("topics", "create")
    Path("events.ndjson").write_text("\n".join(map(json.dumps, EVENTS)) + "\n")
    ritorno("publish", "events.ndjson")
    return ritorno


def test_what_has_come_is_shown(published: Ritorno) -> None:
    done = published("events", "follow", "--since", "1h", "--count", "2", "--json")
    by_type = {each["type"]: each for each in done.json}
    page, viewed = by_type["page.viewed"], by_type["product.viewed"]
    assert (page["by"], page["id"], page["data"]["path"]) == ("visitor", "v-1", "/moka")
    assert (viewed["by"], viewed["id"], viewed["source"]) == ("customer", "anna", "/segment")
    done = published("events", "follow", "--since", "1h", "--count", "2")
    assert "\x1b" not in done.out
    assert "product.viewed           customer anna  /segment  product_id=MOKA-3" in done.out


def test_a_span_that_is_none_is_told(ritorno: Ritorno) -> None:
    done = ritorno("events", "follow", "--since", "ieri")
    assert done.code != 0
    assert "--since ieri" in done.err


async def test_what_comes_later_comes_once_and_what_was_before_does_not() -> None:
    log = await memory_log(2)
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"a", b"before")])
    later = iter([(0, b"1"), (1, b"2"), (0, b"3")])

    async def pause(_seconds: float) -> None:
        partition, value = next(later)
        await log.append(CUSTOMER_EVENTS, partition, [OutRecord(b"a", value)])

    seen = []
    async with asyncio.timeout(5):
        async for record in arriving(log, None, pause):
            seen.append(record.value)
            if len(seen) == 3:
                break
    assert seen == [b"1", b"2", b"3"]
