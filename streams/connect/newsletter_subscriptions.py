"""Who was subscribed to the newsletter when it was last looked.

Magento says of a customer yes or no and never since when, PrestaShop not since when it is a no: so
a no is told once, where it was a yes before, and whoever says yes to us afterwards stays with that
when the shop's account is changed in another way. This is noted behind what is durable in the log.
When it is lost, PrestaShop's no is told once more, and one of Magento's that was said meanwhile is
not heard of until the next yes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from schemas.failures import Failure

AT_ONCE = 500
"""Ids in one question; SQLite takes 999."""


class NewsletterSubscriptions:
    """Those of one shop, in a file of SQLite's: some 12 bytes for each customer."""

    def __init__(self, path: Path | None = None) -> None:
        """`path`: None, and all is forgotten with the process."""
        self._path = path
        self._opened: sqlite3.Connection | None = None

    @classmethod
    def of_shop(cls, directory: Path, name: str) -> NewsletterSubscriptions:
        """Return those of a connection, kept in a directory."""
        return cls(directory / f"{name}.subscriptions.sqlite")

    def of(self, ids: Iterable[int]) -> dict[int, bool]:
        """Return what is known of these customers. Raises Failure."""
        wanted = sorted(set(ids))
        known: dict[int, bool] = {}
        try:
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = self._database().execute(
                    f"SELECT id, subscribed FROM customers WHERE id IN ({marks})", some
                )
                known |= {int(id_): bool(subscribed) for id_, subscribed in rows}
        except sqlite3.Error as error:
            raise self._failure(error) from None
        return known

    def note(self, said: Mapping[int, bool]) -> None:
        """Keep what was said. Raises Failure."""
        if not said:
            return
        try:
            with self._database() as database:
                database.executemany(
                    "INSERT OR REPLACE INTO customers (id, subscribed) VALUES (?, ?)",
                    [(id_, int(subscribed)) for id_, subscribed in said.items()],
                )
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _database(self) -> sqlite3.Connection:
        if self._opened is None:
            if self._path is not None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._opened = sqlite3.connect(self._path or ":memory:")
            self._opened.execute(
                "CREATE TABLE IF NOT EXISTS customers (id INTEGER PRIMARY KEY, subscribed INTEGER)"
            )
        return self._opened

    def _failure(self, error: sqlite3.Error) -> Failure:
        return Failure(f"{self._path or 'subscriptions'}: {error}")
