"""What is to be added has few places, and each that is forgotten is named here."""

from __future__ import annotations

from collections import Counter

from agents.customer import actor
from agents.workflows import steps
from schemas import outcomes
from schemas.definitions.steps import STEPS
from schemas.events import EVENT_TYPES, own, person, shopping

ROWS = (
    *shopping.EVENT_TYPES, *person.EVENT_TYPES, *outcomes.EVENT_TYPES, *own.EVENT_TYPES
)  # fmt: skip


def test_an_event_type_has_one_row() -> None:
    twice = [name for name, rows in Counter(each.name for each in ROWS).items() if rows > 1]
    assert twice == []
    assert [each.name for each in ROWS] == list(EVENT_TYPES)


def test_an_event_type_has_a_handler() -> None:
    handled = actor._HANDLERS.keys() | actor.ERASES | {actor.REEVALUATED}
    assert EVENT_TYPES.keys() - handled == set(), (
        "add it to the HANDLERS of a module, or of the actor"
    )
    assert handled - EVENT_TYPES.keys() == set(), "add its row beside its model in schemas/events"
    tables = [
        actor._OWN_HANDLERS,
        *(getattr(each, "HANDLERS", {}) for each in vars(actor).values()),
    ]
    assert sum(map(len, tables)) == len(actor._HANDLERS), "two modules handle one type"


def test_a_verb_has_something_to_do() -> None:
    assert set(STEPS) - steps._VERBS.keys() == set(), (
        "add it to _VERBS in agents/workflows/steps.py"
    )
    assert steps._VERBS.keys() - set(STEPS) == set(), (
        "add it to Step in schemas/definitions/steps.py"
    )
    assert len({each.verb for each in STEPS}) == len(STEPS)
