"""From where on a partition insists on signatures is decided once, when its first owner comes."""

from __future__ import annotations

import msgspec
import pytest

from schemas.records import OutRecord
from schemas.signing import RecordSigner
from schemas.stored import NEVER, PROGRESS_KEY, Progress, pack, pack_progress, unpack_progress
from streams.runtime.state.changelog import Changelog
from streams.runtime.state.memory import MemoryStore
from streams.runtime.state.signature_floor import decide
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG
from tests.keys import SIGNER
from tests.runtime.doubles import MemoryLog, memory_log

BEFORE = pack(3, NEVER, msgspec.msgpack.encode([4, 1_000, {"w": "v"}]))
"""A progress as release 0.1 has written it: three fields."""


async def opened(*stored: bytes) -> tuple[MemoryLog, Changelog]:
    log = await memory_log()
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"k", b"")] * 10)
    for each in stored:
        await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, each)])
    return log, await recovered(log)


async def recovered(log: MemoryLog) -> Changelog:
    changelog = Changelog(log, CUSTOMERS_CHANGELOG, 0, MemoryStore())
    await changelog.recover()
    return changelog


async def decided(log: MemoryLog, changelog: Changelog, *, accept_unsigned: bool = False) -> int:
    found = await decide(
        log, CUSTOMER_EVENTS, changelog, accept_unsigned=accept_unsigned, signer=SIGNER
    )
    return found.insists_from


async def test_what_release_0_1_has_left_is_believed_up_to_the_end() -> None:
    log, changelog = await opened(BEFORE)
    progress = await decide(log, CUSTOMER_EVENTS, changelog, accept_unsigned=False)
    assert progress == Progress(4, 1_000, {"w": "v"}, insists_from=10)
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"k", b"")])
    assert await decided(log, changelog) == 10
    assert await decided(log, await recovered(log)) == 10, "another owner finds it in the changelog"


async def test_a_new_partition_insists_at_once() -> None:
    log = await memory_log()
    changelog = await recovered(log)
    assert await decided(log, changelog) == 0
    assert await decided(log, changelog, accept_unsigned=True) == NEVER
    assert log.records(CUSTOMERS_CHANGELOG) == []


async def test_one_whose_changelog_was_lost_believes_what_lies_before_the_first_signature() -> None:
    log, changelog = await opened()
    assert await decided(log, changelog) == 10, "nothing is signed: release 0.1 has written it all"
    plain = OutRecord(None, b"{}", [("ce_type", b"ritorno.workflows")])
    forged = RecordSigner([("k1", "somebody's own secret")]).sign(CUSTOMER_EVENTS, plain)
    signed = SIGNER.sign(CUSTOMER_EVENTS, plain)
    await log.append(CUSTOMER_EVENTS, 0, [plain, forged, signed, plain, signed])
    assert await decided(log, changelog) == 12
    assert await decided(log, changelog, accept_unsigned=True) == NEVER
    commands = await decide(log, CUSTOMER_EVENTS, changelog, accept_unsigned=False)
    assert commands.insists_from == 0


async def test_while_workers_are_exchanged_everything_is_believed() -> None:
    log, changelog = await opened(BEFORE)
    assert await decided(log, changelog, accept_unsigned=True) == NEVER
    changelog = await recovered(log)
    assert await decided(log, changelog, accept_unsigned=True) == NEVER
    assert len(log.records(CUSTOMERS_CHANGELOG)) == 2
    assert await decided(log, changelog) == 10
    assert await decided(log, await recovered(log), accept_unsigned=True) == 10, "no way back"


async def test_the_owner_before_has_written_meanwhile() -> None:
    log, changelog = await opened(BEFORE)
    later = pack_progress(Progress(next_offset=9))
    await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, later)])
    assert await decided(log, changelog) == 10
    kept = unpack_progress((await recovered(log)).get(PROGRESS_KEY) or b"")
    assert (kept.next_offset, kept.insists_from) == (9, 10)


@pytest.mark.parametrize("insists_from", [0, 7])
async def test_what_is_decided_stays(insists_from: int) -> None:
    log, changelog = await opened(pack_progress(Progress(9, insists_from=insists_from)))
    for accept_unsigned in (False, True):
        assert await decided(log, changelog, accept_unsigned=accept_unsigned) == insists_from
    assert len(log.records(CUSTOMERS_CHANGELOG)) == 1
