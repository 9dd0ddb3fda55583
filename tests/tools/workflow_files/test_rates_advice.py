"""Lint says of which currency no rate is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.runtime.definition_files import read_directory
from streams.tools.workflow_files.advising import Mails, advice

LOYALTY = """id: loyalty
definition: loyalty
points_per_unit: "1"
currency: USD
tiers: [{name: silver, title: {it: Silver}, from: 100}]
"""
RATES = """id: rates
definition: rates
currency: EUR
rates: [{from: "2026-01-01", worth: {CODE: "0.9"}}]
"""


@pytest.mark.parametrize(("code", "warnings"), [("USD", 0), ("JPY", 1)])
def test_a_programme_in_a_currency_without_a_rate(code: str, warnings: int, tmp_path: Path) -> None:
    (tmp_path / "loyalty.yaml").write_text(LOYALTY)
    (tmp_path / "rates.yaml").write_text(RATES.replace("CODE", code))
    reading = read_directory(tmp_path)
    assert reading.findings == []
    found = [(each.line, each.problem) for each in advice(reading, Mails.of(tmp_path))]
    problem = "USD is not the shop's currency, EUR, and no rate of it is given"
    assert found == [(4, problem)] * warnings


def test_the_example_is_right_as_it_stands(tmp_path: Path) -> None:
    example = Path(__file__).parents[3] / "workflows" / "rates.yaml.example"
    (tmp_path / "rates.yaml").write_text(example.read_text())
    reading = read_directory(tmp_path)
    assert (reading.findings, [*reading.definitions]) == ([], ["rates"])
