"""A file that is published a second time changes nothing, however much of it is one customer's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tools.cli.conftest import Ritorno, ritorno

__all__ = ["ritorno"]


def lines() -> list[dict[str, Any]]:
    def track(event: str, id_: str, who: str, **properties: Any) -> dict[str, Any]:
        return {"type": "track", "event": event, "messageId": id_, "userId": who,
                "timestamp": "2026-03-02T10:00:00Z", "properties": properties}  # fmt: skip

    told = []
    for number in range(300):
        kind = number % 10
        if kind == 0:
            told.append(track("Product Added", f"e{number}", "anna", product_id=f"p{kind}",
                              price="3.00", quantity=2))  # fmt: skip
        elif kind == 1:
            told.append(track("Order Completed", f"e{number}", "anna", order_id=f"o{number}",
                              total="6.00", products=[{"product_id": "p0"}]))  # fmt: skip
        else:
            told.append(track("Product Viewed", f"e{number}", "anna", product_id=f"p{kind}"))
    told += [track("Product Viewed", f"b{number}", "bruno", product_id="p") for number in range(80)]
    told.append(track("Product Added", "e-last", "anna", product_id="p1", price="3", quantity=1))
    return told


def customers(ritorno: Ritorno) -> list[dict[str, Any]]:
    done = ritorno("replay", "customer-events", "--until", "2099-01-01", "--out", "out")
    assert done.code == 0, done.err
    found = [json.loads(line) for line in Path("out/customers.ndjson").read_text().splitlines()]
    return [{name: each[name] for name in each if name != "applied"} for each in found]


def test_300_events_published_twice_count_once(ritorno: Ritorno, tmp_path: Path) -> None:
    content = "".join(json.dumps(line) + "\n" for line in lines())
    (tmp_path / "events.ndjson").write_text(content)
    assert ritorno("publish", "events.ndjson").code == 0
    once = customers(ritorno)
    anna = next(each for each in once if each["key"] == "anna")
    assert (anna["views"], anna["statistics"]["count"]) == (240, 30)
    assert [(line["product_id"], line["quantity"]) for line in anna["cart"]["lines"]] == [("p1", 1)]
    for _ in range(2):
        assert ritorno("publish", "events.ndjson").code == 0
        assert customers(ritorno) == once
    found = ritorno("replay", "customer-events", "--until", "2099-01-01", "--out", "o", "--json")
    assert found.json[0]["events"] == 3 * len(lines())
