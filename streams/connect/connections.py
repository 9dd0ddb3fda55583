"""`connections.yaml`: which shops there are.

    connections:
      - name: negozio
        kind: shopify
        shop: negozio.myshopify.com
        secret: env:SHOPIFY_SECRET
        token: file:/run/secrets/shopify-token

The file is RITORNO_CONNECTIONS, else `connections.yaml` beside the workflows; without one there are
no connections. A mistake in it is a `ConnectionsError` that names line, field and value, and never
a secret, as the file has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.failures import InputError
from schemas.yaml_text import Document
from streams.connect.connection import ShopConnection
from streams.connect.magento.settings import MagentoConnection
from streams.connect.prestashop.settings import PrestaShopConnection
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.woocommerce.settings import WooCommerceConnection
from streams.settings import Settings

FILE = "connections.yaml"
MAX_BYTES = 262_144
"""Of the file: a connection takes some 500."""
MAX_CONNECTIONS = 100

AnyConnection = Annotated[
    ShopifyConnection | WooCommerceConnection | PrestaShopConnection | MagentoConnection,
    Field(discriminator="kind"),
]

_HIDDEN = frozenset({"secret", "token", "key", "keys", "password", "consumer_key",
                     "consumer_secret", "access_token", "client_secret"})  # fmt: skip
"""Fields whose value is not shown in an error: somebody may have written the secret itself."""


class ConnectionsError(InputError):
    """A file of connections that can't be used; the text says why, and holds no secret."""


class _Connections(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connections: list[AnyConnection] = Field(max_length=MAX_CONNECTIONS)


def connections_file(settings: Settings) -> Path:
    """Return where the file is, or would be."""
    return settings.connections or settings.workflows_dir / FILE


def read_connections(settings: Settings) -> Sequence[ShopConnection]:
    """Return the shops that are connected. Raises ConnectionsError."""
    path = connections_file(settings)
    if not path.is_file():
        if settings.connections is not None:
            raise ConnectionsError(f"RITORNO_CONNECTIONS: there is no file {path}")
        return ()
    return read_file_of_connections(path)


def read_file_of_connections(path: Path) -> Sequence[ShopConnection]:
    """Return the connections of a file. Raises ConnectionsError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise ConnectionsError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConnectionsError(f"{path}: not UTF-8") from None
    if len(content) > MAX_BYTES:
        raise ConnectionsError(f"{path}: more than {MAX_BYTES:,} bytes")
    try:
        document = Document(text)
    except yaml.YAMLError as error:
        raise ConnectionsError(f"{path}: {_of_yaml(error)}") from None
    if document.content is None:
        return ()
    try:
        found = _Connections.model_validate(document.content).connections
    except ValidationError as error:
        raise ConnectionsError(_explained(path, document, error)) from None
    _check_together(path, found)
    return found


def _of_yaml(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem or error)


def _explained(path: Path, document: Document, error: ValidationError) -> str:
    """Say one line per mistake: where it stands, the field, what is wrong, the value."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        place = problem["loc"]
        field = ".".join(str(part) for part in place if part not in _KINDS) or "the file"
        message = problem["msg"].removeprefix("Value error, ")
        hidden = any(str(part) in _HIDDEN for part in place)
        got = "" if hidden or problem["type"] == "missing" else f" (got {_shown(problem['input'])})"
        lines.append(f"{path}:{document.line(place)}: {field}: {message}{got}")
    return "\n".join(dict.fromkeys(lines))


_KINDS = ("shopify", "woocommerce", "prestashop", "magento")


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return type(value).__name__  # what is in it may be a secret
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"


def _check_together(path: Path, found: Sequence[ShopConnection]) -> None:
    """Refuse what is right one by one and wrong together."""
    prefixes: dict[str, str] = {}
    names: set[str] = set()
    for number, each in enumerate(found):
        if each.name in names:
            raise ConnectionsError(f"{path}: connections.{number}.name: {each.name!r} is there "
                                   "twice")  # fmt: skip
        names.add(each.name)
        other = prefixes.setdefault(each.customer_prefix, each.name)
        if other != each.name:
            raise ConnectionsError(
                f"{path}: connections.{number}.customer_prefix: {each.customer_prefix!r} is also "
                f"that of {other!r}, so customer 12 of one shop would be customer 12 of the other"
            )
