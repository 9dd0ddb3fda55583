"""Others' own libraries send what a shop's server says: all of it is in the log, as it was said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from segment.analytics.client import Client

from schemas.events import Event
from schemas.wire import parse_published
from tests import node
from tests.http.ingest.calls import calls
from tests.http.ingest.street import SECRET_KEY, Street, street

CLOCK_MS = 10_000
"""By which the time of an event may differ: the ingest corrects the sender's clock by its own."""


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Street]:
    async with street(tmp_path) as found:
        yield found


def check(events: list[Event], sent: list[dict[str, Any]]) -> None:
    """See that what was sent is there, each once, and says what it said."""
    assert len(events) == len(sent)
    heard = {each.id: each for each in events}
    for call in sent:
        said, event = parse_published(json.dumps(call)), heard[call["messageId"]]
        assert (event.type, event.customer, event.anonymous_id) == (
            said.type, said.customer, said.anonymous_id
        )  # fmt: skip
        assert event.data == said.data, call
        assert event.time is not None
        assert said.time is not None
        assert abs(event.time - said.time) < CLOCK_MS
        assert (event.source, event.public, event.backfill) == ("/bottega/server", False, False)


@node.needs_node
@pytest.mark.parametrize("library", ["segment", "rudderstack"])
async def test_what_node_sends(here: Street, library: str) -> None:
    sent = calls(library)
    await node.run(
        f"send_{library}.mjs", given={"url": here.ingest, "key": SECRET_KEY, "calls": sent}
    )
    check(await here.so_far(), sent)


@pytest.mark.parametrize("gzip", [False, True])
async def test_what_python_sends(here: Street, gzip: bool) -> None:
    sent = calls("python")
    await asyncio.to_thread(_send, here.ingest, sent, gzip)
    check(await here.so_far(), sent)


def _send(url: str, sent: list[dict[str, Any]], gzip: bool) -> None:
    failed: list[Any] = []
    client = Client(SECRET_KEY, host=url, gzip=gzip, on_error=lambda *why: failed.append(why))
    for call in sent:
        said = {
            "anonymous_id": call.get("anonymousId"),
            "message_id": call["messageId"],
            "timestamp": datetime.fromisoformat(call["timestamp"]),
        }
        who = call.get("userId")
        match call["type"]:
            case "track":
                client.track(who, call["event"], call["properties"], **said)
            case "identify":
                client.identify(who, call["traits"], **said)
            case "page":
                client.page(who, None, call["name"], call["properties"], **said)
            case "group":
                client.group(who, call["groupId"], call["traits"], **said)
            case "alias":
                said.pop("anonymous_id")
                client.alias(call["previousId"], who, **said)
    client.flush()
    client.join()
    assert failed == []


@node.needs_node
@pytest.mark.parametrize(
    "library", ["segment", pytest.param("rudderstack", marks=pytest.mark.slow)]
)  # which waits for some seconds before it asks again
async def test_a_log_that_was_away_costs_nothing(here: Street, library: str) -> None:
    """The libraries ask again what was answered with 503."""
    sent = calls(library)
    here.log.is_down = True
    sending = asyncio.ensure_future(
        node.run(
            f"send_{library}.mjs", given={"url": here.ingest, "key": SECRET_KEY, "calls": sent}
        )
    )
    await here.refused()
    here.log.is_down = False
    await sending
    check(await here.so_far(), sent)
