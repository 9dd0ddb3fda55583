"""What only Ritorno may say is believed when it is signed, and from nobody else."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from agents.commerce.coupons import POOL_PREFIX
from agents.customer.speaker import check
from agents.refusals import EventRefused
from schemas.customer import Customer
from schemas.customer.mail import MailHabits
from schemas.events import INTERNAL_TYPES, PRODUCTS, RETRY, WORKFLOWS
from schemas.origin import Origin
from schemas.outcomes import OUTCOMES
from schemas.records import OutRecord, Record
from schemas.reserved import SUBJECTS, is_anybodys, reserved, reserved_id
from schemas.retry import Retry, encode_retry
from schemas.set_aside import SetAside
from schemas.signing import NUMBER
from schemas.stored import NEVER, UNDECIDED, Progress
from schemas.topics import CUSTOMER_EVENTS
from schemas.wire import parse_record
from tests.harness import START, Harness
from tests.keys import SIGNER

COUPONS = """
id: coupons
definition: coupons
campaigns:
  - {id: gift, kind: gift, description: {it: regalo}, pool: [UNO, DUE]}
"""

MAIL = {"command_id": "c1"}
VALID: dict[str, dict[str, Any]] = {
    "visitor.linked": {"customer_id": "bruno"},
    "visitor.merged": {"anonymous_id": "v", "state": '["v"]'},
    "visitor.forgotten": {"customer_id": "bruno"},
    "address.released": {},
    "customer.reviewed": {},
    "address.said": {"customer_id": "anna", "objected": 1},
    "address.told": {"link": "address/1", "objected": 1},
    "address.confirmed": {"customer_id": "anna"},
    "confirmation.requested": {"customer_id": "anna", "run": "r", "step": "s"},
    "marketing.requested": {"customer_id": "anna", "run": "r", "step": "s"},
    "marketing.answered": {"run": "r", "step": "s"},
    "confirmation.answered": {"run": "r", "step": "s", "allowed": True},
    "visitor.unlinked": {"customer_id": "anna", "anonymous_id": "ritorno:visitor/v"},
    "link.registered": {"customer_id": "anna", "ground": "typed"},
    "link.ordered": {"customer_id": "anna", "ordered": 1},
    "link.left": {"customer_id": "anna"},
    "link.shared": {"link": "address/1"},
    "order.placed_elsewhere": {"link": "address/1"},
    "coupon.requested": {"campaign": "gift", "customer_id": "anna", "run": "r", "step": "s"},
    "coupon.issued": {"campaign": "gift", "run": "r", "step": "s", "code": "GRATIS"},
    "mail.sent": MAIL | {"message_id": "m"},
    "mail.deferred": MAIL | {"attempt": 1, "reason": "later"},
    "mail.bounced": MAIL | {"code": 550, "kind": "hard", "reason": "unknown"},
    "mail.failed": MAIL | {"reason": "gone"},
    "mail.rejected": MAIL | {"reason": "invalid_address"},
    "mail.held": MAIL | {"reason": "paused"},
    "mail.skipped": MAIL | {"reason": "expired"},
    "mail.delivered": MAIL,
    "mail.opened": MAIL | {"verdict": "human"},
    "mail.clicked": MAIL | {"verdict": "human"},
    "mail.complained": MAIL,
    "mail.unsubscribed": MAIL,
    "order.completed": {"order_id": "o", "total": "9.90"},
    "customer.erasure_requested": {},
    "page.viewed": {},
}


def strict(files: Any = None) -> Harness:
    return Harness(signer=SIGNER) if files is None else Harness(files, signer=SIGNER)


def without_signature(type_: str, key: str = "anna", **data: Any) -> OutRecord:
    headers = [("ce_id", b"x1"), ("ce_source", b"/elsewhere"), ("ce_type", type_.encode())]
    return OutRecord(key.encode(), json.dumps(data).encode(), headers)


def control(kind: str, value: Any, number: int | None = None) -> OutRecord:
    headers = [("ce_type", kind.encode())]
    if number is not None:
        headers.append((NUMBER, b"%d" % number))
    return OutRecord(None, json.dumps(value).encode(), headers)


def ours(record: OutRecord) -> OutRecord:
    return SIGNER.sign(CUSTOMER_EVENTS, record)


@pytest.mark.parametrize("type_", sorted(INTERNAL_TYPES | OUTCOMES.keys()))
def test_nobody_else_may_say_it(type_: str) -> None:
    harness = strict().subscribed().add()
    before = harness.customer()
    harness.append(without_signature(type_, **VALID[type_]))
    assert harness.refusals[-1][0] == "unsigned"
    assert harness.customer() == before
    assert harness.counts[-1].refused == {"unsigned": 1}
    if type_ != "coupon.requested":  # which is no customer's business, whoever says it
        harness.append(ours(without_signature(type_, **VALID[type_])))
        assert len(harness.refusals) == 1


@pytest.mark.parametrize("type_", ["mail.unsubscribed", "mail.complained", "mail.bounced"])
def test_another_mailer_may_take_away(type_: str) -> None:
    said = {name: value for name, value in VALID[type_].items() if name != "command_id"}
    harness = strict().subscribed()
    harness.append(without_signature(type_, **said))
    customer = harness.customer()
    assert not customer.consented("marketing") or customer.suppressed
    assert harness.refusals == []


@pytest.mark.parametrize("type_", ["mail.delivered", "mail.opened", "mail.clicked"])
def test_what_it_tells_of_habits_is_taken_with_consent_only(type_: str) -> None:
    said = {name: value for name, value in VALID[type_].items() if name != "command_id"}
    harness = strict().subscribed()
    harness.append(without_signature(type_, **said))
    assert harness.customer().mail == MailHabits()
    assert harness.refusals == []


@pytest.mark.parametrize("type_", ["mail.sent", "mail.deferred", "mail.failed", "mail.held",
                                   "mail.rejected", "mail.skipped"])  # fmt: skip
def test_and_nothing_else(type_: str) -> None:
    said = {name: value for name, value in VALID[type_].items() if name != "command_id"}
    harness = strict().subscribed()
    harness.append(without_signature(type_, **said))
    ((reason, detail),) = harness.refusals
    assert (reason, detail) == ("invalid_event", "command_id: missing")


def test_nobody_uses_up_the_ids_of_ours() -> None:
    harness = strict()
    harness.tell("product.viewed", product_id="p", sender="/ritorno/mailer", id_="m1/sent")
    assert harness.refusals[-1][0] == "unsigned"
    harness.tell("product.viewed", product_id="p", sender="/ritorno/import")
    assert harness.customer().views == 1


def test_a_bare_control_record_changes_nothing() -> None:
    harness = strict()
    before = dict(harness.live)
    harness.append(control(WORKFLOWS, {"live": {}}))
    harness.append(control(PRODUCTS, {"products": [{"sku": "s", "name": "n", "price": "1"}]}))
    assert [reason for reason, _ in harness.refusals] == ["unsigned", "unsigned"]
    assert harness.subscribed().add().at(7 * 3600).commands
    harness.append(ours(control(WORKFLOWS, {"live": before}, 1)))
    assert len(harness.refusals) == 2


def test_an_old_control_record_cannot_be_copied_back() -> None:
    harness = strict()
    everything, nothing = (ours(control(WORKFLOWS, {"live": live}, number))
                           for live, number in ((harness.live, 1), ({}, 2)))  # fmt: skip
    for record in (everything, nothing, everything):
        harness.append(record)
    assert harness.refusals == [("outdated", f"{NUMBER}: 1 comes after 2")]
    harness.build()  # after a restart too
    harness.append(everything)
    assert len(harness.refusals) == 2
    assert harness.subscribed().add().at(24 * 3600).commands == []


def test_nor_can_the_last_one() -> None:
    """A retry would take up again what it took up; the records of one feed share a number."""
    harness = strict().subscribed()
    value = json.loads(encode_retry(Retry(customer="anna")))
    retry, live = (
        ours(control(RETRY, value, 7)),
        ours(control(WORKFLOWS, {"live": harness.live}, 7)),
    )
    feed = ours(control(PRODUCTS, {"products": []}, 7))
    for record in (retry, live, feed, feed, retry, live):
        harness.append(record)
    assert harness.refusals == [("outdated", f"{NUMBER}: 7 comes after 7")] * 2
    assert harness.actors.take().progress.numbers == {RETRY: 7, WORKFLOWS: 7, PRODUCTS: 7}


def test_what_is_set_aside_has_used_up_its_number() -> None:
    """It is told again with another one; a copy of it would be obeyed besides."""
    harness = strict().subscribed()
    set_aside = (SetAside(len(harness.records), "record", "", error="x"),)
    harness.continue_with(set_aside=set_aside)
    retry = ours(control(RETRY, json.loads(encode_retry(Retry(customer="anna"))), 7))
    for _ in range(2):
        harness.append(retry)
    assert [reason for reason, _ in harness.refusals] == ["internal_error", "outdated"]


def test_a_control_record_that_is_read_again_after_a_crash_is_believed() -> None:
    harness = strict()
    before = harness._progress
    record = Record(CUSTOMER_EVENTS, 0, 0, START, *ours(control(WORKFLOWS, {"live": {}}, 7)))
    for _ in range(2):
        harness._progress = before
        changes = harness.build().receive([record])
        assert (changes.effects, changes.progress.live) == ([], {})


def test_a_control_record_of_ours_has_a_number() -> None:
    harness = strict()
    harness.append(ours(control(WORKFLOWS, {"live": {}})))
    assert harness.refusals == [("outdated", f"{NUMBER}: missing")]


@pytest.mark.parametrize(
    ("insists_from", "refused"), [(0, 2), (UNDECIDED, 2), (1, 1), (2, 0), (NEVER, 0)]
)
def test_what_stands_before_the_place_is_believed(insists_from: int, refused: int) -> None:
    harness = strict()
    harness._progress = Progress(live=harness.live, insists_from=insists_from)
    harness.build()
    for number in range(2):
        record = without_signature("mail.unsubscribed", command_id=f"c{number}")
        harness.append(record._replace(headers=[("ce_id", b"%d" % number), *record.headers[1:]]))
    assert len(harness.refusals) == refused
    assert sum(each.unsigned["mail.unsubscribed"] for each in harness.counts) == 2 - refused
    assert harness._progress.insists_from == insists_from


@pytest.mark.parametrize("insists_from", [0, UNDECIDED, NEVER])
def test_an_origin_is_never_believed_unsigned(insists_from: int) -> None:
    """No release wrote one so, and by one that is too high all that is ours would be dropped."""
    harness = strict()
    harness._progress = Progress(live=harness.live, insists_from=insists_from)
    harness.build()
    forged = Origin(0, START * 2, 0, 0).header()
    for type_ in "page.viewed", "visitor.forgotten":
        record = without_signature(type_, customer_id="bruno")
        harness.append(record._replace(headers=[*record.headers, forged]))
    assert [reason for reason, _ in harness.refusals] == ["unsigned", "unsigned"]
    plain = without_signature("product.viewed", product_id="p")
    harness.append(ours(plain._replace(headers=[*plain.headers, Origin(0, START, 1, 0).header()])))
    assert (harness.customer().views, len(harness.refusals)) == (1, 2)


@pytest.mark.parametrize("type_", ["order.completed", "customer.erasure_requested", "page.viewed"])
@pytest.mark.parametrize("key", ["ritorno/coupons/gift", "ritorno:shop", "ritorno/x"])
def test_our_own_subjects_are_nobody_elses(type_: str, key: str) -> None:
    harness = strict()
    harness.append(without_signature(type_, key, **VALID[type_]))
    assert harness.refusals == [("reserved", f"customer id: {key!r} is Ritorno's own")]
    assert harness.store == {}


@pytest.mark.parametrize("data", [{"customer_id": "ritorno/coupons/gift"},
                                  {"anonymous_id": "ritorno/coupons/gift"}])  # fmt: skip
def test_nobody_becomes_one_of_them(data: dict[str, str]) -> None:
    harness = strict()
    harness.append(without_signature("customer.identified", **data))
    harness.tell("page.viewed", visitor="ritorno:shop")
    assert [reason for reason, _ in harness.refusals] == ["reserved", "reserved"]


def test_a_pool_obeys_requests_of_ours_only() -> None:
    harness = Harness.of(COUPONS)
    harness.signer = SIGNER
    harness.build()
    key = f"{POOL_PREFIX}gift"
    asked = {"campaign": "gift", "customer_id": "anna", "run": "r", "step": "s"}
    harness.append(without_signature("coupon.requested", key, **asked))
    assert harness.refusals[-1][0] == "unsigned"
    harness.append(ours(without_signature("customer.reviewed", key)))
    assert harness.refusals[-1][0] == "reserved"
    harness.append(ours(without_signature("coupon.requested", "anna", **asked)))
    assert harness.told[-1].data.code == "", "a customer is no pool"
    harness.append(ours(without_signature("coupon.requested", key, **asked)))
    assert harness.told[-1].data.code == "UNO"


def test_what_actors_tell_each_other_is_believed() -> None:
    harness = strict().add(customer="visitor-1")
    harness.tell("customer.identified", anonymous_id="visitor-1")
    harness.tell("page.viewed", "visitor-1")
    assert harness.customer("visitor-1").became == "anna"
    assert [line.product_id for line in harness.customer().cart.lines] == ["moka"]
    assert harness.refusals == []


@pytest.mark.parametrize("type_", [*VALID, "customer.identified"])
def test_at_a_glance_nothing_reserved_is_anybodys(type_: str) -> None:
    ours = [f"{subject}x" for subject in SUBJECTS]
    told = VALID.get(type_, {"anonymous_id": ours[0]})
    record = Record(CUSTOMER_EVENTS, 0, 0, 0, *without_signature(type_, **told))
    event = parse_record(record)
    for customer, visitor, source, origin in product(
        ("anna", *ours),
        (None, "v", *ours),
        ("/shop", "/ritorno/import", "/ritorno/public"),
        (None, Origin(0, 0, 0, 0)),
    ):
        claims = event._replace(
            customer=customer, anonymous_id=visitor, source=source, origin=origin
        )
        if is_anybodys(claims):
            assert not reserved(claims) and not reserved_id(claims)
    assert is_anybodys(event) == (type_ in SHOPS)


@pytest.mark.parametrize("name", ["customer_id", "anonymous_id"])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_nobody_is_said_to_be_an_actor_of_ours(subject: str, name: str) -> None:
    told = without_signature("customer.identified", **{name: f"{subject}x"})
    event = parse_record(Record(CUSTOMER_EVENTS, 0, 0, 0, *told))
    assert "is Ritorno's own" in reserved_id(event)


def test_the_public_can_not_say_who_somebody_is() -> None:
    told = without_signature("customer.identified", "v", customer_id="anna")
    event = parse_record(Record(CUSTOMER_EVENTS, 0, 0, 0, *told))
    said = event._replace(public=True, anonymous_id="v")
    with pytest.raises(EventRefused, match="who somebody is"):
        check(Customer(key="v"), said)


SHOPS = {"order.completed", "customer.erasure_requested", "page.viewed"}
"""Those of `VALID` that a shop publishes."""
