"""Every language says everything that is said, with the same values, and nothing else."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from babel.messages.plurals import get_plural
from babel.messages.pofile import read_po

from schemas.languages import MAIL_LANGUAGES
from streams.messages import translations
from streams.messages.translations import (
    Language,
    UnknownLanguage,
    language_of,
    languages,
    message,
    message_ids,
)
from tests.messages.locales import change, forget, locale
from tests.messages.uses import FAMILIES, page_words, uses

__all__ = ["locale"]


def ids_in_use() -> set[str]:
    """Return every id that the code says. Fails when a family of ids isn't known in full."""
    roots = {id_.partition(".")[0] for id_ in message_ids(Language("en"))}
    named = {use.id for use in uses() if use.id.partition(".")[0] in roots}
    families = {id_ for id_ in named if id_.endswith(".")}
    assert families == {*FAMILIES, "page."}
    members = {f"{prefix}{name}" for prefix, names in FAMILIES.items() for name in names}
    return named - families | members | {f"page.{word}" for word in page_words()}


def mistakes(in_use: set[str]) -> Iterator[str]:
    """Yield what is wrong with any catalogue."""
    given = {id_: values_of(Language("en"), id_) for id_ in message_ids(Language("en"))}
    for language in languages():
        with (translations.LOCALE / f"{language}.po").open("rb") as file:
            catalogue = read_po(file, abort_invalid=True)
        if not str(catalogue.locale).startswith(language):
            yield f"{language}: Language is {catalogue.locale}"
        count, expression = get_plural(language)[:2]
        if (catalogue.num_plurals, catalogue.plural_expr) != (count, expression):
            yield f"{language}: Plural-Forms is nplurals={count}; plural={expression};"
        yield from (f"{language}: {id_}: missing" for id_ in in_use - {*message_ids(language)})
        yield from (f"{language}: {id_}: unused" for id_ in {*message_ids(language)} - in_use)
        for entry in catalogue:
            forms = [entry.string] if isinstance(entry.id, str) else list(entry.string)
            if entry.id and (entry.fuzzy or not all(each and each.strip() for each in forms)):
                yield f"{language}: {entry.id}: not finished"
            if not isinstance(entry.id, str) and len(forms) != count:
                yield f"{language}: {entry.id}: {count} forms"
        for id_ in message_ids(language):
            if id_ in given and values_of(language, id_) != given[id_]:
                yield f"{language}: {id_}: its values are {sorted(given[id_])}"


def values_of(language: Language, id_: str) -> set[str]:
    """Return the values in any form of a message."""
    forms = translations._catalogue(language).messages[id_]
    return {name for form in forms for _, name, _, _ in string.Formatter().parse(form) if name}


def test_every_language_says_all_that_is_said_and_no_more() -> None:
    assert list(mistakes(ids_in_use())) == []


def test_every_use_gives_the_values_of_its_message() -> None:
    for use in uses():
        members = [f"{use.id}{name}" for name in FAMILIES.get(use.id, ())] or [use.id]
        for id_ in members if use.values is not None else ():
            if use.id != "page.":
                assert values_of(Language("en"), id_) <= use.values, id_


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda file: change(file, 'msgid "flag.yes"\nmsgstr "sì"\n', ""), "flag.yes: missing"),
        (lambda file: change(file, 'msgid "flag.yes"', 'msgid "flag.si"'), "flag.si: unused"),
        (lambda file: change(file, 'msgstr "sì"', 'msgstr ""'), "flag.yes: not finished"),
        (lambda file: change(file, 'msgid "flag.yes"', '#, fuzzy\nmsgid "flag.yes"'),
         "flag.yes: not finished"),
        (lambda file: change(file, "più di {value} fa", "più di {valore} fa"),
         "test.longer_ago_than: its values are ['value']"),
        (lambda file: change(file, "{count} giorno", "un giorno e {altro}"),
         "span.day: its values are ['count']"),
        (lambda file: change(file, "(n != 1)", "(n > 1)"), "Plural-Forms is"),
        (lambda file: change(file, "it_IT", "en_GB"), "Language is en_GB"),
    ],
)  # fmt: skip
def test_a_mistake_is_found(locale: Path, spoil: Callable[[Path], None], found: str) -> None:
    in_use = ids_in_use()
    spoil(locale / "it.po")
    assert any(each.startswith("it: ") and found in each for each in mistakes(in_use))


def test_another_file_is_another_language(locale: Path) -> None:
    italian = (locale / "it.po").read_text(encoding="utf-8")
    (locale / "fr.po").write_text(italian.replace("it_IT", "fr_FR"), encoding="utf-8")
    forget()
    assert language_of("fr") in languages()
    assert message(language_of("fr"), "flag.yes") == "sì"
    (locale / "fr.po").unlink()
    forget()
    with pytest.raises(UnknownLanguage, match=r"no language 'fr'; there are: .*en, it"):
        language_of("fr")


def test_a_count_chooses_the_form() -> None:
    for language, one, several in (("it", "1 ora", "2 ore"), ("en", "1 hour", "2 hours")):
        assert message(Language(language), "span.hour", count=1) == one
        assert message(Language(language), "span.hour", count=2) == several
        assert message(Language(language), "span.hour", count=0) == several.replace("2", "0")


def test_what_is_said_of_anybody_is_no_template() -> None:
    said = message(Language("en"), "timeline.visitor", text="{0.__class__} {count}")
    assert said == "visitor: {0.__class__} {count}"


def test_the_languages_of_mails_have_a_name_on_the_pages() -> None:
    assert {*MAIL_LANGUAGES} <= {*languages()}
