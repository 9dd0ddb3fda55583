"""What our actors and our mailer say has on the wire all that its published contract has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from schemas.events import INTERNAL_TYPES, PAYLOADS, Event
from schemas.outcomes import MAILER, OUTCOMES
from schemas.wire import to_record
from tests.examples import examples
from tests.harness import DAY, HOUR, MINUTE, Harness

OWN = sorted(INTERNAL_TYPES | set(OUTCOMES))


def least(model: type[BaseModel], **given_: Any) -> BaseModel | None:
    """Return a message of which nothing is said but what must be; None where that takes more."""
    needed = {
        name: given_.get(name, "1") for name, each in model.model_fields.items()
        if each.is_required()
    }  # fmt: skip
    try:
        return model.model_validate(needed)
    except ValidationError:
        return None


def said(type_: str, data: BaseModel, source: str = MAILER) -> Event:
    return Event(
        id="1", type=type_, source=source, time=0, customer="anna", anonymous_id=None,
        backfill=False, data=data,
    )  # fmt: skip


def test_all_that_can_be_made_of_little_is_whole() -> None:
    made = 0
    for type_ in OWN:
        data = least(PAYLOADS[type_], time="2026-03-02T10:00:00Z", kind="hard", workflow="w")
        if data is not None:
            check_written(said(type_, data))
            made += 1
    assert made >= len(OWN) // 2


def check_written(event: Event) -> None:
    written = json.loads(to_record(event).value or b"")
    dumped = event.data.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert written == dumped


def test_what_a_life_makes_actors_tell_is_whole() -> None:
    harness = Harness().tell("checkout.started", "v", email="anna@example.it", checkout_id="k")
    harness.tell("customer.created", "anna", email="anna@example.it", named=True)
    harness.at(MINUTE).tell("customer.identified", "v", customer_id="anna", anonymous_id="v")
    harness.at(HOUR).order("o1").at(20 * DAY)
    told = harness.told
    assert {each.type for each in told} >= {"visitor.merged", "link.registered"}
    for each in told:
        check_written(each)


@examples(50)
@given(st.dictionaries(st.sampled_from(["quantity", "variant", "price"]), st.integers(1, 9)))
def test_what_a_shop_has_not_said_stays_unsaid(data: dict[str, int]) -> None:
    model = PAYLOADS["cart.product_removed"]
    given_ = {"product_id": "moka", **{name: str(value) for name, value in data.items()}}
    written = json.loads(
        to_record(said("cart.product_removed", model.model_validate(given_), "shop")).value or b""
    )
    assert set(written) == set(given_)


@pytest.mark.parametrize("type_", sorted(OUTCOMES))
def test_another_mailers_outcome_is_passed_on_as_it_was_said(type_: str) -> None:
    data = least(PAYLOADS[type_], time="2026-03-02T10:00:00Z", kind="hard")
    if data is None:
        pytest.skip("it takes more to say this")
    written = json.loads(to_record(said(type_, data, "/provider")).value or b"")
    assert set(written) <= {each.alias or name for name, each in type(data).model_fields.items()
                            if name in data.model_fields_set}  # fmt: skip
