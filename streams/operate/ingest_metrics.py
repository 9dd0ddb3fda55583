"""Metrics of the ingest port, by write key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from streams.operate.instruments import Instruments, begin_at_zero
from streams.operate.mail_metrics import BoundedLabel
from streams.operate.panels import Panel

UNKNOWN_KEY = "unknown"

REASONS = (
    "unknown_key",
    "revoked_key",
    "secret_in_address",
    "origin",
    "key_rate",
    "address_rate",
    "withheld",
    "too_large",
    "invalid_json",
    "log",
)
"""Why a request or a call is refused, besides what makes a dead letter of an event elsewhere."""


class IngestMetrics:
    """Counts what comes. A key's label is its id in the keys file; all that are none share one."""

    def __init__(self, make: Instruments) -> None:
        requests = make.reading(
            "ingest_requests",
            "Requests to the ingest port, by write key and status of the answer.",
            "key",
            "status",
            shown=[
                Panel(
                    "Ingest",
                    "Answers",
                    "By status: 401 an unknown or revoked key, 429 too much of one key or address, "
                    "503 a log that is away.",
                ).line("status")
            ],
        )
        events = make.reading(
            "ingest_events",
            "Events that were taken by HTTP and are durably in the log, by write key.",
            "key",
            shown=[Panel("Ingest", "Events by HTTP", "In the log, by write key.").line("key")],
        )
        self.refusals = make.counter(
            "ingest_refused",
            "Requests, and calls of batches, that were not taken, by write key and reason.",
            "key",
            "reason",
            shown=[
                Panel(
                    "Ingest",
                    "Refused by HTTP",
                    "By key and reason. Calls that can't be read lie among the dead letters.",
                ).line("key", "reason")
            ],
        )
        self.bot_events = make.counter(
            "ingest_bot_events",
            "Events that a program has sent which says that it is one; they go nowhere.",
            "key",
            shown=[
                Panel("Ingest", "Bots", "Events of crawlers, which are not appended.").line("key")
            ],
        )
        self.waiting = make.gauge(
            "ingest_waiting_records",
            "Records that have come by HTTP and are not durable yet.",
            shown=[
                Panel(
                    "Ingest", "Waiting for the log", "When too many wait, senders get 503."
                ).line()
            ],
        )
        self.keys_kept = make.gauge(
            "ingest_keys_kept",
            "1 while the keys file can't be read and the last good one holds.",
            shown=[
                Panel(
                    "Ingest",
                    "Keys file broken",
                    "1: it can't be read, and what it said before holds.",
                ).line()
            ],
        )
        self._key, self._reason = BoundedLabel(), BoundedLabel()
        # What each request counts is read at a scrape: counting by labels takes ten times as long.
        self._answered = Counter({(UNKNOWN_KEY, "401"): 0})
        self._taken = Counter({(UNKNOWN_KEY,): 0})
        requests.of(lambda: list(self._answered.items()))
        events.of(lambda: list(self._taken.items()))
        begin_at_zero(self.bot_events, [UNKNOWN_KEY])
        begin_at_zero(self.refusals, [UNKNOWN_KEY], ["unknown_key"])
        for reason in REASONS:
            self._reason(reason)

    def watch(self, waiting: Callable[[], float], keys_kept: Callable[[], float]) -> None:
        """Read how much waits, and whether the keys are those of before, whenever somebody
        scrapes."""
        self.waiting.set_function(waiting)
        self.keys_kept.set_function(keys_kept)

    def request(self, key: str, status: int) -> None:
        """A request was answered."""
        self._answered[self._key(key), str(status)] += 1

    def took(self, key: str, events: int) -> None:
        """Events are in the log."""
        if events:
            self._taken[self._key(key),] += events

    def refused(self, key: str, reason: str, times: int = 1) -> None:
        """A request, or so many calls, were not taken."""
        self.refusals.labels(self._key(key), self._reason(reason)).inc(times)

    def bots(self, key: str, events: int) -> None:
        """A program has sent so many events."""
        if events:
            self.bot_events.labels(self._key(key)).inc(events)
