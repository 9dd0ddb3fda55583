"""A shop's customers, or a mailer's subscribers, become events: builds state, mails nobody.

Each row is a customer with what is known (`customer.created` where the file says since when,
`customer.updated` where not), and what was agreed to or objected to, with time, source and address
as its evidence.

Consent is what a column says with its time. A yes without a time is left out and counted, unless
whoever imports says since when it holds (`consented_since`); a no without a time counts from the
import on. An address is proven when a column says when it was confirmed, or whoever imports says so
(`is_confirmed`): without it the list waits to be confirmed, as any other.

Who has no number is the guest with the address (`streams/connect/facts.py`), who becomes the
customer's as soon as the shop names both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.events import Event
from schemas.events.fields import is_address
from schemas.events.odd import OddField
from schemas.instant import to_rfc3339
from schemas.validation import Unreadable
from schemas.written_addresses import SeveralAddresses, read_address
from streams.connect.facts import Subject, as_history, content_digest, event_of, fact, subject_of
from streams.feeds.delimited import DelimitedRow, is_text
from streams.tools.customer_import.consent_words import Said, read_consent
from streams.tools.order_import.import_report import EXAMPLES, Refusal
from streams.tools.order_import.order_values import LineRefused, Values

TRAITS = ("name", "first_name", "last_name", "phone", "birthday", "locale", "country", "city")
CONSENT = ("consent", "consent_time", "consent_ip", "consent_source", "confirmed_time",
           "unsubscribed_time")  # fmt: skip
FIELDS = ("customer_id", "email", *TRAITS, "tags", "created", *CONSENT)
"""What can be mapped."""

SOURCE = "/ritorno/import"

_SPREADSHEET_TEXT = re.compile(r"^'(?=[+\d])")
"""Shopify writes '70001, so that a spreadsheet takes it for a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerOptions:
    """How to understand a file."""

    columns: Mapping[str, int]
    width: int
    values: Values
    source: str = SOURCE
    """Of the connected shop whose customers they are, or the import's own."""
    customer_prefix: str = ""
    consent: str = ""
    """What the whole file says, where no column does."""
    list: str = "newsletter"
    told_by: str = "import"
    """What the evidence names as its source, where no column does: `mailchimp.csv`."""
    consented_since: int | None = None
    """Ms; since when a yes holds that has no time."""
    is_confirmed: bool = False
    now: int = 0
    """Ms; when a no without a time counts from."""


@dataclass(slots=True)
class CustomerReport:
    """What became of a file. `customers + refused == lines`."""

    lines: int = 0
    customers: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[int, str, str]] = field(default_factory=list)
    agreed: int = 0
    """Who is on the list by the file, with a time."""
    unconfirmed: int = 0
    """Of them, whose address nothing proves: they are asked to confirm where a workflow does so."""
    objected: int = 0
    without_time: int = 0
    """Who is said to have agreed, but not when: left out."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Values that can't be used, by field."""
    events: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return {
            "lines": self.lines,
            "customers": self.customers,
            "dead_lettered": self.refused.total(),
            "dead_lettered_by_reason": dict(sorted(self.refused.items())),
            "agreed": self.agreed,
            "unconfirmed": self.unconfirmed,
            "objected": self.objected,
            "agreed_without_time": self.without_time,
            "ignored_values": dict(sorted(self.ignored.items())),
            "events": self.events,
            "examples": [
                {"line": line, "reason": reason, "detail": detail}
                for line, reason, detail in self.examples
            ],
        }


class CustomerImporter:
    """Makes events of rows, one after the other."""

    def __init__(self, options: CustomerOptions, refused: Callable[[Refusal], None]) -> None:
        """`refused` is called for each row that can't be used."""
        self.report = CustomerReport()
        self._options = options
        self._refused = refused

    def events(self, row: DelimitedRow) -> list[Event]:
        """Return what a row tells; nothing for one that can't be used."""
        self.report.lines += 1
        try:
            told = as_history(self._told(row))
        except (LineRefused, Unreadable) as error:
            reason, detail = error.reason, error.detail
            self.report.refused[reason] += 1
            if len(self.report.examples) < EXAMPLES:
                self.report.examples.append((row.number, reason, detail))
            self._refused(Refusal(row, reason, detail))
            return []
        self.report.customers += 1
        self.report.events += len(told)
        return told

    def _told(self, row: DelimitedRow) -> list[Event]:
        given = self._given(row)
        address = self._address(given.get("email", ""))
        customer_id = given.get("customer_id", "")
        whose = subject_of(customer_id, address, prefix=self._options.customer_prefix)
        if whose is None:
            raise LineRefused("missing_id", "neither customer_id nor an address")
        return [*self._profile(given, address, whose), *self._consent(given, address, whose)]

    def _given(self, row: DelimitedRow) -> dict[str, str]:
        if row.problem:
            raise LineRefused("bad_csv", row.problem)
        if len(row.fields) != self._options.width:
            width = self._options.width
            raise LineRefused("bad_csv", f"fields: {len(row.fields)}, and in the header {width}")
        if not is_text(row.fields):
            raise LineRefused("bad_encoding", "not text in this encoding; is --encoding right?")
        return {
            name: _SPREADSHEET_TEXT.sub("", row.fields[at].strip())
            for name, at in self._options.columns.items()
        }

    def _address(self, text: str) -> str:
        if not text or is_address(text):
            return text
        try:
            return read_address(text) or self._unread("email")
        except (SeveralAddresses, ValueError):
            return self._unread("email")

    def _unread(self, name: str) -> str:
        self.report.ignored[name] += 1
        return ""

    def _time(self, given: Mapping[str, str], name: str) -> int | None:
        """Return a time; one that can't be read, and `0000-00-00`, says nothing."""
        text = given.get(name, "")
        if not text or text.startswith("0000"):
            return None
        try:
            return self._options.values.time(text)
        except LineRefused:
            self._unread(name)
            return None

    def _profile(self, given: Mapping[str, str], address: str, whose: Subject) -> Iterator[Event]:
        said: dict[str, Any] = {name: given[name] for name in TRAITS if given.get(name)}
        if said.get("birthday", "").startswith("0000"):
            del said["birthday"]
        if address:
            said["email"] = address
        if given.get("tags"):
            said["tags"] = [each.strip(" \"'") for each in given["tags"].split(",") if each.strip()]
        if not said:
            return
        created = self._time(given, "created")
        named = given.get("customer_id") or whose.customer
        if created is not None:
            type_, id_ = "customer.created", fact("customer", named, "created")
        else:
            type_, id_ = "customer.updated", fact("customer", named, "file", content_digest(said))
        event = self._event(type_, id_, created or self._options.now, whose, said)
        for each in event.odd:
            self._note(each)
        yield event

    def _note(self, odd: OddField) -> None:
        if not odd.kept:
            self.report.ignored[odd.field] += 1

    def _consent(self, given: Mapping[str, str], address: str, whose: Subject) -> Iterator[Event]:
        said: Said = read_consent(given.get("consent") or self._options.consent)
        left = self._time(given, "unsubscribed_time")
        confirmed = self._time(given, "confirmed_time")
        joined = self._time(given, "consent_time")
        if said == "subscribed":
            yield from self._agreed(given, address, whose, confirmed or joined, confirmed)
        elif said in ("unsubscribed", "bounced") or left is not None:
            self.report.objected += 1
            time = left or (joined if said == "unsubscribed" else None) or self._options.now
            # Without a time it is known by the list alone, so that it counts once.
            when = to_rfc3339(time) if left or joined else ""
            id_ = fact("customer", whose.customer, "unsubscribed", self._options.list, when)
            yield self._event(
                "list.unsubscribed", id_, time, whose, self._evidence(given, said=said)
            )

    def _agreed(
        self,
        given: Mapping[str, str],
        address: str,
        whose: Subject,
        stated: int | None,
        confirmed: int | None,
    ) -> Iterator[Event]:
        time = stated or self._options.consented_since
        if time is None:
            self.report.without_time += 1
            return
        proven = confirmed is not None or self._options.is_confirmed
        self.report.agreed += 1
        self.report.unconfirmed += not proven
        id_ = fact("customer", whose.customer, "subscribed", self._options.list, to_rfc3339(time))
        data = {
            **self._evidence(given),
            "confirmed": proven,
            "email": address or None,
            "ip": given.get("consent_ip") or None,
        }
        yield self._event("list.subscribed", id_, time, whose, data)

    def _evidence(self, given: Mapping[str, str], *, said: Said = "") -> dict[str, Any]:
        source = given.get("consent_source", "")
        told_by = self._options.told_by
        where = f"{told_by}: {source}" if source else told_by
        return {
            "list": self._options.list,
            "source": f"{where} (bounced)" if said == "bounced" else where,
        }

    def _event(
        self, type_: str, id_: str, time: int, whose: Subject, data: Mapping[str, Any]
    ) -> Event:
        return event_of(
            type_, id_, source=self._options.source, time=time, subject=whose, data=data
        )
