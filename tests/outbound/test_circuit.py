"""When an endpoint is asked again, and when a message is given up."""

from __future__ import annotations

import pytest

from agents.outbound.circuit import JITTER, Circuit, meaning

NOW = 1_772_357_400_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, "delivered"), (204, "delivered"), (400, "refused"), (413, "refused"), (422, "refused"),
     (301, "failed"), (401, "failed"), (404, "failed"), (410, "failed"), (429, "failed"),
     (500, "failed"), (503, "failed")],
)  # fmt: skip
def test_only_what_is_about_the_message_refuses_it(status: int, expected: str) -> None:
    assert meaning(status) == expected


def gaps(circuit: Circuit, times: int) -> list[int]:
    found, now = [], NOW
    for _ in range(times):
        circuit.failed(now, name="w/1")
        found.append(circuit.until - now)
        now = circuit.until
    return found


def test_gaps_double_up_to_a_quarter_of_an_hour() -> None:
    found = gaps(Circuit(), 30)
    plain = [min(5_000 << n, 900_000) for n in range(20)] + [900_000] * 10
    assert all(abs(gap - each) <= each * JITTER for gap, each in zip(found, plain, strict=True))
    assert len(set(found[10:])) > 15  # no two endpoints come back together
    assert found == gaps(Circuit(), 30)


def test_failures_that_were_under_way_together_count_once() -> None:
    circuit = Circuit()
    for _ in range(8):
        circuit.failed(NOW, name="w")
    assert circuit.failures == 1


def test_a_retry_after_is_obeyed_for_an_hour() -> None:
    circuit = Circuit()
    circuit.failed(NOW, name="w", retry_after=120)
    assert circuit.until == NOW + 120_000
    circuit.succeeded()
    circuit.failed(NOW, name="w", retry_after=86_400)
    assert circuit.until == NOW + HOUR


def test_a_message_is_given_up_when_it_is_old_and_the_endpoint_was_asked() -> None:
    circuit = Circuit()
    gaps(circuit, 2)
    assert not circuit.gives_up(NOW - 48 * HOUR, NOW, 24 * HOUR)  # old, since we were away
    circuit.failed(circuit.until, name="w")
    assert circuit.gives_up(NOW - 48 * HOUR, NOW, 24 * HOUR)
    assert not circuit.gives_up(NOW - HOUR, NOW, 24 * HOUR)
    circuit.succeeded()
    assert not circuit.gives_up(NOW - 48 * HOUR, NOW, 24 * HOUR)
