"""A shop's customers, or a mailer's subscribers, become events: builds state, mails nobody.

Each row is a customer with what is known (`customer.created` where the file says since when,
`customer.updated` where not), and what was agreed to or objected to, with time, source and address
as its evidence.

Consent is what a column says with its time. A yes without a time is left out and counted, unless
whoever imports says since when it holds (`consented_since`); what is neither yes nor no is counted,
too, and nothing is concluded from it. An objection without a time counts from the import on, also
where what says when can't be read. An address is proven when a column says when it was confirmed,
or whoever imports says so (`is_confirmed`): without it the list waits to be confirmed, as any
other.

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
from streams.tools.customer_import.consent_words import NO_WORDS, Said, ShopWords, read_consent
from streams.tools.customer_import.customer_columns import TRAITS
from streams.tools.customer_import.persons import Persons
from streams.tools.order_import.import_report import EXAMPLES, Refusal
from streams.tools.order_import.order_values import LineRefused, Values
from streams.tools.unusable_values import UnusableValues

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
    words: ShopWords = NO_WORDS
    """What its columns say besides the words that are known."""
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
    """What became of a file. `applied + refused == lines`; all else counts persons, each once."""

    lines: int = 0
    applied: int = 0
    persons: Persons = field(default_factory=Persons)
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[int, str, str]] = field(default_factory=list)
    agreed: Persons = field(default_factory=Persons)
    """Who is on the list by the file, with a time."""
    unconfirmed: Persons = field(default_factory=Persons)
    """Of them, whose address nothing proves: they are asked to confirm where a workflow does so."""
    objected: Persons = field(default_factory=Persons)
    without_time: Persons = field(default_factory=Persons)
    """Who is said to have agreed, but not when: left out."""
    unread: Persons = field(default_factory=Persons)
    """Of whom what stands where consent should can't be read: nothing is concluded."""
    left_out: UnusableValues = field(default_factory=UnusableValues)
    """Values that can't be used; those of `consent` among them."""
    events: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return {
            "lines": self.lines,
            "applied": self.applied,
            "dead_lettered": self.refused.total(),
            "dead_lettered_by_reason": dict(sorted(self.refused.items())),
            "customers": self.persons.count(),
            "agreed": self.agreed.count(),
            "unconfirmed": self.unconfirmed.count(),
            "objected": self.objected.count(),
            "agreed_without_time": self.without_time.count(),
            "consent_unread": self.unread.count(),
            "ignored_values": self.left_out.counts(),
            "ignored_examples": self.left_out.examples(),
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
        self.report.applied += 1
        self.report.events += len(told)
        return told

    def _told(self, row: DelimitedRow) -> list[Event]:
        given = self._given(row)
        address = self._address(given.get("email", ""))
        customer_id = given.get("customer_id", "")
        whose = subject_of(customer_id, address, prefix=self._options.customer_prefix)
        if whose is None:
            raise LineRefused("missing_id", "neither customer_id nor an address")
        told = [*self._profile(given, address, whose), *self._consent(given, address, whose)]
        self.report.persons.add(whose)
        return told

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
            return read_address(text) or self._unread("email", text)
        except (SeveralAddresses, ValueError):
            return self._unread("email", text)

    def _unread(self, name: str, text: str) -> str:
        self.report.left_out.note(name, text)
        return ""

    def _time(self, given: Mapping[str, str], name: str) -> int | None:
        """Return a time; one that can't be read, and `0000-00-00`, says nothing."""
        text = given.get(name, "")
        if not text or text.startswith("0000"):
            return None
        try:
            return self._options.values.time(text)
        except LineRefused:
            self._unread(name, text)
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
            self.report.left_out.note(odd.field, odd.value.strip("'"))

    def _consent(self, given: Mapping[str, str], address: str, whose: Subject) -> Iterator[Event]:
        said = self._said(given, whose)
        left = self._time(given, "unsubscribed_time")
        confirmed = self._time(given, "confirmed_time")
        joined = self._time(given, "consent_time")
        stated = confirmed or joined or self._options.consented_since
        has_left = left is not None or _names_a_time(given.get("unsubscribed_time", ""))
        # Whoever has left is on the list again only if that was said later, for sure.
        is_back = left is not None and stated is not None and stated > left
        if said == "subscribed" and (is_back or not has_left):
            yield from self._agreed(given, address, whose, stated, confirmed)
        elif said in ("unsubscribed", "bounced") or has_left:
            self.report.objected.add(whose)
            time = left or (joined if said == "unsubscribed" else None) or self._options.now
            # Without a time it is known by the list alone, so that it counts once.
            when = to_rfc3339(time) if left or joined else ""
            id_ = fact("customer", whose.customer, "unsubscribed", self._options.list, when)
            yield self._event(
                "list.unsubscribed", id_, time, whose, self._evidence(given, said=said)
            )

    def _said(self, given: Mapping[str, str], whose: Subject) -> Said:
        text = given.get("consent", "")
        said = read_consent(text or self._options.consent, self._options.words)
        if said is None:
            self.report.unread.add(whose)
            self._unread("consent", text)
        return said or ""

    def _agreed(
        self,
        given: Mapping[str, str],
        address: str,
        whose: Subject,
        time: int | None,
        confirmed: int | None,
    ) -> Iterator[Event]:
        if time is None:
            self.report.without_time.add(whose)
            return
        proven = confirmed is not None or self._options.is_confirmed
        self.report.agreed.add(whose)
        if not proven:
            self.report.unconfirmed.add(whose)
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


def _names_a_time(text: str) -> bool:
    """Whether something stands there that is neither nothing nor a no."""
    return not text.startswith("0000") and read_consent(text) not in ("", "never")
