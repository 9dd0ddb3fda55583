"""Says what is wrong with the mails of a directory, before a customer sees it.

A mail is rendered with everything known and with hardly anything, and read as a mail program would
read it. What it may say depends on its class, which the workflows that send it decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Literal, NamedTuple

from agents.mail.message.formats import ALLOWED_SCHEMES, url
from agents.mail.message.render import Rendered, Renderer, RenderError
from agents.mail.settings import Shop
from agents.mail.templates.page import Page
from agents.mail.templates.sample import ABOUT, FULL, SPARSE, without
from agents.mail.templates.tags import TemplateTag
from schemas.commands import MailClass

Level = Literal["error", "warning"]

MAX_HTML = 100 * 1024
"""Bytes. Gmail shows the first 102 KB and hides the rest, the unsubscribe link with it."""

PUSHY = re.compile(r"\b(acquista|compra|paga|ordina ora|buy|pay|purchase)\b", re.IGNORECASE)
"""Rule R09: the button of a cart mail leads back to the cart and does not press."""

PROMOTIONAL = re.compile(
    r"\b(scont[oi]|saldi|offert[ae]|promo|promozion[ei]|omaggio|coupon|codice sconto|buono"
    r"|discounts?|sales?|offers?|promotions?|vouchers?)\b|\d+\s?% (off|di sconto)",
    re.IGNORECASE,
)
"""Words of advertising. A transactional mail has none: it goes to who refused marketing too."""

_CART = re.compile(r"\bcart(_summary)?\b")

_REMOTE = re.compile(r"<link\b|@import|@font-face|url\s*\(|<script\b|<iframe\b", re.IGNORECASE)


class TemplateFinding(NamedTuple):
    """One thing that is wrong."""

    file: str
    rule: str
    level: Level
    message: str


class SendingStep(NamedTuple):
    """A step of a workflow that sends a mail."""

    mail_class: MailClass
    variables: Mapping[str, Any]
    """What the step gives the mail by `with:`."""


@dataclass(frozen=True, slots=True)
class SampleMail:
    """A mail in one language, tried out as one step sends it."""

    renderer: Renderer
    shop: Shop
    name: str
    language: str
    given: Mapping[str, Any] = field(default_factory=dict)

    def render(self, *, leave_out: Sequence[str] = (), sparse: bool = False) -> Rendered | str:
        """Return the mail, or why it can't be rendered."""
        known = without({**FULL, **SPARSE} if sparse else FULL, leave_out)
        variables = {**known, **self.given, "shop": self.shop}
        try:
            return self.renderer.render(self.name, self.language, variables)
        except RenderError as error:
            return str(error)

    def without_each(self, names: Iterable[str]) -> dict[str, Rendered | str]:
        """Return the mail without each of `names`, or why it can't be rendered.

        Without what it doesn't ask for it is as it is with everything, so that isn't tried again.
        """
        with self.renderer.watching() as asked:
            full = self.render()
        return {
            name: self.render(leave_out=[name]) if name in asked - self.given.keys() else full
            for name in names
        }

    def needs(self) -> tuple[str, ...]:
        """Return which of `ABOUT` the mail can't do without."""
        tried = self.without_each(ABOUT)
        return tuple(name for name in ABOUT if isinstance(tried[name], str))


def lint(
    renderer: Renderer, shop: Shop, uses: Mapping[str, Sequence[SendingStep]]
) -> list[TemplateFinding]:
    """Check all mails. `uses`: mail → the steps that send it."""
    findings = set(_missing(renderer, uses))
    for (name, language), page in renderer.pages.items():
        sent = uses.get(name, ())
        if not sent:
            message = "no workflow sends it, so its class is not known"
            findings.add(TemplateFinding(page.file, "unused", "warning", message))
        for use in sent or [SendingStep("marketing", {})]:
            sample = SampleMail(renderer, shop, name, language, use.variables)
            findings.update(_mail(sample, page, use.mail_class))
    return sorted(findings)


def _missing(renderer: Renderer, uses: Mapping[str, object]) -> Iterator[TemplateFinding]:
    languages = renderer.languages
    for name in sorted(renderer.templates | uses.keys()):
        written = {language for mail, language in renderer.pages if mail == name}
        if not written:
            yield TemplateFinding(f"{name}.*.j2", "missing", "error", "a workflow sends it")
            continue
        for language in sorted(languages - written):
            other = f"{name}.{min(written)}.j2"
            message = f"is not written in {language}, as {other} is"
            yield TemplateFinding(f"{name}.{language}.j2", "language", "warning", message)


def _mail(sample: SampleMail, page: Page, mail_class: MailClass) -> Iterator[TemplateFinding]:
    def found(rule: str, messages: Iterable[str]) -> Iterator[TemplateFinding]:
        return (TemplateFinding(page.file, rule, "error", message) for message in messages)

    full = sample.render()
    if isinstance(full, str):
        yield from found("broken", [full])
        return
    seen = _MailParser(full.html)
    yield from found("broken", _sparse_problems(sample))
    if not sample.renderer.has_text(sample.name, sample.language):
        yield from found("text", ["the text part is empty; write {% block text %}"])
    if mail_class == "marketing":
        yield from found("way-out", _opt_out(full, seen))
    if mail_class == "transactional":
        yield from found("promotional", _promotional(page))
    if _is_about_cart(page):
        yield from found("pushy", _pushy(seen))
    yield from found("size", _too_large(full))
    yield from found("link", seen.bad_links)
    yield from found("image", seen.bad_images)
    yield from found("remote", _remote(full))


def _sparse_problems(sample: SampleMail) -> Iterator[str]:
    """What goes wrong when little is known, each once."""
    without_one = sample.without_each(name for name in FULL if name not in ("reason", "zone"))
    needs = {name for name in ABOUT if isinstance(without_one[name], str)}
    optional = [name for name in without_one if name not in needs]
    told: set[str] = set()
    cases = [(f"there is no {name}", without_one[name]) for name in optional]
    cases.append(("little is known", sample.render(leave_out=optional, sparse=True)))
    for when, result in cases:
        if isinstance(result, str):
            what = result
        elif "None" in result.subject + result.text:
            what = "it says None"
        elif 'href=""' in result.html:
            what = "a link leads nowhere"
        else:
            continue
        if what not in told:
            told.add(what)
            yield f"when {when}: {what}"


def _too_large(mail: Rendered) -> Iterator[str]:
    size = len(mail.html.encode())
    if size > MAX_HTML:
        yield f"{size // 1024} KB with the sample, more than {MAX_HTML // 1024}"


def _pushy(seen: _MailParser) -> Iterator[str]:
    for label in filter(PUSHY.search, seen.labels):
        yield f"a cart mail's call to action presses: {label.strip()!r}"


def _remote(mail: Rendered) -> Iterator[str]:
    for match in sorted(set(_REMOTE.findall(mail.html))):
        yield f"loads or runs something from elsewhere: {match}"


def _opt_out(mail: Rendered, seen: _MailParser) -> Iterator[str]:
    for name in ("unsubscribe_url", "preferences_url"):
        for part, present in (
            ("HTML", FULL[name] in seen.links),
            ("text", FULL[name] in mail.text),
        ):
            if not present:
                yield f"marketing without {name} in its {part} part"


def _promotional(page: Page) -> Iterator[str]:
    """What its author wrote, not what the customer bought: an order may have a discount."""
    for pieces in (*page.blocks.values(), page.sets):
        for piece in pieces:
            if isinstance(piece, TemplateTag):
                if re.search(r"\bcoupon(_box)?\b", piece.inner):
                    yield f"line {piece.line}: a coupon in a transactional mail"
                continue
            for match in PROMOTIONAL.finditer(piece.text):
                line = piece.line + piece.text.count("\n", 0, match.start())
                yield f"line {line}: advertising in a transactional mail: {match[0]!r}"


def _is_about_cart(page: Page) -> bool:
    pieces = (piece for block in page.blocks.values() for piece in block)
    return any(isinstance(piece, TemplateTag) and _CART.search(piece.inner) for piece in pieces)


@dataclass(slots=True)
class _Link:
    target: str
    label: str = ""


@dataclass(slots=True)
class _Read:
    links: list[_Link] = field(default_factory=list)
    images: list[Mapping[str, str | None]] = field(default_factory=list)


class _MailParser(HTMLParser):
    """Reads a mail as a mail program does: where its links lead, what its images say."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self._read = _Read()
        self._open: _Link | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a":
            self._open = _Link(given.get("href") or "")
            self._read.links.append(self._open)
        elif tag == "img":
            self._read.images.append(given)
            if self._open is not None:
                self._open.label += given.get("alt") or ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open.label += data

    @property
    def links(self) -> set[str]:
        """Where links lead."""
        return {link.target for link in self._read.links}

    @property
    def labels(self) -> list[str]:
        """What links say."""
        return [link.label for link in self._read.links]

    @property
    def bad_links(self) -> Iterable[str]:
        """Links that lead nowhere a mail may lead."""
        for link in self._read.links:
            if not url(link.target):
                allowed = ", ".join(sorted(ALLOWED_SCHEMES))
                yield f"{link.label.strip()[:40]!r} leads to {link.target!r}; allowed are {allowed}"

    @property
    def bad_images(self) -> Iterable[str]:
        """Images without words for those who don't see them, or that jump when they load."""
        for image in self._read.images:
            source = (image.get("src") or "")[:80]
            if not url(image.get("src")):
                yield f"{source!r} is no address of a picture"
            if image.get("alt") is None:
                yield f"{source!r} has no alt"
            if not image.get("width") or not image.get("height"):
                yield f"{source!r} has no width and height"
