"""Conditions in words: `orders: at least 2 and country: IT`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.definitions.conditions import Condition, Test
from streams.messages.fields import field_name
from streams.messages.spans import both, counted, either, number, span
from streams.messages.translations import Language, message


def condition(given: Condition, language: Language) -> str:
    """Return a condition in a line."""
    parts = list(_parts(given, language))
    return both(parts, language) if parts else message(language, "condition.always")


def value(given: Any, language: Language) -> str:
    """Return a value as a person writes it."""
    if isinstance(given, bool):
        return message(language, "flag.yes" if given else "flag.no")
    if isinstance(given, int | float):
        return number(given, language)
    if isinstance(given, list):
        return either([value(each, language) for each in given], language)
    return str(given) or "“”"


def _parts(given: Condition, language: Language) -> Iterator[str]:
    for name, test in given.fields.items():
        yield f"{field_name(name, language)}: {_test(test, language)}"
    for each in given.all_:
        yield _enclosed(each, language)
    if given.any_:
        alternatives = [_enclosed(each, language) for each in given.any_]
        together = either(alternatives, language)
        yield f"({together})" if len(alternatives) > 1 else together
    if given.not_ is not None:
        yield message(language, "condition.not", condition=condition(given.not_, language))
    if given.cel:
        yield given.cel


def _enclosed(given: Condition, language: Language) -> str:
    several = len(list(_parts(given, language))) > 1
    text = condition(given, language)
    return f"({text})" if several else text


def _test(test: Test, language: Language) -> str:
    parts = []
    for name in Test.model_fields:
        wanted = getattr(test, name)
        if name not in test.model_fields_set or wanted is None:
            continue
        if name == "known":
            parts.append(message(language, "test.known" if wanted else "test.unknown"))
        elif name == "within":
            parts.append(_within(wanted, language))
        else:
            longer = name == "longer_ago_than"
            said = span(wanted, language) if longer else value(wanted, language)
            parts.append(message(language, f"test.{name}", value=said))
    return both(parts, language)


def _within(milliseconds: int, language: Language) -> str:
    """Of one unit alone it is `in the last day`, `in the last 2 days`."""
    [(unit, count), *more] = counted(milliseconds)
    if more:
        return message(language, "test.within", value=span(milliseconds, language))
    return message(language, f"test.within.{unit}", count=count)
