"""Whatever a workflow says and whatever happens: no run is stuck, no step is done twice, no mail
goes after its stop condition, and a restart at any record changes nothing.

Programs and histories are drawn from all of the language. What is live besides the drawn workflow:
one that is called, one that tags, scores, fields, a campaign and the shop's policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.commands import SendCommand
from schemas.customer import Customer
from schemas.decisions import Decision
from schemas.definitions import DEFINITION, canonical
from schemas.stored import NEVER, Progress
from schemas.yaml_text import Document
from tests.examples import examples
from tests.harness import DAY, HOUR, MINUTE, SHIPPED, Harness
from tests.states.audit import audited

OTHERS = """
id: called
title: {it: Chiamato}
trigger: {called: true}
entry: {once_per: event}
exit_on: [order.completed]
steps: [{id: m, wait: 2d, send: x, kind: promotional}, {id: t, tag: called}]
---
id: tagged
title: {it: Etichettato}
trigger: {tag: seen}
entry: {once_per: customer, again_after: 1d}
steps: [{id: u, wait: 3h, untag: seen}, {id: m, send: x, kind: informative}]
---
id: engagement
definition: scoring
half_life: 30d
points: {page.viewed: 1}
bands: [{name: cold, from: 0}]
---
id: fields
definition: fields
fields: [{id: when, type: date}, {id: times, type: number}]
---
id: coupons
definition: coupons
campaigns: [{id: gift, kind: gift, description: {it: regalo}, lasts: 3d}]
"""
FILES = {"policy": SHIPPED["policy"]} | {
    each.id: canonical(each)
    for each in map(
        DEFINITION.validate_python, (Document(text).content for text in OTHERS.split("---"))
    )
}
STOPS = ("survey.answered", "page.viewed", "order.completed", "support.requested")
ENDS = ("exited", "completed", "converted")
SPANS = ("0s", "1m", "5h", "1d", "3d12h", "30d")
CONDITIONS: tuple[dict[str, Any], ...] = (
    {"orders.count": {"at_least": 2}},
    {"tags": {"contains": "seen"}},
    {"event.topic": "size"},
    {"not": {"profile.city": "Torino"}},
    {},
)
spans, stops = st.sampled_from(SPANS), st.sampled_from(STOPS)
conditions = st.sampled_from(CONDITIONS)
clocks = st.sampled_from(("02:30", "09:00", "23:59"))
days = st.lists(st.sampled_from(("mon", "wed", "sun")), max_size=2, unique=True)
known_waits = st.one_of(
    spans,
    st.fixed_dictionaries({"for": spans, "since": st.just("entry"), "at": clocks, "on": days}),
    st.fixed_dictionaries({"until": clocks, "on": days}),
)
maybe_waits = st.one_of(
    st.fixed_dictionaries({"for": spans, "since": stops}),
    st.fixed_dictionaries(
        {"date": st.sampled_from(("profile.birthday", "fields.when")), "before": spans}
    ),
)
happenings = st.one_of(
    st.fixed_dictionaries({"event": stops, "timeout": spans.filter(lambda span: span != "0s")}),
    st.fixed_dictionaries({"condition": conditions, "timeout": st.just("2d")}),
)
waits = st.one_of(
    st.just([]),
    st.tuples(known_waits).map(list),
    st.tuples(maybe_waits, known_waits).map(list),
    st.tuples(happenings).map(list),
)
lateness = st.sampled_from(
    (
        {"then": "fire"},
        {"after": "1d", "then": "skip"},
        {"after": "1h", "then": "window", "window": {"from": "09:00", "to": "20:00"}},
    )
)
verbs = st.sampled_from(
    (
        {"send": "x", "kind": "promotional"},
        {"send": "x", "kind": "informative", "expires": "5h"},
        {"send": "x", "class": "transactional", "kind": "transactional"},
        {"tag": "seen"},
        {"tag": "topic:{event.topic}", "lasts": "2d"},
        {"untag": "s*"},
        {"list": "news", "action": "subscribe"},
        {"list": "news", "action": "unsubscribe"},
        {"set": {"when": "2026-04-01", "profile.city": "Torino"}},
        {"increase": {"times": 1}},
        {"score": "engagement", "add": 5},
        {"coupon": "gift"},
        {"notify": "mailto:shop@example.com"},
        {"call": "called"},
        {"call": "called", "wait_for_end": True},
        {},
    )
)
ends = st.sampled_from(({"goal": "reached"}, {"exit": "enough"}))


@st.composite
def step(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    """One step, without its id: how it waits, what leaves it out, what it does."""
    common: dict[str, Any] = {"wait": draw(waits), "late": draw(lateness)}
    if draw(st.integers(0, 3)) == 0:
        common["if"] = draw(conditions)
    if draw(st.integers(0, 3)) == 0:
        common["stop_on"] = draw(st.lists(stops, min_size=1, max_size=2, unique=True))
    kind = draw(st.integers(0, 9))
    if depth and kind == 0:
        arms = [{"if": draw(conditions), "steps": draw(steps(depth - 1, 0))}]
        if any(not isinstance(wait, str) and "event" in wait for wait in common["wait"]):
            arms.append({"result": draw(st.sampled_from(("event", "timeout"))), "steps": []})
        return common | {"branch": arms, "else": draw(steps(depth - 1, 0))}
    if depth and kind == 1:
        variants = [{"name": name, "share": 50, "holdout": name == "b" and draw(st.booleans()),
                     "steps": draw(steps(depth - 1, 0))} for name in "ab"]  # fmt: skip
        return common | {"split": variants, "experiment": f"e{draw(st.integers(0, 9))}"}
    if kind == 2 and draw(st.integers(0, 2)) == 0:
        return common | draw(ends)
    does = draw(verbs)
    return common | does if does or common["wait"] else common | {"wait": ["1h"]}


def steps(depth: int, least: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A sequence of steps."""
    return st.lists(step(depth), min_size=least, max_size=5)


@st.composite
def workflows(draw: st.DrawFn) -> bytes:
    """A workflow of all that the language has, as it would be published."""
    flow: dict[str, Any] = {
        "id": "flow", "title": {"it": "Flusso"},
        "trigger": draw(st.sampled_from(("support.requested",) * 3 + STOPS)),
        "entry": {"once_per": draw(st.sampled_from(("event", "customer"))), "again_after": "2d"},
        "exit_on": draw(st.lists(st.just("order.completed"), max_size=1)),
        "versions": draw(st.sampled_from(("pinned", "live"))), "steps": draw(steps(2, 3)),
    }  # fmt: skip
    if draw(st.integers(0, 2)) == 0:
        flow["exit_if"] = {"orders.count": {"at_least": 4}}
    if draw(st.integers(0, 2)) == 0:
        flow["goal"] = {"on": "order.completed", "within": "3d"}
    _number(flow["steps"])
    return canonical(DEFINITION.validate_python(flow))


def _number(sequence: list[dict[str, Any]], count: int = 0) -> int:
    for each in sequence:
        count += 1
        each["id"] = f"s{count}"
        for way in (*each.get("branch", ()), *each.get("split", ())):
            count = _number(way["steps"], count)
        count = _number(each.get("else", []), count)
    return count


happened = st.lists(
    st.tuples(
        st.sampled_from((0, 1, 20 * MINUTE, 5 * HOUR, 30 * HOUR, 9 * DAY)),
        st.sampled_from(
            (
                ("support.requested", {"topic": "size"}),
                ("survey.answered", {"topic": "colour"}),
                ("page.viewed", {}),
                ("order", {}),
                ("customer.updated", {"zone": "America/New_York", "birthday": "1992-02-29"}),
                ("customer.updated", {"zone": "Asia/Tokyo", "city": "Torino"}),
                ("consent.withdrawn", {"purpose": "marketing"}),
                ("consent.given", {"purpose": "marketing"}),
                ("absence", {}),
                ("another version", {}),
            )
        ),
    ),
    min_size=4,
    max_size=12,
)
History = Sequence[tuple[float, tuple[str, dict[str, Any]]]]


def play(versions: Sequence[bytes], history: History) -> Harness:
    """Let it happen, then let two years pass."""
    harness = Harness(FILES | {"flow": versions[0]}).subscribed()
    now, orders = 0.0, 0
    begins: History = [(0, ("support.requested", {"topic": "size"}))]
    for pause, (type_, data) in (*begins, *history):
        now += pause
        if type_ == "absence":
            harness.sleep_until(now)
            continue
        harness.at(now)
        if type_ == "order":
            orders += 1
            harness.order(f"o{orders}")
        elif type_ == "another version":
            harness.activate(harness.live | {"flow": harness.publish(versions[1])})
        else:
            harness.tell(type_, **data)
    return harness.at(now + 800 * DAY)


def restarted(harness: Harness) -> Harness:
    """Return a world with the same records, in which the worker starts anew before each."""
    other = Harness(FILES)
    other.definitions, other.live = harness.definitions, harness.live
    other._progress = Progress(live=harness.first)
    for record in harness.records:
        other.build()
        other.records.append(record)
        other._receive(record)
    return other


def decisions(harness: Harness) -> list[Decision]:
    """Return all decisions."""
    return [e.content for e in harness.effects if isinstance(e.content, Decision)]


@examples(60)
@given(st.tuples(workflows(), workflows()), happened)
def test_whatever_a_workflow_says(versions: tuple[bytes, bytes], history: History) -> None:
    with audited():
        harness = play(versions, history)
    assert harness.set_aside == []
    _no_run_is_stuck(harness)
    _no_step_twice(harness)
    _no_mail_after_its_stop(harness)
    other = restarted(harness)
    assert other.store == harness.store
    assert [e.record for e in other.effects] == [e.record for e in harness.effects]


def _no_run_is_stuck(harness: Harness) -> None:
    customer: Customer = harness.customer()
    assert customer.runs == []
    assert all(due > harness.now for due in customer.watches.values())
    entered = Counter(d.run for d in decisions(harness) if d.decision == "entered")
    ended = Counter(
        d.run
        for d in decisions(harness)
        if d.decision in ("exited", "completed")
        or (d.decision == "converted" and _is_end(d, harness))
    )
    assert entered == ended
    assert all(d.due != NEVER for d in decisions(harness))


def _is_end(decision: Decision, harness: Harness) -> bool:
    """Whether it is the first end of its run; a goal may also be reached after that."""
    ends = (d for d in decisions(harness)
            if d.run == decision.run and d.decision in ENDS)  # fmt: skip
    return decision is next(ends)


def _no_step_twice(harness: Harness) -> None:
    done = Counter(
        (d.run, d.step, d.decision, "" if d.decision == "sent" else d.version)
        for d in decisions(harness)
        if d.decision in ("sent", "acted", "branched", "assigned")
    )
    assert all(count == 1 for count in done.values())
    sent = Counter(c.id for c in (e.content for e in harness.effects) if isinstance(c, SendCommand))
    assert all(count == 1 for count in sent.values())


def _no_mail_after_its_stop(harness: Harness) -> None:
    """After its run's end none at all, after a withdrawal no marketing."""
    over: set[str] = set()
    for decision in decisions(harness):
        if decision.decision == "sent":
            assert decision.run not in over
        if decision.decision in ENDS:
            over.add(decision.run)
    marketing = [c for c in harness.commands if c.mail_class == "marketing"]
    customer = harness.customer()
    if not customer.consented("marketing"):
        withdrawn = customer.consents["marketing"].time
        assert all(command.time <= withdrawn for command in marketing)
