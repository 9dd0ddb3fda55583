"""Why a mail that is due may not go now. Asked when it is next, and again before it is claimed:
what was allowed when it was queued may not be any more.

| reason        | holds                        | until                                        |
|---------------|------------------------------|----------------------------------------------|
| `paused`      | what a person has paused     | resumed or released                          |
| `reputation`  | marketing                    | resumed or released, or the share is good    |
| `warm_up`     | marketing beyond today's cap | the shop's next day, or released             |
| `quiet_hours` | marketing                    | they end where the customer lives            |
"""

from __future__ import annotations

from typing import NamedTuple

from agents.digests import address_digest
from agents.mail.metrics import HoldReason
from agents.mail.queue.pauses import PAUSES_KEY, Pauses, classes_of, pack_pauses
from agents.mail.queue.queued_mail import QueuedMail, read_command, workflow_of
from agents.mail.reputation import (
    REPUTATION_KEY,
    Reputation,
    SenderStatistics,
    pack_statistics,
    who,
)
from agents.rules import local_time
from schemas.commands import Control, FeedbackCommand, ResumeCommand

ENDLESS: frozenset[HoldReason] = frozenset({"paused", "reputation"})
"""Reasons that no time ends."""

Item = tuple[bytes, bytes | None]
"""What is kept under a key."""


class MailHold(NamedTuple):
    """Why a mail waits, and until when; None: for a person, or for better times."""

    reason: HoldReason
    until: int | None = None


def _whose(entry: QueuedMail) -> bytes:
    command = read_command(entry)
    return who(command.customer, address_digest(command.email))


class HoldRules:
    """What holds the mails of one partition. Methods return what is to be kept."""

    def __init__(
        self, partition: int, reputation: Reputation, pauses: Pauses, statistics: SenderStatistics
    ) -> None:
        self._partition = partition
        self._reputation = reputation
        self._statistics = statistics
        self._seen = reputation.held_since
        self.pauses = pauses
        reputation.join(partition, statistics)

    def why(self, entry: QueuedMail, now: int) -> MailHold | None:
        """Return what holds a mail back at `now`."""
        free_since = self.pauses.free_since(entry.offset, entry.freed)
        if self.pauses.active and self.pauses.holds(
            entry.lane.delivery, workflow_of(entry), free_since
        ):
            return MailHold("paused")
        if not entry.marketing:
            return None
        if self._reputation.held_since > free_since:
            return MailHold("reputation")
        if not free_since and not entry.attempt:
            until = self._reputation.warm_until(now)
            if until is not None:
                return MailHold("warm_up", until)
        return self._quiet(entry, now)

    def changed(self, now: int) -> bool:
        """Whether the verdict on the sender is another than when this was last asked."""
        self._reputation.judge(now)
        before, self._seen = self._seen, self._reputation.held_since
        return before != self._seen

    def next_time(self, now: int) -> int | None:
        """Return when time alone may change the verdict."""
        return self._reputation.next_time(now)

    def obey(self, control: Control, offset: int, now: int) -> list[Item]:
        """A person pauses, resumes or releases."""
        self.pauses = self.pauses.after(control, offset, now)
        kept: list[Item] = [(PAUSES_KEY, pack_pauses(self.pauses, offset))]
        if (
            isinstance(control, ResumeCommand)
            and not control.workflow
            and "automated" in classes_of(control.paused_class)
        ):
            self._reputation.reset(self._partition)
            kept += self.kept_statistics()
        return kept

    def begins(self, entry: QueuedMail, now: int) -> list[Item]:
        """A mail is claimed."""
        return self._count(entry, now, 1)

    def not_begun(self, entry: QueuedMail, now: int) -> list[Item]:
        """Its claim was given back."""
        return self._count(entry, now, -1)

    def ended(self, entry: QueuedMail, now: int) -> list[Item]:
        """A mail has its outcome."""
        if entry.webhook or entry.state not in ("sent", "bounced"):
            return []
        bounced = entry.state == "bounced"
        self._statistics.note(now, _whose(entry) if bounced else b"")
        return self.kept_statistics()

    def feedback(self, command: FeedbackCommand, now: int) -> list[Item]:
        """The world says later what it thinks of a mail."""
        complained = command.verdict == "complained"
        by = who(command.customer, command.address)
        known = not self._statistics.report(command.id, now, complained=complained, by=by)
        return [] if known else self.kept_statistics()

    def kept_statistics(self) -> list[Item]:
        """Return the standing, to be kept."""
        return [(REPUTATION_KEY, pack_statistics(self._statistics))]

    def _count(self, entry: QueuedMail, now: int, count: int) -> list[Item]:
        """Only the first attempt counts for the warm-up."""
        if not entry.marketing or entry.attempt != 1:
            return []
        keeps = self._reputation.begin(self._partition, now, count)
        return self.kept_statistics() if keeps else []

    def _quiet(self, entry: QueuedMail, now: int) -> MailHold | None:
        command = read_command(entry)
        if command.quiet is None:
            return None
        until = local_time.quiet_until(now, command.quiet, command.zone)
        return MailHold("quiet_hours", until) if until > now else None
