"""What is set aside: places in the log at which our own code failed twice.

A `ritorno.set_aside` control record in the partition names each, so that whoever reads the log
passes over the same places: the next owner, and a replay. Until a place is behind, the progress
that the owner keeps holds it too.
"""

from __future__ import annotations

from typing import Literal

import msgspec

What = Literal["record", "timer", "told", "customer", "waiting", "definition", "product"]
"""What failed at a record, or before it could be read:

- `record`: applying the record itself;
- `timer`: a customer's timer that was due there; `name` is the customer;
- `told`: telling a customer of a product's change or of a followed workflow;
- `customer`: reading what is kept of a customer, who is held back from there on;
- `waiting`: applying an event that had waited for a customer; `name` is the event's own offset;
- `definition`: compiling a live version; `name` is `id@version`;
- `product`: reading what is kept of a product; `name` is its id.
"""


class SetAside(msgspec.Struct, frozen=True):
    """One place, as the value of the control record names it."""

    offset: int
    """Of the record at which it failed; of the next one when nothing was read yet."""
    what: What
    name: str = ""
    error: str = ""
    """Which error, and where in our code; nothing of what a customer said."""


class _Named(SetAside, frozen=True, kw_only=True):
    """The place with its partition: copied into another one the record means nothing there."""

    partition: int


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Named)


def encode_set_aside(place: SetAside, partition: int) -> bytes:
    """Return the value of the control record that names a place of `partition`."""
    return _ENCODER.encode(_Named(**msgspec.structs.asdict(place), partition=partition))


def decode_set_aside(value: bytes | None, partition: int) -> SetAside:
    """Read the value of a control record in `partition`. Raises ValueError, also when it names a
    place of another one."""
    try:
        named = _DECODER.decode(value or b"")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if named.partition != partition:
        raise ValueError(f"partition: {named.partition}, and this is {partition}")
    return SetAside(named.offset, named.what, named.name, named.error)
