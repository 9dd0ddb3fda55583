"""Puts tracking into a mail: links that lead through us, and a pixel. Only into the HTML.

How much is noted is in the token, frozen when the mail is made:

    anonymous      workflow, step, template and link: the same token for everybody
    pseudonymous   and two hashes, of the mail and of the person, the latter another one each month
    identified     and who it is

A link is led through us only when its host is the shop's, or one that the shop has named. Addresses
of pages come from events as well, and whoever can put an event into the log must not be able to
have the shop vouch for a page of theirs.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import unescape
from string import ascii_letters, digits, punctuation
from urllib.parse import quote, urlsplit

from agents.mail.message.tokens import Click, HitSource, OpenToken, Tokens, derive
from agents.mail.settings import MailSettings, SigningKey
from schemas.commands import SendCommand, TrackingMode
from schemas.key_ring import follow
from schemas.time_units import DAY_MS
from schemas.tracking import strictest

PSEUDONYM_MS = 30 * DAY_MS
"""For how long one hash stands for a person."""

PSEUDONYM_DIGITS = 16
"""Of the hash: two of a million people have the same one with a chance of 1 in 10⁷."""

MAX_TARGET = 2_048
"""Characters; longer links stay as they are. So many does an event's URL have at most."""

MOST_KNOWN = 10_000
"""Pages of which it is remembered where they are, and links that stand in many mails: a few MB."""

_ASCII = ascii_letters + digits + punctuation

OPEN_PATH = "o"
CLICK_PATH = "c"

# Attribute values may hold anything but their own quote. MJML and our templates quote them all.
_LINK = re.compile(
    r"""(<a\s(?:[^<>"']|"[^"]*"|'[^']*')*?(?<=[\s"'])href\s*=\s*)(?:"([^"]*)"|'([^']*)')""", re.I
)
_END = re.compile(r"</body\s*>", re.I)

# Backslashes, blanks and other letters are read differently by browsers and by parsers.
_PLAIN = re.compile(r"https?://[A-Za-z0-9.:-]+(?:[/?#][!-\[\]-~]*)?")


class AllowedHosts:
    """The hosts to which our links may lead: the shop's, with all below it, and others named."""

    def __init__(self, shop_url: str, others: Iterable[str]) -> None:
        shop = (urlsplit(shop_url).hostname or "").removeprefix("www.")
        self._hosts = frozenset({shop, *(host.lower() for host in others)} - {""})
        self._known: dict[str, bool] = {}
        """Answers, since a campaign's mails lead to the same pages."""

    def __contains__(self, target: str) -> bool:
        """Whether `target` is a web address, without tricks, on one of the hosts."""
        known = self._known.get(target)
        if known is None:
            known = self._known[target] = self._leads_there(target)
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]
        return known

    def _leads_there(self, target: str) -> bool:
        if len(target) > MAX_TARGET or not _PLAIN.fullmatch(target):
            return False
        try:
            parts = urlsplit(target)
            host, _ = parts.hostname, parts.port
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
            return False
        return any(host == each or host.endswith(f".{each}") for each in self._hosts)


class Tracking:
    """Puts links and pixel into the HTML of mails."""

    def __init__(self, settings: MailSettings, tokens: Tokens) -> None:
        self._root = settings.public_url.rstrip("/")
        self._most = settings.tracking
        self._hosts = AllowedHosts(settings.shop.url, settings.tracking_hosts)
        self._tokens = tokens
        self._shared: dict[Click | OpenToken, str] = {}
        """Tokens of mails that are tracked anonymously: the same ones for everybody."""
        follow(settings.signing_keys, self._derive)

    def _derive(self, keys: Sequence[SigningKey]) -> None:
        self._key = derive(keys[0], b"ritorno.pseudonym", 32)
        self._shared.clear()

    def instrument(self, html: str, command: SendCommand) -> str:
        """Return the HTML as it goes into the mail."""
        mode = strictest(command.tracking, self._most)
        if mode == "off":
            return html
        source = self._source(command, mode)
        return self._with_pixel(self._with_links(html, source), source)

    def _source(self, command: SendCommand, mode: TrackingMode) -> HitSource:
        about = (mode, command.workflow, command.step, command.template, command.mail_class)
        if mode == "anonymous":
            return HitSource(*about)
        period = command.time // PSEUDONYM_MS
        mail, person = self._hash(command.id), self._hash(f"{period}/{command.customer}")
        if mode == "pseudonymous":
            return HitSource(*about, command.time, mail, person)
        return HitSource(*about, command.time, mail, person, command.customer, command.id)

    def _hash(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), sha256).hex()[:PSEUDONYM_DIGITS]

    def _with_links(self, html: str, source: HitSource) -> str:
        found = ((match, self._target(match)) for match in _LINK.finditer(html))
        links = [(match, target) for match, target in found if target]
        pieces: list[str] = []
        at = 0
        for number, (match, target) in enumerate(links, 1):
            token = self._token(Click(source, number, len(links), target), source)
            pieces += html[at : match.end(1)], f'"{self._root}/{CLICK_PATH}/{token}"'
            at = match.end()
        return "".join((*pieces, html[at:]))

    def _target(self, match: re.Match[str]) -> str:
        """Return where a link leads, empty when it is to stay as it is."""
        target = unescape(match[2] or match[3] or "")
        if not target.isascii():
            target = quote(target, safe=_ASCII)  # as browsers do, before they ask for the page
        ours = target.startswith(f"{self._root}/")
        return target if target in self._hosts and not ours else ""

    def _with_pixel(self, html: str, source: HitSource) -> str:
        address = f"{self._root}/{OPEN_PATH}/{self._token(OpenToken(source), source)}"
        pixel = f'<img src="{address}" width="1" height="1" alt="" style="display:block">'
        # The last one is nearly always written like this, and a text is searched faster than a
        # pattern; behind it may be others.
        ends = list(_END.finditer(html, max(0, html.rfind("</body>"))))
        at = ends[-1].start() if ends else len(html)
        return html[:at] + pixel + html[at:]

    def _token(self, content: Click | OpenToken, source: HitSource) -> str:
        if source.mode != "anonymous":
            return self._tokens.make(content)
        token = self._shared.get(content)
        if token is None:
            token = self._shared[content] = self._tokens.make(content)
            if len(self._shared) > MOST_KNOWN:
                del self._shared[next(iter(self._shared))]
        return token
