"""Certificates, keys and secrets are exchanged while a worker runs, and what can't be used changes
nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from agents.mail.message.tokens import BadToken, Tokens, Unsubscribe
from agents.mail.message.verp import BadReference, ReturnAddresses
from agents.mail.settings import SigningKey
from agents.mail.suppression import AddressHashes
from schemas.key_ring import KeyRing, follow
from schemas.records import OutRecord, Record
from schemas.signing import NotSigned, RecordSigner
from streams.clock import VirtualClock
from streams.http.internal.signing import RequestSigner, Unsigned
from streams.mail.inbound.imap import ImapPoller
from streams.operate.secret_metrics import SecretCounts
from streams.runtime.rereading import EVERY, Part, Rereader
from streams.runtime.worker import Worker
from streams.runtime.worker_secrets import REREAD, with_secrets_of
from streams.settings import Settings
from streams.settings.loading import SettingsReader, load_settings
from streams.settings.sources import SECRETS, SettingsError
from tests.mail.samples import send
from tests.mail.servers import CERTIFICATE, scripted
from tests.runtime.doubles import START

OLD = SigningKey("old", "0123456789abcdef0123456789abcdef")
NEW = SigningKey("new", "fedcba9876543210fedcba9876543210")


# Who looks.


class Shop:
    """A part that depends on one value and one file."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "key"
        self.file.write_text("first")
        self.settings = Settings(kafka_password="one")
        self.taken: list[str] = []
        self.shop_names: list[str] = []
        self.error: Exception | None = None
        self.counts = SecretCounts()
        self.pauses: list[float] = []
        self.paused_thrice = asyncio.Event()
        part = Part("kafka", ("kafka_password",), lambda _: [self.file, None], self.take)
        self.rereader = Rereader(self.settings, [part], self.read, self.counts, pause=self.pause)

    def read(self) -> Settings:
        if isinstance(self.error, SettingsError):
            raise self.error
        return self.settings

    async def take(self, settings: Settings) -> None:
        if self.error is not None:
            raise self.error
        self.shop_names.append(settings.shop_name)
        self.taken.append(settings.kafka_password.get_secret_value() + self.file.read_text())

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) > 2:
            self.paused_thrice.set()
            await asyncio.get_running_loop().create_future()


async def test_what_has_changed_is_taken_once(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    await shop.rereader.look()
    assert shop.taken == []
    shop.settings = Settings(kafka_password="two")
    await shop.rereader.look()
    await shop.rereader.look()
    shop.file.write_text("second")
    await shop.rereader.look()
    await shop.rereader.look()
    assert shop.taken == ["twofirst", "twosecond"]
    assert (shop.counts.taken["kafka"], shop.counts.kept) == (2, set())


@pytest.mark.parametrize("error", [OSError("gone"), ValueError("no key"), SettingsError("no")])
async def test_what_can_not_be_used_is_told_once_and_changes_nothing(
    tmp_path: Path, error: Exception
) -> None:
    shop = Shop(tmp_path)
    shop.file.write_text("half")
    shop.error = error
    with capture_logs() as lines:
        await shop.rereader.look()
        await shop.rereader.look()
    (line,) = lines
    assert line["event"] == "what was read again can't be used; the old one stays"
    part = "settings" if isinstance(error, SettingsError) else "kafka"
    assert (line["what"], line["error"]) == (part, str(error))
    assert shop.taken == []
    assert shop.counts.kept == {part}
    assert shop.counts.refused[part] == 1
    shop.error = None
    shop.file.write_text("whole")
    await shop.rereader.look()
    assert shop.taken == ["onewhole"]
    assert shop.counts.kept == set()


async def test_what_is_taken_back_is_no_fault_any_more(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.file.write_text("half")
    shop.error = OSError("gone")
    await shop.rereader.look()
    shop.file.write_text("first")
    await shop.rereader.look()
    assert (shop.taken, shop.counts.kept) == ([], set())


async def test_a_file_that_is_gone_is_a_change(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.file.unlink()
    await shop.rereader.look()
    assert shop.counts.kept == {"kafka"}  # whoever reads it says so


async def test_nobody_waits_at_a_pipe(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.file.unlink()
    os.mkfifo(shop.file)
    async with asyncio.timeout(5):
        await shop.rereader.look()
    assert (shop.taken, shop.counts.kept) == ([], {"kafka"})


async def test_other_settings_are_named_once_and_not_taken(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    await shop.rereader.look()
    shop.settings = Settings(kafka_password="one", shop_name="Altro")
    with capture_logs() as lines:
        await shop.rereader.look()
        await shop.rereader.look()
    assert [line["settings"] for line in lines] == [["shop_name"]]
    shop.settings = Settings(kafka_password="two", shop_name="Altro")
    await shop.rereader.look()
    assert shop.taken == ["twofirst"]
    assert shop.shop_names == ["Il negozio"]


async def test_it_looks_every_ten_seconds(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.file.write_text("second")
    shop.rereader.start()
    async with asyncio.timeout(20):
        await shop.paused_thrice.wait()
    await shop.rereader.stop()
    assert shop.pauses == [EVERY] * 3
    assert shop.taken == ["onesecond"]


# Who follows.


def test_whatever_is_derived_of_the_keys_follows_an_exchange() -> None:
    ring = KeyRing([OLD])
    tokens, returns = Tokens(ring), ReturnAddresses(ring, "bounces.example")
    records, requests, hashes = RecordSigner(ring), RequestSigner(ring), AddressHashes(ring)
    link = tokens.make(Unsubscribe("anna", "c1"))
    sender = returns.sender("0" * 32, "anna")
    record = records.sign("t", OutRecord(b"k", b"v"))
    asked = requests.request("/x", START)
    ring.exchange([NEW, OLD])
    assert tokens.make(Unsubscribe("anna", "c1")).startswith("new.")
    assert tokens.read(link, Unsubscribe).customer == "anna"
    assert returns.sender("0" * 32, "anna") != sender
    assert returns.read(sender.partition("@")[0]).customer == "anna"
    records.check("t", Record("t", 0, 0, 0, *record))
    assert records.sign("t", OutRecord(b"k", b"v")).headers != record.headers
    assert requests.request("/x", START).key == "new"
    requests.check_request(str(asked), "/x", START)
    assert [each.partition(".")[0] for each in hashes.all("a@b.example")] == ["new", "old"]
    ring.exchange([NEW])
    with pytest.raises(BadToken):
        tokens.read(link, Unsubscribe)
    with pytest.raises(BadReference):
        returns.read(sender.partition("@")[0])
    with pytest.raises(NotSigned):
        records.check("t", Record("t", 0, 0, 0, *record))
    with pytest.raises(Unsigned):
        requests.check_request(str(asked), "/x", START)


def test_who_is_gone_follows_no_more() -> None:
    seen: list[Sequence[int]] = []

    class Follower:
        def derive(self, keys: Sequence[int]) -> None:
            seen.append(keys)

    ring, one, two = KeyRing([1]), Follower(), Follower()
    follow(ring, one.derive)
    follow(ring, two.derive)
    del two
    ring.exchange([2])
    assert seen == [(1,), (1,), (2,)]
    assert (list(ring), len(ring), ring[0], ring[:1]) == ([2], 1, 2, (2,))


# A whole worker.


def dkim_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


class Running:
    """A worker with its settings file."""

    def __init__(self, directory: Path, smtp: str) -> None:
        self.directory, self.smtp = directory, smtp
        self.file = directory / "ritorno.toml"
        (directory / "one.pem").write_bytes(dkim_key())
        (directory / "two.pem").write_bytes(dkim_key())
        (directory / "webhooks").write_text("one\n")
        self.write()
        self.worker = Worker(
            self.settings(), clock=VirtualClock(START), read=SettingsReader(self.file)
        )

    def settings(self) -> Settings:
        return load_settings(config=self.file)

    def write(self, **changed: str) -> None:
        values = {
            "broker": f"embedded://{self.directory}/log",
            "data_dir": str(self.directory / "data"),
            "admin_bind": "127.0.0.1:0",
            "public_bind": "127.0.0.1:0",
            "store": "memory",
            "smtp_url": self.smtp,
            "token_keys": f"{OLD.id}:{OLD.secret}",
            "webhook_secret_file": str(self.directory / "webhooks"),
            "mail_dkim_selector": "s1",
            "mail_dkim_key_file": str(self.directory / "one.pem"),
            **changed,
        }
        self.file.write_text("\n".join(f"{name} = '{value}'" for name, value in values.items()))

    async def reread(self) -> None:
        await self.worker.rereader.look()

    def mail(self) -> Any:
        return self.worker.composer.compose(send())

    def metric(self, name: str, what: str) -> float:
        value = self.worker.metrics.registry.get_sample_value(name, {"what": what})
        assert value is not None, generate_latest(self.worker.metrics.registry)
        return value


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Running]:
    async with scripted() as relay:
        here = Running(directory, f"smtp://u:one@127.0.0.1:{relay.port}")
        try:
            await asyncio.wait_for(here.worker.start(), 20)
            yield here
        finally:
            await here.worker.stop()


async def test_a_worker_takes_over_what_its_file_says_now(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        before = here.mail()
        assert b"s=s1;" in before.message
        here.write(
            token_keys=f"{NEW.id}:{NEW.secret},{OLD.id}:{OLD.secret}",
            mail_dkim_selector="s2",
            mail_dkim_key_file=str(tmp_path / "two.pem"),
            smtp_url=here.smtp.replace("u:one", "u:two"),
        )
        (tmp_path / "webhooks").write_text("two,one\n")
        await here.reread()
        after = here.mail()
        assert b"s=s2;" in after.message
        assert b"/u/new." in after.message
        assert list(here.worker.secrets.webhooks) == [b"two", b"one"]
        (pool,) = here.worker.pools
        assert pool.relay.password == "two"
        assert here.metric("ritorno_secret_kept", "dkim") == 0

        (tmp_path / "two.pem").write_bytes(dkim_key())  # under the same name, as cert-manager does
        await here.reread()
        assert here.mail().message != after.message


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("settings", {"token_keys": "short:1"}),
        ("settings", {"mail_dkim_selector": "s1,s2"}),
        ("dkim", {"mail_dkim_key_file": "nowhere.pem"}),
        ("relay", {"smtp_url": "smtp://elsewhere.example"}),
        ("settings", {"webhook_secret_file": "nowhere"}),
    ],
)
async def test_what_a_worker_can_not_use_leaves_it_as_it_was(
    tmp_path: Path, what: str, changed: dict[str, str]
) -> None:
    async with running(tmp_path) as here:
        before = here.mail()
        here.write(**changed)
        with capture_logs() as lines:
            await here.reread()
        assert here.mail() == before
        assert here.metric("ritorno_secret_kept", what) == 1
        assert OLD.secret not in str(lines)
        here.write()
        await here.reread()
        assert here.metric("ritorno_secret_kept", what) == 0


async def test_the_key_that_a_worker_has_made_is_read_again_and_never_made_anew(
    tmp_path: Path,
) -> None:
    settings = Settings(
        broker=f"embedded://{tmp_path}/log", data_dir=tmp_path / "data", store="memory",
        admin_bind="127.0.0.1:0", public_bind="127.0.0.1:0",
    )  # fmt: skip
    worker = Worker(settings, clock=VirtualClock(START), read=lambda: settings)
    await asyncio.wait_for(worker.start(), 20)
    try:
        key = tmp_path / "data" / "signing-key"
        first, kept = key.read_text(), list(worker.secrets.keys)
        key.unlink()
        await worker.rereader.look()
        assert not key.exists()
        assert worker.secrets.counts.kept == {"token_keys"}
        assert list(worker.secrets.keys) == kept
        key.write_text("f" * 64)
        await worker.rereader.look()
        assert worker.secrets.keys[0].secret == "f" * 64
        key.write_text(first)
        await worker.rereader.look()
        assert list(worker.secrets.keys) == kept
    finally:
        await worker.stop()


async def test_the_mailbox_is_opened_with_the_new_password(tmp_path: Path) -> None:
    here = Running(tmp_path, "smtp://127.0.0.1:1")
    here.write(inbound_imap_url="imaps://u:one@127.0.0.1:1", inbound_poll_seconds="3600")
    here.worker = Worker(here.settings(), clock=VirtualClock(START), read=SettingsReader(here.file))
    await asyncio.wait_for(here.worker.start(), 20)
    try:
        here.write(
            inbound_imap_url="imaps://u:two@127.0.0.1:1", inbound_poll_seconds="3600",
            inbound_imap_ca_file=str(CERTIFICATE),
        )  # fmt: skip
        await here.reread()
        poller = here.worker.inbound.mailbox
        assert isinstance(poller, ImapPoller)
        assert (poller.mailbox.password, poller.mailbox.ca_file) == ("two", CERTIFICATE)
    finally:
        await here.worker.stop()


def test_every_secret_and_every_certificate_is_read_again() -> None:
    files = {name for name in Settings.model_fields if name.endswith("_file")}
    files -= {"kafka_token_file"}  # is read for each token
    assert {*SECRETS, *files} <= REREAD


def test_a_process_that_is_started_again_has_the_secrets_of_now() -> None:
    begun = Settings(
        kafka_password="one", token_keys="old:0123456789abcdef", worker_id="w-2", shop_name="A",
        mail_dkim_selector="s1",
    )  # fmt: skip
    now = Settings(
        kafka_password="two", token_keys="new:0123456789abcdef", worker_id="w", shop_name="B",
        inbound_imap_url="imaps://u:p@mail.example",
    )  # fmt: skip
    merged = with_secrets_of(begun, now)
    assert merged.kafka_password.get_secret_value() == "two"
    assert merged.token_keys[0].id == "new"
    assert merged.mail_dkim_selector == ()
    assert (merged.worker_id, merged.shop_name) == ("w-2", "A")
    assert not merged.inbound_imap_url.get_secret_value()  # another process polls it
