"""`ritorno crm`: what there is, what a CRM has not taken, telling it again."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.dead_letters import refuse
from schemas.records import Record
from streams.clock import SystemClock
from streams.connect.cursors import CursorFile
from streams.runtime.logs.embedded import EmbeddedLog
from streams.topology import CUSTOMER_SIGNALS, DEAD_LETTERS
from tests.outbound.crm_stand_in import TOKEN, StandIn, described, stand_in
from tests.outbound.doubles import signal
from tests.tools.cli.conftest import Ritorno

NOW = 1_772_357_400_000


@contextmanager
def answering() -> Iterator[StandIn]:
    """A CRM on a loop of its own: a command has one, too."""
    loop, found = asyncio.new_event_loop(), list[StandIn]()
    opened, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with stand_in() as here:
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


async def _letters(directory: Path, *customers: str, name: str = "hub") -> None:
    log = EmbeddedLog(directory / "data" / "log", SystemClock())
    await log.start()
    for number, customer in enumerate(customers):
        told = signal(f"{name}-{number}", customer, "score.changed", value=7, band="warm")
        record = Record(CUSTOMER_SIGNALS, 0, number, NOW, *told)
        detail = f"{name}: it answers 400"
        letter = refuse(record, reason="crm_failed", detail=detail, time=NOW)
        await log.append(DEAD_LETTERS, 0, [letter])
    await log.stop()


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRM_TOKEN", TOKEN)
    monkeypatch.setenv("RITORNO_CRM", str(tmp_path / "crm.yaml"))


def write(directory: Path, url: str) -> None:
    hub = described(url)
    hub["write"]["by"] = "customer"
    other = {**described(url), "name": "solo-letto", "write": None}
    (directory / "crm.yaml").write_text(json.dumps({"crm": [hub, other]}))


def test_none_are_told_as_none(ritorno: Ritorno) -> None:
    assert ritorno("topics", "create").code == 0
    assert "No CRM" in ritorno("crm", "list").out
    assert ritorno("crm", "failed").out == "Nothing has failed.\n"
    done = ritorno("crm", "replay", "hub")
    assert (done.code, "no CRM 'hub'" in done.err) == (2, True)


def test_what_there_is_is_listed(ritorno: Ritorno, tmp_path: Path) -> None:
    assert ritorno("topics", "create").code == 0
    write(tmp_path, "http://127.0.0.1:9")
    CursorFile(tmp_path / "data", "crm-hub", "deals").write({"since": NOW})
    asyncio.run(_letters(tmp_path, "anna", "bruno"))
    hub, other = ritorno("crm", "list", "--json").json
    assert hub == {
        "name": "hub", "url": "http://127.0.0.1:9", "failed": 2,
        "read": {"deals": "2026-03-01T09:30:00Z"},
        "told": ["sales.alert", "score.changed", "segment.changed"],
    }  # fmt: skip
    assert (other["told"], other["read"], other["failed"]) == ([], {"deals": None}, 0)
    printed = ritorno("crm", "list").out
    assert "deals since 2026-03-01T09:30:00Z" in printed and "(not begun)" in printed


def test_what_failed_is_listed_and_told_again(ritorno: Ritorno, tmp_path: Path) -> None:
    assert ritorno("topics", "create").code == 0
    asyncio.run(_letters(tmp_path, "anna@example.it", "bruno@nobody.test", "carla@example.it"))
    asyncio.run(_letters(tmp_path, "dario@example.it", name="gone"))
    with answering() as crm:
        write(tmp_path, crm.url)
        first, *_ = failed = ritorno("crm", "failed", "--json").json
        assert [each["crm"] for each in failed] == ["hub", "hub", "hub", "gone"]
        assert (first["why"], first["record"]) == ("it answers 400", "customer-signals 0:0")
        assert len(ritorno("crm", "failed", "hub", "--limit", "2", "--json").json) == 2
        assert "There are more" in ritorno("crm", "failed", "--limit", "1").err

        done = ritorno("crm", "replay", "hub", "--json")
        assert (done.code, done.json) == (1, [{"told": 2, "kept": 1, "stopped": False}])
        assert "1 message not taken" in done.err
        assert {name: each["ritorno_score"] for name, each in crm.contacts.items()} == {
            "anna@example.it": 7, "carla@example.it": 7,
        }  # fmt: skip
        (left, _) = ritorno("crm", "failed", "--json").json
        assert left["record"] == "customer-signals 0:1"
        assert ritorno("crm", "replay", "hub").out == "0 told\n"


def test_one_that_is_told_nothing_or_fails_says_so(
    ritorno: Ritorno, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.tools.cli.crm.REPLAY_SECONDS", 0.3)
    assert ritorno("topics", "create").code == 0
    asyncio.run(_letters(tmp_path, "anna@example.it"))
    with answering() as crm:
        write(tmp_path, crm.url)
        crm.plan = [(503, "")] * 50
        done = ritorno("crm", "replay", "solo-letto")
        assert (done.code, "solo-letto is told nothing" in done.err) == (2, True)
        done = ritorno("crm", "replay", "hub")
        assert (done.code, "hub: it fails, the rest was not tried" in done.err) == (1, True)
        assert len(ritorno("crm", "failed", "--json").json) == 1
