"""Checks of returned mail for `ritorno doctor`: do bounces and complaints reach us, and is somebody
there to read them?

What is wrong here is seen by nobody: mails go out as ever, and dead addresses are mailed for ever.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import cast

import aiosmtplib
from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.name import root
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT
from dns.resolver import NXDOMAIN, NoAnswer

from streams.mail.inbound.files import is_maildir
from streams.mail.inbound.imap import BATCH, ImapError, look
from streams.mail.inbound.sources import imap_mailbox
from streams.messages.plurals import several
from streams.operate.check import Check, CheckStatus, aligned
from streams.runtime.factories import sender_domain
from streams.settings import Settings
from streams.settings.values import Address

DNS_SECONDS = 5.0
"""For all that is asked about one name; a name server that takes longer is not to be relied on."""

SMTP_SECONDS = 5.0
"""The listener is this machine's, or the next one's."""


async def check_bounce_domain(settings: Settings, resolver: Resolver | None = None) -> Check:
    """See whether mail to the bounce domain can arrive, and whether it may send."""
    name, domain = "bounce domain", settings.mail_bounce_domain
    if not domain:
        to = settings.mail_envelope_from or settings.mail_from_address
        return Check(name, CheckStatus.OK, f"none is set; bounces go to {to}")
    sender = sender_domain(settings)
    if not aligned(sender, domain):
        text = f"{domain} is no part of {sender}: to DMARC, SPF says nothing of the sender then"
        return Check(
            name, CheckStatus.WARN, text, "Set RITORNO_MAIL_BOUNCE_DOMAIN to a part of it."
        )
    try:
        asked = resolver or Resolver()
        asked.lifetime = DNS_SECONDS
        hosts = await mail_hosts(asked, domain)
        if not hosts:
            text = f"the DNS knows no mail server of {domain}, so bounces can't come back"
            return Check(name, CheckStatus.FAIL, text, f"Publish an MX record for {domain}.")
        if not await _has_spf(asked, domain):
            text = f"{domain} has no SPF record, and mails are sent in its name"
            remedy = f'Publish a TXT record for {domain}: "v=spf1 … -all", with the relay in it.'
            return Check(name, CheckStatus.WARN, text, remedy)
    except (DNSException, OSError) as error:
        why = str(error) or type(error).__name__
        return Check(name, CheckStatus.WARN, f"the DNS can't be asked about {domain}: {why}")
    return Check(name, CheckStatus.OK, f"bounces to {domain} go to {', '.join(hosts)}")


async def mail_hosts(resolver: Resolver, domain: str) -> list[str]:
    """Return who takes a domain's mail, best first; without an MX record the domain itself does
    (RFC 5321, 5.1), and with a null one (RFC 7505) nobody."""
    try:
        answer = await resolver.resolve(domain, "MX")
    except NXDOMAIN:
        return []
    except NoAnswer:
        return [domain] if await _has_address(resolver, domain) else []
    records = sorted((cast(MX, each) for each in answer), key=lambda each: each.preference)
    hosts = [each.exchange for each in records if each.exchange != root]
    return [host.to_text(omit_final_dot=True) for host in hosts]


async def _has_address(resolver: Resolver, domain: str) -> bool:
    try:
        await resolver.resolve_name(domain)
    except (NXDOMAIN, NoAnswer):
        return False
    return True


async def _has_spf(resolver: Resolver, domain: str) -> bool:
    try:
        answer = await resolver.resolve(domain, "TXT")
    except (NXDOMAIN, NoAnswer):
        return False
    texts = (b"".join(cast(TXT, each).strings).lower() for each in answer)
    return any(text == b"v=spf1" or text.startswith(b"v=spf1 ") for text in texts)


async def check_inbound_channels(settings: Settings) -> list[Check]:
    """See whether what comes back can be read by each channel that is set."""
    checks = []
    if settings.inbound_smtp_bind is not None:
        checks.append(await _check_listener(settings.inbound_smtp_bind))
    if settings.inbound_maildir is not None:
        checks.append(_check_maildir(settings))
    if settings.inbound_imap_url.get_secret_value():
        checks.append(await _check_imap(settings))
    if checks:
        return checks
    text = "nothing that comes back is read here, which is right only where another worker does"
    if settings.mail_bounce_domain and not settings.on_kafka:  # there is no other worker
        remedy = "Set one of RITORNO_INBOUND_SMTP_BIND, _MAILDIR, _IMAP_URL."
        return [Check("returns", CheckStatus.WARN, "nobody reads what comes back", remedy)]
    return [Check("returns", CheckStatus.OK, text)]


async def _check_listener(bind: Address) -> Check:
    """A worker that runs answers; if none does, it must be able to listen."""
    name = "returns by SMTP"
    client = aiosmtplib.SMTP(hostname=bind.host, port=bind.port, timeout=SMTP_SECONDS,
                             start_tls=False)  # fmt: skip
    try:
        async with asyncio.timeout(2 * SMTP_SECONDS):
            await client.connect()
            await client.quit()
        return Check(name, CheckStatus.OK, f"{bind} answers")
    except (aiosmtplib.SMTPConnectError, ConnectionError):
        problem = await asyncio.to_thread(_why_not_listen, bind)
    except (aiosmtplib.SMTPException, OSError) as error:  # a timeout is an OSError
        problem = f"something else is there: {error or type(error).__name__}"
    finally:
        client.close()
    if problem:
        return Check(name, CheckStatus.FAIL, f"{bind}: {problem}", "Set RITORNO_INBOUND_SMTP_BIND.")
    return Check(name, CheckStatus.OK, f"{bind} is free; a worker will listen there")


def _why_not_listen(bind: Address) -> str:
    """Return why nobody can listen there, empty when that is possible."""
    try:
        with socket.create_server(bind, family=_family(bind)):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _family(bind: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in bind.host else socket.AF_INET


def _check_maildir(settings: Settings) -> Check:
    path, name = settings.inbound_maildir, "returns by maildir"
    assert path is not None
    if not is_maildir(path):
        text = f"{path} is no maildir: it has no cur, new and tmp"
    elif not all(os.access(path / part, os.R_OK | os.W_OK | os.X_OK) for part in ("new", "cur")):
        text = f"{path} can't be written, so what was read can't be marked"
    else:
        return Check(name, CheckStatus.OK, f"{path} can be read")
    return Check(name, CheckStatus.FAIL, text, "Is RITORNO_INBOUND_MAILDIR right?")


async def _check_imap(settings: Settings) -> Check:
    """Log in and look; nothing is read or marked."""
    mailbox, name = imap_mailbox(settings), "returns by IMAP"
    assert mailbox is not None
    where = f"{mailbox.host}:{mailbox.port}"
    try:
        unseen = await look(mailbox)
    except ImapError as error:
        remedy = "Is RITORNO_INBOUND_IMAP_URL right, and _DONE, and _CA_FILE?"
        return Check(name, CheckStatus.FAIL, f"{where}: {error}", remedy)
    more = " or more" if unseen >= BATCH else ""
    text = f"{where} lets us into {mailbox.folder}; waiting: {several(unseen, 'message')}{more}"
    return Check(name, CheckStatus.OK, text)
