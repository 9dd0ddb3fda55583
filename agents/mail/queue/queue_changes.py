"""What the queue hands out and takes back: changes to be written, results of attempts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from agents.mail.metrics import Outcome, Request
from agents.mail.replies import Result
from schemas.commands import SuppressCommand
from schemas.records import OutRecord


class PendingOutcome(NamedTuple):
    """An outcome for `customer-events`, and the mail to be told when it is there."""

    id: str
    record: OutRecord


class AttemptResult(NamedTuple):
    """How an attempt ended, known to who made it."""

    id: str
    attempt: int
    fencing_epoch: int
    """Of the owner whose claim it was. While one could not write, another may have owned the
    partition and have made the attempt of the same number: of that this says nothing."""
    result: Result | None
    """None: nothing of the mail went past the final dot, by our own decision."""


class QueueNote(NamedTuple):
    """What became of one command or mail, for metrics and logs."""

    what: Request | Outcome
    mail_class: str = ""
    template: str = ""
    reason: str = ""
    """From a closed set."""
    provider: str = ""
    """Only with outcomes."""
    ambiguous: bool = False
    """This very attempt ended without anybody knowing how."""
    decided: int = 0
    """Time of the command, ms since the epoch; only with outcomes."""
    traceparent: str = ""
    """Of the command; only with outcomes of mails."""


@dataclass(slots=True)
class QueueChanges:
    """What a step leads to."""

    states: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    outcomes: list[PendingOutcome] = field(default_factory=list)
    letters: list[OutRecord] = field(default_factory=list)
    suppressions: list[SuppressCommand] = field(default_factory=list)
    """Addresses that get no mail from now on."""
    notes: list[QueueNote] = field(default_factory=list)
