"""Mails: what was commanded, what the relay got, and what became known of it."""

from __future__ import annotations

from collections import defaultdict

from schemas.commands import COMMAND, SendCommand
from schemas.events import Event
from schemas.records import Record
from schemas.topics import SEND_COMMANDS
from schemas.validation import Unreadable
from schemas.wire import parse_record
from tests.simulation.machine import Environment
from tests.simulation.shop import DAY, HOUR

FORGOTTEN_MS = DAY - HOUR
"""After its expiry: a day (`agents/mail/queue/queued_mail.py`), and brokers' clocks differ."""


def check_once(environment: Environment) -> None:
    """However often a crash repeats a decision, and a producer an order."""
    mails: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    steps: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for record in environment.log.records(SEND_COMMANDS):
        command = COMMAND.validate_json(record.value or b"")
        if not isinstance(command, SendCommand):
            continue
        steps[command.customer, command.run, command.step].add(command.id)
        if command.workflow == "w02-order-received":
            order = command.run.split("/")[1]
            mails[command.customer, order].add(command.id)
    assert all(len(ids) == 1 for ids in steps.values()), "each step of a run has one mail"
    assert all(len(ids) == 1 for ids in mails.values()), "each order is confirmed by one"


def check_mails(environment: Environment) -> None:
    """Marketing at most once, transactional at least once, what is more is admitted."""
    commands: dict[str, SendCommand] = {}
    for record in environment.log.records(SEND_COMMANDS):
        command = COMMAND.validate_json(record.value or b"")
        if isinstance(command, SendCommand):
            commands[command.id] = command
    finals: defaultdict[str, set[tuple[str, str, str]]] = defaultdict(set)
    ambiguous: set[str] = set()
    for record in environment.events():
        event = _event(record)
        if event is None or event.source != "/ritorno/mailer":
            continue
        if event.type not in ("mail.deferred", "mail.held"):
            reason = getattr(event.data, "reason", "")
            id_ = event.data.command_id
            # Of a command that comes again, and is cancelled again, after it was forgotten.
            if reason == "cancelled" and record.timestamp > commands[id_].expires + FORGOTTEN_MS:
                reason = "expired"
            finals[id_].add((event.type, reason, event.id))
        if getattr(event.data, "ambiguous", False):
            ambiguous.add(event.data.command_id)
    for id_, command in commands.items():
        handed_over = environment.handed_over[id_]
        copies = len(handed_over)
        known = [copy.life for copy in handed_over if copy.is_known]
        assert len(set(known)) == len(known), "none by who knows of one"
        assert not any(copy.was_told for copy in handed_over), "none after one that is told"
        # A command that is repeated more than a day after its expiry was forgotten: it has expired.
        told = {final for final in finals[id_] if final[1] != "expired"} or finals[id_]
        assert len(told) == 1, f"one final outcome: {id_} {finals[id_]}"
        kind, reason, _ = next(iter(told))
        assert copies <= 1 or id_ in ambiguous, "a second copy is admitted"
        if command.mail_class == "marketing":
            assert copies <= 1, "marketing at most once"
        else:
            taken_back = reason in ("expired", "cancelled")
            assert copies or kind == "mail.bounced" or taken_back, "transactional at least once"
        assert copies or kind != "mail.sent"
        assert not copies or kind not in ("mail.skipped", "mail.bounced") or id_ in ambiguous


def _event(record: Record) -> Event | None:
    try:
        return parse_record(record)
    except Unreadable:
        return None
