"""Arbitration: the one place that decides whether a marketing mail may go now.

Address, suppression and legal basis say whether it may go at all. Quiet hours, caps, fatigue and
the mix (`limits`) say when: a mail that may not go yet is held, with the first instant at which
that could change by time alone, and competes then with whatever else waits. What expires meanwhile
is skipped.
Confirmations don't come here: nothing but a missing address keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from agents.commerce import cart
from agents.definitions import triggers
from agents.links.everybodys import stands_for_many
from agents.sending import limits, recipient
from agents.sending.legal_basis import SoftOptIn, legal_basis, reaches_its_owner
from agents.workflows import lifecycle
from schemas.bounds import largest, shed
from schemas.commands import LegalBasis
from schemas.customer import Customer
from schemas.customer.mail import SENT_HISTORY, SENT_TOTAL_BYTES, Sent
from schemas.customer.runs import Run
from schemas.decisions import Reason
from schemas.definitions.shop import Policy
from schemas.definitions.steps import SendStep
from schemas.definitions.workflow import Workflow
from schemas.stored import NEVER

TRANSACTIONAL_HISTORY = 20
"""Confirmations remembered: no rule asks for them, whoever looks at a customer may."""

HOLDS = frozenset({"quiet_hours", "frequency_cap", "fatigue", "mix", "outranked", "order_hinted"})
"""Why a mail may be held."""

_LARGEST = largest(Sent)

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


class PolicyDecision(NamedTuple):
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


def judge(
    customer: Customer, candidate: Candidate, now: int, policy: Policy | None
) -> PolicyDecision:
    """Decide about one mail, as if no other waited. Without a policy nothing holds it but a page's
    word that the cart which it is about is ordered.

    Of several rules that hold it the one that does so longest is the reason.
    """
    refused = recipient.refusal(customer, customer.profile.email)
    if refused is not None:
        return PolicyDecision("skip", refused)
    basis = _basis(customer, candidate.step, now, policy)
    if basis is None or stands_for_many(customer):
        return PolicyDecision("skip", _why_without(customer, basis))
    if not _reaches_its_owner(customer, candidate, basis, policy):
        return PolicyDecision("skip", "unproven_address")
    if candidate.expires <= now:
        return PolicyDecision("skip", "expired", detail=candidate.run.held_for)
    step, workflow = candidate.step, candidate.workflow
    rules = [] if policy is None else limits.rules_for(customer, workflow, step, policy)
    if customer.cart.hinted and candidate.run.cart == customer.cart.number:
        rules.append(limits.until(cart.hint_ends(customer.cart), "order_hinted"))
    holds = limits.holding(rules, now)
    if not holds:
        return PolicyDecision("send", "due", basis=basis)
    longest = max(holds, key=lambda hold: hold.until)
    return PolicyDecision(
        "hold", longest.reason, limits.free_from(rules, longest.until), longest.detail
    )


def rank(
    customer: Customer, candidates: Iterable[Candidate], now: int, policy: Policy | None
) -> list[Candidate]:
    """Return the candidates, best first. The order is total, and the same at every look:

    1. the higher priority, of the step or else of its workflow
    2. the kind that the mix lacks: promotional while one more of them is within the share
    3. the one that expires first
    4. the one that was due first
    5. the ids of workflow, step and run, so that nothing is left to chance
    """
    lacking = limits.lacking(customer, now, policy)

    def order(candidate: Candidate) -> tuple[int, bool, int, int, str, str, str]:
        step, workflow = candidate.step, candidate.workflow
        priority = workflow.priority if step.priority is None else step.priority
        names = (workflow.id, step.id, candidate.run.id)
        unwanted = step.kind != lacking
        return (-priority, unwanted, candidate.expires, candidate.since, *names)

    return sorted(candidates, key=order)


def arbitrate(
    customer: Customer,
    candidates: Iterable[Candidate],
    now: int,
    policy: Policy | None,
    send: Callable[[Candidate, PolicyDecision], None],
) -> list[tuple[Candidate, PolicyDecision]]:
    """Let `send` have each mail that may go, best first; return what is to become of the others.

    `send` has to `remember` the mail. Each one changes what may go: it takes a place, and as an
    informative one it may make room for a promotional one. What could have gone if no better one
    had taken its place is outranked.
    """
    waiting = rank(customer, candidates, now, policy)
    judged = [judge(customer, candidate, now, policy) for candidate in waiting]
    free = {candidate.run.id for candidate, verdict in zip(waiting, judged, strict=True)
            if verdict.action == "send"}  # fmt: skip
    better = ""
    while (index := _first_to_go(judged)) is not None:
        best = waiting.pop(index)
        send(best, judged[index])
        better = f"{best.workflow.id} {best.step.id}"
        judged = [judge(customer, candidate, now, policy) for candidate in waiting]
    return [
        (candidate, verdict._replace(reason="outranked", detail=better)
         if verdict.action == "hold" and candidate.run.id in free else verdict)
        for candidate, verdict in zip(waiting, judged, strict=True)
    ]  # fmt: skip


def _first_to_go(judged: Sequence[PolicyDecision]) -> int | None:
    return next((index for index, each in enumerate(judged) if each.action == "send"), None)


def remember(customer: Customer, sent: Sent, policy: Policy | None) -> None:
    """Keep in mind that a mail was commanded; until the customer takes notice it is ignored."""
    customer.sent.append(sent)
    if sent.mail_class == "marketing":
        customer.ignored += 1
    if len(customer.sent) > SENT_HISTORY:
        customer.sent = worth_keeping(customer.sent, policy)


def worth_keeping(mails: Sequence[Sent], policy: Policy | None) -> list[Sent]:
    """Return those of the mails, in order of time, that a rule may still ask for.

    Other workflows' mails must not push out those that a workflow's own cap counts. Without room
    for them all the oldest go.
    """
    wanted = {"marketing": SENT_HISTORY, "transactional": TRANSACTIONAL_HISTORY}
    own = limits.own_caps(policy)
    kept: list[Sent] = []
    for mail in reversed(mails):
        wanted[mail.mail_class] -= 1
        of_workflow = own.get(mail.workflow, 0)
        if mail.mail_class == "marketing" and of_workflow:
            own[mail.workflow] = of_workflow - 1
        else:
            of_workflow = 0
        if wanted[mail.mail_class] >= 0 or of_workflow:
            kept.append(mail)
    kept.reverse()
    shed(kept, SENT_TOTAL_BYTES, _LARGEST)
    return kept


def give_back(customer: Customer, command_id: str, now: int) -> None:
    """Free the place of a mail that never left the house, and look at those that wait again."""
    mail = next((mail for mail in customer.sent if mail.command_id == command_id), None)
    if mail is None or not command_id:
        return
    customer.sent = [mail for mail in customer.sent if mail.command_id != command_id]
    if mail.mail_class == "marketing":
        if mail.time > customer.last_active:
            customer.ignored = max(0, customer.ignored - 1)
        look_again(customer, now)


def take_notice(customer: Customer, time: int) -> None:
    """The customer did something, in the shop or with a mail: what came before was not ignored."""
    if time > customer.last_active:
        customer.last_active = time
        if customer.ignored:
            customer.ignored = sum(
                mail.mail_class == "marketing" and mail.time > time for mail in customer.sent
            )


def look_again(customer: Customer, now: int) -> None:
    """Let the mails that are held be judged at once: more than time has changed."""
    for run in customer.runs:
        if run.held_for in HOLDS:
            lifecycle.reconsidered(run, now)


def is_waiting(customer: Customer) -> bool:
    """Return whether a mail of the customer is held."""
    for run in customer.runs:  # noqa: SIM110  # any() is slower, and this runs at each event
        if run.held_for in HOLDS:
            return True
    return False


def situation(customer: Customer) -> tuple[object, ...]:
    """Return what a verdict depends on besides time, policy and the mails sent.

    When an event changes it, what is held has to be looked at again.
    """
    profile, consent = customer.profile, customer.consents.get("marketing")
    return (
        profile.zone,
        profile.mail_frequency,
        profile.email,
        customer.suppressed,
        consent is not None and consent.given,
        customer.left_list,
        customer.ignored,
    )


def _reaches_its_owner(
    customer: Customer, candidate: Candidate, basis: LegalBasis, policy: Policy | None
) -> bool:
    about = triggers.cause(candidate.workflow.trigger)
    return reaches_its_owner(
        customer,
        basis,
        reminds=about.startswith(("cart.", "checkout.")),
        remind_typed=policy is None or policy.remind_typed,
    )


def _why_without(customer: Customer, basis: LegalBasis | None) -> Reason:
    """Return why no marketing at all may go to a customer."""
    if basis is not None:
        return "everybodys_id"
    return "objected" if customer.links.silenced else "no_consent"


def _basis(
    customer: Customer, step: SendStep, now: int, policy: Policy | None
) -> LegalBasis | None:
    said = (
        SoftOptIn() if policy is None else SoftOptIn(policy.soft_opt_in, policy.soft_opt_in_lasts)
    )
    return legal_basis(customer, step.basis == "soft_opt_in", now, said)
