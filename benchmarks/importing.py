"""What a million rows take: orders and customers into the embedded log, beside a tenth of them, and
a feed of 100 MB."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.results import Result, result
from benchmarks.say import Say

ROWS = 1_000_000
FEWER_ROWS = 100_000
"""Beside which is seen how memory grows."""
FEED_BYTES = 100 << 20


def measure(directory: Path, say: Say) -> list[Result]:
    """Import and publish as a person does, each in a process of its own."""
    found: list[Result] = []
    for name, lines in (("orders", _orders), ("customers", _customers)):
        for rows, label in ((FEWER_ROWS, "_100k"), (ROWS, "")):
            say(f"writing a file of {rows:,} rows of {name}")
            file = directory / f"{name}.csv"
            with file.open("w", encoding="utf-8") as stream:
                stream.writelines(lines(rows))
            say(f"importing {name}")
            seconds, memory = _run(directory / f"{name}{label}", "import", str(file))
            found += [
                result(f"import.{name}{label}", rows / seconds, "rows/s"),
                result(f"import.{name}{label}_memory", memory, "MB"),
            ]
            file.unlink()
            shutil.rmtree(directory / f"{name}{label}")
    say("writing a feed of 100 MB")
    feed = directory / "feed.xml"
    _write_feed(feed)
    say("publishing it, and again")
    first, memory = _run(directory / "feed", "products", "publish", str(feed))
    again, _ = _run(directory / "feed", "products", "publish", str(feed))
    return [
        *found,
        result("feed.first", first, "s"),
        result("feed.unchanged", again, "s"),
        result("feed.memory", memory, "MB"),
    ]


def _run(directory: Path, *arguments: str) -> tuple[float, float]:
    """Run a command on a log of its own; return its seconds and the most memory it took, in MB."""
    directory.mkdir(exist_ok=True)
    code = "import sys; from streams.tools.cli import main; sys.exit(main())"
    environment = {**os.environ, "RITORNO_DATA_DIR": str(directory), "RITORNO_LOG_LEVEL": "error"}
    ritorno = [sys.executable, "-c", code]
    subprocess.run([*ritorno, "topics", "create"], env=environment, check=True, capture_output=True)
    began = time.perf_counter()
    process = subprocess.Popen(
        [*ritorno, *arguments], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"ritorno {' '.join(arguments)} ended with {process.returncode}")
    return time.perf_counter() - began, used.ru_maxrss / 1024


def _orders(rows: int) -> Iterable[str]:
    """Two rows an order, as WooCommerce's plugin has them."""
    yield "Order ID;Order Status;Order Date;Customer User ID;Email (Billing);"
    yield "Order Total Amount;Product ID;SKU;Item Name;Quantity;Item Cost\n"
    for row in range(rows):
        order = row // 2
        person = order % 300_000
        yield (
            f"{order + 1};Completato;{order % 28 + 1:02}/03/2026 10:15;{person + 1};"
            f"cliente{person}@example.it;52,00;{row % 900};SKU-{row % 900};Moka 3 tazze;1;26,00\n"
        )


def _customers(rows: int) -> Iterable[str]:
    """Subscribers, as Mailchimp has them."""
    yield "Email Address,First Name,Last Name,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LEID\n"
    for row in range(rows):
        yield (
            f"cliente{row}@example.it,Anna,Verdi,2026-02-{row % 28 + 1:02} 09:00:00,203.0.113.7,"
            f"2026-02-{row % 28 + 1:02} 09:05:00,203.0.113.7,{row}\n"
        )


def _write_feed(feed: Path) -> None:
    said = "Descrizione del prodotto, con molte parole. " * 27
    with feed.open("w", encoding="utf-8") as stream:
        stream.write('<?xml version="1.0"?><rss version="2.0" '
                     'xmlns:g="http://base.google.com/ns/1.0"><channel>')  # fmt: skip
        number = 0
        while stream.tell() < FEED_BYTES:
            for _ in range(1_000):
                number += 1
                stream.write(
                    f"<item><g:id>P{number}</g:id><g:title>Prodotto {number}</g:title>"
                    f"<g:description>{said}</g:description>"
                    f"<g:link>https://negozio.example.it/p/{number}</g:link>"
                    f"<g:availability>in_stock</g:availability>"
                    f"<g:price>{number % 90 + 1}.90 EUR</g:price>"
                    f"<g:item_group_id>G{number // 4}</g:item_group_id>"
                    f"<g:product_type>Cucina &gt; Caffè</g:product_type></item>"
                )
        stream.write("</channel></rss>")
