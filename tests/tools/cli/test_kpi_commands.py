"""Key figures on the command line, of facts that lie in the log."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from schemas.topics import FACTS
from streams.clock import SystemClock
from streams.runtime.logs.embedded import EmbeddedLog
from streams.topology import EMBEDDED_PARTITIONS, topics
from tests.insights.stated import outgoing
from tests.insights.test_key_figures import CART, WELCOME, shop
from tests.tools.cli.conftest import Ritorno


@pytest.fixture
def stated(ritorno: Ritorno, tmp_path: Path) -> Ritorno:
    async def fill() -> None:
        log = EmbeddedLog(tmp_path / "data" / "log", SystemClock())
        await log.start()
        try:
            await log.create_topics(topics(EMBEDDED_PARTITIONS))
            await log.append(FACTS, 0, outgoing(shop()))
        finally:
            await log.stop()

    asyncio.run(fill())
    return ritorno


FIELDS = {
    "kpi", "value", "unit", "numerator", "denominator", "of", "from", "to", "by", "key", "period",
    "low", "high", "window_days", "partial", "basis", "fresh", "zone", "amounts", "behind",
}  # fmt: skip


def test_figures_for_a_program_for_a_person_and_for_a_spreadsheet(stated: Ritorno) -> None:
    done = stated("kpi", "--from", "2026-03-01", "--to", "2026-03-31", "--json")
    assert done.code == 0, done.err
    assert {frozenset(each) for each in done.json} == {frozenset(FIELDS)}
    [aov] = [each for each in done.json if each["kpi"] == "aov"]
    assert (aov["value"], aov["unit"], aov["from"]) == ("70.00", "EUR", "2026-03-01")
    italian = stated("kpi", "--from", "2026-03-01", "--to", "2026-03-31").out
    assert "Valore medio dell’ordine" in italian
    assert "70,00 €" in italian
    assert "Europe/Rome" in italian
    english = stated("kpi", "--lang", "en", "--by", "workflow").out
    assert "Cart recovery rate" in english
    assert "50.0 %" in english
    csv = stated("attribution", "--csv").out.splitlines()
    assert csv[0].startswith("kpi,value,unit,")
    assert any(WELCOME in line for line in csv)


def test_cohorts_funnel_roi_and_sql(stated: Ritorno, tmp_path: Path) -> None:
    assert stated("cohorts", "--json").json[0]["kpi"] == "cohort.customers"
    assert stated("funnel", WELCOME, "--json").json[0]["value"] == 4
    costs = tmp_path / "costs.csv"
    costs.write_text(f"month,what,workflow,amount\n2026-03,relay,{WELCOME},20.00\n")
    [first, _] = stated("roi", "--costs", str(costs), "--json").json
    assert (first["value"], first["key"]) == (400, WELCOME)
    assert stated("sql", "SELECT count(*) AS n FROM mails", "--json").json == [{"n": 13}]
    assert stated("sql", f"SELECT 1 AS a FROM visits WHERE workflow = '{CART}'", "--csv").out == (
        "a\r\n1\r\n1\r\n1\r\n"
    )
    assert stated("insights", "rebuild", "--json").json == [{"facts": len(shop())}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("month,amount\n", "costs.csv:1: expected the columns month, what, workflow, amount"),
        ("month,what,workflow,amount\n2026-03,x,y,many\n", "costs.csv:2: amount: expected"),
        ("month,what,workflow,amount\n2026-03,x\n", "costs.csv:2: expected month, what"),
        ("month,what,workflow,amount\nMarch,x,,5\n", ":2: month: expected 2026-03"),
        ("month,what,workflow,amount\n2026-03,x,,1e999999999\n", "costs.csv:2: amount"),
    ],
)
def test_a_costs_file_that_cannot_be_read_is_named(
    stated: Ritorno, tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "costs.csv").write_text(text)
    done = stated("roi", "--costs", "costs.csv")
    assert done.code == 2
    assert problem in done.err
    assert "Traceback" not in done.err


def test_the_calculator(ritorno: Ritorno) -> None:
    asked = ("carts", "calculator", "--visitors", "6000", "--cr", "2.4%", "--aov", "20")
    found = ritorno(*asked, "--abandoned", "79.25%", "--json").json
    assert float(found[0]["value"]) == pytest.approx(10_999.5, abs=0.05)
    assert [each["key"] for each in found] == ["month", "year", "month", "year"]
    shown = ritorno(*asked, "--abandoned", "0.75", "--recovery", "10%").out
    assert "8,640.00 a month" in shown
    assert "864.00 a month" in shown
    assert ritorno(*asked, "--abandoned", "100%").code == 2
    assert ritorno(*asked, "--abandoned", "most").code == 2


def test_what_is_asked_wrongly_is_a_mistake_of_the_user(stated: Ritorno) -> None:
    for given in (("kpi", "--by", "moon"), ("kpi", "--from", "soon"), ("sql", "DROP TABLE mails")):
        done = stated(*given)
        assert done.code == 2, given
        assert "Traceback" not in done.err
