"""The process of the facts' store: fed from a log, asked on its port, by whoever has the keys."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agents.mail.settings import SigningKey
from streams.clock import SystemClock
from streams.http.internal.signing import HEADER, RequestSigner
from streams.insights import client
from streams.insights.errors import InsightsError, QuestionError
from streams.insights.process import InsightsProcess
from streams.log import Log
from streams.runtime.factories import log_from, signing_keys
from streams.settings import Settings
from streams.settings.values import Address
from streams.tools.insights import ask as ask_of_a_command
from streams.topology import FACTS, topics
from tests.insights.stated import Stated, hashed, outgoing
from tests.insights.test_fact_store import shop

LOOPBACK = Address("127.0.0.1", 0)
PATIENCE = 40.0
COUNT = "SELECT count(*) FROM facts"


def settings_in(directory: Path, **given: Any) -> Settings:
    return Settings(
        data_dir=directory, admin_bind=LOOPBACK, insights_bind=LOOPBACK, insights_memory_mb=256,
        **given,
    )  # fmt: skip


@asynccontextmanager
async def log_of(settings: Settings) -> AsyncIterator[Log]:
    log = log_from(settings)
    await log.start()
    try:
        await log.create_topics(topics(2))
        yield log
    finally:
        await log.stop()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[InsightsProcess]:
    process = InsightsProcess(settings)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


async def asked(process: InsightsProcess, settings: Settings, what: str, **arguments: Any) -> Any:
    signer = RequestSigner(signing_keys(settings))
    return await asyncio.to_thread(
        client.ask, process.address, signer, SystemClock(), what, arguments
    )


async def test_facts_are_taken_in_as_they_come_and_can_be_asked(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with asyncio.timeout(PATIENCE), log_of(settings) as log:
        told = outgoing(shop(20))
        await log.append(FACTS, 0, told[:10])
        async with running(settings) as process:
            await process.insights.feeding.caught_up()
            assert (await asked(process, settings, "sql", statement=COUNT))["rows"] == [[10]]
            await log.append(FACTS, 0, told[5:])  # five of them told again, after a crash
            await log.append(FACTS, 2, outgoing([b"{", b'{"decision": "sent"}']))
            await process.insights.feeding.caught_up()
            answer = await asked(process, settings, "sql", statement=COUNT)
            assert answer["rows"] == [[41]]
            assert answer["zone"] == "Europe/Rome"
            assert answer["fresh"] is not None
            counts = process.insights.counts
            assert (counts.facts, counts.repeated, counts.unreadable) == (41, 5, 2)
            snapshot = await asked(process, settings, "snapshot", name="marzo")
            assert snapshot["path"].endswith("insights/exports/marzo.parquet")
            assert (await asked(process, settings, "snapshots"))["paths"] == [snapshot["path"]]
            async with aiohttp.ClientSession() as session:
                base = f"http://{process.admin.address}"
                async with session.get(f"{base}/readyz") as ready:
                    assert ready.status == 200
                async with session.get(f"{base}/metrics") as metrics:
                    text = await metrics.text()
            assert 'ritorno_insights_facts_total{result="kept"} 41.0' in text
            assert 'ritorno_insights_lag{partition="0"} 0.0' in text
        async with running(settings) as process:
            await process.insights.feeding.caught_up()
            assert process.insights.counts.facts == 0, "nothing is read again"
            assert (await asked(process, settings, "sql", statement=COUNT))["rows"] == [[41]]


async def test_only_who_has_the_keys_is_answered(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with asyncio.timeout(PATIENCE), log_of(settings), running(settings) as process:
        stranger = RequestSigner([SigningKey("x", "another secret of sixteen letters")])
        with pytest.raises(InsightsError, match="other keys"):
            await asyncio.to_thread(
                client.ask,
                process.address,
                stranger,
                SystemClock(),
                "sql",
                {"statement": "SELECT 1"},
            )

        def changed_body() -> int:
            signer = RequestSigner(signing_keys(settings))
            path = client.signed_path("/sql", b'{"statement": "SELECT 1"}')
            signature = signer.request(path, SystemClock().now())
            connection = http.client.HTTPConnection(*process.address)
            connection.request("POST", "/sql", b'{"statement": "SELECT 2"}',
                               {HEADER: str(signature)})  # fmt: skip
            status = connection.getresponse().status
            connection.close()
            return status

        assert await asyncio.to_thread(changed_body) == 401


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("sql", {}, "statement"),
        ("sql", {"statement": "DROP TABLE mails"}, "only SELECT"),
        ("sql", {"statement": "SELECT 1", "rows": 10**9}, "rows"),
        ("snapshot", {"name": "../../etc/x"}, "name"),
        ("nonsense", {}, "no question"),
    ],
)
async def test_what_cannot_be_answered_is_said(
    tmp_path: Path, name: str, arguments: dict[str, Any], problem: str
) -> None:
    settings = settings_in(tmp_path)
    async with asyncio.timeout(PATIENCE), log_of(settings), running(settings) as process:
        with pytest.raises(QuestionError, match=problem):
            await asked(process, settings, name, **arguments)


async def test_an_erasure_rewrites_the_file_and_names_the_snapshots(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings, stated = settings_in(tmp_path), Stated()
    told = [stated("list.joined", "anna", "2026-03-01", list="annas-own-list")]
    async with asyncio.timeout(PATIENCE), log_of(settings) as log:
        await log.append(FACTS, 0, outgoing(told))
        async with running(settings) as process:
            await process.insights.feeding.caught_up()
            await asked(process, settings, "snapshot", name="prima")
            await log.append(FACTS, 0, outgoing([stated("person.erased", "anna", "2026-03-02")]))
            await process.insights.feeding.caught_up()
            await process.insights.care()
            assert (await asked(process, settings, "sql", statement=COUNT))["rows"] == [[0]]
            assert process.insights.store.snapshots() == [
                str(tmp_path / "insights" / "exports" / "prima.parquet")
            ]
        files = list((tmp_path / "insights").rglob("*.duckdb*"))
        assert not any(b"annas-own-list" in path.read_bytes() for path in files)


async def test_without_a_process_a_command_reads_the_facts_itself(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    async with asyncio.timeout(PATIENCE), log_of(settings) as log:
        await log.append(FACTS, 1, outgoing(shop(2)))
    seen: list[tuple[int, int]] = []
    statement = "SELECT DISTINCT person FROM facts ORDER BY 1"
    answer = await ask_of_a_command(
        settings, "sql", {"statement": statement}, lambda *at: seen.append(at)
    )
    assert answer["rows"] == [[each] for each in sorted([hashed("c0"), hashed("c1")])]
    assert seen[-1] == (5, 5)
