"""Addresses as the relay needs them. Nothing is asked of the DNS here."""

from __future__ import annotations

import re
from typing import NamedTuple

from schemas.addresses import trimmed_address

MAX_DISPLAY_NAME = 100
"""A name that is longer is no name; some servers refuse header words beyond it."""

# C0, DEL, C1, and the line and paragraph separators that some programs break lines at.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


_DOTTED = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
"""What may stand before the domain, as mobile providers of Japan have given it out for years: with
dots at the ends and next to each other, which RFC 5321 forbids and their servers take."""


class InvalidAddress(ValueError):
    """No mail can be sent there."""


class EnvelopeRecipient(NamedTuple):
    """Where a mail goes."""

    address: str
    """Domain in ASCII (IDNA); the local part may be international, see `smtputf8`."""
    name: str
    smtputf8: bool
    """Only a relay that offers SMTPUTF8 can deliver it."""


def read_recipient(address: str, name: str) -> EnvelopeRecipient:
    """Check an address and clean a display name. Raises InvalidAddress."""
    # 30 ms to import, for which commands that mail nobody needn't wait.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  # see above

    address = trimmed_address(address)
    local, _, domain = address.rpartition("@")
    dotted = ".." in f".{local}." and _DOTTED.fullmatch(local) is not None
    try:
        # `.test` is reserved for trying out, which is what a demo does.
        checked = validate_email(
            f"x@{domain}" if dotted else address,
            check_deliverability=False,
            test_environment=True,
        )
    except EmailNotValidError as error:
        raise InvalidAddress(str(error)) from None
    name = clean(name)[:MAX_DISPLAY_NAME].rstrip()
    if dotted:
        return EnvelopeRecipient(f"{local}@{checked.ascii_domain}", name, smtputf8=False)
    if checked.ascii_email is not None:
        return EnvelopeRecipient(checked.ascii_email, name, smtputf8=False)
    international = f"{checked.local_part}@{checked.ascii_domain}"
    return EnvelopeRecipient(international, name, smtputf8=True)


def clean(text: str) -> str:
    """Return `text` as one line: what a header injection needs becomes a space."""
    return " ".join(_CONTROL.sub(" ", text).split())
