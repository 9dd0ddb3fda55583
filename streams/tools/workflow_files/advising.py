"""Advice: what a workflow file may say and yet can hardly mean. It is published all the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.definitions.rates import Rates
from schemas.definitions.shop import Coupons, Loyalty
from schemas.definitions.steps import CouponStep, NotifyStep, SendStep, Step, steps_with_paths, walk
from schemas.definitions.workflow import Workflow
from streams.runtime.definition_files import FileFinding, Reading, parts

_MAIL = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)\.(?P<language>[a-z]{2})\.j2")
_COUPON = re.compile(r"\bcoupon\b")
_COUPON_FIELD = re.compile(r"\{(coupon\.\w+|run\.coupon)\}")


@dataclass(frozen=True, slots=True)
class Mails:
    """The mail templates beside the workflow files."""

    written: Mapping[str, Mapping[str, str]]
    """Mail → language → its text."""
    languages: Sequence[str]
    """What a shop speaks: those that the blocks have words in."""

    @classmethod
    def of(cls, directory: Path) -> Mails:
        """Read the mails of a directory of workflows. Raises OSError."""
        written: dict[str, dict[str, str]] = {}
        for path in sorted((directory / "templates").glob("*.j2")):
            name = _MAIL.fullmatch(path.name)
            if name is not None and path.is_file():
                text = path.read_text(encoding="utf-8", errors="replace")
                written.setdefault(name["name"], {})[name["language"]] = text
        words = sorted((directory / "templates" / "_words").glob("*.yaml"))
        return cls(written, [path.stem for path in words])

    def show_coupon(self, name: str) -> bool:
        """Whether a mail names the coupon, in any language."""
        return any(_COUPON.search(text) for text in self.written.get(name, {}).values())


def advice(reading: Reading, mails: Mails) -> Iterator[FileFinding]:
    """Yield a warning for each thing in the workflows of a directory that is worth a look."""
    workflows = [each for each in reading.definitions.values() if isinstance(each, Workflow)]
    yield from without_rates(reading)
    members = Counter(each.group for each in workflows)
    all_read = all("workflow" not in kinds for kinds in reading.unread.values())
    for workflow in workflows:
        file, document = reading.files[workflow.id]
        alone = bool(workflow.group) and members[workflow.group] == 1 and all_read
        for path, problem in _about(workflow, file.stem, mails, alone=alone):
            yield FileFinding(file, document.line(parts(path)), path, problem, "warning")


def without_rates(reading: Reading) -> Iterator[FileFinding]:
    """Yield a warning for each amount in a currency of which no rate is given: it is never compared
    with what the shop counts in."""
    rates = next((each for each in reading.definitions.values() if isinstance(each, Rates)), None)
    given = {code for table in rates.rates for code in table.worth} if rates is not None else set()
    own = "" if rates is None else rates.currency
    for definition in reading.definitions.values():
        named: dict[str, str] = {}
        if isinstance(definition, Loyalty):
            own = own or definition.currency
            named["currency"] = definition.currency
        elif isinstance(definition, Coupons):
            named = {
                f"campaigns.{number}.currency": each.currency
                for number, each in enumerate(definition.campaigns)
                if each.kind in ("amount", "cash") or each.minimum is not None
            }
        for path, code in named.items():
            if own and code != own and code not in given:
                file, document = reading.files[definition.id]
                problem = f"{code} is not the shop's currency, {own}, and no rate of it is given"
                yield FileFinding(file, document.line(parts(path)), path, problem, "warning")


def _about(
    workflow: Workflow, file_name: str, mails: Mails, *, alone: bool
) -> Iterator[tuple[str, str]]:
    """Yield (path in the file, what is worth a look)."""
    if _prefix(workflow.id) != _prefix(file_name):
        yield "id", f"{workflow.id} is not looked for in a file called {file_name}"
    if alone:
        yield "group", f"{workflow.group} has no other workflow, so it keeps nobody out"
    if mails.written:
        yield from _unwritten(workflow, mails)
        yield from _hidden_coupons(workflow, mails)
    if not workflow.tests:
        yield "", f"{workflow.id} has no tests: nothing says what it is meant to do"


def _prefix(name: str) -> str:
    return name.partition("-")[0]


def _unwritten(workflow: Workflow, mails: Mails) -> Iterator[tuple[str, str]]:
    """Yield the mails that aren't there, or not in each language."""
    told: set[str] = set()
    for path, step in steps_with_paths(workflow.steps):
        name = step.mail
        if not name or name in told:
            continue
        missing = [each for each in mails.languages if each not in mails.written.get(name, {})]
        if missing:
            told.add(name)
            files = " and no ".join(f"{name}.{each}.j2" for each in missing)
            yield f"{path}.{step.verb}", f"there is no {files}"


def _hidden_coupons(workflow: Workflow, mails: Mails) -> Iterator[tuple[str, str]]:
    """Yield the coupons that are issued and never shown."""
    where = {step.id: path for path, step in steps_with_paths(workflow.steps)}
    for step, later in _with_later(workflow.steps, ()):
        if isinstance(step, CouponStep) and not any(_shows_coupon(each, mails) for each in later):
            problem = "no mail after it shows the code: none of their templates names `coupon`"
            yield f"{where[step.id]}.coupon", problem


def _with_later(
    steps: Sequence[Step], after: Sequence[Step]
) -> Iterator[tuple[Step, Sequence[Step]]]:
    """Yield each step with all those that a run may still come to after it."""
    for number, step in enumerate(steps):
        later = [*walk(steps[number + 1 :]), *after]
        yield step, later
        for arm in step.arms():
            yield from _with_later(arm.steps, later)


def _shows_coupon(step: Step, mails: Mails) -> bool:
    """Whether a step passes the code on: in a mail, or in words to the shop."""
    match step:
        case SendStep(send=name):
            own = step.model_dump_json(include={"variables"})
            return mails.show_coupon(name) or bool(_COUPON_FIELD.search(own))
        case NotifyStep(message=message):
            return any(_COUPON_FIELD.search(text) for text in message.values())
        case _:
            return False
