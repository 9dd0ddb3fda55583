"""What people have paused, and what they have let go in spite of it. One kept record per partition.

A person's last word counts: a mail that was released before a pause is held by it all the same.
"""

from __future__ import annotations

import msgspec

from schemas.bounds import cut
from schemas.commands import Control, DeliveryClass, PauseCommand, PausedClass, ReleaseCommand
from schemas.stored import NEVER, body, pack

PAUSES_KEY = b"\x00pauses"
"""Its key in store and changelog; no command id begins with a NUL."""

PAUSES_KEPT = 200
"""Pauses that hold at once; a shop has as many workflows. The one that was made first gives way."""

REASON_BYTES = 200

_MARKETING: tuple[DeliveryClass, ...] = ("automated", "bulk")
_MAILS: tuple[DeliveryClass, ...] = ("transactional", *_MARKETING)


def classes_of(paused: PausedClass | None) -> tuple[DeliveryClass, ...]:
    """Return what a word of the command line means; every mail, but no webhook, without one."""
    if paused is None:
        return _MAILS
    return _MARKETING if paused == "marketing" else (paused,)


class Pause(msgspec.Struct, frozen=True, array_like=True):
    """One pause."""

    paused_class: PausedClass | None
    workflow: str
    """Empty: whatever workflow."""
    reason: str
    since: int
    """Time of the log, ms since the epoch."""


class Pauses(msgspec.Struct, frozen=True, array_like=True):
    """The pauses of one partition."""

    active: tuple[Pause, ...] = ()
    released_below: int = 0
    """Commands with a lower offset were released, all together…"""
    released_at: int = 0
    """…at this time."""

    def holds(self, delivery: DeliveryClass, workflow: str, free_since: int) -> bool:
        """Whether a mail is paused; `free_since` is when it was released, 0 when it was not."""
        return any(
            pause.since > free_since
            and delivery in classes_of(pause.paused_class)
            and pause.workflow in ("", workflow)
            for pause in self.active
        )

    def free_since(self, offset: int, freed: int) -> int:
        """Return when a mail was released, by itself (`freed`) or with others; 0 if it was not."""
        return max(freed, self.released_at if offset < self.released_below else 0)

    def after(self, control: Control, offset: int, now: int) -> Pauses:
        """Return the pauses after a control record; a release of one mail changes nothing here."""
        if isinstance(control, PauseCommand):
            reason = cut(control.reason, REASON_BYTES)
            pause = Pause(control.paused_class, control.workflow, reason, now)
            others = [each for each in self.active if _scope(each) != _scope(pause)]
            return msgspec.structs.replace(self, active=(*others, pause)[-PAUSES_KEPT:])
        if isinstance(control, ReleaseCommand):
            if control.id:
                return self
            return msgspec.structs.replace(self, released_below=offset, released_at=now)
        kept = tuple(
            pause
            for pause in self.active
            if not set(classes_of(pause.paused_class)) <= _ended(control.paused_class)
            or control.workflow not in ("", pause.workflow)
        )
        return msgspec.structs.replace(self, active=kept)


def _scope(pause: Pause) -> tuple[PausedClass | None, str]:
    return pause.paused_class, pause.workflow


def _ended(resumed: PausedClass | None) -> set[DeliveryClass]:
    """A resume without a class ends the pauses of webhooks, too."""
    return set(classes_of(resumed)) | ({"notify"} if resumed is None else set())


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Pauses)


def pack_pauses(pauses: Pauses, offset: int) -> bytes:
    """Return the kept form; `offset` is that of the control record that led to it."""
    return pack(offset, NEVER, _ENCODER.encode(pauses))


def unpack_pauses(stored: bytes) -> Pauses:
    """Read what `pack_pauses` wrote."""
    return _DECODER.decode(body(stored))
