"""The certificates, keys and secrets of a worker, and how each is exchanged while it runs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from agents.mail.settings import MailSettings
from schemas.key_ring import KeyRing
from schemas.signing import RecordSigner
from streams.log import Log
from streams.mail.inbound.sources import Inbound
from streams.mail.relay import RelayUrlError, parse_relays
from streams.mail.smtp import SmtpPool
from streams.operate.secret_metrics import SecretCounts
from streams.runtime.factories import (
    KEY_FILE,
    dkim_keys,
    kafka_security,
    mail_settings,
    signing_keys,
    webhook_secrets,
)
from streams.runtime.rereading import Part, Reader, Rereader, system_certificates
from streams.settings import Settings
from streams.settings.sources import PREFIX, SettingsError

_RELAY = ("smtp_url",)
_KAFKA = ("kafka_username", "kafka_password", "kafka_ca_file", "kafka_cert_file", "kafka_key_file")
_DKIM = ("mail_dkim_selector", "mail_dkim_key_file", "mail_dkim_domain")
_TOKEN_KEYS = ("token_keys",)
_WEBHOOKS = ("webhook_secret",)
_MAILBOX = ("inbound_imap_url", "inbound_imap_ca_file")

REREAD = frozenset({*_RELAY, *_KAFKA, *_DKIM, *_TOKEN_KEYS, *_WEBHOOKS, *_MAILBOX})
"""The settings that are taken over while a worker runs."""


class WorkerSecrets:
    """What a worker signs and logs in with. Raises SettingsError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.keys = KeyRing(signing_keys(settings))
        """Of links and of records; whoever is given them follows an exchange."""
        self._dkim_keys = KeyRing(dkim_keys(settings))
        self.webhooks = KeyRing(webhook_secrets(settings))
        self.counts = SecretCounts()

    def signer(self) -> RecordSigner:
        """Return who signs what is ours in the log, with what there is at the moment."""
        return RecordSigner(self.keys)

    def mail_settings(self) -> MailSettings:
        """Return who writes to the customers. Raises SettingsError."""
        mail = mail_settings(self._settings)
        return replace(mail, signing_keys=self.keys, dkim_keys=self._dkim_keys)

    def rereader(
        self, read: Reader, *, log: Log, pools: Sequence[SmtpPool], inbound: Inbound
    ) -> Rereader:
        """Return who reads everything again for these."""

        async def relay(settings: Settings) -> None:
            relays = parse_relays(settings.smtp_url.get_secret_value())
            if [each.name for each in relays] != [pool.name for pool in pools]:
                raise SettingsError(
                    f"{PREFIX}SMTP_URL names other relays; they are taken over by a restart"
                )
            for each in relays:
                if each.tls != "off":
                    await asyncio.to_thread(ssl.create_default_context, cafile=each.ca_file)
            for each, pool in zip(relays, pools, strict=True):
                pool.exchange(each)

        async def mailbox(settings: Settings) -> None:
            if not settings.inbound_imap_url.get_secret_value():
                raise SettingsError(
                    f"{PREFIX}INBOUND_IMAP_URL is gone; a restart closes the mailbox"
                )
            inbound.reopen_mailbox(settings)

        parts = [
            Part("relay", _RELAY, _relay_files, relay),
            Part("dkim", _DKIM, lambda s: s.mail_dkim_key_file, self._take_dkim),
            Part("token_keys", _TOKEN_KEYS, _key_file, self._take_keys),
            Part("webhooks", _WEBHOOKS, lambda _: (), self._take_webhooks),
        ]
        if self._settings.on_kafka:
            parts.append(Part("kafka", _KAFKA, _kafka_files, _kafka_taker(log)))
        if self._settings.inbound_imap_url.get_secret_value():
            parts.append(Part("mailbox", _MAILBOX, lambda s: [s.inbound_imap_ca_file], mailbox))
        return Rereader(self._settings, parts, read, self.counts)

    async def _take_dkim(self, settings: Settings) -> None:
        self._dkim_keys.exchange(dkim_keys(settings))

    async def _take_keys(self, settings: Settings) -> None:
        if not settings.on_kafka and not settings.token_keys:
            path = settings.data_dir / KEY_FILE
            if not path.exists():  # or a new one would be made, which nothing was signed with
                raise SettingsError(f"{path} is gone: put it back from a copy")
        self.keys.exchange(signing_keys(settings))

    async def _take_webhooks(self, settings: Settings) -> None:
        self.webhooks.exchange(webhook_secrets(settings))


def with_secrets_of(settings: Settings, fresh: Settings) -> Settings:
    """Return `settings` with the secrets as they are now: of a process that is started again."""
    names = REREAD
    if not fresh.token_keys:
        names -= {*_TOKEN_KEYS}
    if not settings.inbound_imap_url.get_secret_value():  # another process polls it
        names -= {*_MAILBOX}
    return settings.model_copy(update={name: getattr(fresh, name) for name in names})


def _kafka_taker(log: Log) -> Callable[[Settings], Awaitable[None]]:
    from streams.runtime.logs.kafka import KafkaLog  # noqa: PLC0415  # only the log that is used

    assert isinstance(log, KafkaLog)
    security = log.security

    async def take(settings: Settings) -> None:
        security.exchange(kafka_security(settings))

    return take


def _relay_files(settings: Settings) -> Iterable[Path | None]:
    try:
        relays = parse_relays(settings.smtp_url.get_secret_value())
    except RelayUrlError:
        return []  # who takes it over says what is wrong
    trusted = [each.ca_file or system_certificates() for each in relays if each.tls != "off"]
    return dict.fromkeys(trusted)


def _kafka_files(settings: Settings) -> Iterable[Path | None]:
    return settings.kafka_ca_file, settings.kafka_cert_file, settings.kafka_key_file


def _key_file(settings: Settings) -> Iterable[Path | None]:
    return [] if settings.token_keys or settings.on_kafka else [settings.data_dir / KEY_FILE]
