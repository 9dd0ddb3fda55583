"""What a person pauses is held, and what a person releases goes."""

from __future__ import annotations

from typing import Any

import pytest

from agents.mail.queue.pauses import Pauses, classes_of
from agents.mail.replies import RelayRefused
from schemas.commands import PausedClass
from tests.mail.harness import QueueHarness
from tests.mail.samples import DAY, START, cancel, pause, release, resume, send

MINUTE = 60_000


def four(harness: QueueHarness) -> QueueHarness:
    """Queue a mail of each class, the series' from another workflow."""
    harness.read(
        send("t", urgent=True),
        send("a", workflow="w06"),
        send("b", workflow="w06", bulk=True),
        send("x", workflow="w11"),
    )
    return harness


@pytest.mark.parametrize(
    ("scope", "going"),
    [
        ({}, set()),
        ({"class": "transactional"}, {"a", "b", "x"}),
        ({"class": "marketing"}, {"t"}),
        ({"class": "automated"}, {"t", "b"}),
        ({"class": "bulk"}, {"t", "a", "x"}),
        ({"class": "notify"}, {"t", "a", "b", "x"}),
        ({"workflow": "w06"}, {"t", "x"}),
        ({"class": "bulk", "workflow": "w06"}, {"t", "a", "x"}),
        ({"class": "bulk", "workflow": "w11"}, {"t", "a", "b", "x"}),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_pause_holds_its_scope_and_nothing_else(
    scope: dict[str, str], going: set[str], first: bool
) -> None:
    harness = QueueHarness()
    if first:
        harness.read(pause(**scope))
        four(harness)
    else:
        four(harness).read(pause(**scope))
    assert set(harness.send_all(START)) == going
    held = {"t", "a", "b", "x"} - going
    assert {id_ for id_ in "tabx" if harness.state(id_) == "held"} == held
    assert harness.queue.held.get("paused", 0) == len(held)
    assert {told[0] for told in harness.told if told[1:] == ("mail.held", "paused")} == held


@pytest.mark.parametrize(
    ("paused", "resumed", "goes"),
    [
        ({}, {}, True),
        ({"class": "marketing"}, {}, True),
        ({"class": "marketing"}, {"class": "marketing"}, True),
        ({"class": "automated"}, {"class": "marketing"}, True),
        ({"class": "marketing"}, {"class": "automated"}, False),
        ({"class": "marketing"}, {"class": "transactional"}, False),
        ({"workflow": "w06"}, {"workflow": "w06"}, True),
        ({"workflow": "w06"}, {"workflow": "w11"}, False),
        ({"workflow": "w06"}, {}, True),
        ({}, {"workflow": "w06"}, False),
    ],
)
def test_a_resume_ends_the_pauses_within_its_scope(
    paused: dict[str, str], resumed: dict[str, str], goes: bool
) -> None:
    harness = QueueHarness()
    harness.read(send("m1", workflow="w06"), pause(**paused))
    assert harness.send_all(START) == []
    harness.read(resume(**resumed))
    assert bool(harness.send_all(START)) is goes
    assert harness.queue.held.get("paused", 0) == (not goes)


def test_pauses_and_held_mails_survive_a_restart() -> None:
    harness = QueueHarness()
    four(harness).read(pause(**{"class": "marketing", "reason": "wrong prices"}))
    harness.queue = harness.reopened()
    assert harness.send_all(START) == ["t"]
    assert harness.queue.held["paused"] == 3
    told = len(harness.told)
    harness.queue = harness.reopened()
    harness.pass_time(START)
    assert len(harness.told) == told  # a hold is told once
    harness.read(resume())
    harness.queue = harness.reopened()
    assert sorted(harness.send_all(START)) == ["a", "b", "x"]


def test_one_held_mail_is_released_and_the_others_stay() -> None:
    harness = QueueHarness()
    four(harness).read(pause(), at=START)
    harness.read(release("a"), at=START + 1)
    assert harness.send_all(START + 1) == ["a"]
    assert harness.queue.held["paused"] == 3


def test_all_that_is_held_is_released_and_what_comes_later_is_not() -> None:
    harness = QueueHarness()
    four(harness).read(pause(), at=START)
    harness.read(release(), at=START + 1)
    harness.read(send("later", time=START + 2), at=START + 2)
    harness.queue = harness.reopened()
    assert sorted(harness.send_all(START + 2)) == ["a", "b", "t", "x"]
    assert harness.state("later") == "held"


def test_a_pause_after_the_release_is_the_last_word() -> None:
    harness = QueueHarness()
    harness.read(send("m1"), pause(), at=START)
    harness.read(release("m1"), at=START + 1)
    harness.read(pause(), at=START + 2)
    assert harness.send_all(START + 2) == []
    assert harness.state() == "held"


def test_a_release_of_what_is_not_held_changes_nothing() -> None:
    harness = QueueHarness()
    harness.read(release("nobody"), send("m1"), release("m1"))
    assert harness.send_all(START) == ["m1"]
    harness.read(release("m1"))
    assert harness.state() == "sent"


def test_a_held_mail_can_be_cancelled_and_expires() -> None:
    harness = QueueHarness()
    harness.read(pause(), send("m1"), send("m2"), cancel("m1"))
    harness.pass_time(START + DAY)
    assert harness.told[-2:] == [
        ("m1", "mail.skipped", "cancelled"),
        ("m2", "mail.skipped", "expired"),
    ]
    assert not any(harness.queue.held.values())


def test_a_deferred_mail_is_held_only_when_it_is_due() -> None:
    harness = QueueHarness()
    harness.read(send("t", urgent=True))
    harness.claim()
    harness.record_result(RelayRefused("rcpt", 451, "later"), id_="t")
    harness.read(pause())
    assert harness.state("t") == "deferred"
    harness.pass_time(START + 30_000)
    assert harness.send_all(START + 30_000) == []
    assert harness.state("t") == "held"
    harness.read(resume(), at=START + MINUTE)
    assert harness.send_all(START + MINUTE) == ["t"]
    entry = harness.queue.get("t")
    assert entry is not None
    assert entry.attempt == 2


def test_a_mail_picked_before_the_pause_is_not_claimed_after_it() -> None:
    harness = QueueHarness()
    harness.read(send("m1"))
    entry = harness.pick(START)
    assert entry is not None
    harness.read(pause())
    assert harness.queue.claim("m1", START) is None
    harness.pass_time(START)
    assert harness.state() == "held"


def test_a_campaign_is_held_in_portions_and_receipts_go_on_meanwhile() -> None:
    harness = QueueHarness()
    harness.read(*(send(f"m{n}") for n in range(1_800)))
    harness.do(harness.queue.receive([_control(harness, pause(**{"class": "marketing"}))]))
    harness.do(harness.queue.housekeep(START))
    assert harness.queue.held["paused"] == 500
    harness.do(harness.queue.receive([_control(harness, send("t", urgent=True))]))
    assert harness.claim(START).id == "t"
    harness.pass_time(START)
    assert harness.queue.held["paused"] == 1_800


def _control(harness: QueueHarness, command: Any) -> Any:
    from tests.mail.samples import record  # noqa: PLC0415  # beside its only use

    harness.offset += 1
    return record(command, harness.offset - 1)


def test_words_for_classes() -> None:
    words: list[PausedClass] = ["transactional", "marketing", "automated", "bulk", "notify"]
    assert [classes_of(word) for word in words] == [
        ("transactional",), ("automated", "bulk"), ("automated",), ("bulk",), ("notify",)
    ]  # fmt: skip
    assert "notify" not in classes_of(None)
    assert not Pauses().active
