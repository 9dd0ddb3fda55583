"""Classifies a message that came back."""

from __future__ import annotations

from agents.mail.bounces.autoreplies import read_autoreply
from agents.mail.bounces.complaints import read_complaint
from agents.mail.bounces.limits import TooMuchError
from agents.mail.bounces.message import Arrived
from agents.mail.bounces.notices import read_notice
from agents.mail.bounces.reports import read_report
from agents.mail.bounces.ses import read_ses
from agents.mail.bounces.verdict import BouncedRecipient, BounceVerdict

UNREADABLE = BounceVerdict((BouncedRecipient("", "unknown", "unreadable"),), "none")
"""Nothing can be said."""


def classify(raw: bytes) -> BounceVerdict:
    """Return what a message says. Any bytes have an answer."""
    try:
        arrived = Arrived(raw)
        return _read(arrived)
    except (TooMuchError, RecursionError):  # no mail server writes such
        return UNREADABLE


def _read(arrived: Arrived) -> BounceVerdict:
    notified, returned = read_ses(arrived)
    if notified:
        return BounceVerdict(notified, "feedback", returned)
    if complained := read_complaint(arrived):
        return BounceVerdict(complained, "feedback", arrived.returned)
    if reported := read_report(arrived):
        return BounceVerdict(reported, "report", arrived.returned)
    if answered := read_autoreply(arrived):
        return BounceVerdict(answered, "autoreply", arrived.returned)
    noticed, source = read_notice(arrived)
    if noticed:
        return BounceVerdict(noticed, source, arrived.returned)
    return BounceVerdict(
        (BouncedRecipient("", "unknown", "not_a_report"),), "none", arrived.returned
    )
