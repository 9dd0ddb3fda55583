"""`ritorno mappings`: the page's example passes, and what is wrong is told with its place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from streams.connect.mappings.examples import try_examples
from streams.connect.mappings.mapping_file import read_file, read_mappings
from streams.operate.check import CheckStatus
from streams.operate.mapping_checks import check_mappings
from streams.settings import Settings
from streams.settings.operator_file import OperatorFileError
from streams.tools.cli import run_arguments
from tests.mappings.ordini import ROOT

PAGE = (ROOT / "docs" / "mappings.md").read_text(encoding="utf-8")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The example of the page, as a file."""
    path = tmp_path / "mappings.yaml"
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example
    path.write_text(example[1])
    return path


def changed(file: Path, *changes: tuple[str, str]) -> Path:
    text = file.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    file.write_text(text)
    return file


def told(file: Path) -> list[str]:
    with pytest.raises(OperatorFileError) as caught:
        read_file(file)
    return str(caught.value).splitlines()


def test_the_pages_example_passes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_arguments(["mappings", "test", str(file)]) == 0
    printed = capsys.readouterr().out
    assert printed in PAGE


def test_an_example_that_fails_says_what_came_instead(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(file, ('total: "52.00"', 'total: "53.00"'), ("expect: dropped", "refused: prova"))
    assert run_arguments(["mappings", "test", str(file), "--json"]) == 1
    first, second, _ = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first["problems"] == ["expect.0.properties.total: expected '53.00', but it is '52.00'"]
    assert re.fullmatch(r".*mappings\.yaml:\d+", first["location"])
    assert second["problems"] == ["refused: expected 'prova', but it was taken"]


EVENT = "mappings.0.events.0"


@pytest.mark.parametrize(
    ("before", "after", "told_at", "problem"),
    [
        ("type: order.completed", "type: order.complete", f"12: {EVENT}.type",
         "no such type: order.complete; did you mean order.completed?"),
        ("          total:", "          totale:", f"18: {EVENT}.properties.totale",
         "no such property: totale; did you mean total?"),
        ("topic: ordini", "topik: ordini", "3: mappings.0.topik",
         "no such field; did you mean topic?"),
        ("value.prova", "valeu.prova", "10: mappings.0.drop.0",
         "no such name: valeu; did you mean value?"),
        ("value.stato ==", "value.stato =", f"13: {EVENT}.when",
         "= at character 13: CEL writes =="),
        ("    topic: ordini", "    format: avro\n    topic: ordini", "3: mappings.0.format",
         "avro needs a registry"),
        ("product_id: item.sku", "prodotto: item.sku",
         f"25: {EVENT}.properties.products.fields.prodotto", "no such property: prodotto"),
        ("{constant: EUR}", "{constant: EUR, x: 1}", f"20: {EVENT}.properties.currency.x",
         "no such field"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_line_and_field(
    file: Path, before: str, after: str, told_at: str, problem: str
) -> None:
    found = told(changed(file, (before, after)))
    assert any(each.startswith(f"{file}:{told_at}: {problem}") for each in found), found


def test_all_that_is_wrong_is_told_at_once(file: Path) -> None:
    assert len(told(changed(file, ("value.prova", "prova"), ("value.totale", "totale")))) == 2


def test_two_mappings_that_are_wrong_together(file: Path) -> None:
    text = file.read_text()
    again = text.removeprefix("mappings:\n")
    file.write_text(text + again)
    found = told(file)
    assert any("mappings.1.name: one before it has the same" in each for each in found)
    assert any("is read by gestionale, too" in each for each in found) or len(found) == 1


@pytest.mark.parametrize("content", ["mappings: [", "a: &a [*a]", "mappings: 5", "- 5"])
def test_a_file_that_is_none_is_told_and_is_no_traceback(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mappings.yaml"
    path.write_text(content)
    assert told(path)


def test_what_is_set_decides_whether_it_can_be_used(file: Path, tmp_path: Path) -> None:
    changed(file, ("    broker: kafka://kafka.gestionale.example.it:9092\n", ""))
    embedded = Settings(mappings=file, data_dir=tmp_path)
    with pytest.raises(OperatorFileError, match=r"mappings\.0\.broker: missing"):
        read_mappings(embedded)
    ours = changed(file, ("topic: ordini", "topic: negozio.customer-events"))
    on_kafka = Settings(broker="kafka://127.0.0.1:9", topic_prefix="negozio.", mappings=ours)
    with pytest.raises(OperatorFileError, match="is Ritorno's own"):
        read_mappings(on_kafka)
    with pytest.raises(OperatorFileError, match="there is no file"):
        read_mappings(Settings(mappings=tmp_path / "none.yaml"))
    assert read_mappings(Settings(workflows_dir=tmp_path / "none")) is None


async def test_doctor_names_a_broken_mapping_and_a_broker_that_is_away(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.operate.mapping_checks.SECONDS", 0.1)
    changed(file, ("kafka.gestionale.example.it:9092", "127.0.0.1:9"))
    settings = Settings(mappings=file, data_dir=tmp_path)
    (check,) = await check_mappings(settings)
    assert check.status is CheckStatus.FAIL
    assert check.text.startswith("gestionale: Kafka at 127.0.0.1:9 does not answer")
    changed(file, ("type: order.completed", "type: order.complete"))
    (check,) = await check_mappings(settings)
    assert "did you mean order.completed?" in check.text
    assert await check_mappings(Settings(workflows_dir=tmp_path / "none")) == []


def test_what_is_shown(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_arguments(["mappings", "show", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "gestionale: ordini (json) on kafka://kafka.gestionale.example.it:9092" in printed
    assert "becomes order.completed, order.cancelled from gestionale:negozio.example.it" in printed
    assert "not begun yet" in printed


def test_examples_are_found_where_they_stand(file: Path) -> None:
    results = list(try_examples(read_file(file)))
    lines = file.read_text().splitlines()
    for result in results:
        number = int(result.location.rpartition(":")[2])
        assert lines[number - 1].strip() == f"- name: {result.name}"


def test_what_of_an_example_cant_be_read_is_told(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(file, ('data: "2026-03-02T10:15:00+01:00"', "data: domani"),
            ("            time: 2026-03-02T09:15:00Z\n", ""),
            ("totale: 52.0\n", "totale: 52.0\n            sconto: tanto\n"),
            ("          total: value.totale\n",
             "          total: value.totale\n          discount: value.sconto\n"))  # fmt: skip
    assert run_arguments(["mappings", "test", str(file), "--json"]) == 1
    first, *_ = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first["problems"] == [
        "an expression failed: time: no point in time (got 'domani'), so the record's own time "
        "counts",
        "expect.0.properties.discount: can't be read and is left out (got 'tanto')",
    ]


def test_examples_need_no_broker(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RITORNO_MAPPINGS", str(file))
    changed(file, ("    broker: kafka://kafka.gestionale.example.it:9092\n", ""))
    assert run_arguments(["mappings", "test"]) == 0
    changed(file, ("        expect:\n", "        expect: [] #\n"))
