"""Metrics of the public pages."""

from __future__ import annotations

from typing import Literal, get_args

from schemas.tracking import MODES, Hit, HitKind, Verdict
from streams.operate.instruments import Instruments, begin_at_zero
from streams.operate.panels import Panel

PURPOSES = ("marketing", "profiling", "tracking", "list")
ACTIONS = ("given", "withdrawn")

Request = Literal["copy", "erase"]


class SiteMetrics:
    """Counts hits and changes of consent. Labels are from closed sets; nobody is in one of them."""

    def __init__(self, make: Instruments) -> None:
        self.consent_changes = make.counter(
            "consent_changes",
            "Consents given or withdrawn through our own pages.",
            "purpose",
            "action",
            "source",
            shown=[
                Panel(
                    "Mail",
                    "Unsubscribed",
                    "Through our own pages: one click in the mail program, or the page.",
                ).line("source", where='action="withdrawn"'),
                Panel(
                    "Tracking and consent", "Consents", "Given and withdrawn on our own pages."
                ).line("purpose", "action"),
            ],
        )
        self.tracking_hits = make.counter(
            "tracking_hits",
            "Openings and clicks, by how much was noted and who it seems to have been.",
            "kind",
            "mode",
            "verdict",
            shown=[
                Panel(
                    "Tracking and consent",
                    "Openings and clicks",
                    "By who it seems to have been; only people count.",
                ).line("kind", "verdict")
            ],
        )
        self.mail_hits = make.counter(
            "mail_hits",
            "Openings and clicks by the step that sent the mail, and who it seems to have been.",
            "workflow",
            "step",
            "kind",
            "verdict",
            shown=[
                Panel(
                    "Tracking and consent",
                    "Opened and clicked, by step",
                    "What people did with the mails of each workflow's steps; only "
                    "counted where tracking is anonymous.",
                ).line("workflow", "step", "kind", where='verdict="human"')
            ],
        )
        self.privacy_requests = make.counter(
            "privacy_requests",
            "Requests for a copy of one's data, or to be forgotten, on our own pages.",
            "kind",
            shown=[
                Panel(
                    "Tracking and consent",
                    "Privacy requests",
                    "Copies and erasures asked for on our own pages, per day. A copy "
                    "is due within a month.",
                ).line("kind", over="1d")
            ],
        )
        begin_at_zero(
            self.consent_changes, ["marketing"], ["withdrawn"], ["one_click", "unsubscribe_page"]
        )
        begin_at_zero(self.consent_changes, PURPOSES, ACTIONS, ["preferences_page"])
        begin_at_zero(self.consent_changes, ["marketing"], ["given"], ["double_opt_in"])
        begin_at_zero(self.tracking_hits, get_args(HitKind), MODES[1:], get_args(Verdict))
        begin_at_zero(self.privacy_requests, get_args(Request))

    def consent(self, purpose: str, action: str, source: str) -> None:
        """A consent or a list was changed on our own pages, and the event is durable."""
        self.consent_changes.labels(purpose, action, source).inc()

    def hit(self, hit: Hit) -> None:
        """A mail was opened or a link followed. What names workflow and step is sealed by us."""
        self.tracking_hits.labels(hit.kind, hit.mode, hit.verdict).inc()
        self.mail_hits.labels(hit.workflow, hit.step, hit.kind, hit.verdict).inc()

    def privacy_request(self, kind: Request) -> None:
        """Somebody asks for a copy, or to be forgotten."""
        self.privacy_requests.labels(kind).inc()
