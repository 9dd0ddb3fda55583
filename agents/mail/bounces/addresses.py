"""Addresses as servers write them into their reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from schemas.events.fields import is_address

_CANDIDATE = re.compile(r"[^\s<>\"'(),;:\[\]\\{}|]{1,64}@[^\s<>\"'(),;:\[\]\\{}|@]{1,253}")


def tidy(text: str) -> str:
    """Return the address in `rfc822;<Name@Example.COM> (comment)`, empty when there is none.

    The local part stays as it is; the domain goes into lower case and ASCII.
    """
    kind, separator, rest = text.partition(";")
    return next(addresses(rest if separator and "@" not in kind else text), "")


def addresses(text: str) -> Iterator[str]:
    """Yield the addresses in a text, in order."""
    for match in _CANDIDATE.finditer(text):
        local, _, domain = match.group(0).rpartition("@")
        address = f"{local.removeprefix('mailto:').lstrip('=')}@{_domain(domain)}"
        if is_address(address):
            yield address


def same(one: str, other: str) -> bool:
    """Whether two addresses are the same mailbox, as far as anybody can tell from outside."""
    return one.lower() == other.lower()


OUR_SENDER = "our sender"
OUR_DOMAIN = "our own"


def marked(text: str, ours: Iterable[str], recipient: str) -> str:
    """Return a server's text in which our own addresses are called ours, and their domains, too.

    `ours` are addresses that the mail was from; what they share with `recipient` stays as it is.
    """
    domains = []
    for address in dict.fromkeys(each.lower() for each in ours):
        domain = address.rpartition("@")[2]
        if address and not same(address, recipient):
            text = re.sub(re.escape(address), OUR_SENDER, text, flags=re.IGNORECASE)
        if domain and domain != recipient.lower().rpartition("@")[2]:
            domains.append(re.escape(domain))
    if domains:
        named = rf"(?<![\w.@-])(?:{'|'.join(dict.fromkeys(domains))})(?![\w-]|\.\w)"
        text = re.sub(named, rf"{OUR_DOMAIN} \g<0>", text, flags=re.IGNORECASE)
    return text


def _domain(domain: str) -> str:
    domain = domain.rstrip(".!?*>-_").lower()
    try:
        return domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
