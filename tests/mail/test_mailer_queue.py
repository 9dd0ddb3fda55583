"""The queue of one partition: every state meets every command and every result."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Callable

import msgspec
import pytest

from agents.mail.queue.command_reader import read_record
from agents.mail.queue.mail_queue import Queue
from agents.mail.queue.queue_changes import AttemptResult, QueueChanges
from agents.mail.queue.queued_mail import (
    REVISION_BITS,
    REVISIONS_PER_OWNER,
    QueuedMail,
    pack_entry,
    unpack_entry,
    with_fencing_epoch,
)
from agents.mail.queue.retry import Breaker, retry_delay
from agents.mail.replies import (
    Dropped,
    RelayAccepted,
    RelayRefused,
    Unknown,
    about_relay,
    classify,
    reason_text,
)
from schemas.commands import Command
from schemas.stored import FIRST_FENCING_EPOCH, HEAD_SIZE, head
from schemas.time_units import MINUTE_MS
from schemas.validation import Unreadable
from schemas.wire import parse_record
from tests.mail.harness import QueueHarness, open_queue, parse, types
from tests.mail.samples import DAY, HOUR, START, cancel, feedback, notify, pause, record, send

OK = RelayAccepted(250, "ok")
LATER = RelayRefused("rcpt", 451, "later")
NO = RelayRefused("rcpt", 550, "5.1.1 no")
GONE = Dropped("data", "gone")
WHO_KNOWS = Unknown("gone")


def reach(state: str, *, urgent: bool = False) -> QueueHarness:
    """Return a queue whose mail m1 is in `state`."""
    harness = QueueHarness()
    if state == "cancelled":
        harness.read(cancel())
        return harness
    if state == "unknown":
        return harness
    harness.read(send(urgent=urgent))
    if state == "skipped":
        harness.read(cancel())
    if state == "held":
        harness.read(pause())
    if state == "rejected":
        harness.do(harness.queue.reject("m1", START, "invalid_address"))
    if state in ("queued", "held", "rejected", "skipped"):
        return harness
    harness.claim()
    results = {
        "deferred": LATER, "sent": OK, "bounced": NO, "failed": WHO_KNOWS
    }  # fmt: skip
    if state in results:
        harness.record_result(results[state])
    return harness


STATES = [
    "unknown", "queued", "deferred", "held", "attempting", "sent", "bounced", "failed", "rejected",
    "skipped", "cancelled",
]  # fmt: skip
WAITING = ("queued", "deferred", "held")
COMMANDS: dict[tuple[str, str], tuple[str, list[str]]] = {
    ("unknown", "send"): ("queued", []),
    ("unknown", "cancel"): ("cancelled", []),
    ("queued", "cancel"): ("skipped", ["mail.skipped"]),
    ("deferred", "cancel"): ("skipped", ["mail.skipped"]),
    ("held", "cancel"): ("skipped", ["mail.skipped"]),
    ("cancelled", "send"): ("skipped", ["mail.skipped"]),
}
"""(state, command) → (new state, outcomes); all others change nothing."""


@pytest.mark.parametrize(("state", "action"), list(itertools.product(STATES, ["send", "cancel"])))
def test_every_state_meets_every_command(state: str, action: str) -> None:
    harness = reach(state)
    assert harness.state() == (None if state == "unknown" else state)
    changes = harness.read(send() if action == "send" else cancel())
    expected, outcomes = COMMANDS.get((state, action), (state, []))
    assert harness.state() == expected
    assert types(changes) == outcomes
    assert sum(harness.queue.waiting.values()) == (expected in WAITING)
    assert sum(harness.queue.held.values()) == (expected == "held")


RESULTS: dict[tuple[str, bool], tuple[str, str]] = {
    ("Accepted", False): ("sent", "mail.sent"),
    ("Accepted", True): ("sent", "mail.sent"),
    ("LATER", False): ("deferred", "mail.deferred"),
    ("LATER", True): ("deferred", "mail.deferred"),
    ("NO", False): ("bounced", "mail.bounced"),
    ("NO", True): ("bounced", "mail.bounced"),
    ("Dropped", False): ("deferred", "mail.deferred"),
    ("Dropped", True): ("deferred", "mail.deferred"),
    ("Unknown", False): ("failed", "mail.failed"),
    ("Unknown", True): ("deferred", "mail.deferred"),
}


@pytest.mark.parametrize(("name", "urgent"), RESULTS)
@pytest.mark.parametrize("state", STATES)
def test_every_state_meets_every_result(state: str, name: str, urgent: bool) -> None:
    result = {"Accepted": OK, "LATER": LATER, "NO": NO, "Dropped": GONE, "Unknown": WHO_KNOWS}[name]
    harness = reach(state, urgent=urgent)
    before = harness.state()
    changes = harness.record_result(result)
    if before == "attempting":
        assert (harness.state(), types(changes)) == (
            RESULTS[name, urgent][0],
            [RESULTS[name, urgent][1]],
        )
    else:
        assert (harness.state(), types(changes)) == (before, [])


@pytest.mark.parametrize("state", STATES)
def test_reject_and_unreachable_touch_only_what_waits(state: str) -> None:
    steps: list[Callable[[Queue], QueueChanges]] = [
        lambda queue: queue.reject("m1", START, "invalid_address"),
        lambda queue: queue.unreachable("m1", START, START + 1, "relay_connect"),
        lambda queue: queue.release("m1", START),
    ]
    for number, step in enumerate(steps):
        harness = reach(state)
        before = harness.state()
        changes = harness.do(step(harness.queue))
        touched = before in [WAITING, (*WAITING, "attempting"), ("attempting",)][number]
        assert bool(changes.states) is touched


def test_transactional_first_then_by_due_time() -> None:
    harness = QueueHarness()
    for name, due, urgent in [("m1", 5, False), ("m2", 1, False), ("t1", 9, True), ("t2", 3, True)]:
        harness.read(send(name, time=START + due, urgent=urgent))
    order = [harness.claim(START + 10).id for _ in range(4)]
    assert order == ["t2", "t1", "m2", "m1"]
    assert harness.pick(START + 10) is None


def test_nothing_is_picked_before_it_is_due() -> None:
    harness = QueueHarness()
    harness.read(send(urgent=True))
    harness.claim()
    harness.record_result(LATER)
    assert harness.pick(START + 29_999) is None
    assert harness.queue.next_time(START) == START + 30_000
    assert harness.claim(START + 30_000).attempt == 2


def test_a_cancel_reaches_a_mail_that_was_picked_and_not_one_that_was_claimed() -> None:
    harness = QueueHarness()
    harness.read(send())
    assert harness.pick(START) is not None
    harness.read(cancel())
    assert harness.queue.claim("m1", START) is None

    harness = QueueHarness()
    harness.read(send())
    harness.claim()
    assert types(harness.read(cancel())) == []
    assert types(harness.record_result(OK)) == ["mail.sent"]


def test_expired_mails_are_skipped_and_finished_ones_forgotten_a_day_later() -> None:
    harness = QueueHarness()
    harness.read(send())
    assert types(harness.do(harness.queue.housekeep(START + DAY - 1))) == []
    assert harness.pick(START + DAY) is None
    changes = harness.do(harness.queue.housekeep(START + DAY))
    assert types(changes) == ["mail.skipped"]
    assert json.loads(changes.outcomes[0].record.value or b"")["reason"] == "expired"
    harness.do(harness.queue.housekeep(START + 3 * DAY))
    assert harness.state() == "skipped"  # not while the log may not have its outcome
    harness.do(harness.queue.published(changes.outcomes))
    assert (harness.queue.get("m1") or QueuedMail("", "sent", 0, 0)).command == b""
    harness.do(harness.queue.housekeep(START + 3 * DAY + HOUR))
    assert harness.state() is None
    assert not harness.store


def test_only_marketing_expires_by_a_machine_s_clock_that_leaps() -> None:
    log_time = [START]
    harness = QueueHarness(log_time=lambda: log_time[0])
    harness.read(send("m1"), send("m2", urgent=True), send("m3", urgent=True))
    leapt = START + 5 * DAY
    assert types(harness.do(harness.queue.housekeep(leapt))) == ["mail.skipped"]
    picked = harness.pick(leapt)
    assert picked is not None and picked.id == "m2"
    log_time[0] = START + 2 * DAY  # the log agrees
    assert harness.pick(leapt) is None
    changes = harness.do(harness.queue.housekeep(leapt + MINUTE_MS))
    assert types(changes) == ["mail.skipped"] * 2


def test_a_campaign_that_expires_at_once_does_so_in_portions() -> None:
    harness = QueueHarness()
    harness.read(*(send(f"m{n}") for n in range(1_200)))
    portions = []
    while (at := harness.queue.next_time(START)) is not None and at <= START + DAY:
        portions.append(len(harness.do(harness.queue.housekeep(START + DAY)).outcomes))
    assert portions == [500, 500, 200]
    assert not any(harness.queue.waiting.values())


def test_a_new_mail_is_due_although_the_log_is_ahead_of_this_machine() -> None:
    harness = QueueHarness()
    harness.read(send(time=START + 5_000))
    assert harness.pick(START) is not None


def test_a_mail_in_doubt_that_expires_does_not_count_as_never_sent() -> None:
    harness = reach("attempting", urgent=True)
    harness.record_result(WHO_KNOWS)
    changes = harness.do(harness.queue.housekeep(START + 2 * DAY))
    assert types(changes) == ["mail.failed"]
    assert json.loads(changes.outcomes[0].record.value or b"")["ambiguous"] is True


def test_an_unreachable_relay_is_told_once_per_attempt() -> None:
    harness = QueueHarness()
    harness.read(send())
    told = []
    for tenth in range(5):
        assert harness.pick(START + tenth * 1_000) is not None
        until = START + tenth * 1_000 + 500
        told.append(
            types(harness.do(harness.queue.unreachable("m1", until - 500, until, "relay_tls")))
        )
    assert told == [["mail.deferred"], [], [], [], []]
    assert harness.claim(START + 10_000).attempt == 1
    changes = harness.record_result(LATER)
    assert [each.record.headers[0][1] for each in changes.outcomes] == [b"m1/deferred/1/tried"]


def test_claims_found_after_a_crash() -> None:
    for urgent, ended, state in [
        (False, [], "failed"),
        (True, [], "deferred"),
        (False, [AttemptResult("m1", 1, 1, OK)], "sent"),
        (False, [AttemptResult("m1", 1, 1, None)], "queued"),
        (False, [AttemptResult("m1", 2, 1, OK)], "failed"),
        (
            False,
            [AttemptResult("m1", 1, 9, None)],
            "failed",
        ),  # somebody else's attempt of that number
    ]:
        harness = reach("attempting", urgent=urgent)
        harness.queue = harness.reopened()
        harness.do(harness.queue.recover(ended, START))
        assert harness.state() == state, (urgent, ended)


@pytest.mark.parametrize(("urgent", "state"), [(False, "failed"), (True, "deferred")])
def test_what_an_owner_knows_of_its_claim_says_nothing_of_anothers(
    urgent: bool, state: str
) -> None:
    """One claims and can't write; the next claims, hands over and dies; the first comes back."""
    harness = reach("queued", urgent=urgent)
    claim = harness.queue.claim("m1", START)
    assert claim is not None  # and is never written
    mine = AttemptResult("m1", claim[0].attempt, claim[0].fencing_epoch, None)
    harness.queue = harness.reopened()
    assert harness.claim().attempt == mine.attempt
    harness.queue = harness.reopened()
    harness.do(harness.queue.recover([mine], START))
    entry = harness.queue.get("m1")
    assert entry is not None
    assert (entry.state, entry.ambiguous) == (state, True)


@pytest.mark.parametrize(
    "revision",
    [
        0,
        1,
        REVISIONS_PER_OWNER - 1,
        REVISIONS_PER_OWNER,
        2 * REVISIONS_PER_OWNER - 1,
        5 * REVISIONS_PER_OWNER + 7,
    ],
)
@pytest.mark.parametrize("fencing_epoch", [0, FIRST_FENCING_EPOCH, 40])
def test_of_two_owners_that_have_read_the_same_the_later_has_the_newer_state(
    revision: int, fencing_epoch: int
) -> None:
    """However much the one before has decided that arrives late."""
    read = QueuedMail(
        "m1", "attempting", 7, START + DAY, revision=revision, fencing_epoch=fencing_epoch
    )
    one = max(fencing_epoch + 1, FIRST_FENCING_EPOCH)
    for before, now in [(one, one + 1), (one + 3, one + 4), (one, one + 9)]:
        first = with_fencing_epoch(_changed(read), before)
        late = msgspec.structs.replace(first, revision=first.revision + REVISIONS_PER_OWNER - 1)
        ours = pack_entry(with_fencing_epoch(_changed(read), now))
        assert head(ours).applied > head(pack_entry(late)).applied
        # One of release 0.1 went up to the next multiple of 64.
        oldest = msgspec.structs.replace(read, revision=(revision // 64 + 1) * 64 + 63)
        if not fencing_epoch:
            assert head(ours).applied > head(pack_entry(oldest)).applied


def test_of_two_owners_that_take_a_mail_over_the_later_has_the_newer_state() -> None:
    """The one before has also read that it is cancelled, and writes that late."""
    harness = QueueHarness()
    late = harness.queue.receive([record(send(), 0), record(cancel(), 1)])
    harness.queue = harness.reopened()
    harness.read(send())
    assert head(late.states[-1][1] or b"").applied < head(harness.store[b"m1"]).applied


def test_what_an_owner_of_release_0_1_wrote_has_no_term() -> None:
    entry = QueuedMail("m1", "queued", 7, START, fencing_epoch=2**47)
    stored = pack_entry(entry)
    assert unpack_entry(stored) == entry
    unmarked = stored[:HEAD_SIZE] + stored[HEAD_SIZE + 1 :]
    assert unpack_entry(unmarked) == msgspec.structs.replace(entry, fencing_epoch=0)


def _changed(entry: QueuedMail) -> QueuedMail:
    return msgspec.structs.replace(entry, revision=entry.revision + 1)


def test_recovery_keeps_order_due_times_and_outcomes() -> None:
    harness = reach("deferred")
    harness.read(send("t1", urgent=True), send("m2"))
    harness.queue = harness.reopened()
    changes = harness.do(harness.queue.recover([], START))
    assert [(each.id, parse(each.record)) for each in changes.outcomes] == [("m1", "mail.deferred")]
    assert harness.queue.waiting == {"transactional": 1, "automated": 2}
    assert [harness.claim(START).id, harness.claim(START).id] == ["t1", "m2"]
    assert harness.pick(START) is None
    assert harness.claim(START + HOUR).id == "m1"


def test_the_kept_form_says_how_new_it_is() -> None:
    entry = QueuedMail("m1", "queued", 7, START, revision=3, due=START + 5)
    stored = pack_entry(entry)
    assert head(stored) == ((7 << REVISION_BITS) + 3, START + 5)
    assert unpack_entry(stored) == entry


def test_outcomes_are_events_that_the_customer_agent_reads() -> None:
    harness = reach("attempting")
    outcome = harness.record_result(NO).outcomes[0].record
    as_read = record(send())._replace(value=outcome.value, headers=outcome.headers)
    event = parse_record(as_read)
    assert (event.id, event.type, event.customer, event.time) == (
        "m1/bounced", "mail.bounced", "u1", START
    )  # fmt: skip
    assert (event.data.kind, event.data.code, event.data.enhanced_code) == ("hard", 550, "5.1.1")


def test_a_hundred_thousand_mails_wait_in_modest_memory() -> None:
    kept = {b"%d" % n: pack_entry(_entry(n)) for n in range(100_000)}
    tracemalloc.start()
    queue = open_queue(kept)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(queue.waiting.values()) == 100_000
    assert used < 60_000_000


def _entry(number: int) -> QueuedMail:
    return QueuedMail(f"m{number}", "queued", number, START + DAY, due=START + number)


@pytest.mark.parametrize(
    ("command", "key", "detail"),
    [
        (pause(), b"u1", "key: control records have none"),
        (send(), None, "key: is not the customer"),
        (feedback("e1"), b"u2", "key: is not the customer"),
        (send("x" * 161), b"u1", "id: not usable"),
        (notify("a\nb"), b"u1", "id: not usable"),
        (notify(""), b"u1", "id: not usable"),
    ],
)
def test_commands_that_nobody_meant(command: Command, key: bytes | None, detail: str) -> None:
    with pytest.raises(Unreadable, match=detail):
        read_record(record(command)._replace(key=key))


def test_feedback_may_carry_the_long_id_of_an_event() -> None:
    assert read_record(record(feedback("x" * 200)))


def test_transactional_retries() -> None:
    delays = [retry_delay(urgent=True, attempt=n, command_id="m1") for n in range(1, 9)]
    assert delays == [int(each * 60_000) for each in [0.5, 2, 5, 15, 30, 60, 60, 60]]


def test_marketing_retries_grow_with_jitter_to_four_hours() -> None:
    for attempt in range(1, 30):
        plain = min(300_000 * 1.5 ** (attempt - 1), 4 * HOUR / 0.8)
        delays = {retry_delay(urgent=False, attempt=attempt, command_id=f"m{n}") for n in range(50)}
        assert all(plain * 0.8 - 1 <= each <= min(plain * 1.2, 4 * HOUR) for each in delays)
        assert attempt > 10 or len(delays) > 20
    again = [retry_delay(urgent=False, attempt=3, command_id="m1") for _ in range(2)]
    assert again[0] == again[1]
    assert retry_delay(urgent=False, attempt=5_000, command_id="m1") <= 4 * HOUR


def test_the_breaker_doubles_to_a_minute_and_counts_a_storm_once() -> None:
    breaker = Breaker()
    now, pauses = START, []
    for _ in range(9):
        until = breaker.failed(now)
        assert breaker.failed(now) == until
        assert not breaker.closed(now)
        pauses.append(until - now)
        now = until
    assert pauses == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]
    breaker.succeeded()
    assert breaker.failed(now) - now == 1_000


@pytest.mark.parametrize(
    ("refusal", "kind", "final"),
    [
        (RelayRefused("rcpt", 550, "5.1.1 no such user"), "hard", True),
        (RelayRefused("rcpt", 550, "5.1.8 bad sender"), "blocked", True),
        (RelayRefused("rcpt", 550, "5.2.1 disabled"), "hard", True),
        (RelayRefused("rcpt", 552, "5.2.2 full"), "soft", True),
        (RelayRefused("dot", 554, "5.7.1 spam"), "blocked", True),
        (RelayRefused("dot", 552, "5.3.4 too big"), "content", True),
        (RelayRefused("dot", 554, "5.6.0 bad"), "content", True),
        (RelayRefused("rcpt", 554, "no enhanced code"), "blocked", True),
        (RelayRefused("rcpt", 550, "see 4.7.0 elsewhere"), "blocked", True),
        (RelayRefused("rcpt", 421, "4.7.0 too fast"), "throttled", False),
        (RelayRefused("rcpt", 454, "busy"), "throttled", False),
        (RelayRefused("rcpt", 452, "4.2.2 full"), "soft", False),
        (RelayRefused("mail", 550, "5.1.1 who are you"), "blocked", True),
        (RelayRefused("mail", 552, "5.3.4 too big"), "content", True),
    ],
)
def test_replies(refusal: RelayRefused, kind: str, final: bool) -> None:
    meaning = classify(refusal)
    assert (meaning.kind, meaning.final) == (kind, final)


def test_what_is_about_the_relay() -> None:
    assert about_relay(RelayRefused("mail", 530, "5.7.0 must issue STARTTLS"))
    assert not about_relay(RelayRefused("mail", 550, "5.1.1"))
    assert not about_relay(RelayRefused("rcpt", 530, "no"))


def test_a_relays_text_becomes_one_safe_line() -> None:
    text = reason_text("5.7.1 no\r\nmail\x00 \udcff" + "x" * 1_000)
    assert text.startswith("5.7.1 no mail xxx")
    assert len(text) == 300
    assert reason_text("<giulia@example.com>: no such user") == "<…>: no such user"
