"""When a marketing mail may go: quiet hours, caps, fatigue and the mix, by the shop's policy.

A rule is asked about an instant, with the mails sent so far.

Why no window ever breaks the mix: the mails of one that holds `from_mails` or more were the latest
within the span when the last of them was judged, and it went only since their share was right. One
with more than are remembered falls into parts of `from_mails` to SENT_HISTORY, each of them right.
(Without the share, the same argument is why no cap is exceeded.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from agents.rules import local_time
from schemas.customer import Customer
from schemas.customer.mail import Sent
from schemas.decisions import Reason
from schemas.definitions.shop import Cap, Fatigue, Mix, Policy, Quiet
from schemas.definitions.steps import SendStep
from schemas.definitions.workflow import Workflow
from schemas.durations import duration_text
from schemas.stored import NEVER
from schemas.time_units import DAY_MS


class PolicyHold(NamedTuple):
    """Why a rule holds a mail, and until when."""

    reason: Reason
    until: int
    """The first instant at which this rule lets it go, if no other mail is sent."""
    detail: str


Rule = Callable[[int], PolicyHold | None]


def rules_for(customer: Customer, workflow: Workflow, step: SendStep, policy: Policy) -> list[Rule]:
    """Return the rules for this mail. Of two that hold it equally long the first is the reason."""
    zone = customer.profile.zone
    sent = [mail for mail in customer.sent if mail.mail_class == "marketing"]
    told = customer.links.elsewhere
    elsewhere = [] if told is None else told.sent
    rules: list[Rule] = []
    if policy.quiet is not None:
        rules.append(partial(_quiet, policy.quiet, zone))
    rules += [
        partial(_cap, cap, times, zone)
        for cap, times in _counted(policy.caps, workflow.id, sent, elsewhere)
    ]
    if policy.fatigue is not None:
        caps = _counted(policy.fatigue.caps, workflow.id, sent, elsewhere)
        rules.append(partial(_fatigue, policy.fatigue, caps, customer))
    if policy.mix is not None:
        rules.append(partial(_mix, policy.mix, step.kind == "promotional", sent))
    return rules


def until(end: int, reason: Reason) -> Rule:
    """Return the rule that holds a mail until `end` (ms)."""
    return lambda instant: PolicyHold(reason, end, "") if instant < end else None


def place_from(policy: Policy | None, sent: Sequence[int], zone: str, now: int) -> int:
    """Return from when (ms) the caps on all marketing let another mail go to an address that got
    some at these times; `now` when it may go at once."""
    caps = [] if policy is None else [cap for cap in policy.caps if not cap.workflow]
    return free_from([partial(_cap, cap, sent, zone) for cap in caps], now)


def holding(rules: Sequence[Rule], instant: int) -> list[PolicyHold]:
    """Return what holds a mail at an instant."""
    found = (rule(instant) for rule in rules)
    return [hold for hold in found if hold is not None]


def free_from(rules: Sequence[Rule], instant: int) -> int:
    """Return the first instant, from this one on, at which no rule holds.

    Each step passes only over what some rule forbids, so none that is free is passed over.
    """
    while instant < NEVER and (holds := holding(rules, instant)):
        instant = max(hold.until for hold in holds)
    return instant


def _quiet(quiet: Quiet, zone: str, instant: int) -> PolicyHold | None:
    ends = local_time.quiet_ends(instant, quiet.begins, quiet.ends, zone)
    return (
        None if ends == instant else PolicyHold("quiet_hours", ends, f"{quiet.begins}-{quiet.ends}")
    )


_Counted = list[tuple[Cap, list[int]]]
"""Caps that concern a mail, each with the times of the mails that it counts."""


def _counted(
    caps: Iterable[Cap], workflow: str, sent: Sequence[Sent], elsewhere: Sequence[int]
) -> _Counted:
    """`elsewhere`: when marketing went to the same address under other ids, of whichever
    workflow."""
    return [(cap, _times(cap, sent, elsewhere)) for cap in caps if cap.workflow in ("", workflow)]


def _times(cap: Cap, sent: Sequence[Sent], elsewhere: Sequence[int]) -> list[int]:
    times = [mail.time for mail in sent if cap.workflow in ("", mail.workflow)]
    return sorted((*times, *elsewhere)) if elsewhere and not cap.workflow else times


def _cap(cap: Cap, times: Sequence[int], zone: str, instant: int) -> PolicyHold | None:
    if len(times) < cap.at_most:
        return None
    first = times[-cap.at_most]  # as long as this one counts there is no place
    if cap.per == "day":
        counts = local_time.day_number(first, zone) == local_time.day_number(instant, zone)
        until = local_time.next_day(instant, zone) if counts else instant
        per = "day"
    else:
        until, per = first + cap.per + 1, _span(cap.per)
    if until <= instant:
        return None
    of = f" of {cap.workflow}" if cap.workflow else ""
    return PolicyHold("frequency_cap", until, f"{cap.at_most} per {per}{of}")


def _fatigue(
    fatigue: Fatigue, caps: _Counted, customer: Customer, instant: int
) -> PolicyHold | None:
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
    return PolicyHold("fatigue", min(longest.until, ends), f"{why}: {longest.detail}")


def _has_left(customer: Customer) -> bool:
    """Whether the customer left a list, and has joined none since."""
    joined = (each.time for each in customer.lists.values() if each.subscribed)
    return 0 < customer.left_list >= max(joined, default=0)


def _mix(mix: Mix, promotional: bool, sent: Sequence[Sent], instant: int) -> PolicyHold | None:
    mails, several = 1, int(promotional)
    for mail in reversed(sent):  # the new one with ever more of those before it
        if mail.time < instant - mix.span:
            return None
        mails, several = mails + 1, several + (mail.kind == "promotional")
        if mails >= mix.from_mails and _too_many(several, mails, mix):
            return PolicyHold(
                "mix", mail.time + mix.span + 1, f"{several} of {mails} in {_span(mix.span)}"
            )
    return None


def _too_many(promotional: int, mails: int, mix: Mix) -> bool:
    return promotional > mix.promotional * mails + 1e-9  # 0.29 * 100 is less than 29


def _span(duration: int) -> str:
    """Say it in days where it is days: `30d`, not `4w2d`."""
    days, rest = divmod(duration, DAY_MS)
    return duration_text(duration) if rest else f"{days}d"


def lacking(customer: Customer, now: int, policy: Policy | None) -> str:
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


def own_caps(policy: Policy | None) -> dict[str, int]:
    """Return how many of its mails each workflow with a cap of its own has to remember."""
    if policy is None:
        return {}
    caps = [*policy.caps, *(policy.fatigue.caps if policy.fatigue is not None else ())]
    return {
        cap.workflow: max(other.at_most for other in caps if other.workflow == cap.workflow)
        for cap in caps
        if cap.workflow
    }
