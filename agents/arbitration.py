"""Arbitration: the one place that decides whether a marketing mail may go now.

Address, suppression and legal basis say whether it may go at all. Quiet hours, caps, fatigue and
the mix say when: a mail that may not go yet is held, with the first instant at which that could
change by time alone, and competes then with whatever else waits. What expires meanwhile is skipped.
Confirmations don't come here: nothing but a missing address keeps them.

Why no window ever breaks the mix: the mails of one that holds `from_mails` or more were the latest
within the span when the last of them was judged, and it went only since their share was right. One
with more than are remembered falls into parts of `from_mails` to SENT_HISTORY, each of them right.
(Without the share, the same argument is why no cap is exceeded.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal, NamedTuple

from agents import windows
from agents.privacy import SoftOptIn, legal_basis
from schemas.commands import LegalBasis
from schemas.customer import Customer
from schemas.customer.mail import SENT_HISTORY, Sent
from schemas.customer.runs import Run
from schemas.decisions import Reason
from schemas.definitions.shop import Cap, Fatigue, Mix, Policy, Quiet
from schemas.definitions.steps import SendStep
from schemas.definitions.workflow import Workflow
from schemas.durations import duration_text
from schemas.stored import NEVER

TRANSACTIONAL_HISTORY = 20
"""Confirmations remembered: no rule asks for them, whoever looks at a customer may."""

HOLDS = frozenset({"quiet_hours", "frequency_cap", "fatigue", "mix", "outranked"})
"""Why a mail may be held."""

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


def refusal(customer: Customer) -> Reason | None:
    """Return why no mail at all may go to this customer; None when one may."""
    if not customer.profile.email:
        return "no_address"
    return "suppressed" if customer.suppressed else None


def judge(customer: Customer, candidate: Candidate, now: int, policy: Policy | None) -> Verdict:
    """Decide about one mail, as if no other waited. Without a policy nothing is ever held.

    Of several rules that hold it the one that does so longest is the reason.
    """
    refused = refusal(customer)
    if refused is not None:
        return Verdict("skip", refused)
    basis = _basis(customer, candidate.step, now, policy)
    if basis is None:
        return Verdict("skip", "no_consent")
    if candidate.expires <= now:
        return Verdict("skip", "expired", detail=candidate.run.held_for)
    rules = [] if policy is None else _rules(customer, candidate, policy)
    holds = _holds(rules, now)
    if not holds:
        return Verdict("send", "due", basis=basis)
    longest = max(holds, key=lambda hold: hold.until)
    return Verdict("hold", longest.reason, _free(rules, longest.until), longest.detail)


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
    lacking = _lacking(customer, now, policy)

    def place(candidate: Candidate) -> tuple[int, bool, int, int, str, str, str]:
        step, workflow = candidate.step, candidate.workflow
        priority = workflow.priority if step.priority is None else step.priority
        names = (workflow.id, step.id, candidate.run.id)
        unwanted = step.kind != lacking
        return (-priority, unwanted, candidate.expires, candidate.since, *names)

    return sorted(candidates, key=place)


def arbitrate(
    customer: Customer,
    candidates: Iterable[Candidate],
    now: int,
    policy: Policy | None,
    send: Callable[[Candidate, Verdict], None],
) -> list[tuple[Candidate, Verdict]]:
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
    while (place := _first_to_go(judged)) is not None:
        best = waiting.pop(place)
        send(best, judged[place])
        better = f"{best.workflow.id} {best.step.id}"
        judged = [judge(customer, candidate, now, policy) for candidate in waiting]
    return [
        (candidate, verdict._replace(reason="outranked", detail=better)
         if verdict.action == "hold" and candidate.run.id in free else verdict)
        for candidate, verdict in zip(waiting, judged, strict=True)
    ]  # fmt: skip


def _first_to_go(judged: Sequence[Verdict]) -> int | None:
    return next((place for place, each in enumerate(judged) if each.action == "send"), None)


def remember(customer: Customer, sent: Sent, policy: Policy | None) -> None:
    """Keep in mind that a mail was commanded; until the customer takes notice it is ignored."""
    customer.sent.append(sent)
    if sent.mail_class == "marketing":
        customer.ignored += 1
    if len(customer.sent) > SENT_HISTORY:
        customer.sent = worth_keeping(customer.sent, policy)


def worth_keeping(mails: Sequence[Sent], policy: Policy | None) -> list[Sent]:
    """Return those of the mails, in order of time, that a rule may still ask for.

    Other workflows' mails must not push out those that a workflow's own cap counts.
    """
    wanted = {"marketing": SENT_HISTORY, "transactional": TRANSACTIONAL_HISTORY}
    own = _own_caps(policy)
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
    return kept[::-1]


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
            run.due = min(run.due, now)


def is_waiting(customer: Customer) -> bool:
    """Return whether a mail of the customer is held."""
    return any(run.held_for in HOLDS for run in customer.runs)


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


def _basis(
    customer: Customer, step: SendStep, now: int, policy: Policy | None
) -> LegalBasis | None:
    said = (
        SoftOptIn() if policy is None else SoftOptIn(policy.soft_opt_in, policy.soft_opt_in_lasts)
    )
    return legal_basis(customer, step.basis == "soft_opt_in", now, said)


# When it may go. A rule is asked about an instant, with the mails sent so far.


class _Hold(NamedTuple):
    reason: Reason
    until: int
    """The first instant at which this rule lets it go, if no other mail is sent."""
    detail: str


_Rule = Callable[[int], _Hold | None]


def _rules(customer: Customer, candidate: Candidate, policy: Policy) -> list[_Rule]:
    """Return the rules for this mail. Of two that hold it equally long the first is the reason."""
    zone = customer.profile.zone
    sent = [mail for mail in customer.sent if mail.mail_class == "marketing"]
    rules: list[_Rule] = []
    if policy.quiet is not None:
        rules.append(partial(_quiet, policy.quiet, zone))
    rules += [
        partial(_cap, cap, times, zone) for cap, times in _counted(policy.caps, candidate, sent)
    ]
    if policy.fatigue is not None:
        caps = _counted(policy.fatigue.caps, candidate, sent)
        rules.append(partial(_fatigue, policy.fatigue, caps, customer))
    if policy.mix is not None:
        rules.append(partial(_mix, policy.mix, candidate.step.kind == "promotional", sent))
    return rules


def _holds(rules: Sequence[_Rule], instant: int) -> list[_Hold]:
    found = (rule(instant) for rule in rules)
    return [hold for hold in found if hold is not None]


def _free(rules: Sequence[_Rule], instant: int) -> int:
    """Return the first instant, from this one on, at which no rule holds.

    Each step passes only over what some rule forbids, so none that is free is passed over.
    """
    while instant < NEVER and (holds := _holds(rules, instant)):
        instant = max(hold.until for hold in holds)
    return instant


def _quiet(quiet: Quiet, zone: str, instant: int) -> _Hold | None:
    ends = windows.quiet_ends(instant, quiet.begins, quiet.ends, zone)
    return None if ends == instant else _Hold("quiet_hours", ends, f"{quiet.begins}-{quiet.ends}")


_Counted = list[tuple[Cap, list[int]]]
"""Caps that concern a mail, each with the times of the mails that it counts."""


def _counted(caps: Iterable[Cap], candidate: Candidate, sent: Sequence[Sent]) -> _Counted:
    return [
        (cap, [mail.time for mail in sent if cap.workflow in ("", mail.workflow)])
        for cap in caps
        if cap.workflow in ("", candidate.workflow.id)
    ]


def _cap(cap: Cap, times: Sequence[int], zone: str, instant: int) -> _Hold | None:
    if len(times) < cap.at_most:
        return None
    first = times[-cap.at_most]  # as long as this one counts there is no place
    if cap.per == "day":
        counts = windows.day_of(first, zone) == windows.day_of(instant, zone)
        until = windows.next_day(instant, zone) if counts else instant
        per = "day"
    else:
        until, per = first + cap.per + 1, _span(cap.per)
    if until <= instant:
        return None
    of = f" of {cap.workflow}" if cap.workflow else ""
    return _Hold("frequency_cap", until, f"{cap.at_most} per {per}{of}")


def _fatigue(fatigue: Fatigue, caps: _Counted, customer: Customer, instant: int) -> _Hold | None:
    if customer.profile.mail_frequency == "less":  # said so on the preferences page
        why, ends = "asked for less", NEVER
    elif customer.ignored >= fatigue.ignored:
        why, ends = f"{customer.ignored} ignored", NEVER
    else:
        why, ends = "left a list", customer.left_list + fatigue.unsubscribed + 1
        if not fatigue.unsubscribed or ends <= instant or not _has_left(customer):
            return None
    found = (_cap(cap, times, customer.profile.zone, instant) for cap, times in caps)
    holds = [hold for hold in found if hold is not None]
    if not holds:
        return None
    longest = max(holds, key=lambda hold: hold.until)
    return _Hold("fatigue", min(longest.until, ends), f"{why}: {longest.detail}")


def _has_left(customer: Customer) -> bool:
    """Whether the customer left a list, and has joined none since."""
    joined = (each.time for each in customer.lists.values() if each.subscribed)
    return 0 < customer.left_list >= max(joined, default=0)


def _mix(mix: Mix, promotional: bool, sent: Sequence[Sent], instant: int) -> _Hold | None:
    mails, several = 1, int(promotional)
    for mail in reversed(sent):  # the new one with ever more of those before it
        if mail.time < instant - mix.span:
            return None
        mails, several = mails + 1, several + (mail.kind == "promotional")
        if mails >= mix.from_mails and _too_many(several, mails, mix):
            return _Hold(
                "mix", mail.time + mix.span + 1, f"{several} of {mails} in {_span(mix.span)}"
            )
    return None


def _too_many(promotional: int, mails: int, mix: Mix) -> bool:
    return promotional > mix.promotional * mails + 1e-9  # 0.29 * 100 is less than 29


def _span(duration: int) -> str:
    """Say it in days where it is days: `30d`, not `4w2d`."""
    days, rest = divmod(duration, 86_400_000)
    return duration_text(duration) if rest else f"{days}d"


def _lacking(customer: Customer, now: int, policy: Policy | None) -> str:
    """Return the kind of which the mix could do with one more; none without a mix."""
    if policy is None or policy.mix is None:
        return ""
    recent = [
        mail.kind == "promotional"
        for mail in customer.sent
        if mail.mail_class == "marketing" and mail.time >= now - policy.mix.span
    ]
    crowded = _too_many(sum(recent) + 1, len(recent) + 1, policy.mix)
    return "informative" if crowded else "promotional"


def _own_caps(policy: Policy | None) -> dict[str, int]:
    """Return how many of its mails each workflow with a cap of its own has to remember."""
    if policy is None:
        return {}
    caps = [*policy.caps, *(policy.fatigue.caps if policy.fatigue is not None else ())]
    return {
        cap.workflow: max(other.at_most for other in caps if other.workflow == cap.workflow)
        for cap in caps
        if cap.workflow
    }
