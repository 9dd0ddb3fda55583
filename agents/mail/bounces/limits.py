"""How much of a message is parsed: whoever knows a return address may send us anything.

The standard library's parser has no limits of its own; it takes a minute for parameters without an
end and fails at parts within parts within parts. What no mail server writes is not read at all.
"""

from __future__ import annotations

from email.message import Message
from email.parser import BytesParser, HeaderParser
from email.policy import Compat32
from functools import cached_property

LARGEST = 512 * 1024
"""Bytes that are looked at. Reports come before the mail they return, and those with pictures in
them (Gmail's) take 15 KB."""

MOST_LINES = 20_000
LONGEST_LINE = 16_000
"""Bytes. What goes beyond either is left out; SMTP's own lines have 998."""

MOST_PARTS = 100
"""Also the groups of a report, which has one for each recipient; deeper than wide is no less."""

MOST_HEADERS = 1_000
"""Of all parts together."""

MOST_PARAMETERS = 20
LONGEST_HEADER = 8_000
"""Characters. Of a header that has more of either, the beginning is read."""

MOST_RECIPIENTS = 20
"""Of a report. A mail of ours has one; a report with more is about somebody else's."""

LONGEST_BLOCK = 64_000
"""Characters of headers that were returned as text."""


class TooMuchError(Exception):
    """More parts or headers than any mail server writes."""


class _Counted:
    """What one message has had so far."""

    def __init__(self) -> None:
        self.parts = 0
        self.headers = 0

    def part(self) -> None:
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise TooMuchError(f"more than {MOST_PARTS} parts")

    def header(self) -> None:
        self.headers += 1
        if self.headers > MOST_HEADERS:
            raise TooMuchError(f"more than {MOST_HEADERS} headers")


class _BoundedPolicy(Compat32):
    """The standard library's policy, with an end."""

    @cached_property
    def counted(self) -> _Counted:
        """What the one message has had that it is made for."""
        return _Counted()

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        """Return name and value, as the parser asks for them."""
        self.counted.header()
        name, value = super().header_source_parse(sourcelines)
        return name, _begun(value[:LONGEST_HEADER])


def parse(raw: bytes) -> Message:
    """Parse a message. Raises TooMuchError."""
    policy = _BoundedPolicy()

    def part(**_: object) -> Message:
        policy.counted.part()
        return Message(policy=policy)

    return BytesParser(part, policy=policy).parsebytes(_cut(raw))


def parse_headers(text: str) -> Message:
    """Parse a block of headers. Raises TooMuchError."""
    return HeaderParser(policy=_BoundedPolicy()).parsestr(text[:LONGEST_BLOCK])


def _cut(raw: bytes) -> bytes:
    lines = raw[:LARGEST].splitlines(keepends=True)
    if len(lines) <= MOST_LINES and max(map(len, lines), default=0) <= LONGEST_LINE:
        return raw[:LARGEST]
    return b"".join(
        line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + b"\r\n"
        for line in lines[:MOST_LINES]
    )


def _begun(value: str) -> str:
    """Each parameter costs as much as all before it have taken."""
    if value.count(";") <= MOST_PARAMETERS:
        return value
    return ";".join(value.split(";", MOST_PARAMETERS + 1)[: MOST_PARAMETERS + 1])
