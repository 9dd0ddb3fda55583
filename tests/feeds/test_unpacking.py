"""Files that gzip has packed: read up to a limit, and up to where they are torn."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from streams.feeds import unpacking
from streams.feeds.delimited import TableError
from streams.feeds.source_rows import FeedError
from streams.feeds.unpacking import UnpackedTooLarge, keep, unpacked
from streams.tools.order_import.order_file import opened
from tests.feeds.reading import RSS, read
from tests.tools.cli.conftest import Ritorno, ritorno

__all__ = ["Ritorno", "ritorno"]

ROWS = "sku;name;price\n" + "".join(f"p{number};Moka {number};29,90\n" for number in range(9_000))
PACKED = gzip.compress(ROWS.encode())


def test_what_is_packed_is_read_again_and_again_up_to_the_limit() -> None:
    plain = unpacked(io.BytesIO(PACKED), len(ROWS))
    assert plain.readline() == b"sku;name;price\n"
    for _ in range(2):
        plain.seek(0)
        assert plain.read().decode() == ROWS
    short = unpacked(io.BytesIO(PACKED), len(ROWS) - 1)
    with pytest.raises(UnpackedTooLarge, match=f"more than {len(ROWS) - 1:,} bytes"):
        short.read()


def test_the_standard_input_is_kept_up_to_the_limit() -> None:
    into = io.BytesIO()
    keep(io.BytesIO(b"abc"), into, 3)
    assert into.read() == b"abc"
    with pytest.raises(UnpackedTooLarge):
        keep(io.BytesIO(b"abcd"), io.BytesIO(), 3)


@pytest.mark.parametrize("form", ["csv", "xml", "ndjson"])
def test_a_feed_beyond_the_limit_is_refused(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_CHUNK", 4_096)
    item = RSS[RSS.index("<item>") : RSS.index("</channel>")]
    content = {
        "csv": ROWS,
        "xml": RSS.replace("</channel>", item * 200 + "</channel>"),
        "ndjson": '{"sku": "a", "name": "Moka", "price": "1"}\n' * 3_000,
    }[form].encode()
    rows, reading = read(gzip.compress(content), most_bytes=len(content))
    assert (reading.broken, bool(rows)) == ("", True)
    with pytest.raises(FeedError, match=f"more than {len(content) - 1:,} bytes"):
        read(gzip.compress(content), most_bytes=len(content) - 1)


def _packed(form: str) -> bytes:
    item = RSS[RSS.index("<item>") : RSS.index("</channel>")]
    content = {
        "xml": RSS.replace("</channel>", item * 200 + "</channel>"),
        "csv": ROWS,
        "json": json.dumps([{"sku": "a", "name": "Moka", "price": "1"}] * 900),
        "ndjson": '{"sku": "a", "name": "Moka", "price": "1"}\n' * 3_000,
    }[form]
    return gzip.compress(content.encode(), 0)


@pytest.mark.parametrize("form", ["xml", "csv", "json", "ndjson"])
def test_a_torn_file_is_told(
    ritorno: Ritorno, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_CHUNK", 4_096)
    packed = _packed(form)
    said = "it ends in the middle of what gzip has packed"
    ritorno("topics", "create")
    for torn in (packed[:1], packed[:2], packed[:9], packed[:15], packed[:40], packed[:-20]):
        (tmp_path / "feed.gz").write_bytes(torn)
        done = ritorno("products", "publish", "feed.gz")
        has_begun = torn == packed[:-20] and form in ("xml", "ndjson")
        assert done.code == (1 if has_begun else 2), done.err
        assert said in done.err or torn == packed[:1]
    (tmp_path / "feed.gz").write_bytes(packed + b"what is this")
    done = ritorno("products", "publish", "feed.gz")
    assert done.code == (1 if form in ("xml", "ndjson") else 2)
    assert "Not a gzipped file" in done.err


def test_a_torn_import_is_told(ritorno: Ritorno, tmp_path: Path) -> None:
    for torn in (PACKED[:2], PACKED[:40], PACKED[:-20]):
        (tmp_path / "orders.csv.gz").write_bytes(torn)
        done = ritorno("import", "orders.csv.gz", "--dry-run")
        assert done.code == 2
        assert "orders.csv.gz: it ends in the middle of what gzip has packed" in done.err


def test_an_import_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv.gz"
    path.write_bytes(PACKED)
    for most, is_read in ((len(ROWS), True), (len(ROWS) - 1, False)):
        try:
            with opened(path, encoding="", delimiter=None, most_bytes=most) as file:
                assert len(list(file.rows)) == 9_000
        except TableError as error:
            assert not is_read
            assert f"{path}: it holds more than {most:,} bytes" in str(error)
        else:
            assert is_read
