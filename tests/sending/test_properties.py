"""What must hold whatever is due when: no cap is exceeded, the mix holds in any window, nobody is
written to at night, and a held mail is looked at exactly when it could go, so it needs no polling.

Policies, customers and due mails are drawn; time jumps from one due mail to the next look.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from agents.sending.arbitration import Candidate, PolicyDecision, arbitrate, judge
from schemas.customer import Customer
from schemas.definitions.shop import Policy
from tests.examples import examples
from tests.sending.mails import (
    DAY,
    HOUR,
    NOON,
    anna,
    candidate,
    clock,
    most_in_any,
    shipped,
    take,
    worst_share,
)

ZONES = ("", "Europe/Rome", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland")


class Went(NamedTuple):
    """A mail that was sent."""

    time: int
    promotional: bool
    workflow: str
    zone: str


class Due(NamedTuple):
    """What comes to be due, or a customer who moves house."""

    after: int
    kind: str
    workflow: str
    priority: int
    lasts: int
    zone: str | None


caps = st.builds(
    lambda at_most, per, workflow: {"at_most": at_most, "per": per, "workflow": workflow},
    st.integers(1, 4),
    st.sampled_from(["day", "12h", "7d", "30d"]),
    st.sampled_from(["", "", "w1"]),
)
policies = st.builds(
    lambda caps, quiet, share, at_least, tired: Policy.model_validate(
        {
            "definition": "policy",
            "caps": caps,
            "quiet": quiet and {"from": quiet[0], "to": quiet[1]},
            "mix": {"promotional": share, "span": "30d", "from_mails": at_least},
            "fatigue": tired and {"ignored": tired, "caps": [{"at_most": 1, "per": "6d"}]},
        }
    ),
    st.lists(caps, max_size=3),
    st.sampled_from([None, ("21:00", "09:00"), ("12:00", "14:30"), ("02:30", "03:30")]),
    st.sampled_from([0.3, 0.5, 0.25]),
    st.integers(4, 10),
    st.sampled_from([None, 5, 12]),
)
dues = st.builds(
    Due,
    st.sampled_from([0, HOUR // 2, 3 * HOUR, 9 * HOUR, DAY, 2 * DAY]),
    st.sampled_from(["informative", "informative", "promotional"]),
    st.sampled_from(["w1", "w2", "w3"]),
    st.integers(0, 2),
    st.sampled_from([12 * HOUR, 3 * DAY, 40 * DAY]),
    st.sampled_from([None, None, None, *ZONES]),
)


class Lifetime:
    """A customer to whom mails come due."""

    def __init__(self, policy: Policy, start: int) -> None:
        self.policy = policy
        self.customer: Customer = anna()
        self.now = start
        self.waiting: dict[str, tuple[Candidate, int]] = {}
        """By run: what is held, and when to look again."""
        self.sent: list[Went] = []
        self.skipped: list[str] = []
        self._number = 0

    def happen(self, due: Due) -> None:
        """Let time pass, then one more mail be due."""
        self.pass_until(self.now + due.after)
        if due.zone is not None:
            self.customer.profile.zone = due.zone
            self.look()
        self._number += 1
        each = candidate(due.kind, workflow=due.workflow, run=f"r{self._number}",
                         priority=due.priority, since=self.now,
                         expires=self.now + due.lasts)  # fmt: skip
        self.waiting[each.run.id] = (each, self.now)
        self.look()

    def pass_until(self, time: int) -> None:
        """Look at what is held whenever it asked for it."""
        while self.waiting and (again := min(at for _, at in self.waiting.values())) <= time:
            self.now = max(self.now, again)
            self.look()
        self.now = max(self.now, time)

    def look(self) -> None:
        """One look at all that wait, as the engine does it."""
        others = arbitrate(
            self.customer, [each for each, _ in self.waiting.values()], self.now, self.policy,
            self._send,
        )  # fmt: skip
        for each, verdict in others:
            if verdict.action == "skip":
                del self.waiting[each.run.id]
                self.skipped.append(verdict.reason)
            else:
                assert each.expires > self.now, "whatever has expired is skipped"
                self._check_again(each, verdict)
                self.waiting[each.run.id] = (each, min(verdict.again, each.expires))

    def _send(self, each: Candidate, _: PolicyDecision) -> None:
        for other, _ in self.waiting.values():
            better = other.workflow.priority > each.workflow.priority
            assert not better or self._would(other) != "send", "the better one goes first"
        del self.waiting[each.run.id]
        take(self.customer, each, self.now, self.policy)
        zone = self.customer.profile.zone or "Europe/Rome"
        self.sent.append(Went(self.now, each.step.kind == "promotional", each.workflow.id, zone))

    def _would(self, each: Candidate) -> str:
        return judge(self.customer, each, self.now, self.policy).action

    def _check_again(self, each: Candidate, verdict: PolicyDecision) -> None:
        """It may go at that instant, if nothing else does, and at none before."""
        forever = each._replace(expires=verdict.again + 1)
        assert verdict.again > self.now
        assert judge(self.customer, forever, verdict.again, self.policy).action == "send"
        for earlier in (verdict.again - 1, (self.now + verdict.again) // 2, self.now + HOUR):
            if self.now < earlier < verdict.again:
                assert judge(self.customer, forever, earlier, self.policy).action == "hold"


def check(life: Lifetime) -> None:
    """Assert everything, without the code that decided it."""
    _check_caps(life)
    _check_quiet(life)
    mix = life.policy.mix
    assert mix is not None
    mails = [(went.time, went.promotional) for went in life.sent]
    assert worst_share(mix.span, mix.from_mails, mails) <= mix.promotional + 1e-9


def _check_caps(life: Lifetime) -> None:
    for cap in life.policy.caps:
        counted = [went for went in life.sent if cap.workflow in ("", went.workflow)]
        if cap.per != "day":
            assert most_in_any(cap.per, [went.time for went in counted]) <= cap.at_most
            continue
        for place, went in enumerate(counted):  # a day as it was when the last of them went
            today = clock(went.time, went.zone)[:10]
            before = [clock(other.time, went.zone)[:10] for other in counted[: place + 1]]
            assert before.count(today) <= cap.at_most


def _check_quiet(life: Lifetime) -> None:
    quiet = life.policy.quiet
    for went in life.sent if quiet is not None else ():
        assert quiet is not None
        shown, first, last = clock(went.time, went.zone)[11:16], quiet.begins, quiet.ends
        assert not (first <= shown < last if first < last else shown >= first or shown < last)


starts = st.sampled_from([NOON, NOON + 24 * DAY, NOON + 233 * DAY])  # the clocks change soon
lives = given(policies, starts, st.lists(dues, min_size=5, max_size=60))


def live(policy: Policy, start: int, happenings: list[Due]) -> None:
    """No rule is ever broken, and whatever is held is sent or skipped in the end."""
    life = Lifetime(policy, start)
    for due in happenings:
        life.happen(due)
    life.pass_until(life.now + 41 * DAY)
    assert not life.waiting
    assert set(life.skipped) <= {"expired"}
    check(life)


def live_twice(policy: Policy, start: int, happenings: list[Due]) -> None:
    """The same mails get the same verdicts, in whatever order they are looked at."""
    twice = [Lifetime(policy, start) for _ in range(2)]
    for number, life in enumerate(twice):
        for due in happenings:
            life.happen(due)
            if number:
                life.waiting = dict(reversed(life.waiting.items()))
        life.pass_until(life.now + 41 * DAY)
    assert twice[0].sent == twice[1].sent


def live_a_crowded_year() -> None:
    """Everything at once, by the shipped policy: as much as is allowed goes, and no more."""
    life = Lifetime(shipped().model_copy(update={"fatigue": None}), NOON)
    for number in range(700):
        kind = "promotional" if number % 2 else "informative"
        life.happen(Due(4 * HOUR, kind, f"w{number % 7}", number % 3, 3 * DAY, None))
    check(life)
    weeks: defaultdict[int, int] = defaultdict(int)
    for went in life.sent:
        weeks[(went.time - NOON) // (7 * DAY)] += 1
    assert set(list(weeks.values())[1:-1]) <= {2, 3}
    assert sum(weeks.values()) > 2.7 * len(weeks)
    promotional = sum(went.promotional for went in life.sent) / len(life.sent)
    assert 0.2 < promotional <= 0.3


test_no_rule_is_ever_broken = examples(100)(lives(live))

test_the_order_of_looking_does_not_matter = examples(40)(lives(live_twice))


def test_a_crowded_year() -> None:
    live_a_crowded_year()
