"""All words of ours, by id and language: a gettext catalogue for each in `locale/`.

A language is a file: commands, pages, timelines and drawings speak every language that has one.
Code says only which message it is and which values stand in it. A message with several forms is
chosen among them by its value `count`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from gettext import c2py
from pathlib import Path
from typing import NamedTuple, NewType

from schemas.failures import InputError

LOCALE = Path(__file__).parent / "locale"

Language = NewType("Language", str)
"""One that has a file: `it`."""

ENGLISH = Language("en")
"""What is said where nobody can choose: the demo, remarks of commands."""


class UnknownLanguage(InputError):
    """A language that has no file; the text names those that do."""


@cache
def languages() -> tuple[Language, ...]:
    """Return all languages, by the alphabet."""
    return tuple(Language(file.stem) for file in sorted(LOCALE.glob("*.po")))


def language_of(name: str) -> Language:
    """Return the language of this name. Raises UnknownLanguage."""
    if name not in languages():
        raise UnknownLanguage(f"no language {name[:40]!r}; there are: {', '.join(languages())}")
    return Language(name)


def message(language: Language, id_: str, /, **values: object) -> str:
    """Return a message with its values; `count` among them chooses its form.

    Raises KeyError when there is no such message; a test finds every such call.
    """
    known = _catalogue(language)
    forms = known.messages[id_]
    form = known.plural(int(str(values["count"]))) if len(forms) > 1 else 0
    return forms[form].format(**values)


def known_message(language: Language, id_: str) -> str | None:
    """Return a message without values, None when there is none of this id."""
    forms = _catalogue(language).messages.get(id_)
    return None if forms is None else forms[0]


def message_ids(language: Language) -> Sequence[str]:
    """Return the ids of all messages, in the order of the file."""
    return tuple(_catalogue(language).messages)


def title_in(given: Mapping[str, str], language: Language) -> str:
    """Return what a file's author calls a thing: in `language`, else in English, else in the first
    one given; empty when in none."""
    return given.get(language) or given.get(ENGLISH) or next(iter(given.values()), "")


def locale_of(language: Language) -> str:
    """Return by which locale (CLDR) numbers, money, days and lists are written: `en_GB`."""
    return _catalogue(language).locale


class _Catalogue(NamedTuple):
    locale: str
    messages: Mapping[str, Sequence[str]]
    """By id: the only form, or all of them in the order of `plural`."""
    plural: Callable[[int], int]


@cache
def _catalogue(language: Language) -> _Catalogue:
    from babel.messages.pofile import read_po  # noqa: PLC0415  # no help text needs it

    with (LOCALE / f"{language}.po").open("rb") as file:
        read = read_po(file, abort_invalid=True)
    messages: dict[str, Sequence[str]] = {}
    for each in read:
        if isinstance(each.id, str):
            messages[each.id] = (str(each.string),)
        else:
            messages[each.id[0]] = tuple(map(str, each.string or ()))
    del messages[""]  # the head of the file
    return _Catalogue(str(read.locale), messages, c2py(read.plural_expr))
