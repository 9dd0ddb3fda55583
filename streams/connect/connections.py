"""`connections.yaml`: which shops there are.

    connections:
      - name: negozio
        kind: shopify
        shop: negozio.myshopify.com
        secret: env:SHOPIFY_SECRET
        token: file:/run/secrets/shopify-token

The file is RITORNO_CONNECTIONS, else `connections.yaml` beside the workflows; without one there are
no connections. `streams/settings/operator_file.py` reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from streams.connect.connection import ShopConnection
from streams.connect.kinds import AnyConnection
from streams.settings import Settings
from streams.settings.operator_file import FileIssue, OperatorFileError, read_operator_file, twice

FILE = "connections.yaml"
MAX_CONNECTIONS = 100


class _Connections(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connections: list[AnyConnection] = Field(default=[], max_length=MAX_CONNECTIONS)


def connections_file(settings: Settings) -> Path:
    """Return where the file is, or would be."""
    return settings.connections or settings.workflows_dir / FILE


def read_connections(settings: Settings) -> Sequence[ShopConnection]:
    """Return the shops that are connected. Raises OperatorFileError."""
    path = connections_file(settings)
    if not path.is_file():
        if settings.connections is not None:
            raise OperatorFileError(f"RITORNO_CONNECTIONS: there is no file {path}")
        return ()
    return read_file_of_connections(path)


def read_file_of_connections(path: Path) -> Sequence[ShopConnection]:
    """Return the connections of a file. Raises OperatorFileError."""
    file = read_operator_file(path, _Connections, _wrong_together)
    found = file.content.connections
    for number, each in enumerate(found):
        each.note_place(partial(file.place, "connections", number))
    return found


def _wrong_together(file: _Connections) -> Iterator[FileIssue]:
    """Yield what is right one by one and wrong together."""
    yield from twice((each.name for each in file.connections), "connections")
    prefixes: dict[str, str] = {}
    for number, each in enumerate(file.connections):
        other = prefixes.setdefault(each.customer_prefix, each.name)
        if other != each.name:
            problem = (
                f"{other} has the same, so customer 12 of one shop would be customer 12 of the "
                f"other: give this one a prefix such as {each.name + '-'!r} "
                f"(got {each.customer_prefix!r})"
            )
            yield FileIssue(("connections", number, "customer_prefix"), problem)
