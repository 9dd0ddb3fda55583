"""What a field's name may be made of is no reason to fail at an odd value of another one."""

from __future__ import annotations

import json

import pytest

from schemas.events import PAYLOADS
from schemas.field_kinds import field_kinds
from schemas.wire import parse_published


@pytest.mark.parametrize("type_", PAYLOADS)
def test_the_fields_of_each_type_are_known(type_: str) -> None:
    field_kinds(PAYLOADS[type_])


def test_an_odd_amount_of_a_refund_is_read() -> None:
    data = {"order_id": "1", "total": "1,00 €", "reason": []}
    body = {"specversion": "1.0", "id": "1", "source": "/s", "type": "order.refunded",
            "subject": "a", "data": data}  # fmt: skip
    event = parse_published(json.dumps(body))
    assert str(event.data.total) == "1.00"
