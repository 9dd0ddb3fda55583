"""`/p/TOKEN`: lists, consents, language and how often; and the way to one's own data.

The form shows what holds now. What comes back is compared with that, and only what differs becomes
an event: whoever saves without a change has said nothing. A choice that is missing is left alone.

`?list=NAME`: the mail has asked about this list. It is on the form though the customer was never on
it, and a yes to it is told also when it is no change: "I want to stay" is an answer. The token says
about which lists the mail has asked; another name is passed over, unless the customer has been on
that list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from aiohttp import web

from agents.mail.message.links import LIST_NAME
from agents.mail.message.tokens import Preferences
from schemas.customer import Customer
from schemas.events import Event
from schemas.languages import MAIL_LANGUAGES
from streams.http.public.context import PageContext
from streams.http.public.lookup import CustomerLookup, LookupUnavailable
from streams.http.public.messages import PageMessages
from streams.http.server.forms import read_form_fields
from streams.log import LogError
from streams.logging import get_logger
from streams.messages.translations import language_of

PURPOSES = ("marketing", "profiling", "tracking")
LIST = "list:"
SOURCE = "preferences_page"

_YES_NO = ("yes", "no")
_ANSWERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(PURPOSES, _YES_NO),
    "frequency": ("normal", "less"),
    "language": MAIL_LANGUAGES,
}

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Choices:
    """What somebody wants; empty is not known, or not said."""

    known: bool = True
    lists: Mapping[str, str] = field(default_factory=dict)
    marketing: str = ""
    profiling: str = ""
    tracking: str = ""
    frequency: str = ""
    language: str = ""


class PreferenceChange(NamedTuple):
    """One thing that is different now."""

    type: str
    data: dict[str, Any]
    purpose: str = ""
    """Of the consent, or `list`; empty for what is neither."""
    given: bool = False


class NotUnderstood(ValueError):
    """A form that is not ours."""


class PreferencesPage:
    """Shows and takes the choices."""

    def __init__(self, context: PageContext, lookup: CustomerLookup) -> None:
        self._context = context
        self._lookup = lookup
        self._mail_languages = [
            (each, PageMessages(language_of(each))["language_name"]) for each in MAIL_LANGUAGES
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Show what holds now."""
        messages = self._context.pages.messages(request)
        content = self._context.read(request, Preferences)
        if content is None:
            return self._context.pages.unknown(messages)
        current = await self._current(content)
        if current is None:
            return self._nobody(messages)
        return self._page(request, messages, _with(current, _asked(request, content, current)))

    async def save(self, request: web.Request) -> web.Response:
        """Write down what is different."""
        context = self._context
        messages = context.pages.messages(request)
        content = context.read(request, Preferences)
        if content is None:
            return context.pages.unknown(messages)
        current = await self._current(content)
        if current is None:
            return self._nobody(messages)
        asked = _asked(request, content, current)
        current = _with(current, asked)
        try:
            wanted = read_form(await read_form_fields(request), current)
        except NotUnderstood:
            return context.pages.not_understood(messages)
        proof = context.proof(request, messages, source=SOURCE, mail=content.command_id)
        changes = list(differences(current, wanted, proof, asked))
        try:
            if changes:
                await context.append([self._event(content, change) for change in changes])
        except LogError as error:
            _log.error("preferences could not be written", error=str(error))
            return context.pages.later(messages)
        for change in changes:
            if change.purpose:
                action = "given" if change.given else "withdrawn"
                context.metrics.consent(change.purpose, action, SOURCE)
        said = (
            (messages["saved"], messages["saved_text"])
            if changes
            else ("", messages["nothing_changed"])
        )
        return self._page(request, messages, resulting(current, wanted), said)

    async def _current(self, content: Preferences) -> Choices | None:
        try:
            customer = await self._lookup.find(content.customer)
        except LookupUnavailable:
            return Choices(known=False)
        return None if customer is None else choices_of(customer)

    def _event(self, content: Preferences, change: PreferenceChange) -> Event:
        return self._context.event(change.type, content.customer, change.data)

    def _nobody(self, messages: PageMessages) -> web.Response:
        return self._context.pages.statement(messages, messages["nobody"], messages["nobody_text"])

    def _page(
        self,
        request: web.Request,
        messages: PageMessages,
        chosen: Choices,
        said: tuple[str, str] | None = None,
    ) -> web.Response:
        return self._context.pages.page(
            messages,
            "preferences",
            messages["preferences"],
            chosen=chosen,
            said=said,
            languages=self._mail_languages,
            here=request.match_info["token"],
        )


def _asked(request: web.Request, content: Preferences, current: Choices) -> str:
    """Return the list that the mail has asked about; empty if none.

    Mails of release 0.1 seal no lists: what they ask is heard by those who have been on the list.
    """
    name = request.query.get("list", "")
    meant = name in content.lists or name in current.lists
    return name if meant and re.fullmatch(LIST_NAME, name) else ""


def _with(current: Choices, asked: str) -> Choices:
    """Return the choices with a list that the mail has asked about."""
    if not asked:
        return current
    return replace(current, lists={asked: "no" if current.known else "", **current.lists})


def choices_of(customer: Customer) -> Choices:
    """Return what holds now."""
    marketing, profiling, tracking = (_answer(_agreed(customer, each)) for each in PURPOSES)
    return Choices(
        lists={name: _answer(customer.lists[name].subscribed) for name in sorted(customer.lists)},
        frequency=customer.profile.mail_frequency or "normal",
        language=customer.profile.language,
        marketing=marketing,
        profiling=profiling,
        tracking=tracking,
    )


def read_form(form: Mapping[str, str], current: Choices) -> Choices:
    """Return what is wanted now. Raises NotUnderstood."""
    lists = dict(current.lists)
    answers: dict[str, Any] = {}
    for name, value in form.items():
        if name.startswith(LIST) and name.removeprefix(LIST) in lists and value in _YES_NO:
            lists[name.removeprefix(LIST)] = value
        elif name in _ANSWERS and value in (*_ANSWERS[name], ""):
            answers[name] = value or getattr(current, name)
        else:
            raise NotUnderstood(name)
    return replace(current, lists=lists, **answers)


def resulting(current: Choices, wanted: Choices) -> Choices:
    """Return what holds once the changes are made: ending marketing ends every list."""
    if wanted.marketing == "no" and current.marketing != "no":
        return replace(wanted, lists=dict.fromkeys(wanted.lists, "no"))
    return wanted


def differences(
    current: Choices, wanted: Choices, proof: Mapping[str, str], asked: str = ""
) -> Iterator[PreferenceChange]:
    """Return what is to be told, in an order in which the last word is what the form says.

    `asked`: the list that the mail has asked about.
    """
    left = joined = 0
    for name, answer in wanted.lists.items():
        if answer != current.lists[name] or (name == asked and answer == "yes"):
            on = answer == "yes"
            joined, left = joined + on, left + (not on)
            type_ = "list.subscribed" if on else "list.unsubscribed"
            yield PreferenceChange(type_, {"list": name, **proof}, "list", on)
    for purpose in PURPOSES:
        answer = getattr(wanted, purpose)
        # Leaving the last list ends marketing too; who says yes to it on the same form is asked.
        again = purpose == "marketing" and left and answer == "yes"
        if answer and (answer != getattr(current, purpose) or again):
            type_ = "consent.given" if answer == "yes" else "consent.withdrawn"
            yield PreferenceChange(type_, {"purpose": purpose, **proof}, purpose, answer == "yes")
    traits = {}
    if wanted.language != current.language:
        traits["locale"] = wanted.language
    if wanted.frequency != current.frequency:
        traits["mail_frequency"] = wanted.frequency
    if traits:
        yield PreferenceChange("customer.updated", traits)


def _agreed(customer: Customer, purpose: str) -> bool:
    consent = customer.consents.get(purpose)
    return consent is not None and consent.given


def _answer(value: bool) -> str:
    return "yes" if value else "no"
