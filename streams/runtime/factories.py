"""Factories: make of the settings what the parts of a worker need."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agents.definitions.settings import DeduplicationRules, Sources, VisitorLimits
from agents.mail.addresses import read_recipient
from agents.mail.settings import MailSettings, Shop, SigningKey
from schemas.notation import Notation
from schemas.signing import RecordSigner
from schemas.time_units import DAY_MS
from streams.clock import Clock, SystemClock
from streams.log import Log
from streams.logging import get_logger
from streams.settings import Settings
from streams.settings.sources import PREFIX, SettingsError
from streams.topic_names import TopicNames
from streams.topology import GROUP

if TYPE_CHECKING:
    from agents.mail.message.dkim import DkimKey
    from agents.mail.reputation import WarmUp
    from streams.http.internal.client import Lookups
    from streams.runtime.logs.kafka.security import KafkaSecurity

KEY_FILE = "signing-key"
KEY_BYTES = 32
"""As many as the SHA-256 that signs with it puts out; more adds nothing."""

_log = get_logger(__name__)


def log_from(settings: Settings, clock: Clock | None = None) -> Log:
    """Return the log that is set, not yet connected. `clock` stamps the embedded log's records."""
    if settings.on_kafka:
        # aiokafka and Faust take a second to import, which the embedded log needn't wait for.
        from streams.runtime.logs.kafka import KafkaLog  # noqa: PLC0415  # see above

        names = TopicNames(settings.topic_prefix)
        return KafkaLog(settings.bootstrap_servers, security=kafka_security(settings), names=names)
    from streams.runtime.logs.embedded import EmbeddedLog  # noqa: PLC0415  # only the one that is used

    return EmbeddedLog(settings.embedded_path, clock or SystemClock())


def consumer_group(settings: Settings) -> str:
    """Return the consumer group of the workers. Shops whose topics differ have different ones."""
    if not settings.on_kafka:
        return GROUP
    return settings.group_id or settings.topic_prefix + GROUP


def kafka_security(settings: Settings) -> KafkaSecurity:
    """Return how to reach the Kafka brokers; for `KafkaLog` and for Faust's consumers."""
    from streams.runtime.logs.kafka.bearer import TokenSource  # noqa: PLC0415  # see log_from
    from streams.runtime.logs.kafka.security import KafkaSecurity  # noqa: PLC0415  # as above

    return KafkaSecurity(
        tls=settings.kafka_security.endswith("tls"),
        ca_file=settings.kafka_ca_file,
        cert_file=settings.kafka_cert_file,
        key_file=settings.kafka_key_file,
        mechanism=(
            settings.kafka_sasl_mechanism if settings.kafka_security.startswith("sasl") else None
        ),
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        token_source=TokenSource(
            settings.kafka_token_file, settings.kafka_token_url, settings.kafka_token_scope
        ),
    )


def shop_of(settings: Settings) -> Shop:
    """Return what mails show of the shop."""
    return Shop(
        name=settings.shop_name,
        url=settings.shop_url,
        support_email=settings.shop_support_email,
        color=settings.shop_color,
        logo_url=settings.shop_logo_url,
        postal_address=settings.shop_postal_address,
    )


def mail_settings(settings: Settings) -> MailSettings:
    """Return who writes to the customers. Raises SettingsError."""
    try:
        return MailSettings(
            shop=shop_of(settings),
            from_address=settings.mail_from_address,
            from_name=settings.mail_from_name or settings.shop_name,
            reply_to=settings.mail_reply_to or settings.shop_support_email,
            envelope_from=settings.mail_envelope_from,
            bounce_domain=settings.mail_bounce_domain,
            list_id=settings.mail_list_id,
            public_url=settings.public_url,
            signing_keys=signing_keys(settings),
            unsubscribe_mailbox=settings.mail_unsubscribe_mailbox,
            feedback_sender=settings.mail_feedback_sender,
            fallback_locale=settings.shop_locale,
            dkim_keys=dkim_keys(settings),
            dkim_valid_days=settings.mail_dkim_valid_days,
            tracking=settings.tracking_mode,
            tracking_hosts=settings.tracking_hosts,
            confirm_days=settings.confirm_days,
        )
    except ValueError as error:
        field, _, problem = str(error).partition(": ")
        name = PREFIX + ("TOKEN_KEYS" if field == "signing_keys" else f"MAIL_{field.upper()}")
        raise SettingsError(f"{name}: {problem}") from None


def warm_up(settings: Settings) -> WarmUp | None:
    """Return how a new sender begins, None when it is none."""
    if not settings.mail_warm_up_start:
        return None
    from agents.mail.reputation import WarmUp  # noqa: PLC0415  # only where mails are sent

    return WarmUp(
        start=settings.mail_warm_up_start,
        growth=settings.mail_warm_up_growth,
        zone=settings.shop_zone,
    )


def webhook_secrets(settings: Settings) -> tuple[bytes, ...]:
    """Return what signs webhooks, none when none is set."""
    from agents.mail.message.webhook import read_secrets  # noqa: PLC0415  # few commands post

    return read_secrets(settings.webhook_secret.get_secret_value())


def signing_keys(settings: Settings) -> tuple[SigningKey, ...]:
    """Return the keys of links in mails and of records; the one kept in data_dir without any set.

    Raises SettingsError when that one can be neither read nor made, and on Kafka: there several
    processes write what the others have to believe.
    """
    if settings.token_keys:
        return tuple(
            SigningKey(key.id, _of_shop(settings, key.secret.get_secret_value()))
            for key in settings.token_keys
        )
    if settings.on_kafka:
        raise SettingsError(
            f"{PREFIX}TOKEN_KEYS: needed on Kafka, the same for all workers and commands; they "
            "sign what they write. ID:SECRET, the secret by `openssl rand -hex 32`"
        )
    secret = _kept_key(settings.data_dir / KEY_FILE)
    id_ = hashlib.sha256(secret.encode()).hexdigest()[:8]
    return (SigningKey(id_, _of_shop(settings, secret)),)


def _of_shop(settings: Settings, secret: str) -> str:
    """Return the shop's own secret. Where shops share a cluster and by mistake the keys as well,
    what one has signed (records, links, requests) is nothing to the other."""
    if not settings.topic_prefix:
        return secret
    return hmac.new(secret.encode(), settings.topic_prefix.encode(), "sha256").hexdigest()


def has_signing_keys(settings: Settings) -> bool:
    """Whether there are keys already: who only reads makes none, and nothing was signed by it."""
    if settings.token_keys or settings.on_kafka:
        return bool(settings.token_keys)
    return (settings.data_dir / KEY_FILE).exists()


def record_signer(settings: Settings) -> RecordSigner:
    """Return who signs what is ours in the log, and checks it. Raises SettingsError."""
    return RecordSigner(signing_keys(settings))


def deduplication_rules(settings: Settings) -> DeduplicationRules:
    """Return how an event that comes again is known."""
    sources = Sources(settings.shop_sources)
    return DeduplicationRules(settings.event_memory_days * DAY_MS, sources)


def notation(settings: Settings) -> Notation:
    """Return how the shop's systems write what leaves room."""
    return Notation(settings.shop_zone, settings.shop_url, settings.decimal_marks)


def visitor_limits(settings: Settings) -> VisitorLimits:
    """Return for how long visitors are kept, and how many may arrive in a partition."""
    return VisitorLimits(settings.visitor_days, settings.visitor_limit)


def coupon_key(settings: Settings) -> bytes:
    """Return what makes generated coupon codes unguessable, the same in all workers.

    Derived from the oldest key of links, so that adding a new one changes no code. Raises
    SettingsError.
    """
    secret = signing_keys(settings)[-1].secret.encode()
    return hashlib.blake2b(secret, digest_size=32, person=b"coupons").digest()


def link_key(settings: Settings) -> bytes:
    """Return what makes the names of links tell nobody the addresses, the same in all workers.

    Derived from the oldest key of links, so that adding a new one changes no name. Raises
    SettingsError.
    """
    secret = signing_keys(settings)[-1].secret.encode()
    return hashlib.blake2b(secret, digest_size=32, person=b"links").digest()


def lookups_of(
    settings: Settings, log: Log, keys: Sequence[SigningKey] | None = None
) -> Lookups | None:
    """Return how to ask workers what they keep; None where no worker could know our key, and
    where none runs on the embedded log.

    `keys` are those that are set, or a worker's own. Raises SettingsError.
    """
    from streams.http.internal.client import Lookups  # noqa: PLC0415  # few commands ask
    from streams.http.internal.owners import ADDRESS_FILE, Owners  # noqa: PLC0415  # as above
    from streams.http.internal.signing import RequestSigner  # noqa: PLC0415  # as above

    if settings.on_kafka and not settings.token_keys:
        return None
    if not settings.on_kafka and not (settings.data_dir / ADDRESS_FILE).exists():
        return None
    keys = signing_keys(settings) if keys is None else keys
    owners = Owners(log, consumer_group(settings), settings.data_dir)
    return Lookups(log, owners, RequestSigner(keys))


def dkim_keys(settings: Settings) -> tuple[DkimKey, ...]:
    """Return the keys that sign mails, none when none is set. Raises SettingsError."""
    if not settings.mail_dkim_key_file:
        return ()
    from agents.mail.message.dkim import DkimKey, read_key  # noqa: PLC0415  # few commands sign

    domain = dkim_domain(settings)
    keys = []
    named = zip(settings.mail_dkim_selector, settings.mail_dkim_key_file, strict=True)
    for selector, path in named:
        try:
            keys.append(DkimKey(domain, selector, read_key(path.read_bytes())))
        except OSError as error:
            problem = f"{path}: {error.strerror}"
        except ValueError as error:
            problem = f"{path}: {error}"
        else:
            continue
        raise SettingsError(f"{PREFIX}MAIL_DKIM_KEY_FILE: {problem}")
    return tuple(keys)


def dkim_domain(settings: Settings) -> str:
    """Return who signs mails: what is set, else the sender's domain."""
    return settings.mail_dkim_domain or sender_domain(settings)


def sender_domain(settings: Settings) -> str:
    """Return the domain of the address that mails come from, in ASCII."""
    return read_recipient(settings.mail_from_address, "").address.rpartition("@")[2]


def _kept_key(path: Path) -> str:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path)
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    if len(secret) < KEY_BYTES:
        raise SettingsError(f"{path}: too short to be a key; delete it, or set {PREFIX}TOKEN_KEYS")
    return secret


def _make_key(path: Path) -> None:
    """Write a new key, readable by its owner only. Whoever comes first at the same time wins."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        _log.debug("another process has made the key meanwhile", path=str(path))
    finally:
        partial.unlink()
