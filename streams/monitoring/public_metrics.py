"""What the public pages say of themselves; implements `streams.public.metrics.PublicMetrics`."""

from __future__ import annotations

from itertools import product
from typing import get_args

from prometheus_client import CollectorRegistry, Counter

from schemas.tracking import MODES, Hit, HitKind, Verdict
from streams.public.metrics import Request

PURPOSES = ("marketing", "profiling", "tracking", "list")
ACTIONS = ("given", "withdrawn")


class SiteMetrics:
    """Counts hits and changes of consent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.consent_changes = Counter(
            "ritorno_consent_changes",
            "Consents given or withdrawn through our own pages.",
            ("purpose", "action", "source"),
            registry=registry,
        )
        self.tracking_hits = Counter(
            "ritorno_tracking_hits",
            "Openings and clicks, by how much was noted and who it seems to have been.",
            ("kind", "mode", "verdict"),
            registry=registry,
        )
        self.mail_hits = Counter(
            "ritorno_mail_hits",
            "Openings and clicks by the step that sent the mail, and who it seems to have been.",
            ("workflow", "step", "kind", "verdict"),
            registry=registry,
        )
        self.privacy_requests = Counter(
            "ritorno_privacy_requests",
            "Requests for a copy of one's data, or to be forgotten, on our own pages.",
            ("kind",),
            registry=registry,
        )
        for source in ("one_click", "unsubscribe_page"):
            self.consent_changes.labels("marketing", "withdrawn", source)
        for purpose, action in product(PURPOSES, ACTIONS):
            self.consent_changes.labels(purpose, action, "preferences_page")
        self.consent_changes.labels("marketing", "given", "double_opt_in")
        for labels in product(get_args(HitKind), MODES[1:], get_args(Verdict)):
            self.tracking_hits.labels(*labels)
        for kind in get_args(Request):
            self.privacy_requests.labels(kind)

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
