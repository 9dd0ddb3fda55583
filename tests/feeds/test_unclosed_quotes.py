"""Tables in which a quote isn't closed: the line with it can't be read, those behind it can."""

from __future__ import annotations

import gzip
from io import BytesIO
from pathlib import Path

import pytest

from streams.feeds import delimited as delimited_file
from streams.feeds.delimited import (
    FIELD_BYTES,
    NOT_CLOSED,
    READ_AGAIN,
    DelimitedRow,
    TableError,
    delimited,
)
from tests.feeds.reading import read
from tests.tools.cli.conftest import Ritorno, ritorno

__all__ = ["Ritorno", "ritorno"]

HEAD = "sku,name,price"
PRODUCTS = [HEAD, *(f'P{number},"Moka {number}",{number}.90' for number in range(1, 20))]


def rows(*lines: str, encoding: str = "utf-8") -> list[DelimitedRow]:
    content = ("\n".join(lines) + "\n").encode(encoding)
    return list(delimited(BytesIO(content)).rows)


def shown(read_rows: list[DelimitedRow]) -> list[tuple[int, str]]:
    """Return line and first field, which a question mark follows where it can't be read."""
    return [(row.number, row.fields[0] + ("?" if row.problem else "")) for row in read_rows]


@pytest.mark.parametrize(
    "behind",
    [
        ['b,"Moka",2', "c,Moka,3"],  # closed where the next one begins
        ["b,Moka,2", 'c,"Moka",3'],  # two rows below
        ['b,Moka",2', "c,Moka,3"],  # by RFC 4180 it is one row, as wide as the header
        ["b,Moka,2", 'c,Moka",3'],
        ['b,"",2', 'c,"Moka",3'],  # what is empty looks like a quote within quotes
        ['b,Moka" 7,2', 'c,"Moka",3'],
        ["b,Moka,2", "c,Moka,3"],  # never
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_quote_that_is_not_closed_costs_its_line(behind: list[str], encoding: str) -> None:
    found = rows(HEAD, 'a,"Caffè,1', *behind, encoding=encoding)
    assert shown(found) == [(2, "a?"), (3, "b"), (4, "c")]
    assert found[0].problem == NOT_CLOSED
    assert found[0].fields[1] == "Caffè"
    assert found[0].raw.decode(encoding.replace("16", "16-le")) == 'a,"Caffè,1'


def test_a_field_takes_no_more_than_it_may() -> None:
    found = rows(HEAD, 'a,"Caffè,1', *["b,Moka,2"] * (FIELD_BYTES // 8))
    assert [row.fields[0] for row in found if row.problem] == ["a"]
    assert found[-1].number == len(found) + 1 == FIELD_BYTES // 8 + 2


@pytest.mark.parametrize(
    "lines",
    [
        ['a,"Una moka.\nDa tre tazze, lucida, bella.",1'],
        ['a,"Via Roma 1,\n20121 Milano",1'],
        ['a,"Bella, rossa\nper tre, sei, nove",1'],
        ['"a","Uno ""bello""\n\n\ndue",1'],
        ['a,"Uno\ndue",1', 'b,"Tre\nquattro",2'],
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quoted_line_breaks_are_part_of_the_field(lines: list[str], end: str) -> None:
    found = rows(HEAD, *(line.replace("\n", end) for line in lines))
    assert not any(row.problem for row in found)
    assert len(found) == len(lines)
    assert found[0].fields[1].count(end) == lines[0].count("\n")


def test_quotes_within_a_line_are_read_as_ever() -> None:
    found = rows(HEAD, 'a,TV 32",1', 'b,"TV 32"" nero",2', 'c,"TV 32" nero,3')
    assert shown(found) == [(2, "a"), (3, "b"), (4, "c")]


def test_a_header_says_that_its_quote_is_not_closed() -> None:
    with pytest.raises(TableError, match="line 1: a column's name opens a quote"):
        rows('sku,"name,price', "a,b,1")


def test_what_is_read_once_more_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these lines closes a quote and opens another one: a row without end at each."""
    lines = ['x","y'] * 10_000
    most, size, taken = 20_000, sum(map(len, lines)), 0
    monkeypatch.setattr(delimited_file, "LINE_CHARACTERS", most)
    next_line = delimited_file._Lines.__next__

    def counted(self: delimited_file._Lines) -> str:
        nonlocal taken
        line = next_line(self)
        taken += len(line)
        return line

    monkeypatch.setattr(delimited_file._Lines, "__next__", counted)
    found = rows(HEAD, *lines)
    assert {row.problem for row in found} == {NOT_CLOSED}
    assert [row.number for row in found] == list(range(2, len(lines) + 2))
    assert taken <= READ_AGAIN * (size + most) + 3 * size


@pytest.mark.parametrize(
    ("closing", "is_packed"), [('P9,Moka 9",9.90', False), ('P9,"Moka 9",9.90', True)]
)
def test_a_whole_feed_leaves_nothing_out_behind_an_unclosed_quote(
    ritorno: Ritorno, tmp_path: Path, closing: str, is_packed: bool
) -> None:
    lines = [*PRODUCTS]
    lines[8], lines[9] = 'P8,"Moka 8,8.90', closing
    del lines[15]  # really gone, but who knows

    def publish(content: list[str]) -> tuple[int, str]:
        whole = "\n".join(content).encode()
        (tmp_path / "feed").write_bytes(gzip.compress(whole) if is_packed else whole)
        done = ritorno("products", "publish", "feed", "--whole")
        return done.code, done.out + done.err

    ritorno("topics", "create")
    assert publish(PRODUCTS)[0] == 0
    code, said = publish(lines)
    assert code == 1
    assert "line 9, P8 (Moka 8): not CSV: a quote is opened and not closed" in said
    assert "What the feed leaves out stays as it was" in said
    assert "0 gone" in said
    listed = ritorno("products", "list", "--json").json
    assert not [each["sku"] for each in listed if each["availability"] != "in_stock"]


@pytest.mark.parametrize(("what", "is_packed"), [("orders", False), ("customers", True)])
def test_an_import_loses_the_line_and_says_so(
    ritorno: Ritorno, tmp_path: Path, what: str, is_packed: bool
) -> None:
    lines = [
        "order_id,email,time,total,currency",
        *(f"o{number},a{number}@b.it,2026-01-02 10:00:00,10.00,EUR" for number in range(300)),
    ]
    lines[2] = 'o1,"a1@b.it,2026-01-02 10:00:00,10.00,EUR'
    content = ("\n".join(lines) + "\n").encode()
    (tmp_path / "file").write_bytes(gzip.compress(content) if is_packed else content)
    done = ritorno("import", "file", "--what", what, "--out", "out.ndjson", "--json")
    assert done.code == 1
    assert "1 line could not be used: in out.dead.ndjson" in done.err
    report = done.json[0]
    assert (report["lines"], report["applied"], report["dead_lettered"]) == (300, 299, 1)
    assert report["examples"] == [{"line": 3, "reason": "bad_csv", "detail": NOT_CLOSED}]


def test_woocommerces_table_is_read_twice_and_tells_once() -> None:
    feed = (
        "ID,Type,SKU,Name,Regular price\n"
        '1,simple,A,"Moka,5\n2,simple,B,"Tazza",6\n3,simple,C,"Piatto\nfondo",7\n'
    )
    found, reading = read(feed)
    assert [row.sku for row in found] == ["B", "C"]
    assert [each.told() for each in reading.examples] == [
        f"line 2, A (Moka): not CSV: {NOT_CLOSED}"
    ]
    assert (reading.kind, reading.refused, reading.is_complete) == ("woocommerce", 1, False)
