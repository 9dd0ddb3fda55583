"""What became of a command and of an attempt, and why a mail is held, in closed sets: they are
counted (`streams/operate/mail_metrics.py`)."""

from __future__ import annotations

from typing import Literal

Request = Literal["queued", "duplicate", "cancelled", "cancel_late", "cancel_early", "unreadable"]
"""What became of a command when it was read. `cancel_late`: the mail was gone already;
`cancel_early`: the cancel came before its send and waits for it."""

Outcome = Literal["sent", "deferred", "bounced", "failed", "rejected", "held", "skipped"]

HoldReason = Literal["paused", "reputation", "warm_up", "quiet_hours"]
"""Why a mail that is due waits all the same."""
