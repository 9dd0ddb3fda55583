"""What the public pages say of themselves.

Implements `streams.http.public.metrics.PublicMetrics`.
"""

from __future__ import annotations

from typing import get_args

from schemas.tracking import MODES, Hit, HitKind, Verdict
from streams.http.public.metrics import Request
from streams.operate.instruments import Instruments, begin_at_zero

PURPOSES = ("marketing", "profiling", "tracking", "list")
ACTIONS = ("given", "withdrawn")


class SiteMetrics:
    """Counts hits and changes of consent."""

    def __init__(self, make: Instruments) -> None:
        self.consent_changes = make.counter(
            "consent_changes",
            "Consents given or withdrawn through our own pages.",
            "purpose",
            "action",
            "source",
        )
        self.tracking_hits = make.counter(
            "tracking_hits",
            "Openings and clicks, by how much was noted and who it seems to have been.",
            "kind",
            "mode",
            "verdict",
        )
        self.mail_hits = make.counter(
            "mail_hits",
            "Openings and clicks by the step that sent the mail, and who it seems to have been.",
            "workflow",
            "step",
            "kind",
            "verdict",
        )
        self.privacy_requests = make.counter(
            "privacy_requests",
            "Requests for a copy of one's data, or to be forgotten, on our own pages.",
            "kind",
        )
        begin_at_zero(
            self.consent_changes, ["marketing"], ["withdrawn"], ["one_click", "unsubscribe_page"]
        )
        begin_at_zero(self.consent_changes, PURPOSES, ACTIONS, ["preferences_page"])
        begin_at_zero(self.consent_changes, ["marketing"], ["given"], ["double_opt_in"])
        begin_at_zero(self.tracking_hits, get_args(HitKind), MODES[1:], get_args(Verdict))
        begin_at_zero(self.privacy_requests, get_args(Request))

    def consent(self, purpose: str, action: str, source: str) -> None:
        """A consent or a list was changed on our own pages."""
        self.consent_changes.labels(purpose, action, source).inc()

    def hit(self, hit: Hit) -> None:
        """A mail was opened or a link followed. What names workflow and step is sealed by us."""
        self.tracking_hits.labels(hit.kind, hit.mode, hit.verdict).inc()
        self.mail_hits.labels(hit.workflow, hit.step, hit.kind, hit.verdict).inc()

    def privacy_request(self, kind: Request) -> None:
        """Somebody asks for a copy, or to be forgotten."""
        self.privacy_requests.labels(kind).inc()
