"""What was mapped counts once for a customer, also when it is appended again by a process that was
thought dead, long after ids are forgotten: its place in the foreign topic is remembered."""

from __future__ import annotations

import pytest

from schemas.origin import Origin, foreign_partition
from schemas.records import OutRecord
from schemas.wire import to_record
from tests.harness import HOUR, Harness
from tests.mappings.ordini import compiled, record

VIEW = {
    "name": "viste", "topic": "ordini",
    "events": [{
        "type": "product.viewed", "customer": "value.c", "properties": {"product_id": "'x'"},
    }],
}  # fmt: skip
MONTH = 30 * 24 * HOUR


def mapped(offset: int, mapping: str = "viste") -> OutRecord:
    ((number, event),) = compiled(VIEW).map(record({"c": "anna"}, offset=offset)).events
    origin = Origin(foreign_partition(mapping, 2), 5, offset, number)
    return to_record(event._replace(origin=origin))


def heard(harness: Harness, out: OutRecord) -> bool:
    """Whether a record changes what is kept of the customer."""
    engagement = harness.customer().engagement.value
    harness.append(out)
    return harness.customer().engagement.value != engagement


def test_what_was_mapped_counts_once_however_late_it_comes_again() -> None:
    harness = Harness()
    assert heard(harness, mapped(7))
    assert heard(harness, mapped(8))
    harness.at(MONTH)
    assert not heard(harness, mapped(7))
    assert not heard(harness, mapped(8))
    assert heard(harness, mapped(9))


def test_without_its_place_it_would_count_again() -> None:
    harness = Harness()
    plain = [each for each in mapped(7).headers if each[0] != "ritorno_origin"]
    out = mapped(7)._replace(headers=plain)
    assert heard(harness, out)
    harness.at(MONTH)
    assert heard(harness, out)


def test_places_of_two_mappings_have_nothing_to_do_with_each_other() -> None:
    harness = Harness()
    assert heard(harness, mapped(9))
    assert heard(harness, mapped(3, "altre"))


@pytest.mark.parametrize("partition", [0, 1_023, 2**20 - 1])
def test_a_foreign_partition_is_none_of_ours(partition: int) -> None:
    number = foreign_partition("viste", partition)
    assert number >= 2**60
    assert number < 2**63
    assert number != foreign_partition("viste", partition ^ 1)
