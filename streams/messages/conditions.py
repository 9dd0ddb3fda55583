"""Conditions in words: `orders: at least 2 and country: IT`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.definitions.conditions import Condition, Test
from streams.messages.decisions import Language
from streams.messages.fields import field_name
from streams.messages.spans import both, either, number, span

_TESTS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "is_": "{}", "is_not": "not {}", "one_of": "{}", "not_in": "not {}",
        "above": "above {}", "at_least": "at least {}", "below": "below {}",
        "at_most": "at most {}", "contains": "with {}", "lacks": "without {}",
        "within": "in the last {}", "longer_ago_than": "more than {} ago",
    },
    "it": {
        "is_": "{}", "is_not": "non {}", "one_of": "{}", "not_in": "non {}",
        "above": "più di {}", "at_least": "almeno {}", "below": "meno di {}",
        "at_most": "al massimo {}", "contains": "con {}", "lacks": "senza {}",
        "within": "negli ultimi {}", "longer_ago_than": "più di {} fa",
    },
}  # fmt: skip
_KNOWN: Mapping[Language, tuple[str, str]] = {
    "en": ("unknown", "known"),
    "it": ("non si conosce", "si conosce"),
}
_FLAGS: Mapping[Language, tuple[str, str]] = {"en": ("no", "yes"), "it": ("no", "sì")}
_ALWAYS: Mapping[Language, str] = {"en": "always", "it": "sempre"}
_NOT: Mapping[Language, str] = {"en": "not ({})", "it": "non ({})"}
_SPANS = frozenset({"within", "longer_ago_than"})


def condition(given: Condition, language: Language) -> str:
    """Return a condition in a line."""
    parts = list(_parts(given, language))
    return both(parts, language) if parts else _ALWAYS[language]


def value(given: Any, language: Language) -> str:
    """Return a value as a person writes it."""
    if isinstance(given, bool):
        return _FLAGS[language][given]
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
        yield _NOT[language].format(condition(given.not_, language))
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
            parts.append(_KNOWN[language][wanted])
        else:
            said = span(wanted, language) if name in _SPANS else value(wanted, language)
            parts.append(_TESTS[language][name].format(said))
    return both(parts, language)
