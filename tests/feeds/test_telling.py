"""What partitions are told of rows that are one product."""

from __future__ import annotations

import json
from typing import Any

from schemas.products import Product
from streams.runtime.product_feed import publish, read, told_of
from streams.topology import CUSTOMER_EVENTS
from tests.keys import SIGNER
from tests.runtime.doubles import MemoryLog, memory_log


def row(size: str, price: str, **fields: Any) -> Product:
    said = {"sku": f"maglia-{size}", "product_id": "maglia", "name": f"Maglia - {size}"}
    return Product.model_validate({**said, "price": price, **fields})


def told(log: MemoryLog) -> list[dict[str, Any]]:
    """Return the products that one partition was told of, the latest record alone."""
    records = [each for each in log.records(CUSTOMER_EVENTS) if each.partition == 0]
    products: list[dict[str, Any]] = json.loads(records[-1].value or b"")["products"]
    return products


async def test_sizes_are_told_as_one_product_and_kept_as_rows() -> None:
    log = await memory_log()
    await publish(log, [row("S", "30.00", stock=1), row("M", "32.00", stock=2)], SIGNER)
    [maglia] = told(log)
    assert (maglia["sku"], maglia["name"], maglia["price"], maglia["stock"]) == (
        "maglia", "Maglia", "30.00", 3,
    )  # fmt: skip
    assert (await read(log)).keys() == {"maglia-S", "maglia-M"}


async def test_news_of_one_size_leaves_the_others_what_they_were() -> None:
    log = await memory_log()
    await publish(log, [row("S", "30.00", stock=1), row("M", "32.00", stock=2)], SIGNER)
    published = await publish(log, [row("S", "30.00", stock=0)], SIGNER)
    [maglia] = told(log)
    assert published.changed == 1
    assert (maglia["price"], maglia["stock"]) == ("32.00", 2)
    await publish(log, [row("M", "32.00", stock=0)], SIGNER)
    assert told(log)[0]["availability"] == "out_of_stock"


async def test_a_product_that_has_no_row_any_more_cannot_be_bought() -> None:
    log = await memory_log()
    await publish(log, [row("S", "30.00", product_id="maglia-S")], SIGNER)
    await publish(log, [row("S", "30.00")], SIGNER)
    before, after = sorted(told(log), key=lambda each: each.get("availability", ""), reverse=True)
    assert (before["product_id"], before["availability"]) == ("maglia-S", "out_of_stock")
    assert after["product_id"] == "maglia"
    assert "availability" not in after


async def test_what_is_sent_again_is_the_product_as_it_is_now() -> None:
    log = await memory_log()
    await publish(log, [row("S", "30.00"), row("M", "20.00"), row("L", "25.00")], SIGNER)
    [again] = told_of(await read(log), {"maglia"})
    assert str(again.price) == "20.00"


async def test_partitions_hear_nothing_of_feeds() -> None:
    log = await memory_log()
    await publish(log, [row("S", "30.00", feed="negozio")], SIGNER)
    assert "feed" not in told(log)[0]
    assert (await read(log))["maglia-S"].feed is None  # who publishes without a name has none
