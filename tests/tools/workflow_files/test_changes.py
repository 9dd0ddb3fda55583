"""What differs between two versions, in words; and what becomes of the runs in flight."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from agents.definitions.published import Definitions
from agents.workflows import versioning
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.definitions import DEFINITION, AnyDefinition, canonical, version_of
from schemas.definitions.workflow import Workflow
from schemas.stored import NEVER
from schemas.yaml_text import Document
from streams.runtime.definition_files import read_directory
from streams.tools.workflow_files.changes.alteration import Alteration
from streams.tools.workflow_files.changes.comparing import Versioned, compare
from streams.tools.workflow_files.changes.in_flight import RunsInFlight, outcomes
from streams.tools.workflow_files.changes.report import brief, overview, report_lines
from streams.tools.workflow_files.changes.steps import altered_workflow
from streams.tools.workflow_files.changes.values import altered

SERIES = """
id: series
title: {it: Serie, en: Series}
trigger: cart.changed
entry: {once_per: cart}
exit_on: [order.completed]
steps:
  - {id: one, wait: 1h, send: cart-reminder, kind: informative, late: {after: 12h, then: skip}}
  - {id: two, wait: {for: 1d, since: cart.changed}, tag: waited}
  - id: way
    branch:
      - {if: {orders.count: 1}, steps: [{id: early, tag: early}]}
    else:
      - {id: late, send: cart-last-call, kind: promotional}
"""


def definition(text: str) -> AnyDefinition:
    return DEFINITION.validate_python(Document(text).content)


def workflow(text: str) -> Workflow:
    found = definition(text)
    assert isinstance(found, Workflow)
    return found


def changes(old: str, new: str) -> list[tuple[str, ...]]:
    found = list(altered_workflow(workflow(old), workflow(new), "en"))
    return [tuple(part for part in each if part) for each in found]


def test_the_same_is_no_change() -> None:
    assert changes(SERIES, SERIES) == []
    assert (
        changes(SERIES, SERIES + "tests: [{name: t, given: [{at: 0m, event: cart.product_added}]}]")
        == []
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("wait: 1h", "wait: 2h", ("changed", "one", "wait", "after 1 hour", "after 2 hours")),
        ("send: cart-reminder", "send: cart-help",
         ("changed", "one", "send", "cart-reminder", "cart-help")),
        ("kind: informative", "kind: promotional",
         ("changed", "one", "kind", "informative", "promotional")),
        (", late: {after: 12h, then: skip}", "",
         ("changed", "one", "late", "left out when more than 12 hours late", "—")),
        ("tag: waited", "tag: waited, if: {orders.count: {at_least: 1}}",
         ("changed", "two", "if", "—", "orders: at least 1")),
        ("tag: waited", "tag: waited, lasts: 3d", ("changed", "two", "lasts", "—", "3d")),
        ("tag: waited", "tag: waited, stop_on: [order.completed]",
         ("changed", "two", "stop_on", "—", "the customer has bought")),
        ("tag: waited", "coupon: welcome",
         ("changed", "two", "tag waited, 1 day after the cart has changed",
          "coupon welcome, 1 day after the cart has changed")),
        ("orders.count: 1", "orders.count: 2",
         ("changed", "way", "branch", "orders: 1; otherwise", "orders: 2; otherwise")),
        ("exit_on: [order.completed]", "exit_on: [order.completed, cart.emptied]",
         ("changed", "exit_on", "the customer has bought",
          "the customer has bought or the cart was emptied")),
        ("once_per: cart", "once_per: cart, again_after: 30d",
         ("changed", "entry", "once per cart", "once per cart, again after 30 days")),
        ("exit_on:", "goal: {on: order.completed, within: 7d}\nexit_on:",
         ("changed", "goal", "—", "the customer has bought, within 7 days")),
        ("exit_on:", "season: {from: 11-20, to: 12-02}\nexit_on:",
         ("changed", "season", "—", "only from 20 November to 2 December")),
        ("exit_on:", "priority: 70\nexit_on:", ("changed", "priority", "50", "70")),
        ("exit_on:", "versions: live\nexit_on:", ("changed", "versions", "pinned", "live")),
        ("en: Series", "en: Cart", ("changed", "title.en", "Series", "Cart")),
        ("trigger: cart.changed", "trigger: {on: cart.changed, where: {cart.total: {above: 50}}}",
         ("changed", "trigger", "the cart has changed",
          "the cart has changed (value of the cart: above 50)")),
        ("{id: early, tag: early}", "{id: early, tag: early}, {id: more, tag: more, lasts: 2d}",
         ("added", "more", "tag more, for 2 days (in “orders: 1” of way, after early)")),
        ("steps:\n  - {id: one", "steps:\n  - {id: zero, tag: zero}\n  - {id: one",
         ("added", "zero", "tag zero (at the beginning)")),
        ("  - {id: two, wait: {for: 1d, since: cart.changed}, tag: waited}\n", "",
         ("removed", "two", "tag waited, 1 day after the cart has changed")),
    ],
)  # fmt: skip
def test_one_change_is_said_alone(old: str, new: str, expected: tuple[str, ...]) -> None:
    assert old in SERIES
    assert changes(SERIES, SERIES.replace(old, new)) == [expected]


def test_steps_that_moved() -> None:
    lines = SERIES.splitlines()
    lines[7], lines[8] = lines[8], lines[7]
    [moved] = changes(SERIES, "\n".join(lines))
    assert moved[0] == "moved"
    assert moved[1] in ("one", "two")
    out = SERIES.replace(
        "    else:\n      - {id: late, send: cart-last-call, kind: promotional}",
        "  - {id: late, send: cart-last-call, kind: promotional}",
    )
    assert changes(SERIES, out) == [
        ("moved", "late", "in “otherwise” of way", "after way"),
    ]


def test_a_new_way_moves_nobody() -> None:
    new = SERIES.replace("branch:\n", "branch:\n      - {if: {tier: gold}, steps: []}\n")
    [change] = changes(SERIES, new)
    assert change[:3] == ("changed", "way", "branch")


def test_other_definitions_by_dotted_paths() -> None:
    def found(old: str, new: str) -> list[Alteration]:
        return list(altered(definition(old), definition(new), "en"))

    policy = "{id: policy, definition: policy, caps: [{at_most: 1, per: day}], hold: 3d}"
    assert found(policy, policy.replace("at_most: 1", "at_most: 2").replace("3d", "2d")) == [
        Alteration("removed", "", "caps", old="at_most: 1, per: day"),
        Alteration("added", "", "caps", new="at_most: 2, per: day"),
        Alteration("changed", "", "hold", "3d", "2d"),
    ]
    quiet = policy.replace("hold:", 'quiet: {from: "21:00", to: "09:00"}, hold:')
    assert found(quiet, quiet.replace("21:00", "20:00"))[0][2:] == ("quiet.from", "21:00", "20:00")
    segments = """
definition: segments
segments:
  - {id: vip, if: {orders.spent: {at_least: 1000}}}
  - {id: big, if: {orders.largest: {at_least: 300}}}
"""
    new = segments.replace("1000", "800").replace("id: big", "id: large")
    assert found(segments, new) == [
        Alteration("changed", "", "segments.vip.if", "spent in all: at least 1000",
                   "spent in all: at least 800"),
        Alteration("removed", "", "segments.big", old="largest order: at least 300"),
        Alteration("added", "", "segments.large", new="largest order: at least 300"),
    ]  # fmt: skip
    scores = "{id: lead, definition: scoring, points: {mail.clicked: 4}, half_life: 21d}"
    assert found(scores, scores.replace("mail.clicked: 4", "mail.clicked: 5, page.viewed: 1")) == [
        Alteration("changed", "", "points.mail.clicked", "4", "5"),
        Alteration("changed", "", "points.page.viewed", "—", "1"),
    ]
    pool = "{definition: coupons, campaigns: [{id: a, kind: gift, description: {it: x}, pool: []}]}"
    codes = ", ".join(f"C{number}" for number in range(100))
    [change] = found(pool, pool.replace("pool: []", f"pool: [{codes}]"))
    assert change.path == "campaigns.a.pool"
    assert change.new.endswith("… (100)")
    assert len(change.new) < 80


def test_any_two_shipped_definitions_of_a_kind_differ_in_words() -> None:
    shipped = read_directory(Path(__file__).parents[3] / "workflows").definitions.values()
    pairs = [each for each in permutations(shipped, 2) if type(each[0]) is type(each[1])]
    assert len(pairs) > 2000
    for number, (old, new) in enumerate(pairs):
        if number % 7 == 0:  # a seventh of them is enough and takes a second
            [change] = compare({"x": Versioned("1", old)}, {"x": Versioned("2", new)}, "it")
            assert change.alterations
            assert all(line.text for line in report_lines(change, RunsInFlight(), [], "it"))


def test_what_is_added_and_withdrawn() -> None:
    old = {"a": Versioned("1", workflow(SERIES)), "b": Versioned("1", None)}
    new = {"a": Versioned("1", workflow(SERIES)), "c": Versioned("2", workflow(SERIES))}
    found = compare(old, new, "it")
    assert [(each.id, each.kind, each.title) for each in found] == [
        ("c", "added", "Serie"), ("b", "withdrawn", "")
    ]  # fmt: skip
    assert overview(found, 1, False, "en") == "new: 1, withdrawn: 1, as they are: 1"
    assert overview([], 2, False, "it") == "Pubblicare questi file non cambierebbe nulla."


def test_a_live_version_that_cannot_be_read_is_said() -> None:
    [change] = compare(
        {"series": Versioned("1", None)}, {"series": Versioned("2", workflow(SERIES))}, "en"
    )
    assert [line.kind for line in report_lines(change, None, [], "en")] == ["title", "note"]


def run(workflow_id: str, version: str, step: int, **more: Any) -> Run:
    values = {"id": f"{workflow_id}/1/0", "begun": 0, "due": NEVER} | more
    return Run(workflow=workflow_id, version=version, step=step, **values)


FOLLOWING = SERIES.replace("trigger:", "versions: live\ntrigger:")


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        (SERIES, [("one", "stays", ""), ("two", "stays", ""), ("late", "stays", "")]),
        (FOLLOWING, [("one", "goes_on", "one"), ("two", "moves_on", "way"), ("late", "ends", "")]),
    ],
)
def test_what_becomes_of_runs_is_what_the_engine_does(
    old: str, expected: list[tuple[str, str, str]]
) -> None:
    two = "  - {id: two, wait: {for: 1d, since: cart.changed}, tag: waited}\n"
    late = "    else:\n      - {id: late, send: cart-last-call, kind: promotional}\n"
    new = old.replace(two, "").replace(late, "")
    definitions, versions = Definitions(), []
    for text in (old, new):
        content = canonical(definition(text))
        versions.append(version_of(content))
        definitions.add(versions[-1], content)
    customer = Customer(key="anna", segments=["vip"])
    customer.runs = [run("series", versions[0], step) for step in (0, 1, 4)]
    in_flight = RunsInFlight()
    in_flight.count(customer)
    found = list(outcomes("series", in_flight, definitions, versions[1], "en"))
    assert [(each.step, each.then, each.to) for each in found] == expected
    assert in_flight.segments == {"vip": 1}
    published = definitions.workflow("series", versions[0])
    other = definitions.workflow("series", versions[1])
    for each, place in zip(found, (0, 1, 4), strict=True):
        if each.then != "stays":
            to = versioning.position(place, published, other)
            assert each.to == ("" if to is None else other.program.instructions[to].step.id)
    assert {each.then for each in outcomes("series", in_flight, definitions, None, "en")} == {
        "stays"
    }
    unknown = list(outcomes("series", in_flight, Definitions(), versions[1], "en"))
    assert {each.then for each in unknown} == {"lost"}


def test_a_mail_that_is_held_back_would_be_another() -> None:
    definitions, versions = Definitions(), []
    for text in (FOLLOWING, FOLLOWING.replace("cart-reminder", "cart-help")):
        content = canonical(definition(text))
        versions.append(version_of(content))
        definitions.add(versions[-1], content)
    customer = Customer(key="anna")
    customer.runs = [
        run("series", versions[0], 0, held=1, held_for="quiet_hours", due=1_772_355_600_000),
        run("series", versions[0], 0, held=1, held_for="outside_window"),
        run("series", versions[0], 0),
    ]
    in_flight = RunsInFlight()
    in_flight.count(customer)
    [outcome] = outcomes("series", in_flight, definitions, versions[1], "en")
    assert (outcome.runs, outcome.held, outcome.then) == (3, 1, "goes_on")
    [change] = compare(
        {"series": Versioned(versions[0], workflow(FOLLOWING))},
        {"series": Versioned(versions[1], definitions.workflow("series", versions[1]).workflow)},
        "en",
    )
    lines = [line.text for line in report_lines(change, in_flight, [outcome], "en")]
    assert lines[1:] == [
        "one, send: cart-reminder → cart-help",
        "in flight, going on at the same step: 3 at one (1 with a held mail)",
        "held at one: one, send: cart-reminder → cart-help",
    ]
    assert brief(change, "en") == "series: changed (one.send)"
