"""What was odd of events is counted where they are applied, once."""

from __future__ import annotations

import json
from collections import Counter

from schemas.records import OutRecord
from tests.harness import Harness

ODD = b'[["products.7.price","\'x\'","unreadable",false],["total","\'1,0\'","format",true]]'


def tell(harness: Harness, id_: str, key: str = "anna", **headers: str) -> None:
    known = {"ce_id": id_, "ce_source": "/shop", "ce_type": "page.viewed", **headers}
    raw = (*((name, value.encode()) for name, value in known.items()), ("ritorno_odd", ODD))
    harness.append(OutRecord(key.encode(), json.dumps({"path": "/"}).encode(), raw))


def counted(harness: Harness) -> Counter[tuple[str, str, str]]:
    return sum((counts.odd for counts in harness.counts), Counter[tuple[str, str, str]]())


def test_each_event_counts_once_and_by_field() -> None:
    harness = Harness()
    tell(harness, "1")
    tell(harness, "2")
    tell(harness, "2")
    assert counted(harness) == {
        ("page.viewed", "products.price", "unreadable"): 2,
        ("page.viewed", "total", "format"): 2,
    }


def test_what_a_visitor_passes_on_counts_once() -> None:
    harness = Harness()
    harness.tell("page.viewed", "v")
    harness.tell("customer.identified", "anna", visitor="v", named=True)
    assert harness.customer("v").became == "anna"
    views = harness.customer("anna").views
    tell(harness, "1", key="v", ce_anonymousid="v")
    assert harness.customer("anna").views == views + 1
    assert sum(counted(harness).values()) == 2
