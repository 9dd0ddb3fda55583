"""`ritorno webhooks`: what there is, an endpoint that is tried, what none has taken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.dead_letters import refuse
from schemas.records import Record
from streams.clock import SystemClock
from streams.runtime.logs.embedded import EmbeddedLog
from streams.topology import CUSTOMER_SIGNALS, DEAD_LETTERS
from tests.outbound.doubles import Receiver, receiver, signal, webhook, write
from tests.tools.cli.conftest import Ritorno


@contextmanager
def endpoint(*answers: int) -> Iterator[Receiver]:
    """A receiver on a loop of its own: a command has one, too."""
    loop, found = asyncio.new_event_loop(), list[Receiver]()
    opened, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with receiver(*answers) as here:
            found.append(here)
            opened.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    opened.wait(20)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(20)
        loop.close()


async def _letter(directory: Path, id_: str, name: str = "till") -> None:
    log = EmbeddedLog(directory / "data" / "log", SystemClock())
    await log.start()
    record = Record(CUSTOMER_SIGNALS, 0, 5, 1_772_357_400_000, *signal(id_))
    letter = refuse(
        record, reason="webhook_failed", detail=f"{name}: it answers 422", time=record.timestamp
    )
    await log.append(DEAD_LETTERS, 0, [letter])
    await log.stop()


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHOP_SECRET", "uno")
    monkeypatch.setenv("RITORNO_WEBHOOKS", str(tmp_path / "webhooks.yaml"))


def test_none_are_told_as_none(ritorno: Ritorno) -> None:
    assert ritorno("topics", "create").code == 0
    assert "No webhooks" in ritorno("webhooks", "list").out
    assert ritorno("webhooks", "failed").out == "Nothing has failed.\n"
    done = ritorno("webhooks", "test", "till")
    assert (done.code, "no webhook 'till'" in done.err) == (2, True)


def test_an_endpoint_is_tried(ritorno: Ritorno, tmp_path: Path) -> None:
    with endpoint(200, 401) as till:
        write(tmp_path / "webhooks.yaml", webhook("till", till.url + "?key=geheim"))
        done = ritorno("webhooks", "test", "till", "--json")
        assert (done.code, done.json[0]["taken"]) == (0, True)
        assert till.got[0]["type"] == "webhook.test"
        failed = ritorno("webhooks", "test", "till")
        assert failed.code == 1
        assert "it answers 401" in failed.err
        assert "geheim" not in failed.err


def test_what_failed_is_listed_and_posted_again(ritorno: Ritorno, tmp_path: Path) -> None:
    assert ritorno("topics", "create").code == 0
    for number in range(3):
        asyncio.run(_letter(tmp_path, f"s{number}", "till" if number else "gone"))
    with endpoint(200) as till:
        write(tmp_path / "webhooks.yaml", webhook("till", till.url))
        (row,) = ritorno("webhooks", "list", "--json").json
        assert (row["failed"], row["behind"]) == (2, None)
        first, second = ritorno("webhooks", "failed", "till", "--json").json
        assert first["why"] == "it answers 422"
        assert len(ritorno("webhooks", "failed", "--json").json) == 3
        done = ritorno("webhooks", "replay", "till", second["id"], "--json")
        assert (done.code, done.json[0]["delivered"]) == (0, 1)
        assert till.ids() == ["s2"]
        again = ritorno("webhooks", "replay", "till", second["id"])
        assert (again.code, "not open" in again.err) == (2, True)
        assert ritorno("webhooks", "replay", "till").out == "1 delivered\n"
        assert till.ids() == ["s2", "s1"]
        assert ritorno("webhooks", "replay", "till", "--until", "2026-03-01T00:00:00Z").code == 2
        assert ritorno("webhooks", "replay", "till", "--since", "soon").code == 2
        since = ritorno("webhooks", "replay", "till", "--since", "2026-03-01T00:00:00Z", "--json")
        assert since.json[0]["delivered"] == 0
