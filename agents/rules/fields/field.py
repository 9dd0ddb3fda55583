"""A field: a fact about a customer that conditions may ask for, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from agents.rules.evaluation import EvaluationContext
from schemas.customer_parts import CustomerPart

FieldType = Literal["text", "number", "money", "flag", "instant", "date", "texts", "numbers", "any"]
"""What a field is, and as what it is read; None (a text: empty) when it is not known.

text str · number int or float · money Decimal · flag bool · instant ms since the epoch · date Day ·
texts, numbers a collection of them · any a custom field as it is kept, where its type isn't known
"""

Part = Literal[CustomerPart, "event", "run", "now"]
"""A part of what is known: of the customer, or of what is happening."""


Read = Callable[[EvaluationContext], Any]
Changes = Callable[[EvaluationContext, Sequence[float]], int]


class Field(NamedTuple):
    """A fact that may be asked for."""

    name: str
    type: FieldType
    part: Part
    read: Read
    about: str
    """What it is, for whoever writes conditions."""
    values: frozenset[str] | None = None
    """All texts that it can be, where that is known."""
    changes: Changes | None = None
    """Of one that changes with time alone: the earliest instant (ms) after now at which it does, or
    a number at which it may pass one of the given thresholds; NEVER if it won't."""
    flows: bool = False
    """A number that changes at every instant: it can be compared, but is never exactly anything."""
    compared: Read | None = None
    """Of an amount: what is compared, in the shop's currency; `read` is in its own."""
    currency: Read | None = None
    """Of an amount: its own currency."""
