"""Classifies a message that came back."""

from __future__ import annotations

from agents.mailer.bounces.autoreplies import read_autoreply
from agents.mailer.bounces.complaints import read_complaint
from agents.mailer.bounces.message import Arrived
from agents.mailer.bounces.notices import read_notice
from agents.mailer.bounces.reports import read_report
from agents.mailer.bounces.ses import read_ses
from agents.mailer.bounces.verdict import Recipient, Verdict

UNREADABLE = Verdict((Recipient("", "unknown", "unreadable"),), "none")
"""Nothing can be said."""


def classify(raw: bytes) -> Verdict:
    """Return what a message says. Any bytes have an answer."""
    try:
        arrived = Arrived(raw)
        return _read(arrived)
    except RecursionError:  # parts within parts within parts, which no server writes
        return UNREADABLE


def _read(arrived: Arrived) -> Verdict:
    notified, returned = read_ses(arrived)
    if notified:
        return Verdict(notified, "feedback", returned)
    if complained := read_complaint(arrived):
        return Verdict(complained, "feedback", arrived.returned)
    if reported := read_report(arrived):
        return Verdict(reported, "report", arrived.returned)
    if answered := read_autoreply(arrived):
        return Verdict(answered, "autoreply", arrived.returned)
    noticed, source = read_notice(arrived)
    if noticed:
        return Verdict(noticed, source, arrived.returned)
    return Verdict((Recipient("", "unknown", "not_a_report"),), "none", arrived.returned)
