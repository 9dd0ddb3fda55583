"""Mails that wait, and customers that got some, for tests of the arbitration alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agents.sending.arbitration import Candidate, remember
from schemas.customer import Customer
from schemas.customer.consent import Consent
from schemas.customer.mail import Sent
from schemas.customer.person import Profile
from schemas.customer.runs import Run
from schemas.definitions import DEFINITION
from schemas.definitions.shop import Policy
from schemas.definitions.steps import SendStep
from schemas.definitions.workflow import Workflow
from schemas.instant import to_datetime
from schemas.yaml_text import Document
from streams.runtime.definitions import read_files

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOON = 1_772_449_200_000
"""2026-03-02T11:00:00Z, a Monday, noon in Rome."""
FOREVER = NOON + 3_650 * DAY

WORKFLOWS = Path(__file__).parents[2] / "workflows"


def shipped() -> Policy:
    """The shop's policy as it is shipped."""
    policy = DEFINITION.validate_json(read_files(WORKFLOWS)["policy"])
    assert isinstance(policy, Policy)
    return policy


def policy(text: str = "") -> Policy:
    """A policy of nothing but these lines of YAML."""
    return Policy.model_validate({"definition": "policy", **(Document(text).content or {})})


def anna(zone: str = "", sent: Sequence[Sent] = ()) -> Customer:
    """A customer with address and consent who got these mails."""
    return Customer(
        key="anna",
        profile=Profile(email="anna@example.com", zone=zone, ground="account"),
        consents={"marketing": Consent(True, 0, "form", "e1")},
        sent=list(sent),
    )


def mail(time: int, kind: str = "informative", workflow: str = "other", id_: str = "") -> Sent:
    """One that was sent."""
    mail_class = "transactional" if kind == "transactional" else "marketing"
    return Sent(time, workflow, "step", mail_class, kind, id_ or f"{workflow}-{time}")  # type: ignore[arg-type]  # kinds as texts


def candidate(
    kind: str = "informative",
    *,
    workflow: str = "w",
    run: str = "r",
    priority: int = 50,
    own_priority: int | None = None,
    since: int = NOON,
    expires: int = FOREVER,
    held_for: str = "",
) -> Candidate:
    """One that is due."""
    step: dict[str, Any] = {"id": "only", "send": "mail", "kind": kind, "priority": own_priority}
    data = {"id": workflow, "title": {"en": workflow}, "trigger": "cart.changed",
            "entry": {"once_per": "cart"}, "priority": priority, "steps": [step]}  # fmt: skip
    parsed = Workflow.model_validate(data)
    only = parsed.steps[0]
    assert isinstance(only, SendStep)
    waiting = Run(
        f"{workflow}/{run}", workflow, "v", since, 0, since, held=since, held_for=held_for
    )
    return Candidate(waiting, only, parsed, since, expires)


def take(customer: Customer, each: Candidate, now: int, policy: Policy | None) -> None:
    """What sending does to a customer."""
    id_ = f"{each.run.id}@{now}"
    sent = Sent(now, each.workflow.id, each.step.id, "marketing", each.step.kind, id_)
    remember(customer, sent, policy)


# What must hold of mails that were sent, said once more, as plainly as can be.


def most_in_any(span: int, times: Iterable[int]) -> int:
    """The most mails in any span, both ends included."""
    each = list(times)
    return max((sum(start <= time <= start + span for time in each) for start in each), default=0)


def worst_share(span: int, at_least: int, sent: Sequence[tuple[int, bool]]) -> float:
    """The highest promotional share of any span that holds so many mails or more, at the end or at
    any time before."""
    worst = 0.0
    for last in range(len(sent)):
        for first in range(last + 1):
            part = sent[first : last + 1]
            if len(part) >= at_least and part[-1][0] - part[0][0] <= span:
                worst = max(worst, sum(promotional for _, promotional in part) / len(part))
    return worst


def clock(instant: int, zone: str) -> str:
    """What the wall shows."""
    return f"{to_datetime(instant).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"
