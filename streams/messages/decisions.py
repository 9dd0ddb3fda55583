"""Decisions in words, for people who watch or ask."""

from __future__ import annotations

import re

from schemas.decisions import Decision
from schemas.durations import parse_duration
from streams.messages.spans import span
from streams.messages.translations import Language, known_message, message

_LIMITS = ("frequency_cap", "fatigue", "mix")
_CAP = re.compile(
    r"(?:(?:(?P<ignored>\d+) ignored|(?P<asked>asked for less)|(?P<left>left a list)): )?"
    r"(?P<count>\d+) per (?:day|(?P<span>\w+))(?: of (?P<workflow>.+))?"
)
_MIX = re.compile(r"(?P<several>\d+) of (?P<mails>\d+) in (?P<span>\w+)")
"""How `agents/sending/limits.py` puts its limits into a decision."""


def kind(given: str, language: Language, step: str = "") -> str:
    """Return what was decided, of a step or as such: `holds reminder`, `holds`."""
    return " ".join(message(language, f"decision.{given}", step=step).split())


def reason(code: str, language: Language) -> str:
    """Return why, or what has happened, as a clause; the code itself when it is none of ours."""
    return known_message(language, f"reason.{code}") or code


def outcome(code: str, language: Language) -> str:
    """Return why a mail was not sent; what is no code of ours stays as it is."""
    return known_message(language, f"outcome.{code}") or reason(code, language)


def sentence(decision: Decision, title: str, language: Language) -> str:
    """Return what was decided and why, in a line."""
    return message(
        language,
        "decision.sentence",
        title=title,
        decision=kind(decision.decision, language, decision.step),
        reason=reason(decision.reason, language),
    )


def with_detail(decision: Decision, title: str, language: Language) -> str:
    """The same, with what it was exactly: which limit, which of two mails, what held it."""
    said, detail = sentence(decision, title, language), _detail(decision, language)
    return f"{said} ({detail})" if detail else said


def _detail(decision: Decision, language: Language) -> str:
    detail = decision.detail
    if decision.reason in ("expired", "goal"):  # what held it, what has happened
        return reason(detail, language)
    if decision.reason in _LIMITS:
        return _limit(detail, language)
    return _done(detail, language) if decision.decision == "acted" else detail


def _limit(detail: str, language: Language) -> str:
    """A limit of ours in words; `detail` as it is where it is another's or of another release."""
    try:
        return _known_limit(detail, language)
    except ValueError:  # no such span
        return detail


def _known_limit(detail: str, language: Language) -> str:
    mix = _MIX.fullmatch(detail)
    if mix is not None:
        named = mix.groupdict() | {"span": span(parse_duration(mix["span"]), language)}
        return message(language, "limit.mix", **named)
    cap = _CAP.fullmatch(detail)
    if cap is None:  # of another release
        return detail
    count = cap["count"]
    if cap["span"]:
        length = span(parse_duration(cap["span"]), language)
        limit = message(language, "limit.per_span", count=count, span=length)
    else:
        limit = message(language, "limit.per_day", count=count)
    if cap["workflow"]:
        limit = message(language, "limit.of_workflow", limit=limit, workflow=cap["workflow"])
    if cap["ignored"]:
        why = message(language, "limit.ignored", count=cap["ignored"])
    elif cap["asked"] or cap["left"]:
        why = message(language, "limit.asked_for_less" if cap["asked"] else "limit.left_a_list")
    else:
        return limit
    return message(language, "limit.because", why=why, limit=limit)


def _done(detail: str, language: Language) -> str:
    """How `agents/workflows/steps.py` puts what it did: a verb, and to what."""
    verb, _, what = detail.partition(" ")
    if verb == "tag" and what.startswith("none: "):
        return message(language, "acted.no_tag")
    if known_message(language, f"acted.{verb}") is None:
        return detail
    return message(language, f"acted.{verb}", what=what)
