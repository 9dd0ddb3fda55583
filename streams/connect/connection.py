"""What every connection to a shop has; each kind's own fields are beside its mapping."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
)

from schemas.instant import Instant
from schemas.secret_reference import SecretReference
from schemas.written_form import Form, SystemName

LOOPBACK = "localhost"


def _https(text: str) -> str:
    """Read an address that secrets are sent to: in the clear only to this very machine."""
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected https://HOST[/PATH]")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("expected https://HOST[/PATH], without a user, a query or a fragment")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("must be https, or keys and customers' data are sent in the clear")
    return text.strip().rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _optional_https(text: str) -> str:
    return _https(text) if text.strip() else ""


HttpsUrl = Annotated[str, AfterValidator(_https)]
OptionalHttpsUrl = Annotated[str, AfterValidator(_optional_https)]

Secrets = Annotated[
    list[SecretReference],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(min_length=1, max_length=2),
]
"""One secret, or the current one and the one before it."""


CurrencyCode = Annotated[str, Form("[A-Z]{3}", "three capital letters, such as EUR")]


class ShopConnection(BaseModel):
    """A shop and how it is reached."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=False)

    kind: str
    name: SystemName
    """In its endpoint, `/connect/NAME`, in metrics and on the command line."""
    callback: OptionalHttpsUrl = ""
    """Where the shop reaches the endpoint from outside: `https://eventi.negozio.it/connect/NAME`.
    `setup` tells it to the shop, `check` goes through it."""
    currency: CurrencyCode = "EUR"
    """Of products: shops' product lists name none."""
    customer_prefix: Annotated[
        str, Form(r"[A-Za-z0-9._-]{0,20}", "letters, digits, dots, dashes; at most 20, such as it-")
    ] = ""
    """Before the ids of the shop's customers. Empty, they are the ids that its pages know, too; of
    several shops only one may have none, since each counts its customers from 1."""
    live_since: Instant | None = None
    """What happened before is history and starts nothing. Unsaid: when it was first polled."""
    poll_seconds: int = Field(default=300, ge=10, le=86_400)
    """Between two looks at what webhooks have not told."""

    _place: Callable[..., str] | None = PrivateAttr(default=None)

    def note_place(self, place: Callable[..., str]) -> None:
        """`place`: returns `FILE:LINE: FIELD` of a field."""
        self._place = place

    def place(self, field: str) -> str:
        """Return where a field stands, `FILE:LINE: FIELD`; the field alone where that is in no
        file."""
        return field if self._place is None else self._place(field)

    @property
    def address_field(self) -> str:
        """The field that says where it is asked."""
        return "api_url" if getattr(self, "api_url", "") else "url"

    @property
    def host(self) -> str:
        """The shop's host, which its source names."""
        raise NotImplementedError
