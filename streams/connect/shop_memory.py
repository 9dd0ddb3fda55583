"""What polls have to know of those before them: who was subscribed, which orders waited.

Magento says of a customer yes or no and never since when, a plugin of WooCommerce's likewise, and
PrestaShop not since when it is a no. So a change is told by the poll that sees it first, and who
says something else to us afterwards stays with that when the shop's account is changed in another
way. Shopify and Magento don't say when an order was paid for: one that waited and is paid is paid
for now, however long ago it was placed.

This is noted behind what is durable in the log. When it is lost, a subscription counts from when
the account was made, PrestaShop's no is told once more, another that was said meanwhile is not
heard of until the next yes, and an old order that is paid for then is history.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schemas.failures import Failure

LARGEST_ID = 2**63 - 1
"""That SQLite keeps; no shop has one above it."""
AT_ONCE = 500
"""Ids in one question; SQLite takes 999."""
WAITING_KEPT = 20_000
"""Orders of a shop's that wait to be paid for; of more, those that were noted first are forgotten.
"""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS customers (id INTEGER PRIMARY KEY, subscribed INTEGER)",
    "CREATE TABLE IF NOT EXISTS waiting (place INTEGER PRIMARY KEY, id INTEGER UNIQUE)",
)


@dataclass(slots=True)
class ShopNotes:
    """What is to be noted."""

    subscribed: dict[int, bool] = field(default_factory=dict)
    """By customer, as it was told."""
    seen: dict[int, bool] = field(default_factory=dict)
    """By customer, for whom nothing else is known: changes are told by who looks for them."""
    waiting: dict[int, bool] = field(default_factory=dict)
    """By order: whether it waits to be paid for."""

    def add(self, other: ShopNotes) -> None:
        """Take in others."""
        self.subscribed |= other.subscribed
        self.seen |= other.seen
        self.waiting |= other.waiting


class ShopMemory:
    """That of one shop, in a file of SQLite's: some 12 bytes for each customer."""

    def __init__(self, path: Path | None = None) -> None:
        """`path`: None, and all is forgotten with the process."""
        self._path = path
        self._opened: sqlite3.Connection | None = None

    @classmethod
    def of_shop(cls, directory: Path, name: str) -> ShopMemory:
        """Return that of a connection, kept in a directory."""
        return cls(directory / f"{name}.memory.sqlite")

    def subscribed(self, ids: Iterable[int]) -> dict[int, bool]:
        """Return what is known of these customers. Raises Failure."""
        asked = "SELECT id, subscribed FROM customers WHERE id IN"
        return {id_: bool(subscribed) for id_, subscribed in self._found(asked, ids)}

    def waiting(self, ids: Iterable[int]) -> set[int]:
        """Return which of these orders waited to be paid for. Raises Failure."""
        return {id_ for (id_,) in self._found("SELECT id FROM waiting WHERE id IN", ids)}

    def note(self, notes: ShopNotes) -> None:
        """Keep what was said. Raises Failure."""
        if not notes.subscribed and not notes.seen and not notes.waiting:
            return
        orders = [(id_, waits) for id_, waits in notes.waiting.items() if id_ <= LARGEST_ID]
        waiting = [(id_,) for id_, waits in orders if waits]
        paid = [(id_,) for id_, waits in orders if not waits]
        try:
            with self._database() as database:
                for instead, said in (("IGNORE", notes.seen), ("REPLACE", notes.subscribed)):
                    database.executemany(
                        f"INSERT OR {instead} INTO customers (id, subscribed) VALUES (?, ?)",
                        [(id_, int(each)) for id_, each in said.items() if id_ <= LARGEST_ID],
                    )
                database.executemany("INSERT OR IGNORE INTO waiting (id) VALUES (?)", waiting)
                database.executemany("DELETE FROM waiting WHERE id = ?", paid)
                if waiting:
                    database.execute(
                        "DELETE FROM waiting WHERE place <= "
                        "(SELECT place FROM waiting ORDER BY place DESC LIMIT 1 OFFSET ?)",
                        (WAITING_KEPT,),
                    )
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _found(self, asked: str, ids: Iterable[int]) -> Iterator[tuple[int, ...]]:
        wanted = sorted({each for each in ids if 0 < each <= LARGEST_ID})
        try:
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                marks = ",".join("?" * len(some))
                yield from self._database().execute(f"{asked} ({marks})", some).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _database(self) -> sqlite3.Connection:
        if self._opened is None:
            if self._path is not None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._opened = sqlite3.connect(self._path or ":memory:")
            for table in _TABLES:
                self._opened.execute(table)
        return self._opened

    def _failure(self, error: sqlite3.Error) -> Failure:
        return Failure(f"{self._path or 'what is known of a shop'}: {error}")
