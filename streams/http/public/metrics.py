"""What the public pages count. `streams/operate/public_metrics.py` implements it."""

from __future__ import annotations

from typing import Literal, Protocol

from schemas.tracking import Hit

Request = Literal["copy", "erase"]


class PublicMetrics(Protocol):
    """All labels are from closed sets; whoever it was is in none of them."""

    def consent(self, purpose: str, action: str, source: str) -> None:
        """A consent or a list was changed on our own pages, and the event is durable."""

    def hit(self, hit: Hit) -> None:
        """A mail was opened or a link followed."""

    def privacy_request(self, kind: Request) -> None:
        """Somebody asks for a copy, or to be forgotten."""
