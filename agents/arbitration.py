"""Arbitration: the one place that decides whether a marketing mail may go now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from schemas.commands import LegalBasis
from schemas.customer import SENT_HISTORY, Customer, Run, Sent
from schemas.decisions import Reason
from schemas.definitions.shop import Policy
from schemas.definitions.steps import SendStep
from schemas.definitions.workflow import Workflow
from schemas.stored import NEVER

_HOLD: int = Policy.model_fields["hold"].default


class Candidate(NamedTuple):
    """A marketing mail that is due."""

    run: Run
    step: SendStep
    workflow: Workflow
    since: int
    """When it was judged first, ms. Whether that was too late is for its step to say."""
    expires: int
    """From then on it is not sent any more, ms."""


class Verdict(NamedTuple):
    """What is to become of it."""

    action: Literal["send", "hold", "skip"]
    reason: Reason
    again: int = NEVER
    """Of a held mail: the first instant (ms) at which time alone could change the verdict."""
    detail: str = ""
    """Which cap, how many of how many: no personal data."""
    basis: LegalBasis | None = None
    """Of a mail that may go."""


def expiry(step: SendStep, since: int, policy: Policy | None) -> int:
    """Return until when (ms) a mail that was judged first at `since` may be held."""
    hold = _HOLD if policy is None else policy.hold
    return since + (hold if step.expires is None else step.expires)


def judge(customer: Customer, candidate: Candidate, now: int, policy: Policy | None) -> Verdict:
    """Decide about one mail, as if no other waited."""
    if not customer.profile.email:
        return Verdict("skip", "no_address")
    if customer.suppressed:
        return Verdict("skip", "suppressed")
    if not customer.consented("marketing"):
        return Verdict("skip", "no_consent")
    if candidate.expires <= now:
        return Verdict("skip", "expired")
    return Verdict("send", "due", basis="consent")


def rank(
    customer: Customer, candidates: Iterable[Candidate], now: int, policy: Policy | None
) -> list[Candidate]:
    """Return the candidates, best first."""

    def place(candidate: Candidate) -> tuple[int, int, str, str]:
        step, workflow = candidate.step, candidate.workflow
        priority = workflow.priority if step.priority is None else step.priority
        return (-priority, candidate.since, workflow.id, candidate.run.id)

    return sorted(candidates, key=place)


def arbitrate(
    customer: Customer,
    candidates: Iterable[Candidate],
    now: int,
    policy: Policy | None,
    send: Callable[[Candidate, Verdict], None],
) -> list[tuple[Candidate, Verdict]]:
    """Let `send` have each mail that may go, best first; return what is to become of the others.

    `send` has to `remember` the mail.
    """
    others: list[tuple[Candidate, Verdict]] = []
    for candidate in rank(customer, candidates, now, policy):
        verdict = judge(customer, candidate, now, policy)
        if verdict.action == "send":
            send(candidate, verdict)
        else:
            others.append((candidate, verdict))
    return others


def remember(customer: Customer, sent: Sent, policy: Policy | None) -> None:
    """Keep in mind that a mail was commanded."""
    customer.sent.append(sent)
    del customer.sent[:-SENT_HISTORY]
