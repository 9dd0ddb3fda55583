"""What a person pauses is held, and what a person releases goes."""

from __future__ import annotations

from typing import Any

import pytest

from agents.mail.queue.pauses import Pauses, classes_of
from agents.mail.replies import RelayRefused
from schemas.commands import PausedClass
from tests.mailer.bench import Bench
from tests.mailer.samples import DAY, START, cancel, pause, release, resume, send

MINUTE = 60_000


def four(bench: Bench) -> Bench:
    """Queue a mail of each class, the series' from another workflow."""
    bench.read(
        send("t", urgent=True),
        send("a", workflow="w06"),
        send("b", workflow="w06", bulk=True),
        send("x", workflow="w11"),
    )
    return bench


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
    bench = Bench()
    if first:
        bench.read(pause(**scope))
        four(bench)
    else:
        four(bench).read(pause(**scope))
    assert set(bench.send_all(START)) == going
    held = {"t", "a", "b", "x"} - going
    assert {id_ for id_ in "tabx" if bench.state(id_) == "held"} == held
    assert bench.queue.held.get("paused", 0) == len(held)
    assert {told[0] for told in bench.told if told[1:] == ("mail.held", "paused")} == held


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
    bench = Bench()
    bench.read(send("m1", workflow="w06"), pause(**paused))
    assert bench.send_all(START) == []
    bench.read(resume(**resumed))
    assert bool(bench.send_all(START)) is goes
    assert bench.queue.held.get("paused", 0) == (not goes)


def test_pauses_and_held_mails_survive_a_restart() -> None:
    bench = Bench()
    four(bench).read(pause(**{"class": "marketing", "reason": "wrong prices"}))
    bench.queue = bench.reopened()
    assert bench.send_all(START) == ["t"]
    assert bench.queue.held["paused"] == 3
    told = len(bench.told)
    bench.queue = bench.reopened()
    bench.pass_time(START)
    assert len(bench.told) == told  # a hold is told once
    bench.read(resume())
    bench.queue = bench.reopened()
    assert sorted(bench.send_all(START)) == ["a", "b", "x"]


def test_one_held_mail_is_released_and_the_others_stay() -> None:
    bench = Bench()
    four(bench).read(pause(), at=START)
    bench.read(release("a"), at=START + 1)
    assert bench.send_all(START + 1) == ["a"]
    assert bench.queue.held["paused"] == 3


def test_all_that_is_held_is_released_and_what_comes_later_is_not() -> None:
    bench = Bench()
    four(bench).read(pause(), at=START)
    bench.read(release(), at=START + 1)
    bench.read(send("later", time=START + 2), at=START + 2)
    bench.queue = bench.reopened()
    assert sorted(bench.send_all(START + 2)) == ["a", "b", "t", "x"]
    assert bench.state("later") == "held"


def test_a_pause_after_the_release_is_the_last_word() -> None:
    bench = Bench()
    bench.read(send("m1"), pause(), at=START)
    bench.read(release("m1"), at=START + 1)
    bench.read(pause(), at=START + 2)
    assert bench.send_all(START + 2) == []
    assert bench.state() == "held"


def test_a_release_of_what_is_not_held_changes_nothing() -> None:
    bench = Bench()
    bench.read(release("nobody"), send("m1"), release("m1"))
    assert bench.send_all(START) == ["m1"]
    bench.read(release("m1"))
    assert bench.state() == "sent"


def test_a_held_mail_can_be_cancelled_and_expires() -> None:
    bench = Bench()
    bench.read(pause(), send("m1"), send("m2"), cancel("m1"))
    bench.pass_time(START + DAY)
    assert bench.told[-2:] == [
        ("m1", "mail.skipped", "cancelled"),
        ("m2", "mail.skipped", "expired"),
    ]
    assert not any(bench.queue.held.values())


def test_a_deferred_mail_is_held_only_when_it_is_due() -> None:
    bench = Bench()
    bench.read(send("t", urgent=True))
    bench.claim()
    bench.settle(RelayRefused("rcpt", 451, "later"), id_="t")
    bench.read(pause())
    assert bench.state("t") == "deferred"
    bench.pass_time(START + 30_000)
    assert bench.send_all(START + 30_000) == []
    assert bench.state("t") == "held"
    bench.read(resume(), at=START + MINUTE)
    assert bench.send_all(START + MINUTE) == ["t"]
    entry = bench.queue.get("t")
    assert entry is not None
    assert entry.attempt == 2


def test_a_mail_picked_before_the_pause_is_not_claimed_after_it() -> None:
    bench = Bench()
    bench.read(send("m1"))
    entry = bench.pick(START)
    assert entry is not None
    bench.read(pause())
    assert bench.queue.claim("m1", START) is None
    bench.pass_time(START)
    assert bench.state() == "held"


def test_a_campaign_is_held_in_portions_and_receipts_go_on_meanwhile() -> None:
    bench = Bench()
    bench.read(*(send(f"m{n}") for n in range(1_800)))
    bench.do(bench.queue.receive([_control(bench, pause(**{"class": "marketing"}))]))
    bench.do(bench.queue.housekeep(START))
    assert bench.queue.held["paused"] == 500
    bench.do(bench.queue.receive([_control(bench, send("t", urgent=True))]))
    assert bench.claim(START).id == "t"
    bench.pass_time(START)
    assert bench.queue.held["paused"] == 1_800


def _control(bench: Bench, command: Any) -> Any:
    from tests.mailer.samples import record  # noqa: PLC0415  # beside its only use

    bench.offset += 1
    return record(command, bench.offset - 1)


def test_words_for_classes() -> None:
    words: list[PausedClass] = ["transactional", "marketing", "automated", "bulk", "notify"]
    assert [classes_of(word) for word in words] == [
        ("transactional",), ("automated", "bulk"), ("automated",), ("bulk",), ("notify",)
    ]  # fmt: skip
    assert "notify" not in classes_of(None)
    assert not Pauses().active
