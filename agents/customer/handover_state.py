"""The state that a visitor's actor hands over to the customer's actor: whole, in one message.

It always fits into one. A record comes to `RECORD_BYTES` at most (`schemas/bounds.py`), and as
msgpack in base64 that is two thirds of what an event may have; so a merge is taken over at once or
not at all, and no crash can leave it half done. As JSON text, which people can read in the log, it
might be six times as long as it is kept: that is for the smaller ones, which are nearly all.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error

import msgspec

from schemas.customer import Customer

READABLE_BYTES = 150_000
"""Of a record that travels as text: a sixth of what an event may have."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Customer)
_TEXT_ENCODER = msgspec.json.Encoder()
_TEXT_DECODER = msgspec.json.Decoder(Customer)


def packed(visitor: Customer) -> str:
    """Return what is known of a visitor as it travels."""
    stored = _ENCODER.encode(visitor)
    if len(stored) <= READABLE_BYTES:
        return _TEXT_ENCODER.encode(visitor).decode()
    return b64encode(stored).decode()


def unpacked(state: str) -> Customer:
    """Read what `packed` wrote. Raises ValueError."""
    try:
        if state.startswith("["):
            return _TEXT_DECODER.decode(state)
        return _DECODER.decode(b64decode(state, validate=True))
    except (msgspec.DecodeError, Error) as error:  # also ValidationError
        raise ValueError(str(error)) from None
