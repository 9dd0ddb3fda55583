"""An audience holds who has consented and nobody else, as hashes that platforms know."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agents.mail.suppression import AddressHashes
from agents.outbound.audience import AudienceFormat, address_of, e164, hashed
from schemas.commands import SuppressCommand
from streams.clock import VirtualClock
from streams.log import LogUnavailable, scan
from streams.messages.translations import Language
from streams.operate.timeline import describe, from_log
from streams.outbound.audience import AudienceExport, UnknownSegment, export_audience, exports
from streams.runtime.factories import signing_keys
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.topology import CUSTOMER_SIGNALS
from tests.runtime.doubles import START
from tests.runtime.test_worker import LOOPBACK, all_done, event, tell

BY_MARTA = AudienceExport("e1", START, "marta")
LINE = {"product_id": "p1", "name": "Macchina", "price": "1200.00", "quantity": 1}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("phone", "country", "expected"),
    [
        ("+39 347 123-4567", "", "+393471234567"),
        ("0039 347 1234567", "FR", "+393471234567"),
        ("347 1234567", "IT", "+393471234567"),
        ("055 123456", "it", "+39055123456"),  # an Italian zero stays
        ("+44 (0)20 7946 0018", "", "+442079460018"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("030/901820", "DE", "+4930901820"),
        ("347 1234567", "JP", ""),
        ("347 1234567 int. 3", "IT", ""),
        ("12", "IT", ""),
        ("", "IT", ""),
        ("+0123456789", "IT", ""),
    ],
)
def test_a_number_is_e164_or_nothing(phone: str, country: str, expected: str) -> None:
    assert e164(phone, country) == expected


def test_addresses_are_spelled_as_each_platform_compares_them() -> None:
    assert address_of(" Anna.Rossi@Gmail.COM ", "meta") == "anna.rossi@gmail.com"
    assert address_of("Anna.Rossi@Gmail.com", "google") == "annarossi@gmail.com"
    assert address_of("Anna.Rossi@example.it", "google") == "anna.rossi@example.it"
    # the example of Google's documentation of hashing
    assert hashed("user@example.com") == (
        "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"
    )
    assert hashed("") == ""


def vip(who: str, email: str, *, consent: bool = True, phone: str = "") -> list[Any]:
    created = event("customer.created", f"{who}1", who, email=email, phone=phone, country="IT")
    bought = event("order.completed", f"{who}2", who, order_id=f"o-{who}", total="1200.00",
                   currency="EUR", products=[LINE])  # fmt: skip
    agreed = event("consent.given", f"{who}3", who, purpose="marketing", source="checkout")
    return [created, bought, *([agreed] if consent else [])]


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    settings = Settings(
        broker=f"embedded://{tmp_path}/log", data_dir=tmp_path / "data", admin_bind=LOOPBACK,
        public_bind=LOOPBACK, smtp_url="smtp://127.0.0.1:1", partitions=2, tick_seconds=3600,
        store="memory",
    )  # fmt: skip
    worker = Worker(settings, clock=VirtualClock(START))
    await worker.start()
    yield worker
    await worker.stop()


async def export(
    worker: Worker, path: Path, format_: AudienceFormat = "csv", **more: Any
) -> tuple[Any, list[list[str]]]:
    report = await export_audience(
        worker.log, path, segment="vip", format_=format_, country="IT", export=BY_MARTA,
        hashes=AddressHashes(signing_keys(worker.settings)), **more,
    )  # fmt: skip
    with path.open(newline="") as file:
        return report, list(csv.reader(file))


async def test_only_who_has_consented_and_not_objected(worker: Worker, tmp_path: Path) -> None:
    await tell(
        worker.log,
        *vip("anna", "Anna@example.it", phone="347 1234567"),
        *vip("anna2", "anna@EXAMPLE.it"),  # the same person
        *vip("bruno", "bruno@example.it", consent=False),
        *vip("carla", "carla@example.it"),
        event("consent.withdrawn", "c9", "carla", purpose="marketing"),
        *vip("dora", "dora@example.it"),
        event("mail.unsubscribed", "d9", "dora", command_id=""),
        *vip("elio", "elio@example.it"),
        *vip("fede", "fede@example.it"),
        event("customer.erasure_requested", "f9", "fede", source="letter"),
        event("customer.created", "g1", "gino", email="gino@example.it"),  # no VIP
        event("consent.given", "g2", "gino", purpose="marketing"),
    )
    await all_done(worker)
    await worker.suppressions.add(
        [
            SuppressCommand(
                id="x",
                time=START,
                customer="elio",
                email="elio@example.it",
                scope="all",
                reason="hard",
            )
        ]
    )
    report, (head, *rows) = await export(worker, tmp_path / "vip.csv")
    assert head == ["email_sha256", "phone_sha256"]
    assert {row[0] for row in rows} == {sha("anna@example.it")}
    assert report.written == 1
    assert report.left_out == {"no_consent": 3, "suppressed": 1, "twice": 1}
    assert (tmp_path / "vip.csv").stat().st_mode & 0o777 == 0o600
    assert "anna" not in (tmp_path / "vip.csv").read_text()
    before = (tmp_path / "vip.csv").read_bytes()
    await export(worker, tmp_path / "vip.csv")
    assert (tmp_path / "vip.csv").read_bytes() == before
    report, _ = await export(worker, tmp_path / "both.csv", also=("profiling",))
    assert report.written == 0


async def test_who_is_in_a_file_finds_it_again(worker: Worker, tmp_path: Path) -> None:
    await tell(
        worker.log,
        *vip("anna", "anna@example.it"),
        *vip("anna2", "anna@example.it"),  # the same hash is hers, too
        *vip("bruno", "bruno@example.it", consent=False),
    )
    await all_done(worker)
    await export(worker, tmp_path / "vip.csv")
    told = [record.key async for record in scan(worker.log, CUSTOMER_SIGNALS)
            if b"audience.exported" in (record.value or b"")]  # fmt: skip
    assert sorted(told) == [b"anna", b"anna2"]
    ((first, people),) = await exports(worker.log)
    assert (first.segment, first.by, first.format, people) == ("vip", "marta", "csv", 2)
    assert [count for _, count in await exports(worker.log, "anna2")] == [1]
    assert await exports(worker.log, "bruno") == []
    for who, shown in (("anna", True), ("bruno", False)):
        lines = describe(await from_log(worker.log, who, lambda *_: None), {}, Language("en"))
        assert any("audience vip" in each.text for each in lines) is shown


async def test_without_a_trace_there_is_no_file(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tell(worker.log, *vip("anna", "anna@example.it"))
    await all_done(worker)

    async def append(*_: Any) -> int:
        raise LogUnavailable("the broker is away")

    with monkeypatch.context() as patch:
        patch.setattr(worker.log, "append", append)
        with pytest.raises(LogUnavailable):
            await export(worker, tmp_path / "vip.csv")
    assert not (tmp_path / "vip.csv").exists()


async def test_each_platform_gets_its_own_form(worker: Worker, tmp_path: Path) -> None:
    await tell(worker.log, *vip("anna", "anna.rossi@gmail.com", phone="347 1234567"))
    await all_done(worker)
    _, meta = await export(worker, tmp_path / "meta.csv", "meta")
    _, google = await export(worker, tmp_path / "google.csv", "google")
    assert meta == [["email", "phone"], [sha("anna.rossi@gmail.com"), sha("393471234567")]]
    assert google == [["Email", "Phone"], [sha("annarossi@gmail.com"), sha("+393471234567")]]


async def test_an_unknown_segment_is_named_and_nothing_is_left(
    worker: Worker, tmp_path: Path
) -> None:
    with pytest.raises(UnknownSegment, match="there are: vip"):
        await export_audience(
            worker.log, tmp_path / "x.csv", segment="vips", format_="csv", country="IT",
            hashes=AddressHashes(signing_keys(worker.settings)), export=BY_MARTA,
        )  # fmt: skip
    assert not any("x.csv" in each.name for each in tmp_path.iterdir())  # noqa: ASYNC240  # a test
