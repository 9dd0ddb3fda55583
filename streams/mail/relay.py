"""Where mail is handed over, as a URL says it. Of several, with spaces or commas in between, the
first one that can be used is.

    smtp://[USER:PASSWORD@]HOST[:PORT][?starttls=required|opportunistic|off][&ca=FILE]
    smtp+starttls://…    as smtp:// with starttls=required, port 587
    smtps://…            TLS from the first byte, port 465

Without `starttls`, smtp:// uses TLS where the relay offers it (opportunistic), except to this very
machine, where it is off. Whenever TLS is used the certificate is verified. A password is sent only
through TLS or to this machine, unless `starttls=off` says that the network can be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from agents.mail.settings import LOOPBACK
from streams.settings.values import split_urls

Tls = Literal["implicit", "required", "opportunistic", "off"]

_SCHEMES: dict[str, tuple[int, Tls | None]] = {
    "smtp": (25, None),
    "smtp+starttls": (587, "required"),
    "smtps": (465, "implicit"),
}
_STARTTLS: dict[str, Tls] = {
    "required": "required",
    "opportunistic": "opportunistic",
    "off": "off",
}


class RelayUrlError(ValueError):
    """The URL can't be used. The text never shows the password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A mail relay and how to talk to it."""

    host: str
    port: int
    tls: Tls
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    plain_password: bool = False
    """The password may be sent without TLS."""

    @property
    def name(self) -> str:
        """How metrics and outcomes call it."""
        return f"{self.host}:{self.port}"


def parse_relays(urls: str) -> list[Relay]:
    """Read the URLs of one relay or several, in the order of preference. Raises RelayUrlError."""
    relays = [parse_relay(url) for url in split_urls(urls)]
    names = [relay.name for relay in relays]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RelayUrlError(f"{twice[0]} is there twice")
    return relays


def parse_relay(url: str) -> Relay:
    """Read a relay's URL. Raises RelayUrlError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RelayUrlError(f"not a relay's URL: {error}") from None
    if parts.scheme not in _SCHEMES or not host or parts.path not in ("", "/"):
        raise RelayUrlError("expected smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://…")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if unknown := options.keys() - {"starttls", "ca"}:
        raise RelayUrlError(f"unknown option {sorted(unknown)[0]!r}: there are starttls and ca")
    default_port, tls = _SCHEMES[parts.scheme]
    local = host in LOOPBACK
    return Relay(
        host=host,
        port=port or default_port,
        tls=tls or _starttls(options.get("starttls"), local),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        ca_file=_ca_file(options.get("ca")),
        plain_password=local or options.get("starttls") == "off",
    )


def _starttls(option: str | None, local: bool) -> Tls:
    if option is None:
        return "off" if local else "opportunistic"
    if option not in _STARTTLS:
        raise RelayUrlError(f"starttls={option}: expected required, opportunistic or off")
    return _STARTTLS[option]


def _ca_file(option: str | None) -> Path | None:
    if option is None:
        return None
    path = Path(option)
    if not path.is_file():
        raise RelayUrlError(f"ca={option}: there is no such file")
    return path
