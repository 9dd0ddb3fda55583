"""A customer whose kept record can't be read is held back: the record stays as it is, events wait
in order beside it, everybody else goes on, and when it can be read what has waited is applied."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agents.partition import held_back
from schemas import customer as kept_form
from schemas.stored import head, is_erased
from streams.operate.check import CheckStatus
from streams.operate.dead_letters import resend
from streams.operate.doctor import check_set_asides
from streams.operate.retrying import set_asides, try_again
from tests.keys import SIGNER
from tests.runtime.harness import REMINDER, Harness, by_reason, embedded_house, memory_house

HOUR = 3600


class OlderRelease:
    """Can't read what is kept of some customers."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._decode = kept_form.decode_customer
        self.unreadable: set[str] = set()
        patch.setattr("agents.partition.customers.decode_customer", self._read)

    def _read(self, key: str, stored: bytes) -> Any:
        if key in self.unreadable:
            raise ValueError("Expected `int`, got `str` - at `$[8]`, near anna@example.it")
        return self._decode(key, stored)


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> OlderRelease:
    return OlderRelease(monkeypatch)


@pytest.fixture(params=[pytest.param("memory", marks=pytest.mark.slow), "embedded"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    each = await (memory_house() if request.param == "memory" else embedded_house(tmp_path))
    await each.publish(REMINDER.replace("WAIT", "2h"))
    await each.start()
    for name in ("anna", "bruno"):
        await each.told(name, "product.viewed", product_id="moka")
    await each.catch_up()
    yield each
    await each.stop()
    await each.log.stop()


async def restart(harness: Harness) -> None:
    await harness.stop()
    await harness.start()
    await harness.catch_up()


async def sent_again(harness: Harness, reason: str) -> int:
    return (await resend(harness.log, lambda each: each.reason == reason, lambda: SIGNER)).resent


async def test_all_that_waits_is_applied_in_order_when_it_can_be_read(
    harness: Harness, release: OlderRelease
) -> None:
    before = (await harness.kept())[b"anna"]
    release.unreadable = {"anna"}
    await restart(harness)
    await harness.told("anna", "cart.product_added", product_id="moka", price="30.00", quantity=1)
    await harness.told("bruno")
    await harness.told("anna", "cart.product_removed", product_id="moka")
    await harness.catch_up()
    await restart(harness)  # by another owner, who knows it from the changelog
    await harness.told("anna", "cart.product_added", product_id="tazza", price="3.00", quantity=2)
    await harness.pass_time(3 * HOUR)
    await harness.catch_up()

    assert (await harness.kept())[b"anna"] == before
    assert harness.runtime.held_back() == 1
    assert "reminded" in harness.customer("bruno").tags
    assert harness.customer("bruno").views == 2
    assert [(each["what"], each["name"]) for each in await harness.aside()] == [
        ("customer", "anna")
    ]
    ((letter),) = await harness.letters()
    assert letter.reason == "internal_error"
    assert letter.original.key == b"anna"
    assert "example.it" not in letter.detail
    release.unreadable = set()
    await harness.check_replay(but=["anna"])

    await restart(harness)
    assert harness.runtime.held_back() == 1  # until somebody says so
    assert (await resend(harness.log, lambda _: True, lambda: SIGNER)).resent == 1
    await harness.catch_up()
    await harness.pass_time(1)
    await harness.catch_up()
    assert harness.runtime.held_back() == 0
    anna = harness.customer("anna")
    assert [(line.product_id, line.quantity) for line in anna.cart.lines] == [("tazza", 2)]
    assert "reminded" in anna.tags
    left = [key for key, stored in (await harness.kept()).items() if not is_erased(stored)]
    assert [key for key in left if key.startswith((b"\x00held/", b"\x00waiting/"))] == []
    await harness.check_replay()


async def test_trying_again_too_early_changes_nothing(
    harness: Harness, release: OlderRelease
) -> None:
    release.unreadable = {"anna"}
    await restart(harness)
    await harness.told("anna")
    await harness.catch_up()
    assert (await resend(harness.log, lambda _: True, lambda: SIGNER)).resent == 1
    await harness.told("anna")
    await harness.catch_up()
    assert harness.runtime.held_back() == 1
    assert len(await harness.letters()) == 2  # the other says that it was in vain
    release.unreadable = set()
    assert (await resend(harness.log, lambda _: True, lambda: SIGNER)).resent == 1
    await harness.catch_up()
    assert harness.customer("anna").views == 3
    await harness.check_replay()


async def test_what_cannot_be_mended_begins_afresh(harness: Harness, release: OlderRelease) -> None:
    release.unreadable = {"anna"}
    await restart(harness)
    await harness.told("anna")
    await harness.catch_up()
    assert (await set_asides(harness.log)).held_back == [(0, "anna")]
    check = await check_set_asides(harness.log)
    assert (check.status, "'anna' (partition 0)" in check.text) == (CheckStatus.WARN, True)
    await try_again(harness.log, "anna", SIGNER, afresh=True)
    await harness.catch_up()
    assert harness.runtime.held_back() == 0
    assert (await check_set_asides(harness.log)).status is CheckStatus.OK
    release.unreadable = set()
    assert harness.customer("anna").views == 1
    await harness.told("anna")
    await harness.catch_up()
    assert harness.customer("anna").views == 2
    await harness.check_replay()


async def test_there_is_an_end_to_waiting(
    harness: Harness, release: OlderRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_back, "MOST_EVENTS", 3)
    release.unreadable = {"anna"}
    await restart(harness)
    offsets = [await harness.told("anna") for _ in range(5)]
    await harness.told("bruno")
    await harness.catch_up()
    assert harness.customer("bruno").views == 2
    assert by_reason(await harness.letters())["held_back"] == offsets[3:]
    release.unreadable = set()
    assert (
        await resend(harness.log, lambda each: each.reason == "internal_error", lambda: SIGNER)
    ).resent == 1
    await harness.catch_up()
    assert harness.customer("anna").views == 4
    assert (
        await resend(harness.log, lambda each: each.reason == "held_back", lambda: SIGNER)
    ).resent == 2
    await harness.catch_up()
    assert harness.customer("anna").views == 6
    await harness.check_replay()


async def test_an_erasure_needs_no_reading(harness: Harness, release: OlderRelease) -> None:
    release.unreadable = {"anna"}
    await restart(harness)
    await harness.told("anna")
    await harness.told("anna", "customer.erasure_requested")
    await harness.catch_up()
    release.unreadable = set()
    assert harness.runtime.held_back() == 0
    kept = await harness.kept()
    assert [key for key, stored in kept.items() if b"anna" in stored] == []
    assert is_erased(kept[b"anna"])
    await harness.told("anna")
    await harness.catch_up()
    assert harness.customer("anna").views == 1


@pytest.mark.parametrize("prefixes", [(), (b"\x00waiting/",)], ids=["nothing", "the events"])
async def test_a_crash_while_it_is_applied_applies_it_once(
    harness: Harness, release: OlderRelease, prefixes: tuple[bytes, ...]
) -> None:
    """The customer's state is in the changelog, and that nobody waits any more is not; what has
    waited is removed already, or isn't."""
    release.unreadable = {"anna"}
    await restart(harness)
    await harness.told("anna")
    await harness.catch_up()
    release.unreadable = set()
    await resend(harness.log, lambda _: True, lambda: SIGNER)
    await harness.told("anna")
    kept = await harness.kept()
    await harness.catch_up()
    after = await harness.kept()
    assert harness.customer("anna").views == 3
    await harness.stop()

    again = await memory_house()
    again.clock.advance(harness.clock.now())
    for topic in ("customer-events", "workflows"):
        for record in await harness.read(topic):
            await again.log.append(topic, 0, [record[4:]])  # type: ignore[list-item]  # an OutRecord is a tuple
    removed = {key: stored for key, stored in after.items() if key.startswith(prefixes)}
    written_in_part = kept | {b"anna": after[b"anna"]} | (removed if prefixes else {})
    await again.log.append(
        "customers-changelog", 0, [_out(key, value) for key, value in written_in_part.items()]
    )
    await again.start()
    await again.catch_up()
    assert again.customer("anna").views == 3
    assert again.runtime.held_back() == 0
    assert head((await again.kept())[b"anna"]) == head(after[b"anna"])
    await again.stop()
    await harness.start()


async def test_what_the_record_holds_already_is_not_applied_again(
    harness: Harness, release: OlderRelease
) -> None:
    """A worker was killed when it had written the customer, and not how far it had got; and the
    next one, of an older release, can't read what it finds."""
    kept = await harness.kept()
    await harness.told("anna")
    await harness.catch_up()
    ahead = (await harness.kept())[b"anna"]
    weight = harness.customer("anna").weight
    again = await memory_house()
    again.clock.advance(harness.clock.now())
    for topic in ("customer-events", "workflows"):
        for record in await harness.read(topic):
            await again.log.append(topic, 0, [record[4:]])  # type: ignore[list-item]  # an OutRecord is a tuple
    written_in_part = [_out(key, value) for key, value in (kept | {b"anna": ahead}).items()]
    await again.log.append("customers-changelog", 0, written_in_part)
    release.unreadable = {"anna"}
    await again.start()
    await again.catch_up()
    assert again.runtime.held_back() == 1
    release.unreadable = set()
    await try_again(again.log, "anna", SIGNER, afresh=False)
    await again.catch_up()
    assert again.runtime.held_back() == 0
    assert again.customer("anna").views == 2
    assert again.customer("anna").weight == weight
    await again.stop()


def _out(key: bytes, value: bytes) -> Any:
    from schemas.records import OutRecord  # noqa: PLC0415  # needed here only

    return OutRecord(key, value)
