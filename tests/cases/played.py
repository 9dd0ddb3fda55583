"""Small inputs that go wrong in real shops, played by the replay with the shipped workflows.

Each directory here holds the input of one; what relays reply (17) has a worker of its own, in
`tests/mail/bounces/test_relay_words.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agents.definitions.published import Definitions
from schemas.customer import Customer, decode_customer
from schemas.instant import parse_instant
from schemas.reference import of_visitor
from streams.runtime.definitions import read_files
from streams.tools.replay import prepared, replay_file

CASES = Path(__file__).parent
WORKFLOWS = CASES.parents[1] / "workflows"
UNTIL = parse_instant("2026-06-30T00:00:00Z")
"""After the last step of what begins in March, and the birthday of June."""


class Mail(NamedTuple):
    """A commanded mail."""

    time: str
    customer: str
    email: str
    step: str


class Played:
    """What came of a case."""

    def __init__(self, lines: Iterable[bytes], recipes: frozenset[str]) -> None:
        definitions, live = _prepared(recipes)
        outcome = replay_file(lines, until=UNTIL, definitions=definitions, live=live)
        self.refusals = outcome.refusals
        self.odd = {
            (where, kind.field, value)
            for kind, examples in outcome.odd_examples.items()
            for where, value in examples
        }
        self.customers = {
            key: decode_customer(key, stored) for key, stored in outcome.customers.items()
        }
        commands = [json.loads(line) for *_, line in sorted(outcome.commands)]
        self.mails = [Mail(c["time"], c["customer"], c["email"], c["step"]) for c in commands]
        self.decisions: list[dict[str, Any]] = [
            json.loads(line) for *_, line in sorted(outcome.decisions)
        ]

    def steps(self, customer: str = "") -> list[str]:
        """Return which mails went to a customer, or to all, in order."""
        return [each.step for each in self.mails if customer in ("", each.customer)]

    def visitor(self, id_: str) -> Customer:
        """Return a visitor's record."""
        return self.customers[of_visitor(id_)]

    def kept(self, customer: str) -> Decimal:
        """Return what a customer has spent in euros and not got back."""
        numbers = self.customers[customer].statistics
        return numbers.spent.get("EUR", Decimal(0)) - numbers.refunded.get("EUR", Decimal(0))


@cache
def _prepared(recipes: frozenset[str]) -> tuple[Definitions, dict[str, str]]:
    files = read_files(WORKFLOWS)
    if recipes:
        on_the_shelf = read_files(WORKFLOWS, everything=True)
        files = {**files, **{name: on_the_shelf[name] for name in recipes}}
    return prepared(files)


@cache
def played(case: str, *recipes: str, file: str = "events.ndjson") -> Played:
    """Play the input of a case; `recipes` are live besides what is enabled."""
    return Played(lines_of(case, file), frozenset(recipes))


def lines_of(case: str, file: str = "events.ndjson") -> list[bytes]:
    """Return the events of a case."""
    return (CASES / case / file).read_bytes().splitlines()


def not_yet(why: str) -> pytest.MarkDecorator:
    """Mark a right value that the machine does not have: `why` says what it lacks. It fails as soon
    as it holds, so that the mark goes with the fault."""
    return pytest.mark.xfail(strict=True, reason=why)
