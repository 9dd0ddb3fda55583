"""The list of suppressed addresses: keyed hashes, for all who have an address, in every worker."""

from __future__ import annotations

import asyncio

import pytest

from agents.digests import derived_id
from agents.mail.settings import SigningKey
from agents.mail.suppression import AddressHashes, Suppressed, Suppressions
from schemas.commands import SendCommand, SuppressCommand
from schemas.records import OutRecord
from schemas.suppressions import Suppression, SuppressionReason, SuppressionScope
from streams.mail.suppression_list import SuppressionList
from streams.mail.suppressions import Author, read_list, release, suppress
from streams.topology import CUSTOMER_EVENTS, SUPPRESSIONS
from tests.keys import SIGNER
from tests.mail.samples import send
from tests.runtime.doubles import START, MemoryLog, memory_log

OLD = SigningKey("k1", "a secret of some length")
NEW = SigningKey("k2", "another secret, newer")
HASHES = AddressHashes([OLD])
ADDRESS = "Anna.Verdi@Cliente.Example"


class Counted:
    """Remembers what was counted; stands in for ReturnCounters."""

    def __init__(self) -> None:
        self.suppressions: list[tuple[str, str]] = []
        self.count = 0

    def suppressed(self, scope: SuppressionScope, reason: SuppressionReason) -> None:
        self.suppressions.append((scope, reason))

    def addresses(self, count: int) -> None:
        self.count = count


def command(
    scope: SuppressionScope = "all", reason: SuppressionReason = "hard", time: int = START
) -> SuppressCommand:
    return SuppressCommand(
        id=derived_id(scope, reason),
        time=time,
        customer="anna",
        email=ADDRESS,
        scope=scope,
        reason=reason,
    )


def marketing(email: str = ADDRESS, *, urgent: bool = False) -> SendCommand:
    return send("m1", urgent=urgent).model_copy(update={"email": email})


@pytest.fixture
async def log() -> MemoryLog:
    return await memory_log()


def worker(log: MemoryLog, hashes: AddressHashes = HASHES) -> SuppressionList:
    return SuppressionList(log, hashes, Counted())


async def test_what_one_worker_adds_every_worker_knows(log: MemoryLog) -> None:
    one, other = worker(log), worker(log)
    await one.add([command()])
    assert one.suppressed(marketing())
    await other.refresh()
    for email in (ADDRESS, ADDRESS.lower(), f" {ADDRESS.upper()}"):
        assert other.suppressed(marketing(email))
        assert other.suppressed(marketing(email, urgent=True))
    assert not other.suppressed(marketing("anna@cliente.example"))


async def test_it_follows_the_topic(log: MemoryLog) -> None:
    go_on = asyncio.Semaphore(0)
    asked = asyncio.Event()

    async def pause(_: float) -> None:
        asked.set()
        await go_on.acquire()

    follower = SuppressionList(log, HASHES, Counted(), pause=pause)
    await follower.start()
    await asked.wait()
    await worker(log).add([command()])
    assert not follower.suppressed(marketing())
    asked.clear()
    go_on.release()
    await asked.wait()
    assert follower.suppressed(marketing())
    await follower.stop()


async def test_nobody_reads_an_address_in_the_topic(log: MemoryLog) -> None:
    await worker(log).add([command()])
    (record,) = log.records(SUPPRESSIONS)
    for part in (record.key, record.value):
        for piece in (b"anna", b"verdi", b"cliente", b"@"):
            assert piece not in (part or b"").lower()


async def test_a_complaint_leaves_confirmations(log: MemoryLog) -> None:
    one = worker(log)
    await one.add([command("marketing", "complaint")])
    assert one.suppressed(marketing())
    assert not one.suppressed(marketing(urgent=True))
    await one.add([command("all", "hard")])
    assert one.suppressed(marketing(urgent=True))
    # A later complaint does not make it less.
    await one.add([command("marketing", "complaint")])
    assert one.suppressed(marketing(urgent=True))
    assert len(log.records(SUPPRESSIONS)) == 2


async def test_told_twice_it_is_written_once(log: MemoryLog) -> None:
    one = worker(log)
    await one.add([command()])
    await one.add([command()])
    assert len(log.records(SUPPRESSIONS)) == 1


async def test_a_guarded_composer_makes_no_mail(log: MemoryLog) -> None:
    one = worker(log)
    composed = []
    guarded = one.guard(lambda command: composed.append(command.email))  # type: ignore[arg-type,return-value]  # it only counts
    guarded(send("m1").model_copy(update={"email": ADDRESS}))
    await one.add([command()])
    with pytest.raises(Suppressed):
        guarded(send("m1").model_copy(update={"email": ADDRESS}))
    assert composed == [ADDRESS]


async def test_a_new_key_finds_what_the_old_one_hashed(log: MemoryLog) -> None:
    await worker(log).add([command()])
    rotated = worker(log, AddressHashes([NEW, OLD]))
    await rotated.refresh()
    assert rotated.suppressed(marketing())
    author = Author("lia", START + 1, "works again")
    await release(log, AddressHashes([NEW, OLD]), ADDRESS, author, SIGNER)
    await rotated.refresh()
    assert not rotated.suppressed(marketing())


async def test_a_key_that_is_gone_is_counted(log: MemoryLog) -> None:
    await worker(log).add([command()])
    forgetful = Suppressions(AddressHashes([NEW]))
    (record,) = log.records(SUPPRESSIONS)
    suppression = Suppression.model_validate_json(record.value or b"")
    forgetful.apply((record.key or b"").decode(), suppression)
    assert (forgetful.unknown_keys, len(forgetful)) == (1, 0)


async def test_released_means_mails_again_and_old_commands_change_nothing(log: MemoryLog) -> None:
    one, other = worker(log), worker(log)
    await one.add([command(time=START)])
    await release(log, HASHES, ADDRESS, Author("lia", START + 1_000, "works again"), SIGNER)
    await other.refresh()
    assert not other.suppressed(marketing())
    # The command is delivered once more after a crash.
    await one.add([command(time=START)])
    assert not one.suppressed(marketing())
    # But it bounces again a week later.
    await one.add([command(time=START + 7 * 86_400_000)])
    assert one.suppressed(marketing())


async def test_what_people_do_is_on_record(log: MemoryLog) -> None:
    await suppress(log, HASHES, ADDRESS, "marketing", Author("ugo", START, "asked by phone"))
    author = Author("lia", START + 1, "asked by phone to undo it")
    await release(log, HASHES, ADDRESS, author, SIGNER)
    listed = await read_list(log)
    assert [(each.state, each.by, each.note) for _, each in listed.audit] == [
        ("suppressed", "ugo", "asked by phone"),
        ("released", "lia", "asked by phone to undo it"),
    ]
    keys = [record.key for record in log.records(SUPPRESSIONS)]
    assert len([key for key in keys if (key or b"").startswith(b"audit.")]) == 2
    assert len({key for key in keys if (key or b"").startswith(b"audit.")}) == 2
    assert log.records(CUSTOMER_EVENTS) == []


async def test_what_can_not_be_read_is_passed_over(log: MemoryLog) -> None:
    good = Suppression(state="suppressed", scope="all", reason="hard", time=START, by="ritorno")
    value = good.model_dump_json().encode()
    forged = [OutRecord(b"k1.zz", value), OutRecord(b"\xff", value), OutRecord(b"k1.00", b"{}"),
              OutRecord(None, b"x"), OutRecord(b"k1.00", None)]  # fmt: skip
    await log.append(SUPPRESSIONS, 0, forged)
    await worker(log).add([command()])
    one = worker(log)
    await one.refresh()
    assert one.suppressed(marketing())
