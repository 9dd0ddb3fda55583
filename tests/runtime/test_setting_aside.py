"""What fails twice by a defect of ours is set aside: the partition goes on, an operator sees it and
can have it tried again, and a replay passes over the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agents.customer import actor
from agents.workflows import engine
from schemas.records import OutRecord
from streams.operate.dead_letters import resend
from tests.keys import SIGNER
from tests.runtime.harness import (
    CHEAPER,
    REMINDER,
    Harness,
    by_reason,
    embedded_house,
    memory_house,
)

Fails = Callable[[str], bool]
HOUR = 3600


@pytest.fixture(params=[pytest.param("memory", marks=pytest.mark.slow), "embedded"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    each = await (memory_house() if request.param == "memory" else embedded_house(tmp_path))
    await each.start()
    yield each
    await each.stop()
    await each.log.stop()


class Defect:
    """Functions of the actors that fail for some customers, until they are mended."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.failed = 0

    def in_handler(self, kind: str, fails: Fails) -> None:
        before = actor._HANDLERS[kind]
        self._patch.setitem(actor._HANDLERS, kind, self._failing(before, fails))  # type: ignore[arg-type]  # a Mapping for everybody else

    def in_function(self, place: Any, name: str, fails: Fails) -> None:
        self._patch.setattr(place, name, self._failing(getattr(place, name), fails))

    def mend(self) -> None:
        self._patch.undo()

    def _failing(self, before: Any, fails: Fails) -> Any:
        def fail(customer: Any, *rest: Any) -> Any:
            if fails(customer.key):
                self.failed += 1
                raise ZeroDivisionError("a defect that names anna@example.it")
            return before(customer, *rest)

        return fail


@pytest.fixture
def defect(monkeypatch: pytest.MonkeyPatch) -> Defect:
    return Defect(monkeypatch)


async def send_again(harness: Harness, reason: str = "internal_error") -> int:
    report = await resend(harness.log, lambda letter: letter.reason == reason, lambda: SIGNER)
    assert not report.kept
    return report.resent


async def test_an_event_is_refused_and_all_others_count(harness: Harness, defect: Defect) -> None:
    defect.in_handler("page.viewed", lambda key: key == "bruno")
    await harness.told("anna")
    bad = await harness.told("bruno")
    await harness.told("bruno", "product.viewed", product_id="moka")
    await harness.told("anna")
    await harness.catch_up()

    assert defect.failed == 2
    assert (harness.customer("anna").views, harness.customer("bruno").views) == (2, 1)
    assert by_reason(await harness.letters()) == {"internal_error": [bad]}
    ((letter),) = await harness.letters()
    assert "ZeroDivisionError" in letter.detail
    ((place),) = await harness.aside()
    assert (place["offset"], place["what"]) == (bad, "record")
    assert "example.it" not in str(place)  # the error's words may be a customer's
    assert harness.seen.aside == ["record"]
    defect.mend()
    await harness.check_replay()

    assert await send_again(harness) == 1
    await harness.catch_up()
    assert harness.customer("bruno").views == 2
    await harness.check_replay()


async def test_a_timer_is_given_up_and_goes_on_when_it_is_tried_again(
    harness: Harness, defect: Defect
) -> None:
    await harness.publish(REMINDER.replace("WAIT", "2h"))
    for name in ("anna", "bruno"):
        await harness.told(name, "product.viewed", product_id="moka")
    await harness.catch_up()
    defect.in_function(engine, "wake", lambda key: key == "bruno")
    await harness.pass_time(3 * HOUR)
    await harness.told("bruno")
    await harness.catch_up()
    assert "reminded" in harness.customer("anna").tags
    assert harness.customer("bruno").runs == []
    assert harness.customer("bruno").views == 2
    assert [each["what"] for each in await harness.aside()] == ["timer"]
    defect.mend()
    await harness.check_replay()

    assert await send_again(harness) == 1
    await harness.catch_up()
    await harness.pass_time(1)
    await harness.catch_up()
    assert "reminded" in harness.customer("bruno").tags
    await harness.check_replay()


async def test_who_cannot_be_told_of_a_price_learns_of_it_later(
    harness: Harness, defect: Defect
) -> None:
    await harness.publish(CHEAPER)
    await harness.feed("30.00")
    for name in ("anna", "bruno"):
        await harness.told(name, "cart.product_added", product_id="moka", price="30.00")
    await harness.catch_up()
    defect.in_function(actor, "products_changed", lambda key: key == "anna")
    await harness.feed("10.00")
    await harness.told("anna")
    await harness.catch_up()
    assert "cheaper" in harness.customer("bruno").tags
    assert "cheaper" not in harness.customer("anna").tags
    assert harness.customer("anna").views == 1
    assert [each["what"] for each in await harness.aside()] == ["told"]
    defect.mend()
    await harness.check_replay()

    assert await send_again(harness) == 1
    await harness.catch_up()
    assert "cheaper" in harness.customer("anna").tags
    await harness.check_replay()


async def test_who_cannot_follow_a_workflow_follows_it_later(
    harness: Harness, defect: Defect
) -> None:
    await harness.publish(REMINDER.replace("WAIT", "9d"))
    for name in ("anna", "bruno"):
        await harness.told(name, "product.viewed", product_id="moka")
    await harness.catch_up()
    defect.in_function(actor, "follow", lambda key: key == "anna")
    await harness.publish(REMINDER.replace("WAIT", "2h"))
    await harness.catch_up()
    versions = {name: harness.customer(name).runs[0].version for name in ("anna", "bruno")}
    assert versions["anna"] != versions["bruno"]
    defect.mend()
    await harness.check_replay()

    assert await send_again(harness) == 1
    await harness.catch_up()
    assert harness.customer("anna").runs[0].version == versions["bruno"]
    await harness.check_replay()


async def test_a_control_record_is_refused(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agents.products.catalogue import Catalogue  # noqa: PLC0415  # what fails in this test only

    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Catalogue, "update", fail)
    await harness.feed("30.00")
    await harness.told("anna")
    await harness.catch_up()
    assert harness.customer("anna").views == 1
    assert by_reason(await harness.letters()) == {"internal_error": [0]}
    monkeypatch.undo()
    await harness.check_replay()


async def test_a_state_that_is_no_bytes_costs_the_record_that_led_to_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(customer: Any, event: Any, context: Any) -> Any:
        if event.id == "e2":
            customer.views = 2**70  # which msgpack doesn't know
        else:
            customer.views += 1
        return []

    monkeypatch.setitem(actor._HANDLERS, "page.viewed", spoil)  # type: ignore[arg-type]  # a Mapping for everybody else
    for _ in range(4):
        await harness.told("anna")
    await harness.catch_up()
    assert harness.customer("anna").views == 3
    assert by_reason(await harness.letters()) == {"internal_error": [1]}
    monkeypatch.undo()
    await harness.check_replay()


async def test_an_effect_that_is_no_record_costs_the_record_that_led_to_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agents.effects import Effect  # noqa: PLC0415  # what fails in this test only

    def decide(customer: Any, event: Any, context: Any) -> Any:
        customer.views += 1
        content = None if event.id == "e2" else OutRecord(b"k", b"v")
        context.effects.append(Effect("customer-signals", b"k", content))
        return []

    monkeypatch.setitem(actor._HANDLERS, "page.viewed", decide)  # type: ignore[arg-type]  # as above
    for _ in range(4):
        await harness.told("anna")
    await harness.catch_up()
    assert harness.customer("anna").views == 3
    assert by_reason(await harness.letters()) == {"internal_error": [1]}


async def test_an_effect_that_the_log_does_not_take_costs_the_record_that_led_to_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agents.effects import Effect  # noqa: PLC0415  # what fails in this test only
    from tests.runtime.doubles import MemoryLog  # noqa: PLC0415  # as above

    if isinstance(harness.log, MemoryLog):
        pytest.skip("takes everything")

    def decide(customer: Any, event: Any, context: Any) -> Any:
        customer.views += 1
        value = b"v" * (3_000_000 if event.id == "e2" else 3)
        context.effects.append(Effect("customer-signals", b"k", OutRecord(b"k", value)))
        return []

    monkeypatch.setitem(actor._HANDLERS, "page.viewed", decide)  # type: ignore[arg-type]  # as above
    for _ in range(4):
        await harness.told("anna")
    await harness.catch_up()
    assert harness.customer("anna").views == 3
    assert by_reason(await harness.letters()) == {"internal_error": [1]}
