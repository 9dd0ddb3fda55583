"""The fields of conditions in words, short enough to draw; `agents/rules/fields` says more."""

from __future__ import annotations

from streams.messages.translations import Language, known_message, message

ROOMS = ("event", "fields", "scores", "bands", "run.results", "occurred", "last_occurred")
"""Fields that depend on the shop, the event or the workflow, by how they begin."""


def field_name(name: str, language: Language) -> str:
    """Return what a field is called; its own name when it is none that we know."""
    known = known_message(language, f"field.{name}")
    if known is not None:
        return known
    for room in ROOMS:
        if name.startswith(f"{room}."):
            return message(language, f"field_of.{room}", name=name.removeprefix(f"{room}."))
    return name
