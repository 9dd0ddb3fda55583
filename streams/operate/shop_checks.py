"""Checks of what a shop's customers meet: can they write back, do links lead anywhere, does the
footer say whose mail it is, is a code worth anything at the till? Mails go out in any case."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from dns.asyncresolver import Resolver
from dns.exception import DNSException

from agents.mail.addresses import read_recipient
from streams.log import Log, LogError
from streams.operate.check import Check, CheckStatus
from streams.operate.returns import DNS_SECONDS, mail_hosts
from streams.runtime.definitions import DefinitionError, read_files
from streams.settings import Settings
from streams.topology import CUSTOMER_SIGNALS

_RESERVED = ("example", "test", "invalid", "localhost", "example.com", "example.net", "example.org")
"""Nobody's domains (RFC 2606)."""

NAMED = 5
"""Campaigns that are named."""


async def check_sender(settings: Settings, resolver: Resolver | None = None) -> Check:
    """See whether somebody who answers a mail reaches anybody: relays ask, too."""
    written = {"RITORNO_MAIL_FROM_ADDRESS": settings.mail_from_address}
    if settings.mail_reply_to or settings.shop_support_email:
        name = "MAIL_REPLY_TO" if settings.mail_reply_to else "SHOP_SUPPORT_EMAIL"
        written[f"RITORNO_{name}"] = settings.mail_reply_to or settings.shop_support_email
    asked = resolver or Resolver()
    asked.lifetime = DNS_SECONDS
    for variable, address in written.items():
        domain = read_recipient(address, "").address.rpartition("@")[2]
        if is_reserved(domain):
            text = f"{address} is nobody's: mails come from a sender who can't be answered"
            return Check("sender", CheckStatus.WARN, text, f"Set {variable}.")
        try:
            hosts = await mail_hosts(asked, domain)
        except (DNSException, OSError) as error:
            why = str(error) or type(error).__name__
            text = f"the DNS can't be asked about {domain}: {why}"
            return Check("sender", CheckStatus.WARN, text)
        if not hosts:
            text = f"the DNS knows no mail server of {domain}, so nobody can write to {address}"
            remedy = f"Set {variable}, or publish an MX record for {domain}."
            return Check("sender", CheckStatus.FAIL, text, remedy)
    return Check("sender", CheckStatus.OK, f"{' and '.join(written.values())} can be written to")


def is_reserved(domain: str) -> bool:
    """Whether a domain is set aside for examples and tests."""
    return any(f".{domain}".endswith(f".{each}") for each in _RESERVED)


def check_public_url(settings: Settings) -> Check:
    """See whether the links in mails lead to where the world can follow them."""
    url, name = settings.public_url, "public URL"
    parts = urlsplit(url)
    remedy = "Set RITORNO_MAIL_PUBLIC_URL=https://…, where the world reaches RITORNO_PUBLIC_BIND."
    if is_inward(parts.hostname or ""):
        text = f"links in mails lead to {url}, which only this machine or network reaches"
        return Check(name, CheckStatus.WARN, text, remedy)
    if parts.scheme != "https":
        text = f"links in mails lead to {url}: one-click unsubscribing (RFC 8058) asks for https"
        return Check(name, CheckStatus.WARN, text, remedy)
    return Check(name, CheckStatus.OK, f"links in mails lead to {url}")


def is_inward(host: str) -> bool:
    """Whether a host is known by its name or number to be nobody else's business."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or is_reserved(host) or host.endswith((".local", ".internal"))


def check_postal_address(settings: Settings) -> Check:
    """See whether the footer says where the shop is."""
    if settings.shop_postal_address:
        return Check("postal address", CheckStatus.OK, settings.shop_postal_address)
    text = "the footer of the mails has none, which the law asks of advertising in many countries"
    return Check("postal address", CheckStatus.WARN, text, "Set RITORNO_SHOP_POSTAL_ADDRESS.")


async def check_coupons(settings: Settings, log: Log, ours: Sequence[str]) -> Check:
    """See whether a till may know the codes that workflows give out. `ours` are the consumer groups
    of Ritorno itself. Raises LogError."""
    try:
        generated = generated_campaigns(read_files(settings.workflows_dir))
    except DefinitionError as error:
        return Check("coupons", CheckStatus.FAIL, str(error), "Mend the file.")
    if not generated:
        return Check("coupons", CheckStatus.OK, "no codes are given out but those of pools")
    try:
        readers = [group for group in await log.readers(CUSTOMER_SIGNALS) if group not in ours]
    except LogError as error:
        text = f"who reads {CUSTOMER_SIGNALS} can't be asked: {error}"
        return Check("coupons", CheckStatus.WARN, text)
    if readers:
        text = f"{', '.join(readers)} read what codes are given out ({CUSTOMER_SIGNALS})"
        return Check("coupons", CheckStatus.OK, text)
    more = len(generated) - NAMED
    named = ", ".join(generated[:NAMED]) + (f" and {more} more" if more > 0 else "")
    return Check(
        "coupons",
        CheckStatus.WARN,
        f"no till knows the codes of {named}: nobody reads {CUSTOMER_SIGNALS}, where they are told",
        "Have the shop take `coupon.changed` from there, or list codes that it knows under `pool` "
        "in coupons.yaml.",
    )


def generated_campaigns(files: Mapping[str, bytes]) -> list[str]:
    """Return the campaigns whose codes are made by Ritorno and given out by what is enabled;
    `files` are canonical definitions by id."""
    contents = {name: json.loads(content) for name, content in files.items()}
    used = {name for content in contents.values() for name in _coupons(content)}
    campaigns = contents.get("coupons", {}).get("campaigns", [])
    return sorted(each["id"] for each in campaigns if each["id"] in used and not each.get("pool"))


def _coupons(content: Any) -> Iterator[str]:
    """Yield what stands under `coupon` anywhere in a definition."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name == "coupon" and isinstance(value, str):
                yield value
            else:
                yield from _coupons(value)
    elif isinstance(content, list):
        for each in content:
            yield from _coupons(each)
