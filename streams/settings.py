"""What can be set, and from where: flags, then the environment, then a file, then the defaults.

The environment's names are `RITORNO_` and the field's name in capitals. The file is
`ritorno.toml` in the current directory or the one that `RITORNO_CONFIG` names; a table's name is
the first part of the field's name, so `[kafka] username` and `RITORNO_KAFKA_USERNAME` are one:

    broker = "kafka://kafka-1:9092,kafka-2:9092"
    [shop]
    name = "Bottega del Colle"

A mistake is a `SettingsError` that names the variable, where it was set and its value, unless that
is a secret.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from agents.mailer.providers import PROVIDERS
from schemas.commands import TrackingMode

PREFIX = "RITORNO_"
CONFIG_VARIABLE = PREFIX + "CONFIG"
DEFAULT_FILE = Path("ritorno.toml")

# Read by the tests and CI, not by the product; a typo check must not take them for settings.
_OTHER_VARIABLES = {CONFIG_VARIABLE, PREFIX + "REQUIRE_KAFKA", PREFIX + "REQUIRE_PROMETHEUS"}

MAX_SELECTOR = 63
"""Characters of a DKIM selector; a name in the DNS has 253 in all, for it and the domain."""

SMTP_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


# pydantic-settings builds its sources from the class alone, so the flag reaches them this way.
_config_flag: ContextVar[Path | None] = ContextVar("config", default=None)


class SettingsError(Exception):
    """A setting that can't be used. The text is for a person and holds no secret."""


class Address(NamedTuple):
    """Where a server listens or is reached."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class TokenKey(NamedTuple):
    """A secret that signs links in mails, and the id that links carry to name it."""

    id: str
    secret: SecretStr


class _MistakeError(ValueError):
    """A value that can't be used; the text says what is expected."""


def parse_address(value: object, *, default_port: int | None = None) -> Address:
    """Read `HOST:PORT` or `[IPV6]:PORT`. Raises ValueError saying what was expected."""
    if isinstance(value, Address):
        return value
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?", str(value))
    port = int(match[2]) if match and match[2] else default_port
    if match is None or port is None or port > 65_535:
        raise _MistakeError("expected HOST:PORT, such as 127.0.0.1:9464")
    return Address(match[1].strip("[]"), port)


def _broker(value: str) -> str:
    if not value:  # the default, see broker_url
        return value
    scheme, separator, rest = value.partition("://")
    if separator and scheme == "embedded" and rest:
        return value
    if separator and scheme == "kafka" and rest and "@" not in rest:
        for address in rest.rstrip("/").split(","):
            parse_address(address, default_port=9092)
        return value.rstrip("/")
    if "@" in rest:
        raise _MistakeError("a user and password go into kafka_username and kafka_password")
    raise _MistakeError("expected kafka://HOST:PORT[,HOST:PORT] or embedded://PATH")


def split_urls(urls: str) -> list[str]:
    """Return the relays' URLs. What separates two is followed by a scheme: a password may have
    commas in it."""
    return re.split(r"[\s,]+(?=smtp)", urls.strip(" ,\n\t"))


def _smtp_url(value: SecretStr) -> SecretStr:
    try:
        parts = [urlsplit(url) for url in split_urls(value.get_secret_value())]
        usable = all(
            each.scheme in SMTP_PORTS and each.hostname and each.port != 0 for each in parts
        )
    except ValueError:
        usable = False
    if not usable:
        raise _MistakeError("expected smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://…, or several")
    return value


def _domains(value: object) -> object:
    """Read `DOMAIN=PROVIDER,DOMAIN=PROVIDER`; a table, in a file, is taken as it is."""
    if isinstance(value, str):
        pairs = [part.partition("=")[::2] for part in value.split(",") if part.strip()]
        value = {domain.strip().lower(): provider.strip() for domain, provider in pairs}
    if isinstance(value, dict):
        for domain, provider in value.items():
            if provider not in PROVIDERS:
                raise _MistakeError(
                    f"expected DOMAIN=PROVIDER (got {domain}={provider}); "
                    f"providers are {', '.join(PROVIDERS)}"
                )
    return value


def _imap_url(value: SecretStr) -> SecretStr:
    from streams.mail.inbound.imap import parse_imap  # noqa: PLC0415  # few shops have one

    if value.get_secret_value():
        try:
            parse_imap(value.get_secret_value())
        except ValueError as error:
            raise _MistakeError(str(error)) from None
    return value


def _mail_address(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise _MistakeError(str(error)) from None


def _optional_mail_address(value: str) -> str:
    return _mail_address(value) if value else value


def _one_line(value: str) -> str:
    if any(ord(character) < 32 for character in value):
        raise _MistakeError("line breaks and control characters are not allowed here")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError):
        raise _MistakeError("expected a time zone's name, such as Europe/Rome") from None
    return value


def _web_url(value: str) -> str:
    parts = urlsplit(_one_line(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _MistakeError("expected https://HOST[/PATH]")
    return value.rstrip("/")


def _optional_web_url(value: str) -> str:
    return _web_url(value) if value else value


def _identifier(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise _MistakeError("expected letters, digits, dots, dashes; at most 100")
    return value


def _feedback_sender(value: str) -> str:
    if value and not re.fullmatch(r"[A-Za-z0-9]{5,15}", value):
        raise _MistakeError("expected 5 to 15 letters and digits")
    return value


def _token_keys(value: object) -> object:
    """Read `ID:SECRET,ID:SECRET` or a table id → secret. The first one signs, all verify."""
    if isinstance(value, str):
        pairs = [part.partition(":")[::2] for part in value.split(",") if part.strip()]
    elif isinstance(value, Mapping):
        pairs = [(str(name), str(secret)) for name, secret in value.items()]
    else:
        return value
    for name, secret in pairs:
        if not re.fullmatch(r"[A-Za-z0-9]{1,16}", name.strip()) or len(secret) < 16:
            raise _MistakeError("expected ID:SECRET[,ID:SECRET], secrets of 16 characters or more")
    return tuple(TokenKey(name.strip(), SecretStr(secret)) for name, secret in pairs)


def _listed(value: object) -> object:
    """Read `ONE,TWO`; a list, in a file, is taken as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _selector(value: str) -> str:
    label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    if not re.fullmatch(rf"{label}(\.{label})*", value) or len(value) > MAX_SELECTOR:
        raise _MistakeError("expected letters, digits and dashes, such as r2026")
    return value


def _optional_domain(value: str) -> str:
    if not value:
        return value
    try:
        domain = validate_email(f"x@{value}", check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise _MistakeError("expected a domain, such as shop.example") from None
    return domain.ascii_domain


def _host_name(value: str) -> str:
    if not value:
        raise _MistakeError("expected a host's name, such as shop.example")
    return _optional_domain(value).lower()


HostName = Annotated[str, AfterValidator(_host_name)]
Line = Annotated[str, AfterValidator(_one_line)]
Selector = Annotated[str, AfterValidator(_selector)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
Bind = Annotated[Address, BeforeValidator(parse_address)]


def _default_worker_id() -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).strip(".-")[:100] or "worker"


def _default_workflows_dir() -> Path:
    # Beside the packages, both in a checkout and in an installed wheel (see pyproject.toml).
    return Path(__file__).resolve().parent.parent / "workflows"


class Settings(BaseSettings):
    """Everything that can be set. Build it with `load_settings`, which explains mistakes."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, enable_decoding=False, extra="forbid", frozen=True
    )

    broker: Annotated[str, AfterValidator(_broker)] = ""
    """`kafka://HOST:PORT[,HOST:PORT]` or `embedded://PATH`; by default embedded, under data_dir."""
    data_dir: Path = Path("data")
    """State, the embedded log and generated keys. One directory per worker."""
    smtp_url: Annotated[SecretStr, AfterValidator(_smtp_url)] = SecretStr("smtp://127.0.0.1:25")
    """One relay, or several in the order of preference: the next one takes over while one is down.
    """
    smtp_connections: int = Field(default=10, ge=1, le=200)
    """To each relay; a fifth of them is kept free for receipts."""
    webhook_secret: SecretStr = SecretStr("")
    """Signs the bodies of webhooks that workflows send. Empty: they go unsigned."""
    admin_bind: Bind = Address("127.0.0.1", 9464)
    """Metrics, health and readiness. Not for the public: it has no authentication."""
    public_bind: Bind = Address("127.0.0.1", 8080)
    """The links in mails; what stands before it (a reverse proxy) speaks TLS."""
    worker_id: Annotated[str, AfterValidator(_identifier)] = Field(
        default_factory=_default_worker_id
    )
    workflows_dir: Path = Field(default_factory=_default_workflows_dir)
    store: Literal["rocksdict", "memory"] = "rocksdict"
    partitions: int | None = Field(default=None, ge=1, le=1024)
    """Of the per-customer topics, when they are created; None: 8 on Kafka, 4 embedded."""
    replication: int = Field(default=1, ge=1, le=16)
    tick_seconds: float = Field(default=1.0, ge=0.05, le=3600)
    """How often time passes when nothing else happens."""

    kafka_security: Literal["plaintext", "tls", "sasl_plaintext", "sasl_tls"] = "plaintext"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_session_seconds: float = Field(default=10.0, ge=1, le=300)
    """A worker that is gone for this long is replaced. Brokers accept 6 to 1800 by default."""
    kafka_ca_file: Path | None = None
    kafka_cert_file: Path | None = None
    kafka_key_file: Path | None = None

    shop_name: Line = "Il negozio"
    shop_url: Annotated[str, AfterValidator(_web_url)] = "https://shop.example"
    shop_support_email: MailAddress = "assistenza@shop.example"
    shop_color: Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")] = "#1f5f4a"
    """Of the mails' buttons, links and name."""
    shop_logo_url: Annotated[str, AfterValidator(_optional_web_url)] = ""
    """A picture at the head of the mails, 40 px high. Empty: the shop's name."""
    shop_postal_address: Line = ""
    """In the footer of the mails. Empty: none."""
    shop_locale: Literal["it", "en"] = "it"
    shop_zone: Annotated[str, AfterValidator(_zone)] = "Europe/Rome"

    mail_from_address: MailAddress = "negozio@shop.example"
    mail_from_name: Line = ""
    """Empty: the shop's name."""
    mail_reply_to: Annotated[str, AfterValidator(_optional_mail_address)] = ""
    """Empty: the shop's support address."""
    mail_list_id: Line = ""
    """Empty: `news.` and the sender's domain."""
    mail_envelope_from: Annotated[str, AfterValidator(_optional_mail_address)] = ""
    """Who gets bounces. Empty: the sender."""
    mail_bounce_domain: Annotated[str, AfterValidator(_optional_domain)] = ""
    """Each mail gets a return address of its own there, so that a bounce says which mail it is
    about. A part of the sender's domain, or SPF no longer speaks for the sender (DMARC)."""
    mail_unsubscribe_mailbox: Annotated[str, AfterValidator(_optional_mail_address)] = ""
    """A mailbox that somebody reads; a second way to unsubscribe. Empty: none."""
    mail_feedback_sender: Annotated[str, AfterValidator(_feedback_sender)] = ""
    """Last field of the Feedback-ID header. Empty: made of the sender's domain."""
    mail_dkim_domain: Annotated[str, AfterValidator(_optional_domain)] = ""
    """Who signs (d=). Empty: the sender's domain."""
    mail_dkim_selector: Annotated[tuple[Selector, ...], BeforeValidator(_listed)] = ()
    """`SELECTOR[,SELECTOR]`: each key signs every mail. Empty: mails leave unsigned."""
    mail_dkim_key_file: Annotated[tuple[Path, ...], BeforeValidator(_listed)] = ()
    """`FILE[,FILE]` with the private keys (PEM), one for each selector in the same order."""
    mail_dkim_valid_days: int | None = Field(default=None, ge=1, le=365)
    """How long a signature holds after the mail's expiry (x=). None: for ever."""
    mail_providers: Annotated[dict[str, str], BeforeValidator(_domains)] = {}
    """`DOMAIN=PROVIDER[,…]`: more domains whose mailboxes are at a provider that has limits."""
    mail_warm_up_start: int = Field(default=0, ge=0, le=10_000_000)
    """Marketing mails on the first day of a new sender; 0: no warm-up."""
    mail_warm_up_growth: float = Field(default=1.5, ge=1, le=10)
    """What each further day allows, as a multiple of the day before."""
    mail_public_url: Annotated[str, AfterValidator(_optional_web_url)] = ""
    """Where the world reaches public_bind. Empty: http://PUBLIC_BIND, good only for trying out."""
    inbound_smtp_bind: Bind | None = None
    """Take bounces and complaints here by SMTP; needs mail_bounce_domain. None: not at all."""
    inbound_maildir: Path | None = None
    """A maildir into which they are delivered."""
    inbound_imap_url: Annotated[SecretStr, AfterValidator(_imap_url)] = SecretStr("")
    """`imaps://USER:PASSWORD@HOST[:PORT][/FOLDER]`, a mailbox of theirs; imap:// is STARTTLS."""
    inbound_imap_done: Line = ""
    """Folder for those that are dealt with. Empty: they stay where they are, marked as seen."""
    inbound_imap_ca_file: Path | None = None
    inbound_poll_seconds: float = Field(default=30.0, ge=1, le=3600)
    """How often maildir and mailbox are looked into."""
    tracking_mode: TrackingMode = "anonymous"
    """The most that may be noted of openings and clicks: off, anonymous, pseudonymous, identified.
    A workflow and a person may only allow less; without consent a person is at most counted."""
    tracking_hosts: Annotated[tuple[HostName, ...], BeforeValidator(_listed)] = ()
    """`HOST[,HOST]`, with all below them, to which counted links may lead besides the shop's."""
    confirm_days: int = Field(default=7, ge=1, le=90)
    """How long the link of a double opt-in holds."""
    consent_evidence_ip: bool = False
    """Keep the address from which a consent was given, as part of its evidence."""
    token_keys: Annotated[tuple[TokenKey, ...], BeforeValidator(_token_keys)] = ()
    """Empty: one is made and kept in data_dir, which is right only for a single worker."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "text"] = "auto"
    """auto: text on a terminal, JSON elsewhere."""

    @property
    def broker_url(self) -> str:
        """The broker, with the default filled in."""
        return self.broker or f"embedded://{self.data_dir / 'log'}"

    @property
    def on_kafka(self) -> bool:
        """Whether the log is on Kafka; otherwise it is the embedded one."""
        return self.broker_url.startswith("kafka://")

    @property
    def bootstrap_servers(self) -> list[str]:
        """`HOST:PORT` of each Kafka broker named; empty on the embedded log."""
        if not self.on_kafka:
            return []
        addresses = self.broker_url.removeprefix("kafka://").split(",")
        return [str(parse_address(address, default_port=9092)) for address in addresses]

    @property
    def embedded_path(self) -> Path:
        """Where the embedded log lies. Only when `on_kafka` is false."""
        return Path(self.broker_url.removeprefix("embedded://"))

    @property
    def public_url(self) -> str:
        """What links in mails begin with."""
        return self.mail_public_url or f"http://{self.public_bind}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, file. No .env file and no secrets directory: three places suffice."""
        file_values, _ = _read_file(settings_cls.model_fields)
        return (
            init_settings,
            env_settings,
            InitSettingsSource(settings_cls, init_kwargs=file_values),
        )


def load_settings(*, config: Path | None = None, **flags: Any) -> Settings:
    """Return the settings; a flag that is None was not given. Raises SettingsError.

    `config` is the settings file, instead of the one that RITORNO_CONFIG names.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    _refuse_misspelt_variables()
    token = _config_flag.set(config)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingsError(_explain(error, given)) from None
    finally:
        _config_flag.reset(token)
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    """Refuse what is right one by one and wrong together."""
    if settings.kafka_security.startswith("sasl") and not (
        settings.kafka_username and settings.kafka_password.get_secret_value()
    ):
        raise SettingsError(
            f"{PREFIX}KAFKA_SECURITY is {settings.kafka_security}, "
            f"so {PREFIX}KAFKA_USERNAME and {PREFIX}KAFKA_PASSWORD must be set"
        )
    if settings.kafka_key_file and not settings.kafka_cert_file:
        raise SettingsError(f"{PREFIX}KAFKA_KEY_FILE needs {PREFIX}KAFKA_CERT_FILE as well")
    selectors, keys = settings.mail_dkim_selector, settings.mail_dkim_key_file
    if len(selectors) != len(keys):
        raise SettingsError(
            f"{PREFIX}MAIL_DKIM_SELECTOR names {len(selectors)} and {PREFIX}MAIL_DKIM_KEY_FILE "
            f"{len(keys)}: each selector needs its key file, in the same order"
        )
    if settings.mail_dkim_domain and not keys:
        raise SettingsError(
            f"{PREFIX}MAIL_DKIM_DOMAIN is {settings.mail_dkim_domain}, so "
            f"{PREFIX}MAIL_DKIM_SELECTOR and {PREFIX}MAIL_DKIM_KEY_FILE must be set"
        )
    if settings.inbound_smtp_bind and not settings.mail_bounce_domain:
        raise SettingsError(f"{PREFIX}INBOUND_SMTP_BIND needs {PREFIX}MAIL_BOUNCE_DOMAIN as well")
    for name in ("kafka_ca_file", "kafka_cert_file", "kafka_key_file", "inbound_imap_ca_file"):
        path: Path | None = getattr(settings, name)
        if path is not None and not path.is_file():
            raise SettingsError(f"{PREFIX}{name.upper()}: there is no file {path}")


def _refuse_misspelt_variables() -> None:
    """Refuse `RITORNO_BROKR`: a setting that is silently ignored is worse than none.

    A name that resembles no setting is let pass; it may belong to something else.
    """
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(os.environ):
        if not name.startswith(PREFIX) or name in known or name in _OTHER_VARIABLES:
            continue
        if close := difflib.get_close_matches(name, known, n=1, cutoff=0.87):
            raise SettingsError(f"{name} is not a setting; did you mean {close[0]}?")


def _read_file(fields: Mapping[str, Any]) -> tuple[dict[str, Any], Path | None]:
    """Return the file's values by field name, and the file. Raises SettingsError."""
    flag, named = _config_flag.get(), os.environ.get(CONFIG_VARIABLE)
    path = flag or (Path(named) if named else DEFAULT_FILE)
    if not path.is_file():
        if flag or named:
            raise SettingsError(f"{'--config' if flag else CONFIG_VARIABLE}: no file {path}")
        return {}, None
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    values: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, dict) and name not in fields:
            values |= {f"{name}_{key}": inner for key, inner in value.items()}
        else:
            values[name] = value
    for name in values:
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingsError(f"{path}: {name} is not a setting{hint}")
    return values, path


_SECRETS = {"smtp_url", "inbound_imap_url", "kafka_password", "token_keys", "webhook_secret"}


def _explain(error: ValidationError, flags: Mapping[str, Any]) -> str:
    """Say one line per mistake: where it was set, its value, what is expected."""
    file_values, path = _read_file(Settings.model_fields)
    lines = []
    for mistake in error.errors():
        name = str(mistake["loc"][0])
        variable = PREFIX + name.upper()
        if name in flags:
            where = "--" + name.replace("_", "-")
        elif any(key.upper() == variable for key in os.environ):
            where = variable
        elif name in file_values:
            where = f"{path}: {name}"
        else:
            where = variable
        shown = re.sub(r"://.*@", "://(not shown)@", repr(mistake["input"]))[:200]
        value = "(not shown)" if name in _SECRETS else shown
        message = mistake["msg"].removeprefix("Value error, ")
        lines.append(f"{where} = {value}: {message}")
    return "\n".join(lines)
