"""Tracking: how much may be noted when a mail is opened or a link in it is followed.

    off            nothing: no pixel, links as they are
    anonymous      only counted: everybody's token for a template and a link is the same one
    pseudonymous   a token of one's own, but what is noted names nobody: a hash that changes
    identified     told to the customer's actor

A person's data is touched by the last two only, and they need the person's consent.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from schemas.commands import MailClass, TrackingMode
from schemas.instant import Instant

MODES: tuple[TrackingMode, ...] = get_args(TrackingMode)
"""From the most restrictive to the least."""

HitKind = Literal["open", "click"]

HITS = frozenset({"mail.opened", "mail.clicked"})
"""The types of events that a pixel or a link has told."""

Verdict = Literal["human", "machine", "unknown"]

Why = Literal[
    # human
    "browser",
    "mail_program",
    # machine
    "head_request",
    "prefetch",
    "no_agent",
    "scanner",
    "program",
    "privacy_proxy",
    "too_fast",
    "all_links",
    # unknown
    "image_proxy",
    "bare_request",
    # told by somebody else, who did not say
    "",
]
"""Closed, so that it can be counted; the address and the program it came from are dropped."""


def strictest(*modes: TrackingMode) -> TrackingMode:
    """Return the most restrictive of the modes."""
    return min(modes, key=MODES.index)


class Hit(BaseModel):
    """One opening or click, or some alike, for the key figures. Whoever it was is not in it."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    fact: Literal["mail.hit"] = "mail.hit"
    time: Instant
    kind: HitKind
    mode: TrackingMode
    verdict: Verdict
    why: Why
    workflow: str
    step: str
    template: str
    mail_class: MailClass
    link: int = 0
    """Which of the mail's links, counted from 1; 0 for an opening."""
    mail: str = ""
    """A hash that stands for the mail, so that its second opening isn't a second mail; empty when
    only counted."""
    person: str = ""
    """A hash that stands for the recipient and is another one every 30 days; empty likewise."""
    count: int = Field(default=1, ge=1)
    """How many there were within a second, where they are only counted; else one."""
