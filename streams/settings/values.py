"""How the value of a setting is written: each kind is a type that reads it and refuses the rest.

A value comes from the environment as text and from a file also as a list or a table.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from agents.mail.providers import PROVIDERS
from schemas.notation import DecimalMark

MAX_SELECTOR = 63
"""Characters of a DKIM selector; a name in the DNS has 253 in all, for it and the domain."""

SMTP_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


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


class _InvalidValue(ValueError):
    """A value that can't be used; the text says what is expected."""


# Addresses and URLs.


def parse_address(value: object, *, default_port: int | None = None) -> Address:
    """Read `HOST:PORT` or `[IPV6]:PORT`. Raises ValueError saying what was expected."""
    if isinstance(value, Address):
        return value
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?", str(value))
    port = int(match[2]) if match and match[2] else default_port
    if match is None or port is None or port > 65_535:
        raise _InvalidValue("expected HOST:PORT, such as 127.0.0.1:9464")
    return Address(match[1].strip("[]"), port)


def _any_port(value: object) -> Address | None:
    """Read `HOST[:PORT]`; port 0 where none is said."""
    return None if value in (None, "") else parse_address(value, default_port=0)


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
        raise _InvalidValue("a user and password go into kafka_username and kafka_password")
    raise _InvalidValue("expected kafka://HOST:PORT[,HOST:PORT] or embedded://PATH")


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
        raise _InvalidValue("expected smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://…, or several")
    return value


def _imap_url(value: SecretStr) -> SecretStr:
    if value.get_secret_value():
        from streams.mail.inbound.imap import parse_imap  # noqa: PLC0415  # few shops have one

        try:
            parse_imap(value.get_secret_value())
        except ValueError as error:
            raise _InvalidValue(str(error)) from None
    return value


def _webhook_secrets(value: SecretStr) -> SecretStr:
    if value.get_secret_value():
        from agents.mail.message.webhook import read_secrets  # noqa: PLC0415  # few shops have one

        try:
            read_secrets(value.get_secret_value())
        except ValueError as error:
            raise _InvalidValue(str(error)) from None
    return value


def _web_url(value: str) -> str:
    parts = urlsplit(_one_line(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _InvalidValue("expected https://HOST[/PATH]")
    return value.rstrip("/")


def _token_url(value: str) -> str:
    if not value:
        return value
    parts = urlsplit(_web_url(value))
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise _InvalidValue("must be https, or the client's secret is sent in the clear")
    if parts.username is not None:
        raise _InvalidValue("a client's id and secret go into kafka_username and kafka_password")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise _InvalidValue("expected ADDRESS or ADDRESS/BITS, such as 10.0.0.0/8") from None


def _optional_web_url(value: str) -> str:
    return _web_url(value) if value else value


# What a mail says of itself.


def _mail_address(value: str) -> str:
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  # 30 ms

    try:
        return validate_email(value, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise _InvalidValue(str(error)) from None


def _optional_mail_address(value: str) -> str:
    return _mail_address(value) if value else value


def _optional_domain(value: str) -> str:
    if not value:
        return value
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  # as above

    try:
        domain = validate_email(f"x@{value}", check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise _InvalidValue("expected a domain, such as shop.example") from None
    return domain.ascii_domain


def _host_name(value: str) -> str:
    if not value:
        raise _InvalidValue("expected a host's name, such as shop.example")
    return _optional_domain(value).lower()


def _selector(value: str) -> str:
    label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    if not re.fullmatch(rf"{label}(\.{label})*", value) or len(value) > MAX_SELECTOR:
        raise _InvalidValue("expected letters, digits and dashes, such as r2026")
    return value


def _feedback_sender(value: str) -> str:
    if value and not re.fullmatch(r"[A-Za-z0-9]{5,15}", value):
        raise _InvalidValue("expected 5 to 15 letters and digits")
    return value


# Names.


def _one_line(value: str) -> str:
    if any(ord(character) < 32 for character in value):
        raise _InvalidValue("line breaks and control characters are not allowed here")
    return value


def _identifier(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise _InvalidValue("expected letters, digits, dots, dashes; at most 100")
    return value


def _optional_identifier(value: str) -> str:
    return _identifier(value) if value else value


def _topic_prefix(value: str) -> str:
    if value and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,98}[._-]", value):
        raise _InvalidValue(
            "expected letters, digits, dots, dashes and underscores, one of the last three at the "
            "end, such as shop-it.; at most 100"
        )
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError):
        raise _InvalidValue("expected a time zone's name, such as Europe/Rome") from None
    return value


# Several in one.


def _listed(value: object) -> object:
    """Read `ONE,TWO`; a list, in a file, is taken as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _providers(value: object) -> object:
    """Read `DOMAIN=PROVIDER,DOMAIN=PROVIDER`; a table, in a file, is taken as it is."""
    if isinstance(value, str):
        pairs = [part.partition("=")[::2] for part in value.split(",") if part.strip()]
        value = {domain.strip().lower(): provider.strip() for domain, provider in pairs}
    if isinstance(value, dict):
        for domain, provider in value.items():
            if provider not in PROVIDERS:
                raise _InvalidValue(
                    f"expected DOMAIN=PROVIDER (got {domain}={provider}); "
                    f"providers are {', '.join(PROVIDERS)}"
                )
    return value


def _shop_sources(value: object) -> object:
    """Read `PREFIX=SHOP,PREFIX=SHOP`; a table, in a file, is taken as it is."""
    if isinstance(value, str):
        pairs = [part.rpartition("=")[::2] for part in value.split(",") if part.strip()]
        value = {prefix.strip(): shop.strip() for prefix, shop in pairs}
    if isinstance(value, dict):
        for prefix, shop in value.items():
            if not prefix or not re.fullmatch(r"[A-Za-z0-9._-]{1,63}", str(shop)):
                raise _InvalidValue(
                    f"expected PREFIX=SHOP (got {prefix}={shop}), such as /shop-it/=it; a shop's "
                    "name has letters, digits, dots and hyphens"
                )
    return value


def _decimal_marks(value: object) -> object:
    """Read `PREFIX=MARK,PREFIX=MARK`; a table, in a file, is taken as it is."""
    if isinstance(value, str):
        pairs = [part.rpartition("=")[::2] for part in value.split(",") if part.strip()]
        value = {prefix.strip(): mark.strip() for prefix, mark in pairs}
    if isinstance(value, dict):
        for prefix, mark in value.items():
            if not prefix or mark not in ("comma", "point"):
                raise _InvalidValue(
                    f"expected PREFIX=comma or PREFIX=point (got {prefix}={mark}), such as "
                    "/till=comma"
                )
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
            raise _InvalidValue("expected ID:SECRET[,ID:SECRET], secrets of 16 characters or more")
    return tuple(TokenKey(name.strip(), SecretStr(secret)) for name, secret in pairs)


Bind = Annotated[Address, BeforeValidator(parse_address)]
InternalAddress = Annotated[Address | None, BeforeValidator(_any_port)]
Broker = Annotated[str, AfterValidator(_broker)]
SmtpUrls = Annotated[SecretStr, AfterValidator(_smtp_url)]
WebhookSecrets = Annotated[SecretStr, AfterValidator(_webhook_secrets)]
ImapUrl = Annotated[SecretStr, AfterValidator(_imap_url)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
OptionalWebUrl = Annotated[str, AfterValidator(_optional_web_url)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
OptionalMailAddress = Annotated[str, AfterValidator(_optional_mail_address)]
OptionalDomain = Annotated[str, AfterValidator(_optional_domain)]
HostName = Annotated[str, AfterValidator(_host_name)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_listed)]
HostNames = Annotated[tuple[HostName, ...], BeforeValidator(_listed)]
Selector = Annotated[str, AfterValidator(_selector)]
Selectors = Annotated[tuple[Selector, ...], BeforeValidator(_listed)]
Files = Annotated[tuple[Path, ...], BeforeValidator(_listed)]
FeedbackSender = Annotated[str, AfterValidator(_feedback_sender)]
Line = Annotated[str, AfterValidator(_one_line)]
Identifier = Annotated[str, AfterValidator(_identifier)]
OptionalIdentifier = Annotated[str, AfterValidator(_optional_identifier)]
TokenUrl = Annotated[str, AfterValidator(_token_url)]
TopicPrefix = Annotated[str, AfterValidator(_topic_prefix)]
Zone = Annotated[str, AfterValidator(_zone)]
Color = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
Providers = Annotated[dict[str, str], BeforeValidator(_providers)]
ShopSources = Annotated[dict[str, str], BeforeValidator(_shop_sources)]
DecimalMarks = Annotated[dict[str, DecimalMark], BeforeValidator(_decimal_marks)]
TokenKeys = Annotated[tuple[TokenKey, ...], BeforeValidator(_token_keys)]
