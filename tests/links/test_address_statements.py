"""What is said of an address holds under whichever id it is: objections, bounces, limits."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.links.confirmations import may_ask
from agents.links.registration import SOURCE
from agents.mail.suppression import AddressHashes, Suppressions
from schemas.commands import SuppressCommand
from schemas.customer import encode_customer
from schemas.time_units import DAY_MS
from tests.customer.test_grounds import ASKS
from tests.harness import DAY, FILES, HOUR, MINUTE, START, Harness

ROSA = "rosa@example.com"


def shop(harness: Harness, *ids: str) -> Harness:
    """Customers of whom the shop says the same address."""
    for number, id_ in enumerate(ids):
        email = ROSA if number % 2 else ROSA.title()
        harness.tell("customer.updated", id_, named=True, email=email)
    return harness


def says(harness: Harness, id_: str, yes: bool, **data: Any) -> Harness:
    type_ = "consent.given" if yes else "consent.withdrawn"
    return harness.tell(type_, id_, purpose="marketing", **data)


def two() -> Harness:
    """The web shop's and the till's, both of whom agree."""
    harness = shop(Harness(), "web", "pos-4")
    return says(says(harness, "web", yes=True), "pos-4", yes=True)


def steps(harness: Harness, id_: str) -> list[tuple[str, str]]:
    """Return what became of the marketing mails of a customer's cart."""
    return [(s.step, s.reason) for s in harness.said("w06") if s.step in ("reminder", "last-call")]


def suppressions(harness: Harness) -> list[tuple[str, str, bool]]:
    found = [e.content for e in harness.effects if isinstance(e.content, SuppressCommand)]
    return [(c.reason, c.email, bool(c.ends)) for c in found]


OBJECTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "withdrawn": ("consent.withdrawn", {"purpose": "marketing"}),
    "unsubscribed": ("mail.unsubscribed", {"command_id": "", "reason": "one_click"}),
    "complained": ("mail.complained", {"command_id": ""}),
    "the last list left": ("list.unsubscribed", {"list": "newsletter"}),
}


@pytest.mark.parametrize("how", OBJECTIONS)
def test_an_objection_under_one_id_holds_under_the_other(how: str) -> None:
    type_, data = OBJECTIONS[how]
    harness = two().at(MINUTE).tell(type_, "pos-4", **data)
    harness.add("moka", "web").at(9 * DAY)
    assert harness.refusals == []
    assert [c for c in harness.commands if c.mail_class == "marketing"] == []
    assert steps(harness, "web") == [("reminder", "objected"), ("last-call", "objected")]
    assert ("objection", ROSA, False) in suppressions(harness), "what waits at the mailer"


def test_it_ends_what_goes_on_and_takes_back_what_waits() -> None:
    harness = two().add("moka", "web").at(2 * HOUR)
    sent = [c for c in harness.commands if c.customer == "web"]
    assert [c.step for c in sent] == ["reminder"]
    says(harness, "pos-4", yes=False)
    assert harness.cancels == [(sent[0].id, "web", "objected")]
    assert harness.at(9 * DAY).said("w06")[-1][2:] == ("exited", "objected")


def test_who_owns_the_address_may_say_yes_again_later() -> None:
    harness = says(two().at(MINUTE), "pos-4", yes=False).at(2 * MINUTE)
    assert not harness.customer("web").consented("marketing")
    says(harness, "web", yes=True, happened=30)
    assert not harness.customer("web").consented("marketing"), "that was before"
    says(harness.at(HOUR), "web", yes=True)
    assert harness.customer("web").consented("marketing")
    assert not harness.customer("pos-4").consented("marketing"), "the till's own word is no"
    assert suppressions(harness)[-1] == ("objection", ROSA.title(), True)


def test_a_yes_of_the_other_lifts_what_the_other_has_said() -> None:
    harness = says(two().at(MINUTE), "pos-4", yes=False).at(HOUR)
    says(harness, "pos-4", yes=True)
    assert harness.customer("web").consented("marketing")


def test_nobody_is_silenced_or_given_a_voice_by_who_only_types_the_address() -> None:
    harness = two().tell("checkout.started", "v", email=ROSA)
    says(harness.at(MINUTE), "v", yes=False)
    assert harness.customer("web").consented("marketing")
    says(harness.at(HOUR), "web", yes=False)
    says(harness.at(2 * HOUR), "v", yes=True)
    assert not harness.customer("v").consented("marketing")
    assert not harness.customer("pos-4").consented("marketing")


def test_who_reads_the_mails_of_a_typed_address_speaks_for_it() -> None:
    harness = two().tell("checkout.started", "v", email=ROSA).at(MINUTE)
    harness.mailed("m", customer="v").tell("mail.unsubscribed", "v", command_id="m", reason="page")
    assert not harness.customer("web").consented("marketing")


def test_who_comes_later_is_told_what_was_said() -> None:
    harness = says(shop(Harness(), "web"), "web", yes=True)
    says(harness.at(MINUTE), "web", yes=False)
    assert harness.told == [e for e in harness.told if e.type.startswith("link.")]
    shop(harness.at(HOUR), "pos-4")
    says(harness, "pos-4", yes=True, happened=30)
    assert not harness.customer("pos-4").consented("marketing")
    says(harness, "pos-4", yes=True)
    assert harness.customer("pos-4").consented("marketing")


def test_another_address_is_another_matter() -> None:
    harness = says(two().at(MINUTE), "pos-4", yes=False)
    harness.tell("customer.updated", "web", named=True, email="another@example.com")
    assert harness.customer("web").consented("marketing")
    harness.at(HOUR).tell("customer.updated", "web", named=True, email=ROSA)
    assert not harness.customer("web").consented("marketing")


def test_a_mailbox_that_is_at_an_end_is_so_for_all_until_it_is_released() -> None:
    harness = two().at(MINUTE).mailed("m", customer="pos-4")
    harness.tell("mail.bounced", "pos-4", command_id="m", code=550, kind="hard", reason="unknown")
    assert harness.customer("web").suppressed == "bounced"
    for id_ in ("web", "pos-4"):
        harness.tell("address.released", id_, sender="/ritorno/suppressions")
    assert [harness.customer(id_).suppressed for id_ in ("web", "pos-4")] == ["", ""]
    shop(harness, "app")
    assert harness.customer("app").suppressed == ""


def bounced() -> Harness:
    """A mail to the till's customer has bounced for good."""
    harness = two().at(MINUTE).mailed("m", customer="pos-4")
    return harness.tell(
        "mail.bounced", "pos-4", command_id="m", code=550, kind="hard", reason="unknown"
    )


def are_suppressed(harness: Harness) -> list[str]:
    return [harness.customer(id_).suppressed for id_ in ("web", "pos-4")]


@pytest.mark.parametrize("id_", ["web", "pos-4"])
def test_who_releases_a_mailbox_releases_it_for_all(id_: str) -> None:
    harness = bounced().at(HOUR).tell("address.released", id_, sender="/ritorno/suppressions")
    assert are_suppressed(harness) == ["", ""]
    for each in ("web", "pos-4"):
        harness.at(2 * HOUR).tell("customer.updated", each, named=True, city="Roma")
    assert are_suppressed(harness) == ["", ""], "and nobody says otherwise later"
    harness.at(3 * HOUR).mailed("n", customer="web")
    harness.tell("mail.bounced", "web", command_id="n", code=550, kind="hard", reason="unknown")
    assert are_suppressed(harness) == ["bounced", "bounced"]


def test_who_comes_back_to_an_address_brings_no_end_along_that_was_released() -> None:
    harness = bounced().at(HOUR)
    harness.tell("customer.updated", "pos-4", named=True, email="new@example.com")
    harness.at(2 * HOUR).tell("address.released", "web", sender="/ritorno/suppressions")
    harness.at(3 * HOUR).tell("customer.updated", "pos-4", named=True, email=ROSA)
    assert are_suppressed(harness) == ["", ""]
    harness.at(4 * HOUR).tell("customer.updated", "web", named=True, city="Roma")
    assert are_suppressed(harness) == ["", ""]


def test_each_mail_to_the_address_is_told_of_once_and_no_other() -> None:
    harness = two().add("moka", "web").at(2 * HOUR)
    elsewhere = harness.customer("pos-4").links.elsewhere
    assert elsewhere is not None and len(elsewhere.sent) == 1
    for hour in (3, 5, 7):
        harness.at(hour * HOUR)
        harness.tell("customer.updated", "web", named=True, email="b@example.com")
        harness.at((hour + 1) * HOUR).tell("customer.updated", "web", named=True, email=ROSA)
    assert harness.customer("pos-4").links.elsewhere == elsewhere
    harness.tell("customer.updated", "app", named=True, email="b@example.com")
    harness.tell("customer.updated", "web", named=True, email="b@example.com")
    others = harness.customer("app").links.elsewhere
    assert others is None or others.sent == [], "the mail went to the former address"


def test_what_one_was_sent_counts_in_the_limits_of_the_other() -> None:
    daily = "id: policy\ndefinition: policy\ncaps: [{at_most: 1, per: day}]\n"
    harness = two().publish_live(daily).add("moka", "web").at(2 * HOUR)
    harness.add("moka", "pos-4").at(4 * HOUR)
    assert [(c.customer, c.step) for c in harness.commands] == [("web", "reminder")]
    assert steps(harness, "pos-4")[-1] == ("reminder", "frequency_cap")
    harness.at(DAY)
    assert {c.customer for c in harness.commands} == {"web", "pos-4"}


def test_who_unsubscribes_in_a_mail_to_a_former_address_objects_for_it_too() -> None:
    harness = shop(Harness(), "web").mailed("m", customer="web").at(HOUR)
    harness.tell("customer.updated", "web", named=True, email="new@example.com")
    says(shop(harness.at(2 * HOUR), "pos-4"), "pos-4", yes=True)
    says(harness, "web", yes=True)
    harness.at(3 * HOUR).tell("mail.unsubscribed", "web", command_id="m", reason="one_click")
    assert not harness.customer("web").consented("marketing")
    assert not harness.customer("pos-4").consented("marketing")
    says(harness.at(4 * HOUR), "pos-4", yes=True)
    assert harness.customer("pos-4").consented("marketing")
    assert not harness.customer("web").consented("marketing")


CAPS = "caps: [{at_most: 1, per: day}, {at_most: 3, per: 7d}]"


@pytest.mark.parametrize("quiet", ["", 'quiet: {from: "21:00", to: "09:00"}'])
def test_several_who_are_due_at_the_same_instant_keep_to_the_caps_together(quiet: str) -> None:
    ids = ["web", "pos-4", "app"]
    harness = shop(Harness(), *ids)
    harness.publish_live(f"id: policy\ndefinition: policy\n{CAPS}\n{quiet}\n")
    for id_ in ids:
        says(harness, id_, yes=True)
    for day in range(0, 30, 6):
        harness.at(day * DAY)
        for id_ in ids:
            harness.add(f"p{day}", id_)
    harness.at(45 * DAY)
    times = [m.at for m, c in zip(harness.mails, harness.commands, strict=True)
             if c.mail_class == "marketing"]  # fmt: skip
    assert len(times) > 3
    days = [(time + 11 * HOUR) // DAY for time in times]  # it began at eleven in Rome
    assert len(days) == len(set(days))
    for first in times:
        assert sum(first <= time <= first + 7 * DAY for time in times) <= 3
    assert "frequency_cap" in {s.reason for s in harness.said("w06")}
    for id_ in ids:
        assert not [run for run in harness.customer(id_).runs if run.held_for == "asking"]


def test_a_place_that_nobody_answers_for_is_asked_for_again() -> None:
    harness = two().add("moka", "web").at(HOUR - MINUTE)
    customer = harness.customer("web")
    customer.links.address = "address/" + "0" * 32  # of an actor that knows nobody
    harness.store[b"web"] = encode_customer(customer)
    harness.build()
    harness.at(2 * HOUR)
    assert [c.step for c in harness.commands] == ["reminder"]


def test_alone_nobody_is_told_anything_of_it() -> None:
    harness = Harness().subscribed().add().at(9 * DAY)
    says(harness, "anna", yes=False)
    assert {event.type for event in harness.told} == {"link.registered"}
    assert suppressions(harness) == []


# The promise, whichever ids and whichever order.

OWNERS = ("web", "pos-4")
Deed = tuple[str, str, int]
DEEDS = st.lists(
    st.tuples(
        st.sampled_from((*OWNERS, "v")),
        st.sampled_from(("yes", "no", "proven", "cart")),
        st.integers(0, 40),
    ),
    min_size=3,
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(DEEDS)
def test_no_marketing_after_an_objection_that_is_later_than_the_last_yes(deeds: list[Deed]) -> None:
    """`v` has only typed the address. Each deed happened so many hours before it is told."""
    harness = shop(Harness(), *OWNERS).tell("checkout.started", "v", email=ROSA)
    words: list[tuple[float, float, bool]] = []
    at = 40.0 * HOUR
    for id_, what, late in deeds:
        at += 7 * HOUR + 1
        harness.at(at)
        happened = at - late * HOUR
        if what == "cart":
            harness.add("moka", id_)
            continue
        if what == "proven" and id_ in OWNERS:
            harness.tell("list.subscribed", id_, confirmed=True, happened=happened)
        else:
            says(harness, id_, yes=what != "no", happened=happened)
        if id_ in OWNERS:
            words.append((at, happened, what != "no"))
    harness.at(at + 9 * DAY)
    for command in harness.commands:
        if command.mail_class != "marketing":
            continue
        when = next(m.at for m, c in zip(harness.mails, harness.commands, strict=True)
                    if c is command)  # fmt: skip
        said = [(happened, yes) for at_, happened, yes in words if at_ <= when]
        last_no = max((time for time, yes in said if not yes), default=None)
        last_yes = max((time for time, yes in said if yes), default=None)
        assert last_no is None or (last_yes is not None and last_yes >= last_no), command.step


# Being asked to confirm.


@given(st.lists(st.integers(0, 40 * 24), min_size=1, max_size=60))
def test_once_a_day_and_three_times_in_ninety_days(hours: list[int]) -> None:
    allowed: list[int] = []
    asked: list[int] = []
    now = 0
    for each in hours:
        now += each * DAY_MS // 24
        if may_ask(asked, now):
            asked = [*asked, now][-3:]
            allowed.append(now)
    for first in allowed:
        assert sum(first <= each < first + DAY_MS for each in allowed) == 1
        assert sum(first <= each < first + 90 * DAY_MS for each in allowed) <= 3
    assert allowed[0] == hours[0] * DAY_MS // 24


def test_whoever_asks_for_whichever_list_an_address_is_asked_once_a_day() -> None:
    harness = Harness(FILES | {"asks": ASKS})
    for number in range(8):
        harness.visitors.add(f"bot-{number}")
        harness.tell("list.subscribed", f"bot-{number}", email=ROSA)
        harness.tell("list.subscribed", "same", list=f"l{number}", email=ROSA.upper())
        harness.at(3 * DAY * (number + 1))
    asked = [m.at for m in harness.mails if m.step in ("ask", "again")]
    assert len(asked) == 3
    assert all(later - before >= DAY for before, later in pairwise(asked))
    reasons = {s.reason for s in harness.said("asks") if s.decision == "skipped"}
    assert reasons == {"asked_enough"}
    assert not [r for c in ("same", "bot-0") for r in harness.customer(c).runs if r.held_for]


def test_who_confirms_may_be_asked_again() -> None:
    harness = Harness(FILES | {"asks": ASKS}).tell("list.subscribed", "same", email=ROSA)
    command = next(c for c in harness.commands if c.step == "ask")
    harness.tell("list.subscribed", "same", confirmed=True, mail=command.id)
    harness.visitors.add("bot")
    harness.at(HOUR).tell("list.subscribed", "bot", email=ROSA)
    assert [c.customer for c in harness.commands if c.step == "ask"][1:] == ["ritorno:visitor/bot"]


def test_an_answer_that_comes_too_late_answers_no_later_step() -> None:
    harness = Harness(FILES | {"asks": ASKS}).tell("list.subscribed", "same", email=ROSA)
    customer = harness.customer("same")
    run = next(run for run in customer.runs if run.workflow == "asks")
    run.held_for, run.held, run.due = "asking", harness.now, harness.now + DAY_MS
    harness.store[b"same"] = encode_customer(customer)
    harness.build()
    answer = {"sender": SOURCE, "run": run.id, "allowed": True}
    harness.tell("confirmation.answered", "same", step="ask", **answer)
    assert next(each for each in harness.customer("same").runs if each.id == run.id) == run
    harness.tell("confirmation.answered", "same", step="again", **answer)
    answered = next(each for each in harness.customer("same").runs if each.id == run.id)
    assert answered.results == {":asked": "allowed"}


# At the mailer.


def test_the_mailer_remembers_objections_apart_and_the_later_word_counts() -> None:
    hashes = AddressHashes([_Key("k", "secret")])  # type: ignore[list-item]  # all that is asked
    list_ = Suppressions(hashes)

    def decide(time: int, reason: str = "objection", ends: bool | None = None) -> bool:
        command = SuppressCommand(
            id="i", time=START + time, customer="c", email=ROSA, scope="marketing",
            reason=reason, ends=ends,  # type: ignore[arg-type]  # as a text
        )  # fmt: skip
        decided = list_.decide(command)
        if decided is not None:
            list_.apply(*decided)
        return decided is not None

    assert decide(5)
    assert not decide(5), "known"
    assert decide(6), "that is later"
    assert list_.suppressed(ROSA.upper(), "marketing")
    assert not list_.suppressed(ROSA, "transactional")
    assert not decide(4, ends=True), "that yes was before"
    assert decide(7, ends=True)
    assert not list_.suppressed(ROSA, "marketing")
    assert not decide(6), "it comes late"
    assert decide(8, "complaint")
    assert decide(9)
    assert decide(10, ends=True)
    assert list_.suppressed(ROSA, "marketing"), "a complaint is another matter"


@pytest.mark.parametrize("words", list(permutations([(5, None), (7, True), (10, None)])))
def test_in_whichever_order_objections_come_the_latest_word_counts(words: list[Any]) -> None:
    list_ = Suppressions(AddressHashes([_Key("k", "secret")]))  # type: ignore[list-item]  # as above
    for time, ends in words:
        command = SuppressCommand(
            id="i", time=START + time, customer="c", email=ROSA, scope="marketing",
            reason="objection", ends=ends,
        )  # fmt: skip
        decided = list_.decide(command)
        if decided is not None:
            list_.apply(*decided)
    assert list_.suppressed(ROSA, "marketing")


class _Key:
    def __init__(self, id_: str, secret: str) -> None:
        self.id, self.secret = id_, secret


def test_an_owners_no_outlasts_who_types_the_address_and_signs_in_elsewhere() -> None:
    harness = says(two().at(MINUTE), "web", yes=False)
    says(harness.at(HOUR).tell("checkout.started", "v", email=ROSA), "v", yes=True)
    harness.at(2 * HOUR).tell("customer.identified", "mallory", anonymous_id="v")
    harness.at(2 * HOUR + MINUTE).tell("customer.updated", "mallory", named=True, city="Roma")
    assert not harness.customer("pos-4").consented("marketing")
    assert suppressions(harness) == [("objection", ROSA.title(), False)]
