"""How much of what really comes back is understood, and how much of it rightly."""

from __future__ import annotations

import pytest

from agents.mail.bounces.reading import classify
from agents.mail.bounces.verdict import BounceVerdict
from schemas.events.fields import is_address
from tests.mail.bounces.real import MESSAGES, address_digest, chosen, names, sample

pytestmark = pytest.mark.data

WANTED = 0.85
"""Of the real messages, says the issue."""
REACHED = 0.98
"""What is reached, and not to be lost again unseen."""


@pytest.fixture(scope="module", autouse=True)
def _present() -> None:
    if not MESSAGES.is_dir():
        pytest.skip(f"there is no {MESSAGES}; RITORNO_DATA_SETS names the directory of data sets")


@pytest.fixture(scope="module")
def verdicts() -> dict[str, BounceVerdict]:
    return {name: classify((MESSAGES / name).read_bytes()) for name in names()}


def test_the_sample_is_drawn_by_chance() -> None:
    assert sorted(sample()) == sorted(chosen(60))


def test_coverage(verdicts: dict[str, BounceVerdict]) -> None:
    understood = [verdict for verdict in verdicts.values() if verdict.first.kind != "unknown"]
    assert len(understood) / len(verdicts) >= REACHED > WANTED


def test_kinds_are_right(verdicts: dict[str, BounceVerdict]) -> None:
    wrong = {name: (label.kind, verdicts[name].first.kind)
             for name, label in sample().items()
             if verdicts[name].first.kind != label.kind}  # fmt: skip
    assert len(wrong) / 60 <= 1 - REACHED, wrong


def test_nobody_is_suppressed_by_mistake(verdicts: dict[str, BounceVerdict]) -> None:
    hard = [name for name, label in sample().items()
            if verdicts[name].first.kind == "hard" and label.kind != "hard"]  # fmt: skip
    assert hard == []


def test_addresses_are_right(verdicts: dict[str, BounceVerdict]) -> None:
    wrong = [name for name, label in sample().items()
             if address_digest(name, verdicts[name].first.address) != label.address]  # fmt: skip
    assert len(wrong) / 60 <= 1 - REACHED, wrong


def test_every_address_is_one(verdicts: dict[str, BounceVerdict]) -> None:
    """Or is missing, where a complaint hides it."""
    found = {name: verdict.first.address for name, verdict in verdicts.items()}
    missing = [name for name, address in found.items() if not address]
    assert len(missing) / len(found) <= 1 - REACHED, missing
    assert all(is_address(address) for address in found.values() if address)
