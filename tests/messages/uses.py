"""Which messages the code says: found in its source, and in the types that ids are made of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from agents.mail.metrics import HoldReason
from agents.rules.fields import FieldRegistry
from schemas.commands import MailKind, TrackingMode
from schemas.decisions import REASONS, DecisionKind
from schemas.definitions import triggers
from schemas.definitions.conditions import Test
from schemas.definitions.products import ProductSource
from schemas.definitions.steps import STEPS, VERBS, ListStep
from schemas.definitions.workflow import EntryRule
from schemas.events.odd import PROBLEMS
from schemas.events.own import MergeGround
from schemas.figures import KPIS
from schemas.outcomes import ReturnReason
from streams.messages.events import ASSUMED
from streams.messages.fields import ROOMS
from streams.tools.figure_words import COLUMNS
from streams.tools.workflow_files.changes.in_flight import Then

STREAMS = Path(__file__).parents[2] / "streams"

_UNITS = ("day", "hour", "minute", "second")


def _choices(model: Any, field: str) -> set[str]:
    """The texts that a field's type allows."""
    annotation = model.model_fields[field].annotation
    return {each for each in get_args(annotation) if isinstance(each, str)} or {
        text for part in get_args(annotation) for text in get_args(part)
    }


FAMILIES: Mapping[str, Iterable[str]] = {
    "acted.": {*VERBS, *_choices(ListStep, "action")}
    - {"send", "branch", "split", "list", "goal", "exit"},  # these have decisions of other kinds
    "arm.result.": ("event", "timeout", "condition", "issued", "none", "begun", "ended"),
    "change.": ("changed", "added", "withdrawn"),
    "change.all.": ("changed", "added", "withdrawn"),
    "change.runs.": get_args(Then),
    "decision.": get_args(DecisionKind),
    "entry.once.": _choices(EntryRule, "once_per"),
    "field.": FieldRegistry().fields(),
    "field_of.": ROOMS,
    "hold.": get_args(HoldReason),
    "odd.problem.": PROBLEMS,
    "odd.assumed.": ASSUMED,
    "kpi.column.": COLUMNS,
    "kpi.name.": KPIS,
    "merge.": [each for each in get_args(MergeGround) if each],
    "outcome.": ("cancelled", "expired", "ambiguous", "invalid_address", "smtputf8_unsupported",
                 "relay_connect", "relay_tls", "relay_auth", "relay_refused"),
    "products.": get_args(ProductSource),
    "reason.": REASONS | {"asking"},  # a `coupon` step is put off for that, without a decision
    "returned.": get_args(ReturnReason),
    "span.": _UNITS,
    "step.kind.": {*get_args(MailKind), *(each.verb for each in STEPS)} - {"send"},
    "step.list.": _choices(ListStep, "action"),
    "test.": Test.model_fields.keys() - {"known"},
    "test.within.": _UNITS,
    "tracking.": get_args(TrackingMode),
    "trigger.inactive.": _choices(triggers.OnInactivity, "inactive"),
    "trigger.product.": get_args(triggers.ProductChange),
    "trigger.product_of.": get_args(triggers.ProductConcern),
    "trigger.same.": _choices(triggers.OnEvent, "same"),
    "trigger.score.": ("above", "below"),
    "trigger.segment.": _choices(triggers.OnSegment, "when"),
    "trigger.tag.": _choices(triggers.OnTag, "when"),
    "trigger.tier.": _choices(triggers.OnTier, "tier"),
    "wait.date.": ("before", "after"),
}  # fmt: skip
"""How ids begin that code puts together, and how they go on."""


class Use(NamedTuple):
    """A place in the code that says a message."""

    id: str
    """Of a family its beginning: `reason.`."""
    values: frozenset[str] | None
    """What it gives; None when that can't be seen."""


def uses() -> list[Use]:
    """Return every use in `streams/`, but for the pages'."""
    found: list[Use] = []
    for file in sorted(STREAMS.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if "streams.messages.translations import" in text:
            found += _uses(ast.parse(text))
    return found


def page_words() -> set[str]:
    """Return the words that the public pages and their templates ask for."""
    public = STREAMS / "http" / "public"
    code = "".join(file.read_text(encoding="utf-8") for file in public.glob("*.py"))
    asked = set(re.findall(r"""(?:messages|PageMessages\(.*\))\[\s*['"](\w+)['"]\s*\]""", code))
    for template in public.glob("templates/*.j2"):
        text = template.read_text(encoding="utf-8")
        asked.update(re.findall(r"\b(?:messages|other)\.(\w+)", text))
    return asked - {"language", "version"}


def _uses(tree: ast.AST) -> Iterator[Use]:
    seen: set[ast.AST] = set()
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "message":
            values = frozenset(each.arg for each in call.keywords if each.arg)
            all_seen = all(each.arg for each in call.keywords)
            for part in ast.walk(call.args[1]):
                yield from _use(part, values if all_seen else None)
                seen.add(part)
    for part in ast.walk(tree):  # named first and said later, or asked for
        if part not in seen:
            yield from _use(part, None)


def _use(part: ast.AST, values: frozenset[str] | None) -> Iterator[Use]:
    if isinstance(part, ast.Constant):
        text, form = part.value, r"[a-z_]+(\.\w+)+"
    elif isinstance(part, ast.JoinedStr) and isinstance(part.values[0], ast.Constant):
        text, form = part.values[0].value, r"[a-z_]+(\.\w+)*\."
    else:
        return
    if isinstance(text, str) and re.fullmatch(form, text):
        yield Use(text, values)
