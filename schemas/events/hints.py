"""What a library sends along with every event: hints of who and where somebody is.

Segment calls it the context. It was measured on a device and not told by anybody, so it counts only
where nobody has said otherwise. Everything else in it, as the network address and the library's
name, is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from schemas.events.fields import is_address
from schemas.zones import read_zone

HEADER = "ritorno_hints"
"""Carries them in a record: a JSON object."""

_LOCALE, _ZONE, _CAMPAIGN = 35, 64, 100
"""Characters of each; longer ones are none."""


class Hints(NamedTuple):
    """Each is empty where there is none."""

    locale: str = ""
    """`it-IT`."""
    zone: str = ""
    """`Europe/Rome`."""
    campaign: str = ""
    """Its source and its name: `newsletter / marzo`."""
    email: str = ""
    """Of the traits that a library repeats with each call."""

    def header(self) -> tuple[str, bytes]:
        """Return them as a header of a record."""
        return HEADER, to_json(
            {name: text for name, text in zip(self._fields, self, strict=True) if text}
        )


def of_context(context: Mapping[str, Any]) -> Hints | None:
    """Return the hints in a Segment call's context; None where there are none."""
    locale, zone, campaign, email = _text(context, "locale", _LOCALE), "", "", ""
    if "timezone" in context:
        zone = read_zone(_text(context, "timezone", _ZONE)) or ""
    if said := _object(context, "campaign"):
        named = (_text(said, name, _CAMPAIGN) for name in ("source", "name"))
        campaign = " / ".join(filter(None, named))[:_CAMPAIGN]
    if said := _object(context, "traits"):
        email = _text(said, "email", 254)
        email = email if is_address(email) else ""
    return _checked(Hints(locale, zone, campaign, email))


def of_header(value: bytes) -> Hints | None:
    """Return the hints in a header; what can't be read is none."""
    try:
        said = from_json(value)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    email = _text(said, "email", 254)
    return _checked(
        Hints(
            locale=_text(said, "locale", _LOCALE),
            zone=read_zone(_text(said, "zone", _ZONE)) or "",
            campaign=_text(said, "campaign", _CAMPAIGN),
            email=email if is_address(email) else "",
        )
    )


def _checked(hints: Hints) -> Hints | None:
    return hints if any(hints) else None


def _object(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = said.get(name)
    return value if isinstance(value, dict) else {}


def _text(said: Mapping[str, Any], name: str, longest: int) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        return ""
    text = value.strip()
    return text if len(text) <= longest and text.isprintable() else ""
