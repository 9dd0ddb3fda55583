"""What each kind of step does, what leaves it out, and where a run goes on."""

from __future__ import annotations

import json

import pytest

from agents.definitions.program import compile_program
from agents.rules.fields import FieldRegistry
from agents.rules.validation_errors import InvalidDefinition
from schemas.commands import NotifyCommand, SendCommand
from schemas.customer import Customer
from schemas.definitions import DEFINITION
from schemas.signals import SalesAlert
from schemas.yaml_text import Document
from tests.harness import DAY, HOUR, START, Harness

MAIL = "send: welcome-thanks, class: transactional, kind: transactional"
OFFER = "send: welcome-thanks, kind: promotional"

FIELDS = """
id: fields
definition: fields
fields:
  - {id: size, type: text}
  - {id: asked, type: number}
"""
LOYALTY = """
id: loyalty
definition: loyalty
points_per_unit: "1"
tiers: [{name: silver, title: {it: Argento}, from: 100}]
"""
SCORES = """
id: engagement
definition: scoring
half_life: 30d
points: {page.viewed: 1}
bands: [{name: cold, from: 0}, {name: hot, from: 20}]
"""


def flow(*steps: str, id_: str = "flow", more: str = "") -> str:
    """Return a workflow with these steps."""
    lines = "\n".join(f"  - {step}" for step in steps)
    return f"""
id: {id_}
title: {{it: Flusso}}
trigger: support.requested
entry: {{once_per: event}}
{more}
steps:
{lines}
"""


def begun(*steps: str, more: str = "", **event: str) -> Harness:
    """Return a world in which the workflow has begun."""
    harness = Harness.of(flow(*steps, more=more), FIELDS, SCORES, LOYALTY).subscribed()
    return harness.tell("support.requested", **event)


def done(harness: Harness) -> list[str]:
    """Return the steps that did something or sent a mail."""
    return [said.step for said in harness.said() if said.decision in ("sent", "acted")]


# Ways.

BRANCH = f"""{{id: which, branch: [
      {{if: {{orders.count: {{at_least: 1}}}}, steps: [{{id: known, {MAIL}}}]}},
      {{if: {{event.topic: size}}, steps: [{{id: size, {MAIL}}}, {{id: more, {MAIL}}}]}}],
    else: [{{id: other, {MAIL}}}]}}"""


@pytest.mark.parametrize(
    ("topic", "orders", "ways"),
    [
        ("size", 0, ["size", "more", "end"]),
        ("", 0, ["other", "end"]),
        ("size", 1, ["known", "end"]),
    ],
)
def test_a_branch_goes_the_first_way_whose_condition_holds(
    topic: str, orders: int, ways: list[str]
) -> None:
    harness = Harness.of(flow(BRANCH, f"{{id: end, {MAIL}}}")).subscribed()
    for number in range(orders):
        harness.order(f"o{number}")
    harness.tell("support.requested", topic=topic)
    assert done(harness) == ways
    branched = [said for said in harness.said() if said.decision == "branched"]
    assert [said.reason for said in branched] == [
        "otherwise" if ways[0] == "other" else "condition_holds"
    ]


def test_a_branch_by_what_was_waited_for() -> None:
    steps = (
        "{id: answer, wait: {event: survey.answered, timeout: 2d}}",
        f"{{id: which, branch: [{{result: event, steps: [{{id: thanks, {MAIL}}}]}}], "
        f"else: [{{id: again, {MAIL}}}]}}",
    )
    assert done(begun(*steps).at(HOUR).tell("survey.answered")) == ["thanks"]
    assert done(begun(*steps).at(3 * DAY)) == ["again"]


def test_branches_within_branches_come_together() -> None:
    inner = f"{{id: inner, branch: [{{if: {{views: 9}}, steps: []}}], else: [{{id: in, {MAIL}}}]}}"
    outer = f"{{id: outer, branch: [{{if: {{views: 0}}, steps: [{inner}]}}]}}"
    assert done(begun(outer, f"{{id: end, {MAIL}}}")) == ["in", "end"]


SPLIT = f"""{{id: test, experiment: subject, split: [
      {{name: a, share: 40, steps: [{{id: first, {OFFER}}}]}},
      {{name: b, share: 40, steps: [{{id: second, {OFFER}}}]}},
      {{name: none, share: 20, holdout: true, steps: [{{id: third, {OFFER}}}]}}]}}"""


@pytest.mark.row("R07")
def test_a_split_is_for_ever_and_by_share() -> None:
    harness = Harness.of(flow(SPLIT))
    for number in range(300):
        harness.subscribed(f"c{number}").tell("support.requested", f"c{number}")
    first = {mail.customer: mail.step for mail in harness.mails}
    counts = [sum(step == wanted for step in first.values()) for wanted in ("first", "second")]
    assert len(first) == sum(counts)
    assert all(90 < count < 150 for count in counts)
    harness.at(DAY)
    for number in range(300):
        harness.tell("support.requested", f"c{number}")
    again = {mail.customer: mail.step for mail in harness.mails if mail.at == DAY}
    assert again == first


def test_the_control_group_gets_nothing_but_what_it_is_owed() -> None:
    steps = (
        SPLIT, f"{{id: offer, {OFFER}}}", "{id: points, points: 5}", "{id: alert, notify: sales}",
        f"{{id: receipt, {MAIL}}}", "{id: tag, tag: seen}",
    )  # fmt: skip
    harness = Harness.of(flow(*steps))
    for number in range(40):
        harness.subscribed(f"c{number}").tell("support.requested", f"c{number}")
    held = {e.content.customer for e in harness.effects
            if getattr(e.content, "reason", "") == "holdout"}  # fmt: skip
    assert 0 < len(held) < 20
    for key in held:
        assert [mail.step for mail in harness.mails if mail.customer == key] == ["receipt"]
        assert harness.customer(key).points == []
        assert "seen" in harness.customer(key).tags


# Changes of the customer.


def changed(*steps: str) -> Customer:
    return begun(*steps, topic="size").customer()


def test_tags_with_their_end_and_with_fields_in_their_names() -> None:
    tags = changed("{id: a, tag: vip, lasts: 30d}", '{id: b, tag: "asked:{event.topic}"}').tags
    assert tags["vip"].expires == START + 30 * DAY * 1000
    assert tags.keys() == {"vip", "asked:size"}
    assert changed("{id: a, tag: asked:x}", "{id: b, tag: vip}", '{id: c, untag: "asked:*"}',
                   ).tags.keys() == {"vip"}  # fmt: skip


def test_fields_of_the_shop_and_of_the_profile() -> None:
    customer = changed('{id: a, set: {size: "{event.topic}", asked: 1, profile.city: Torino}}')
    assert customer.fields == {"size": "size", "asked": 1}
    assert customer.profile.city == "Torino"
    assert changed("{id: a, set: {asked: 1}}", "{id: b, set: {asked: null}}").fields == {}


def test_a_number_is_counted_up_and_down_from_nothing_on() -> None:
    up = "{id: a, increase: {asked: 1}}"
    assert changed(up).fields == {"asked": 1}
    assert changed(up, "{id: b, increase: {fields.asked: 2}}").fields == {"asked": 3}
    assert changed(up, "{id: b, increase: {asked: -1.5}}").fields == {"asked": -0.5}
    assert changed("{id: b, set: {asked: 40}}", up).fields == {"asked": 41}
    harness = begun("{id: a, increase: {asked: 1, missing: 1}}")
    assert ("a", "acted", "increase asked +1, missing +1") in harness.details()
    assert harness.customer("anna").fields == {"asked": 1}
    assert harness.counts[-1].refused_fields == {"missing": 1}


def test_only_numbers_that_are_declared_are_increased() -> None:
    definitions = [DEFINITION.validate_python(Document(FIELDS).content)]
    names = ("asked", "size", "aked", "profile.city", "profile.age")
    step = ", ".join(f"{name}: 1" for name in names)
    workflow = DEFINITION.validate_python(
        Document(flow(f"{{id: a, increase: {{{step}}}}}")).content
    )
    with pytest.raises(InvalidDefinition) as wrong:
        compile_program(workflow, FieldRegistry(definitions))
    assert [(each.path, each.problem) for each in wrong.value.found] == [
        ("steps.0.increase.size", "fields.size is a text, and must be a number here"),
        ("steps.0.increase.aked", "no such field: fields.aked; did you mean fields.asked?"),
        ("steps.0.increase.profile.city", "profile.city is a text, and must be a number here"),
        ("steps.0.increase.profile.age", "profile.age follows from other fields and can't be set"),
    ]


def test_a_list_is_joined_with_consent_and_left() -> None:
    welcome = """
id: welcome
title: {it: Benvenuto}
trigger: list.joined
entry: {once_per: list}
exit_on: [list.left]
steps: [{id: rest, wait: 9d}]
"""
    steps = (
        "{id: on, list: vip, action: subscribe}",
        "{id: off, wait: 1d, list: vip, action: unsubscribe}",
    )
    harness = Harness.of(flow(*steps), welcome).subscribed().tell("support.requested").at(2 * DAY)
    assert [(said.at, said.decision) for said in harness.said("welcome")] == [
        (0, "entered"), (DAY, "exited")
    ]  # fmt: skip
    assert harness.customer().consented("marketing")


def test_a_score_and_its_band() -> None:
    customer = changed("{id: a, score: engagement, add: 25}")
    assert (customer.engagement.value, customer.engagement.band) == (25, "hot")


def test_points() -> None:
    customer = changed("{id: a, points: 40}", "{id: b, points: -10}")
    assert sum(each.points for each in customer.points) == 30


def test_each_change_is_recorded_in_words() -> None:
    harness = begun(
        "{id: a, tag: vip}", "{id: b, list: news, action: subscribe}", "{id: c, points: 3}"
    )
    assert [each for each in harness.details() if each[1] == "acted"] == [
        ("a", "acted", "tag vip"), ("b", "acted", "subscribe news"), ("c", "acted", "points +3"),
    ]  # fmt: skip


# Telling the shop.

NOTIFY = '{id: alert, notify: TARGET, message: {it: "Scrive {profile.email} di {event.topic}"}}'


def notified(target: str, *definitions: str) -> Harness:
    harness = Harness.of(flow(NOTIFY.replace("TARGET", target)), *definitions).subscribed()
    return harness.tell("support.requested", topic="size")


def test_a_webhook_and_a_signal() -> None:
    harness = notified("https://crm.example/hook")
    hook = next(e.content for e in harness.effects if isinstance(e.content, NotifyCommand))
    alert = next(e.content for e in harness.effects if isinstance(e.content, SalesAlert))
    assert (hook.url, hook.customer) == ("https://crm.example/hook", "anna")
    assert hook.body["message"] == {"it": "Scrive anna@example.com di size"} == alert.message
    assert hook.id == alert.id
    json.dumps(hook.body)


POLICY = "{id: policy, definition: policy, sales: ADDRESS}"


@pytest.mark.parametrize(
    ("target", "policy", "told"),
    [
        ("mailto:vendite@example.com", "", "vendite@example.com"),
        ("sales", "vendite@example.com", "vendite@example.com"),
        ("sales", "https://crm.example/hook", "https://crm.example/hook"),
        ("sales", "", ""),
    ],
)
def test_sales_are_told_where_the_policy_says(target: str, policy: str, told: str) -> None:
    harness = notified(target, POLICY.replace("ADDRESS", policy or '""'))
    hooks = [e.content.url for e in harness.effects if isinstance(e.content, NotifyCommand)]
    mails = [(c.email, c.template) for c in harness.commands]
    assert hooks == ([told] if told.startswith("https") else [])
    assert mails == ([(told, "sales-alert")] if "@" in told else [])
    assert sum(isinstance(e.content, SalesAlert) for e in harness.effects) == 1


def test_the_shop_reads_amounts_in_its_own_language() -> None:
    words = '{it: "{cart.total} {cart.currency}", en: "{cart.total} {cart.currency}"}'
    notify = f"{{id: alert, notify: 'mailto:vendite@example.com', message: {words}}}"
    harness = Harness.of(flow(notify)).tell("cart.product_added", product_id="tv", price="1250.00")
    harness.tell("support.requested")
    assert harness.commands[0].variables["message"] == {"it": "1.250,00 EUR", "en": "1,250.00 EUR"}


def test_a_mail_to_the_shop_that_bounces_is_no_news_of_the_customer() -> None:
    harness = notified("mailto:vendite@example.com")
    sent = harness.commands[0]
    harness.tell("mail.bounced", sent.customer, command_id=sent.id, code=550, kind="hard",
                 reason="x", **{"class": "transactional"})  # fmt: skip
    assert harness.customer().suppressed == ""
    assert [each.command_id for each in harness.customer().pending] == [sent.id]  # until it expires


@pytest.mark.parametrize("target", ["mailto:vendite@example.com", "https://crm.example/hook"])
@pytest.mark.row("R04")
def test_the_shop_is_told_nothing_more_of_who_is_forgotten(target: str) -> None:
    harness = notified(target)
    (told,) = (e.content for e in harness.effects
               if isinstance(e.content, NotifyCommand | SendCommand))  # fmt: skip
    harness.tell("customer.erasure_requested", source="letter")
    assert [(id_, customer) for id_, customer, _ in harness.cancels] == [(told.id, told.customer)]


# Calls.

CALLED = flow(f"{{id: hello, wait: 2d, {MAIL}}}", id_="called").replace(
    "trigger: support.requested", "trigger: {called: true}"
)


@pytest.mark.parametrize(("waits", "when"), [("true", 2 * DAY), ("false", 0)])
def test_a_call_and_whether_its_end_is_waited_for(waits: str, when: float) -> None:
    call = f"{{id: call, call: called, wait_for_end: {waits}}}"
    harness = Harness.of(flow(call, f"{{id: then, {MAIL}}}"), CALLED).subscribed()
    harness.tell("support.requested").at(10 * DAY)
    assert [(mail.at, mail.step) for mail in harness.mails] == sorted(
        [(2 * DAY, "hello"), (when, "then")], key=lambda mail: (mail[0], mail[1] == "then")
    )


def test_what_was_waited_for_is_over_when_the_call_is() -> None:
    """It once was counted anew at the next event, and the other workflow called again."""
    waits = "{condition: {event.topic: size}, timeout: 2d}"
    call = f"{{id: call, wait: {waits}, call: called, wait_for_end: true}}"
    last = f"{{id: last, stop_on: [survey.answered], {MAIL}}}"
    harness = Harness.of(flow(call, f"{{id: then, {MAIL}}}", last), CALLED).subscribed()
    harness.tell("support.requested", topic="size").at(HOUR).tell("survey.answered").at(10 * DAY)
    assert [(mail.at, mail.step) for mail in harness.mails] == [
        (2 * DAY, "hello"),
        (2 * DAY, "then"),
    ]
    assert [said.decision for said in harness.said("called")].count("entered") == 1
    assert done(harness).count("call") == 1


def test_a_call_of_what_is_not_live_is_left_out() -> None:
    harness = Harness.of(flow("{id: call, call: called, wait_for_end: true}")).tell(
        "support.requested"
    )
    assert harness.said()[-2:][0].reason == "not_live"
    assert harness.said()[-1].decision == "completed"


def test_who_called_waits_a_year_at_most() -> None:
    slow = CALLED.replace("wait: 2d", "wait: 700d")
    harness = Harness.of(flow("{id: call, call: called, wait_for_end: true}"), slow).subscribed()
    harness.tell("support.requested").at(366 * DAY)
    assert (365 * DAY, "", "completed", "last_step") in harness.said("flow")


# Ends.


def test_a_goal_and_an_exit_on_the_way() -> None:
    harness = begun("{id: won, goal: won the day}", f"{{id: never, {MAIL}}}")
    assert harness.said()[-1][2:] == ("converted", "goal")
    assert harness.details()[-1] == ("", "converted", "won the day")
    harness = begun("{id: out, exit: no use}", f"{{id: never, {MAIL}}}")
    assert harness.said()[-1][2:] == ("exited", "exit_step")
    assert harness.mails == []


# Left out.


def test_a_step_whose_condition_does_not_hold() -> None:
    harness = begun(
        f"{{id: a, if: {{event.topic: size}}, {MAIL}}}", f"{{id: b, {MAIL}}}", topic="x"
    )
    assert [mail.step for mail in harness.mails] == ["b"]
    assert (0, "a", "skipped", "condition") in harness.said()


def test_a_whole_branch_may_be_left_out() -> None:
    branch = BRANCH.replace("id: which,", "id: which, if: {views: 9},")
    assert done(begun(branch, f"{{id: end, {MAIL}}}")) == ["end"]


def test_a_step_is_left_out_when_what_stops_it_has_happened() -> None:
    step = f"{{id: ask, wait: 5d, stop_on: [survey.answered, support.requested], {MAIL}}}"
    harness = begun(step).at(DAY)
    assert harness.mails == []
    assert (DAY, "ask", "skipped", "stopped") in begun(step).at(DAY).tell("survey.answered").said()
    again = harness.tell("support.requested").said()  # again: the first one has begun it
    assert (DAY, "ask", "skipped", "stopped") in again
    assert (5 * DAY, "ask", "sent", "due") in begun(step).at(6 * DAY).said()


def test_words_of_the_event_in_a_mail() -> None:
    words = '{what: "di {event.topic}", list: ["{event.topic}", 3]}'
    harness = begun(f"{{id: a, {MAIL}, with: {words}}}", topic="x" * 900)
    kept = "x" * 200
    assert harness.commands[0].variables["what"] == f"di {kept}"
    assert harness.commands[0].variables["list"] == [kept, 3]
    assert harness.commands[0].variables["event"] == {"topic": kept}
