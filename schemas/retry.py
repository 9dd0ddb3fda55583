"""The value of a `ritorno.retry` control record: what was set aside and is to be tried again.

It lies ready in the dead letter of each place that isn't a record of its own. Sending the letter
again appends it, and what it names is done at its place in the log, behind all that came since.
"""

from __future__ import annotations

import msgspec

from schemas.customer.runs import Run
from schemas.pending_work import CatalogueChange


class Retry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is to be tried again: a customer's, or a definition, or a product."""

    customer: str = ""
    """Whom it concerns; without anything else, one who is held back."""
    afresh: bool = False
    """What is kept of the customer can't be mended: it begins anew with the events that wait."""
    runs: list[Run] = []
    """Runs that were ended, as they were when their timer failed."""
    watches: dict[str, int] = {}
    """When to look, as it was planned then."""
    news: list[CatalogueChange] = []
    """Changes of products that the customer was not told of; without a customer: nobody was."""
    workflows: list[str] = []
    """Of which another version is live, and nobody's runs were moved to it."""
    follow: bool = False
    """Runs that go by the live version are to be moved to it."""
    definition: str = ""
    """`id@version` that was live."""
    product: bytes = b""
    """What was kept of a product."""
    partition: int | None = None
    """Where it is obeyed, and nowhere else: a copy in another partition would have a number that is
    new there."""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Retry)


def encode_retry(retry: Retry) -> bytes:
    """Return the value of the control record."""
    return _ENCODER.encode(retry)


def decode_retry(value: bytes | None) -> Retry:
    """Read the value of a control record. Raises ValueError naming what is wrong."""
    try:
        return _DECODER.decode(value or b"")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
